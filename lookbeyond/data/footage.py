"""Camera moves that were filmed, rendered or shot: frames with their cameras and, if available, depth."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lookbeyond.errors import InputError
from lookbeyond.files import read_distance
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.transforms import DEPTH_UNIT_M
from lookbeyond.photo.reading import read_photo

from .reading import log


@dataclass(frozen=True)
class Frame:
    """One frame's files. The camera is that of the file's pixels; lengths are in the data set's own unit."""

    camera: Camera
    image: Path
    depth: Path | None = None
    """Along z: an .exr with a channel Y, an .npy, or a 16-bit .png; 0 where it is not known."""
    depth_unit: float | None = None
    """One step of the depth, in the data set's unit; None where the data set does not state it: 1 for an .exr,
    and nerfstudio's 0.001 for an .npy or a .png."""
    distortion: tuple[float, ...] = ()
    """OpenCV's k1 k2 p1 p2 k3 k4 k5 k6; empty for a pinhole."""

    def read(self) -> tuple[np.ndarray, np.ndarray | None, Camera]:
        """Colour uint8 [H, W, 3], distance along the ray float32 [H, W] (0: not known) or None, and their camera.

        Distortion is taken out. Raises InputError that names the file.
        """
        colour = read_photo(self.image).pixels
        height, width = colour.shape[:2]
        camera = self.camera.resized(width, height)
        if abs(width * self.camera.height - height * self.camera.width) > max(width, height):
            raise InputError(
                f"The frame {self.image} is {width}x{height} pixels but its camera {self.camera.width}x"
                f"{self.camera.height}; give frames of their cameras' shape."
            )
        if self.distortion:
            colour = _undistorted(colour, camera, self.distortion)
        if self.depth is None:
            return colour, None, camera
        depth = _read_depth(self.depth, self.depth_unit, width, height)
        if self.distortion:
            depth = _undistorted(depth, camera, self.distortion)
        cosine = (camera.rays() @ camera.forward).astype(np.float32)
        return colour, np.where(np.isfinite(depth) & (depth > 0), depth, 0) / cosine, camera


@dataclass(frozen=True)
class CameraMove:
    """The frames of one camera move, in their order."""

    name: str
    frames: tuple[Frame, ...]


def move_of(name: str, frames: list[Frame], missing: list[str], whole: int) -> CameraMove:
    """The move of the frames that are there; the missing ones are named in a warning, InputError when none is left."""
    if not frames:
        raise InputError(f"None of the {whole} frames of {name} is there ({missing[0]}, …); give the frames too.")
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        log.warning(
            "Left out: %d of %d frames of %s are missing: %s%s.",
            len(missing),
            whole,
            name,
            ", ".join(missing[:3]),
            more,
        )
    return CameraMove(name, tuple(frames))


def _read_depth(path: Path, unit: float | None, width: int, height: int) -> np.ndarray:
    depth = None
    if path.suffix.lower() == ".exr":
        depth = read_distance(path) * np.float32(1.0 if unit is None else unit)
    elif path.suffix.lower() == ".npy":
        with contextlib.suppress(OSError, ValueError, EOFError):
            depth = np.load(path).squeeze().astype(np.float32) * np.float32(_step(unit))
    elif (image := cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) is not None:
        depth = image.astype(np.float32) * np.float32(_step(unit))
    if depth is None or depth.ndim != 2:
        raise InputError(f"The depth {path} cannot be read; give an .exr, an .npy or a 16-bit .png of one channel.")
    if depth.shape != (height, width):
        depth = cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)
    return depth


def _step(unit: float | None) -> float:
    return DEPTH_UNIT_M if unit is None else unit


def _undistorted(image: np.ndarray, camera: Camera, distortion: tuple[float, ...]) -> np.ndarray:
    matrix = camera.intrinsics.copy()
    matrix[:2, 2] -= 0.5  # OpenCV counts from pixel centres
    size = (camera.width, camera.height)
    columns, rows = cv2.initUndistortRectifyMap(matrix, np.array(distortion), None, matrix, size, cv2.CV_32FC1)
    kind = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
    border = cv2.BORDER_REPLICATE if image.ndim == 3 else cv2.BORDER_CONSTANT
    return cv2.remap(image, columns, rows, kind, borderMode=border)
