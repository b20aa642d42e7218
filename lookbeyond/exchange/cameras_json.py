"""Camera moves as JSON: transforms.json of nerfstudio and instant-ngp, and the nerfstudio viewer's camera_path.json."""

import json
import math
from pathlib import Path

import numpy as np

from lookbeyond.files import whole_file
from lookbeyond.geometry.cameras import Camera, CameraError, PathError, opencv_to_opengl, opengl_to_opencv
from lookbeyond.geometry.transforms import read_transforms, write_transforms

from .camera_move import FPS, CameraMove, fov_y, simple_intrinsics


def write_transforms_move(path: Path, move: CameraMove) -> None:
    """OpenGL camera axes, Z up; frame rate and the first frame's number stand at the top, where others skip them."""
    extra = {"fps": move.fps, "first_frame": move.first_frame}
    write_transforms(path, move.cameras, move.file_names(), extra=extra)


def read_transforms_move(path: Path) -> CameraMove:
    cameras = read_transforms(path)
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    names = [str(frame.get("file_path", "")) for frame in content["frames"]]
    fps, first = content.get("fps", FPS), content.get("first_frame", 1)
    if not isinstance(fps, int | float) or not isinstance(first, int):
        raise PathError(f"{path}: fps and first_frame must be numbers; correct them or leave them out")
    return CameraMove(cameras, float(fps), first, names if all(names) else ())


def write_camera_path(path: Path, move: CameraMove) -> None:
    """What `ns-render camera-path` renders: size, frame rate, and for every frame pose and vertical field of view."""
    frames = [
        {
            "camera_to_world": (opencv_to_opengl(camera.camera_to_world) + 0.0).ravel().tolist(),
            "fov": math.degrees(fov_y(camera)),
            "aspect": camera.width / camera.height,
        }
        for camera in move.cameras
    ]
    content = {
        "camera_type": "perspective",
        "render_height": move.height,
        "render_width": move.width,
        "fps": move.fps,
        "seconds": len(frames) / move.fps,
        "is_cycle": False,
        "smoothness_value": 0,
        "crop": None,
        "keyframes": [],
        "camera_path": frames,
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_camera_path(path: Path) -> CameraMove:
    """The inverse of `write_camera_path`. Raises `PathError`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content.get("camera_type", "perspective") != "perspective":
            raise PathError(f"{path} is a path of {content['camera_type']} cameras; export it as perspective")
        width, height = int(content["render_width"]), int(content["render_height"])
        cameras = []
        for frame in content["camera_path"]:
            pose = np.array(frame["camera_to_world"], np.float64).reshape(4, 4)
            intrinsics = simple_intrinsics(width, height, math.radians(float(frame["fov"])))
            cameras.append(Camera(width, height, intrinsics, opengl_to_opencv(pose)))
        return CameraMove(cameras, fps=float(content.get("fps", FPS)))
    except OSError as error:
        raise PathError(f"{path} cannot be read ({error.strerror}); give a camera_path.json") from None
    except (CameraError, PathError) as error:
        raise PathError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise PathError(f"{path} is no camera_path.json of the nerfstudio viewer ({error}); export it again") from None
