"""Camera paths in the files of other tools: nerfstudio's and instant-ngp's transforms.json, the camera_path.json of
nerfstudio's viewer, and RealEstate10K text.

transforms.json holds OpenGL camera axes (x right, y up, z backward) in a Z-up world: Blender's own matrix_world.
Intrinsics fl_x fl_y cx cy w h stand at the top, or in a frame where they differ. Where both are given and differ, the
frame's are used, as in instant-ngp (nerfstudio takes those at the top), and a note says so. Frames are in the order of
their file names, numbers by their value.
"""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .cameras import LEVEL, Camera, CameraError, PathError, opencv_to_opengl, opengl_to_opencv

_INTRINSICS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
_ANGLES = ("camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
"""Radians, and instant-ngp's degrees."""
_PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "PERSPECTIVE")
_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
"""In OpenCV's order."""
_NERFSTUDIO_PARAMS = ("k1", "k2", "k3", "k4", "p1", "p2")
"""In the order of nerfstudio's distortion_params."""
_NO_PINHOLE = ("is_fisheye", "latlong", "equirectangular", "orthographic", "ftheta_p0")
"""Keys of instant-ngp and others for lenses that are not pinholes."""
DEPTH_UNIT_M = 1e-3
"""The step of a depth file that nerfstudio assumes where the file does not state it."""


@dataclass(frozen=True)
class PosedFrame:
    """One frame of a transforms.json."""

    camera: Camera
    file_path: str = ""
    """Its picture, relative to the file; empty where it has none."""
    depth_file_path: str = ""
    distortion: tuple[float, ...] = ()
    """OpenCV's k1 k2 p1 p2 k3 k4 k5 k6; empty for a pinhole."""


@dataclass(frozen=True)
class CameraPath:
    """The frames of a file, in their order."""

    frames: tuple[PosedFrame, ...]
    depth_unit_m: float | None = None
    """Metres of one step of the depth files, where the file says it."""
    said: tuple[str, ...] = ()
    """What was decided in reading it: sentences for people."""

    @property
    def cameras(self) -> list[Camera]:
        return [frame.camera for frame in self.frames]


def in_numbers_order(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names by the numbers in them: 2 before 10, and 9999 before 10000."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts if part]


def read_transforms(path: str | os.PathLike) -> list[Camera]:
    """The cameras to shoot of a transforms.json or camera_path.json, in their order. `PathError` as `read_camera_path`,
    and for cameras whose lens bends lines: frames are pinholes'."""
    return list(shot_path(read_camera_path(path), path).cameras)


def shot_path(path: CameraPath, name: str | os.PathLike) -> CameraPath:
    """The path, if it can be shot: `PathError`, naming file and frame, where a lens bends lines."""
    for number, frame in enumerate(path.frames, 1):
        if frame.distortion:
            coefficients = ", ".join(f"{k}={v:g}" for k, v in zip(_COEFFICIENTS, frame.distortion) if v)
            raise PathError(
                f"{name}, frame {frame.file_path or number}: the lens bends lines ({coefficients}), but shots have no"
                " distortion; give undistorted cameras, or remove these coefficients"
            )
    return path


def read_camera_path(path: str | os.PathLike) -> CameraPath:
    """The frames of a transforms.json or of the camera_path.json that nerfstudio's viewer saves.

    `camera_angle_x` and `camera_angle_y` (radians) stand in for missing focal lengths, `fl_x` for `fl_y`, and the
    frame's middle for `cx`, `cy`. Raises `PathError`, naming file and frame, for what is not such a file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PathError(f"{path} cannot be read ({error.strerror}); give a transforms.json") from None
    except (ValueError, RecursionError):
        raise PathError(f"{path} is not JSON; give a nerfstudio transforms.json") from None
    if isinstance(content, list):
        raise PathError(f"{path} {_exported_list(content)}")
    if isinstance(content, dict) and isinstance(content.get("camera_path"), list) and "frames" not in content:
        return _viewers_path(path, content)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise PathError(f"{path} has no frames; give a transforms.json with at least one camera")
    top = {key: value for key, value in content.items() if key != "frames"}
    posed = []
    for number, frame in enumerate(frames, 1):
        try:
            posed.append(_posed_frame(_laid_over(top, frame)))
        except (CameraError, TypeError) as error:
            raise PathError(f"{path}, frame {number}: {error}") from None
        except ArithmeticError:
            raise PathError(f"{path}, frame {number}: a number is too large; give pixels, radians, metres") from None
    said = _differences(top, frames)
    if all(frame.file_path for frame in posed):
        ordered = sorted(posed, key=lambda frame: in_numbers_order(frame.file_path))
        if ordered != posed:
            said.append("The frames are taken in the order of their file names, which is not the file's own.")
            posed = ordered
    unit = content.get("depth_unit_scale_factor")
    if unit is not None and not (isinstance(unit, int | float) and 0 < unit < math.inf):
        raise PathError(f"{path}: depth_unit_scale_factor is {unit!r}; give metres of one step, 0.001 for millimetres")
    return CameraPath(tuple(posed), unit, tuple(said))


def write_transforms(
    path: str | os.PathLike,
    cameras: Sequence[Camera],
    file_paths: Sequence[str],
    depth_paths: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Writes a transforms.json, whole or not at all; intrinsics stand at the top where all frames share them.

    `file_paths` and `depth_paths` name each frame's files relative to the json, `extra` is put at its top.
    """
    path = Path(path)
    intrinsics = [_intrinsics(camera) for camera in cameras]
    shared = all(values == intrinsics[0] for values in intrinsics)
    frames = []
    for number, (camera, file_path) in enumerate(zip(cameras, file_paths, strict=True)):
        frame: dict[str, Any] = {"file_path": file_path}
        if depth_paths is not None:
            frame["depth_file_path"] = depth_paths[number]
        if not shared:
            frame |= intrinsics[number]
        frame["transform_matrix"] = (opencv_to_opengl(camera.camera_to_world) + 0.0).tolist()
        frames.append(frame)
    content = {"camera_model": "PINHOLE"} | (intrinsics[0] if shared else {}) | dict(extra or {})
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(content | {"frames": frames}, indent=1), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_realestate10k(path: str | os.PathLike, width: int, height: int) -> list[Camera]:
    """The cameras of a RealEstate10K text file, for frames of `width` x `height` pixels.

    The first line is the video's address; each other one is: time, fx fy cx cy as shares of the frame's width
    and height, two distortion numbers, and the 3 x 4 world-to-camera matrix by rows (OpenCV axes, y down in
    the world too: the poses are turned so that Z is up). Raises `PathError`, naming file and line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise PathError(f"{path} cannot be read ({error}); give a RealEstate10K text file") from None
    y_down_to_z_up = np.eye(4)
    y_down_to_z_up[:3, :3] = LEVEL
    cameras = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            values = np.array(line.split(), float)
            if values[5:7].any():
                raise CameraError("the lens bends lines; give undistorted frames")
            fx, fy, cx, cy = values[1:5] * [width, height, width, height]
            world_to_camera = np.vstack([values[7:].reshape(3, 4), [0, 0, 0, 1]])
            pose = y_down_to_z_up @ np.linalg.inv(world_to_camera)
            cameras.append(Camera(width, height, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], pose))
        except CameraError as error:
            raise PathError(f"{path}, line {number}: {error}") from None
        except (ValueError, np.linalg.LinAlgError):
            raise PathError(f"{path}, line {number} is not 19 numbers; give a RealEstate10K text file") from None
    if not cameras:
        raise PathError(f"{path} has no cameras; give a RealEstate10K text file")
    return cameras


def _laid_over(top: Mapping[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
    """A frame's values over the file's: a focal length that the frame gives in one form drops the file's in others."""
    if not isinstance(frame, dict):
        raise CameraError("the frame is not a JSON object; give its transform_matrix")
    whole = dict(top)
    for axis in "xy":
        keys = _focal_keys(axis)
        if any(key in frame for key in keys):
            whole = {key: value for key, value in whole.items() if key not in keys}
    return whole | dict(frame)


def _focal_keys(axis: str) -> tuple[str, str, str]:
    """The first one present is used, as in instant-ngp."""
    return f"{axis}_fov", f"fl_{axis}", f"camera_angle_{axis}"


def _posed_frame(values: Mapping[str, Any]) -> PosedFrame:
    """A frame, its values laid over the file's."""
    names = [values.get(key) for key in ("file_path", "depth_file_path")]
    file_path, depth_file_path = (name if isinstance(name, str) else "" for name in names)
    return PosedFrame(_camera(values), file_path, depth_file_path, _distortion(values))


def _camera(values: Mapping[str, Any]) -> Camera:
    model = values.get("camera_model", "PINHOLE")
    if model not in _PINHOLE_MODELS:
        raise CameraError(f"the camera model {model} is not a pinhole; give perspective cameras")
    for key in _NO_PINHOLE:
        if values.get(key):
            raise CameraError(f"{key} says that the camera is not a pinhole; give perspective cameras")
    if "transform_matrix" not in values:
        raise CameraError("the frame has no transform_matrix; give the camera's pose, 4 x 4 numbers")
    numbers = {name: values[name] for name in (*_INTRINSICS, *_ANGLES) if name in values}
    if not all(
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
        for value in numbers.values()
    ):
        raise CameraError("the intrinsics are not numbers; give fl_x, fl_y, cx, cy, w and h in pixels")
    if "w" not in numbers or "h" not in numbers or not any(key in numbers for key in _focal_keys("x")):
        raise CameraError("intrinsics are missing; give w, h and fl_x (or camera_angle_x)")
    width, height = numbers["w"], numbers["h"]
    fl_x, fl_y = _focal(numbers, "x", width), _focal(numbers, "y", height)
    intrinsics = [
        [fl_x, 0, numbers.get("cx", width / 2)],
        [0, fl_x if fl_y is None else fl_y, numbers.get("cy", height / 2)],
        [0, 0, 1],
    ]
    return Camera(width, height, intrinsics, opengl_to_opencv(_pose(values["transform_matrix"], "transform_matrix")))


def _focal(numbers: Mapping[str, float], axis: str, side: float) -> float | None:
    """The focal length in pixels, given as such or by the angle across a side; None where neither is given."""
    found = []
    for key in _focal_keys(axis):
        if key not in numbers:
            continue
        angle = math.radians(numbers[key]) if key.endswith("_fov") else numbers[key]
        if key.startswith("fl_"):
            found.append((key, numbers[key]))
        elif 0 < angle < math.pi:
            found.append((key, side / 2 / math.tan(angle / 2)))
        else:
            raise CameraError(f"{key} is not an angle of less than half a turn; camera_angle is in radians")
    if not found:
        return None
    (first, focal), *others = found
    for key, other in others:
        if abs(other - focal) > 0.01 * abs(focal):
            raise CameraError(f"{first} and {key} give two focal lengths, {focal:g} and {other:g} pixels; give one")
    return focal


def _pose(values: Any, name: str) -> np.ndarray:
    try:
        pose = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise CameraError(f"the {name} is not made of numbers; give 4 x 4") from None
    if pose.shape == (16,):
        pose = pose.reshape(4, 4)
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0, 0, 0, 1]])
    if pose.shape != (4, 4):
        raise CameraError(f"the {name} has shape {pose.shape}; give 4 x 4 numbers")
    return pose


def _distortion(values: Mapping[str, Any]) -> tuple[float, ...]:
    coefficients: dict[str, Any] = {key: values.get(key, 0) for key in _COEFFICIENTS}
    try:
        if (params := values.get("distortion_params")) is not None:
            coefficients |= dict(zip(_NERFSTUDIO_PARAMS, params, strict=False))
        numbers = tuple(float(coefficients[key]) for key in _COEFFICIENTS)
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise CameraError("the distortion coefficients are not numbers; give k1, k2, p1, p2 or leave them out")
    return numbers if any(numbers) else ()


def _differences(top: Mapping[str, Any], frames: Sequence[Any]) -> list[str]:
    """Where frames differ from the file's top."""
    keys = (*_INTRINSICS, *_ANGLES, *_COEFFICIENTS, "camera_model")
    differing = [key for key in keys if key in top and any(key in frame and frame[key] != top[key] for frame in frames)]
    if not differing:
        return []
    return [f"{', '.join(differing)} of frames differ from those at the file's top: those of the frames are used."]


def _viewers_path(path: Path, content: Mapping[str, Any]) -> CameraPath:
    """The path that nerfstudio's viewer saves: vertical field of view in degrees, square pixels, centred."""
    kind = str(content.get("camera_type", "perspective"))
    if kind.lower() != "perspective":
        raise PathError(f"{path}: the camera type {kind} is not a pinhole; save the path with perspective cameras")
    width, height = content.get("render_width"), content.get("render_height")
    frames, said = [], []
    for number, keyframe in enumerate(content["camera_path"], 1):
        try:
            if not (isinstance(width, int | float) and isinstance(height, int | float)):
                raise CameraError("render_width or render_height is not a number; save the path again")
            if not 0 < keyframe["fov"] < 180:  # TypeError where it is not a number
                raise CameraError(f"its fov is {keyframe['fov']} degrees; give 1 to 179")
            focal = height / 2 / math.tan(math.radians(keyframe["fov"]) / 2)
            pose = opengl_to_opencv(_pose(keyframe["camera_to_world"], "camera_to_world"))
            intrinsics = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
            frames.append(PosedFrame(Camera(width, height, intrinsics, pose)))
        except (CameraError, KeyError, TypeError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise PathError(f"{path}, camera {number}: {reason}") from None
    if not frames:
        raise PathError(f"{path} has no cameras; add keyframes in the viewer and save the path again")
    said.append(
        "The path is in the coordinates of nerfstudio's viewer, which turns, centres and scales a scene unless it is"
        " told --orientation-method none --center-method none --auto-scale-poses False."
    )
    return CameraPath(tuple(frames), said=tuple(said))


def _exported_list(content: Sequence[Any]) -> str:
    """What a JSON list of cameras is, and what to give instead."""
    first = content[0] if content and isinstance(content[0], dict) else {}
    remedy = "give the transforms.json of the same capture"
    if "rotation" in first and "position" in first:
        return f"is the cameras.json of 3D Gaussian Splatting, whose world has no known up and size; {remedy}"
    if "transform" in first:
        return f"is the list of poses that `ns-export cameras` writes, which has no intrinsics; {remedy}"
    return f"has no frames: it is a list, not a transforms.json; {remedy}"


def _intrinsics(camera: Camera) -> dict[str, float]:
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    return {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": camera.width, "h": camera.height}
