"""Captures and finished shots: a transforms.json (nerfstudio, instant-ngp, `lookbeyond shot`) beside its frames."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lookbeyond.errors import InputError
from lookbeyond.files import read_json
from lookbeyond.geometry.transforms import read_transforms

from .footage import Frame, Move, move_of
from .reading import entries

_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


def captures(folder: Path) -> list[Path]:
    """Every transforms.json in a folder and below; InputError when there is none."""
    found = [path for path in entries(folder, "a transforms.json") if path.name == "transforms.json"]
    if not found:
        raise InputError(f"The folder {folder} holds no transforms.json; give a capture or a finished shot.")
    return found


def read_capture(path: Path) -> Move:
    """One transforms.json, its frames in the order of their names.

    Missing frames are named in a warning; raises InputError (PathError for cameras that cannot be) when none is left.
    """
    cameras, content = read_transforms(path), read_json(path)
    frames, missing = [], []
    unit = content.get("depth_unit_scale_factor", 1e-3)
    for number, (camera, values) in enumerate(zip(cameras, content["frames"], strict=True), 1):
        if not isinstance(values.get("file_path"), str):
            raise InputError(f"{path}, frame {number} has no file_path; name its picture.")
        image = path.parent / values["file_path"]
        depth = path.parent / values["depth_file_path"] if isinstance(values.get("depth_file_path"), str) else None
        if not image.is_file() or (depth is not None and not depth.is_file()):
            missing.append(str(image if not image.is_file() else depth))
            continue
        frames.append(Frame(camera, image, depth, unit, _distortion(content | values, f"{path}, frame {number}")))
    frames.sort(
        key=lambda frame: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(frame.image))]
    )
    return move_of(str(path.parent), frames, missing, len(cameras))


def _distortion(values: Mapping[str, Any], name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(values.get(key, 0)) for key in _COEFFICIENTS)
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{name}: the distortion coefficients are not numbers; give k1, k2, p1, p2 or leave them out.")
    return numbers if any(numbers) else ()
