"""Camera moves as lines of numbers: Nuke's .chan and RealEstate10K's text."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import LEVEL, Camera, CameraError, PathError, opencv_to_opengl, opengl_to_opencv
from lookbeyond.geometry.transforms import read_realestate10k
from lookbeyond.whole import whole_file

from .camera_move import FPS, Z_UP_TO_Y_UP, CameraMove, fov_y, simple_intrinsics, turned


def write_chan(path: Path, move: CameraMove) -> None:
    """Frame, position, rotation in degrees (order ZXY, a Nuke camera's own), vertical field of view; Y up."""
    lines = []
    before = np.zeros(3)
    for number, camera in enumerate(move.cameras, move.first_frame):
        pose = turned(Z_UP_TO_Y_UP, opencv_to_opengl(camera.camera_to_world))
        before = _near(_zxy_degrees(pose[:3, :3]), before)
        values = [*pose[:3, 3], *before, math.degrees(fov_y(camera))]
        lines.append(f"{number}\t" + "\t".join(f"{value:.9g}" for value in values) + "\n")
    with whole_file(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def read_chan(path: Path, width: int, height: int) -> CameraMove:
    """The inverse of `write_chan`, for frames of a size that the file does not hold. Raises `PathError`."""
    cameras, numbers = [], []
    for line, values in _lines(path, "a Nuke .chan file"):
        if len(values) not in (7, 8):
            raise PathError(f"{path}, line {line} has {len(values)} numbers, not 8; export a camera's .chan from Nuke")
        if len(values) == 7:
            raise PathError(f"{path}, line {line} has no field of view; export the .chan from a camera, not an axis")
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = _zxy_rotation(values[4:7]), values[1:4]
        if not 0 < values[7] < 180:
            raise PathError(f"{path}, line {line}: a field of view of {values[7]:g}° is impossible; export it again")
        intrinsics = simple_intrinsics(width, height, math.radians(values[7]))
        cameras.append(Camera(width, height, intrinsics, opengl_to_opencv(turned(Z_UP_TO_Y_UP.T, pose))))
        numbers.append(int(values[0]))
    if not cameras:
        raise PathError(f"{path} has no cameras; give a Nuke .chan file")
    return CameraMove(cameras, first_frame=numbers[0])


def _zxy_rotation(degrees: NDArray) -> NDArray[np.float64]:
    """Nuke's order ZXY: about Z first, then X, then Y; the camera looks along its own -Z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def _zxy_degrees(rotation: NDArray) -> NDArray[np.float64]:
    """The inverse of `_zxy_rotation`; looking straight up or down, the turn about Z is called 0."""
    sine = -rotation[1, 2]
    if abs(sine) > 1 - 1e-12:
        x, y, z = math.copysign(math.pi / 2, sine), math.atan2(-rotation[2, 0], rotation[0, 0]), 0.0
    else:
        x = math.asin(sine)
        y, z = math.atan2(rotation[0, 2], rotation[2, 2]), math.atan2(rotation[1, 0], rotation[1, 1])
    return np.degrees([x, y, z])


def _near(degrees: NDArray, before: NDArray) -> NDArray:
    """The same turn without a jump of 360 degrees from the previous frame: programs interpolate these numbers."""
    return degrees + 360 * np.round((before - degrees) / 360)


def write_realestate10k(path: Path, move: CameraMove) -> None:
    """Time in microseconds, intrinsics as shares of the frame, world-to-camera by rows; Y down."""
    z_up_to_y_down = np.eye(4)
    z_up_to_y_down[:3, :3] = LEVEL.T
    lines = [f"{Path(path).stem}\n"]
    for number, camera in enumerate(move.cameras):
        time_us = round((move.first_frame - 1 + number) / move.fps * 1e6)
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
        shares = fx / camera.width, fy / camera.height, cx / camera.width, cy / camera.height
        matrix = np.linalg.inv(z_up_to_y_down @ camera.camera_to_world)[:3]
        numbers = " ".join(f"{value:.9f}" for value in [*shares, 0, 0, *matrix.ravel()])
        lines.append(f"{time_us} {numbers}\n")
    with whole_file(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def read_realestate10k_move(path: Path, width: int, height: int) -> CameraMove:
    """The cameras of a RealEstate10K text, with the frame rate that its times have. Raises `PathError`."""
    cameras = read_realestate10k(path, width, height)
    times_us = np.array([values[0] for _, values in _lines(path, "a RealEstate10K text", skip=1)])
    step_us = float(np.median(np.diff(times_us))) if len(times_us) > 1 else 0.0
    fps = round(1e6 / step_us, 3) if step_us > 0 else FPS
    return CameraMove(cameras, fps=fps, first_frame=1 + round(times_us[0] * fps / 1e6))


def _lines(path: Path, what: str, skip: int = 0) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Number and values of every line that has any."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PathError(f"{path} cannot be read ({error}); give {what}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if number <= skip or not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            values = np.array(line.split(), float)
        except ValueError:
            raise PathError(f"{path}, line {number} is not made of numbers; give {what}") from None
        if not np.isfinite(values).all():
            raise CameraError(f"{path}, line {number} holds NaN or infinity; give finite numbers")
        yield number, values
