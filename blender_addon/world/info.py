"""world.json: where a world's panorama was seen from. No bpy here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..json_files import read_json
from ..kit import Camera, RoomLayout
from .distance import WorldError


@dataclass(frozen=True)
class WorldInfo:
    """The content of a world.json."""

    heading_rad: float
    """Direction of the panorama's centre, counter-clockwise from +X; rounded to the precision of Blender's floats."""
    origin: tuple[float, float, float]
    """Viewpoint of the panorama, metres, Z up."""
    camera_height_m: float
    """Height of the viewpoint above the floor."""
    seed: int = 0
    preset: str = ""
    revision: str = ""
    place: str = ""
    """The kind of place that was found, and how surely, as a sentence; empty if it was not looked for."""
    photo_camera: Camera | None = None
    """The photo's camera; None if the panorama was given."""


def read_world_info(folder: Path) -> WorldInfo:
    """The world.json of a world's folder. Raises `WorldError`."""
    try:
        content = read_json(folder / "world.json")
        x, y, z = (float(value) for value in content["origin"])
        return WorldInfo(
            heading_rad=round(math.radians(float(content["heading"])), 6) + 0.0,
            origin=(x, y, z),
            camera_height_m=float(content["camera_height"]),
            seed=int(content.get("seed", 0)),
            preset=str(content.get("preset", "")),
            revision=str(content.get("revision", "")),
            place=_place_sentence(content.get("place") or {}),
            photo_camera=Camera.from_dict(photo) if (photo := content.get("photo_camera")) else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldError(f"The world in {folder} cannot be read ({error}): build it again.") from None


def read_layout(folder: Path) -> RoomLayout | None:
    """The walls that were found for a world; None where none were. WorldError for a layout that cannot be read."""
    try:
        content = read_json(folder / "layout.json") if (folder / "layout.json").is_file() else {}
        return RoomLayout.from_json_dict(content) if content.get("corners") else None
    except (OSError, ValueError) as error:
        raise WorldError(f"The world in {folder} cannot be read ({error}): build it again.") from None


def _place_sentence(place: Mapping[str, Any]) -> str:
    return f"{place['reason']} ({place['confidence']:.0%} sure)" if place.get("reason") else ""
