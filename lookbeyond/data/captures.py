"""Captures and finished shots: a transforms.json (nerfstudio, instant-ngp, `lookbeyond shot`) beside its frames."""

from pathlib import Path

from lookbeyond.errors import InputError
from lookbeyond.geometry.transforms import read_camera_path

from .footage import CameraMove, Frame, move_of
from .reading import entries, log


def captures(folder: Path) -> list[Path]:
    """Every transforms.json in a folder and below; InputError when there is none."""
    found = [path for path in entries(folder, "a transforms.json") if path.name == "transforms.json"]
    if not found:
        raise InputError(f"The folder {folder} holds no transforms.json; give a capture or a finished shot.")
    return found


def read_capture(path: Path) -> CameraMove:
    """One transforms.json, its frames in the order of their names.

    Missing frames are named in a warning; raises InputError (PathError for impossible cameras) when none is left.
    """
    capture = read_camera_path(path)
    for sentence in capture.said:
        log.info("%s: %s", path, sentence)
    frames, missing = [], []
    for number, posed in enumerate(capture.frames, 1):
        if not posed.file_path:
            raise InputError(f"{path}, frame {number} has no file_path; name its picture.")
        image = path.parent / posed.file_path
        depth = path.parent / posed.depth_file_path if posed.depth_file_path else None
        if not image.is_file() or (depth is not None and not depth.is_file()):
            missing.append(str(image if not image.is_file() else depth))
            continue
        frames.append(Frame(posed.camera, image, depth, capture.depth_unit_m, posed.distortion))
    return move_of(str(path.parent), frames, missing, len(capture.frames))
