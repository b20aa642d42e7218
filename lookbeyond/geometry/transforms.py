"""Camera paths in the ecosystem's files: nerfstudio / instant-ngp transforms.json and RealEstate10K text.

transforms.json holds OpenGL camera axes (x right, y up, z backward) in a Z-up world: Blender's own
matrix_world.
Intrinsics fl_x fl_y cx cy w h stand at the top, or in a frame where they differ. Frames are pinhole cameras:
lens distortion coefficients are not read.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cameras import LEVEL, Camera, CameraError, PathError, opencv_to_opengl, opengl_to_opencv

_INTRINSICS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
_PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")


def read_transforms(path: str | os.PathLike) -> list[Camera]:
    """The cameras of a transforms.json, in the file's order.

    `camera_angle_x` (radians) stands in for a missing focal length, `fl_x` for `fl_y`, and the frame's middle
    for `cx`, `cy`. Raises `PathError`, naming file and frame, for what is not such a file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PathError(f"{path} cannot be read ({error.strerror}); give a transforms.json") from None
    except (ValueError, RecursionError):
        raise PathError(f"{path} is not JSON; give a nerfstudio transforms.json") from None
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise PathError(f"{path} has no frames; give a transforms.json with at least one camera")
    cameras = []
    for number, frame in enumerate(frames, 1):
        try:
            cameras.append(_camera(content | frame))
        except (CameraError, TypeError) as error:
            raise PathError(f"{path}, frame {number}: {error}") from None
        except ArithmeticError:
            raise PathError(f"{path}, frame {number}: a number is too large; give pixels, radians, metres") from None
    return cameras


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
    partial.write_text(json.dumps(content | {"frames": frames}, indent=1), encoding="utf-8")
    os.replace(partial, path)


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


def _camera(values: Mapping[str, Any]) -> Camera:
    """Camera of a frame, its values laid over the file's."""
    model = values.get("camera_model", "PINHOLE")
    if model not in _PINHOLE_MODELS:
        raise CameraError(f"the camera model {model} is no pinhole; give perspective cameras")
    if "transform_matrix" not in values:
        raise CameraError("the frame has no transform_matrix; give the camera's pose, 4 x 4 numbers")
    numbers = {name: values[name] for name in (*_INTRINSICS, "camera_angle_x") if name in values}
    if not all(isinstance(value, int | float) and abs(value) < 1e300 for value in numbers.values()):
        raise CameraError("the intrinsics are not numbers; give fl_x, fl_y, cx, cy, w and h in pixels")
    if "w" not in numbers or "h" not in numbers or not ("fl_x" in numbers or "camera_angle_x" in numbers):
        raise CameraError("intrinsics are missing; give w, h and fl_x (or camera_angle_x)")
    width, height = numbers["w"], numbers["h"]
    focal = numbers.get("fl_x")
    if focal is None:
        if not 0 < numbers["camera_angle_x"] < math.pi:
            raise CameraError("camera_angle_x is not an angle between 0 and pi; give radians")
        focal = width / 2 / math.tan(numbers["camera_angle_x"] / 2)
    intrinsics = [
        [focal, 0, numbers.get("cx", width / 2)],
        [0, numbers.get("fl_y", focal), numbers.get("cy", height / 2)],
        [0, 0, 1],
    ]
    try:
        pose = np.array(values["transform_matrix"], np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise CameraError("the transform_matrix is not made of numbers; give 4 x 4") from None
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0, 0, 0, 1]])
    if pose.shape != (4, 4):
        raise CameraError(f"the transform_matrix has shape {pose.shape}; give 4 x 4 numbers")
    return Camera(width, height, intrinsics, opengl_to_opencv(pose))


def _intrinsics(camera: Camera) -> dict[str, float]:
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    return {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": camera.width, "h": camera.height}
