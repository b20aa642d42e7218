"""Camera moves as JSON: transforms.json of nerfstudio and instant-ngp, and the nerfstudio viewer's camera_path.json."""

import json
import math
from pathlib import Path

from lookbeyond.geometry.cameras import PathError, opencv_to_opengl
from lookbeyond.geometry.transforms import read_camera_path, shot_path, write_transforms
from lookbeyond.whole import storage_errors, whole_file

from .camera_move import FPS, CameraMove, fov_y


def write_transforms_move(path: Path, move: CameraMove) -> None:
    """OpenGL camera axes, Z up; frame rate and the first frame's number stand at the top; other readers ignore them."""
    extra = {"fps": move.fps, "first_frame": move.first_frame}
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_transforms(path, move.cameras, move.file_names(), extra=extra)


def read_json_move(path: Path) -> CameraMove:
    """A transforms.json or camera_path.json, with its frame rate and first frame's number. Raises `PathError`."""
    frames = shot_path(read_camera_path(path), path)
    content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    names = [frame.file_path for frame in frames.frames]
    fps, first = content.get("fps", FPS), content.get("first_frame", 1)
    if not isinstance(fps, int | float) or not isinstance(first, int):
        raise PathError(f"{path}: fps and first_frame must be numbers; correct them or leave them out")
    return CameraMove(frames.cameras, float(fps), first, names if all(names) else (), frames.said)


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
