"""The worlds that were made in a scene, to come back to."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import bpy

from ..kit import WORLD_FILES, WorldRequest
from ..marks import stamped
from ..results import absolute, as_stored
from ..tasks import JobError
from .nodes import heading_of, show_world
from .stage import stage_of


def world_record(folder: Path, about: Mapping[str, object]) -> dict[str, object]:
    """What made the world in a folder: `about` is its world.json; what was asked for lies beside it."""
    record = {
        "folder": str(folder),
        "seed": int(about.get("seed", 0)),
        "preset": about.get("preset", ""),
        "revision": about.get("revision", ""),
        "camera_height": float(about.get("camera_height", 0.0)),
    }
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # one that the command line has made
        asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        request = asked["request"]
        record |= {
            "job": asked["job"],
            "source": asked["about"]["source"],
            "seed": request["seed"],
            "preset": request["preset"],
            "prompt": request.get("prompt", ""),
            "cameras": json.dumps([request["camera"]]),
            "version": asked["kit"],
            "service_version": asked["service"],
        }
    return record


def remember_variant(scene: bpy.types.Scene, folder: Path, name: str, request: WorldRequest) -> None:
    """Put a world among those that the artist can come back to."""
    worlds = scene.look_beyond.worlds
    if any(absolute(world.folder) == folder.resolve() for world in worlds):
        return
    variant = worlds.add()
    variant.name, variant.folder, variant.seed = f"{name} {request.seed}", as_stored(folder), str(request.seed)
    variant.prompt = request.prompt


def another_seed(scene: bpy.types.Scene) -> int:
    """One that none of the scene's worlds has."""
    return max([scene.look_beyond.seed, *(int(world.seed or 0) for world in scene.look_beyond.worlds)]) + 1


def use_world(scene: bpy.types.Scene, folder: Path) -> str:
    """Make a world that was built before the scene's again. Raises `JobError`."""
    missing = next((name for name in WORLD_FILES if not (folder / name).is_file()), None)
    if missing:
        raise JobError(f"The world's file {folder / missing} is not there any more: build the world again.")
    about = json.loads((folder / "world.json").read_text(encoding="utf-8"))
    said = show_world(scene, folder / "panorama.png", heading_of(about), world_record(folder, about))
    scene.look_beyond.world_folder = as_stored(folder)
    return f"{said} {stage_note(scene, folder)}".strip()


def stage_note(scene: bpy.types.Scene, folder: Path) -> str:
    """What to say when the scene's stage is of another world than its own."""
    stage = stage_of(scene)
    if stage is None or stamped(stage, "folder") == str(folder):
        return ""
    return "The stage still shows the former world: add it again."
