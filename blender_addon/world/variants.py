"""The worlds that were built in a scene, to switch between."""

import contextlib
import json
from pathlib import Path

import bpy

from ..kit import WORLD_FILES, EditRequest, ShotRequest, WorldRequest
from ..listed import date_of
from ..marks import mark_of
from ..results import absolute, as_stored
from ..service.requests import RequestError, read_request
from ..tasks import JobError
from .info import WorldInfo, read_world_info
from .light import shown_panorama
from .nodes import set_scene_world
from .stage import find_stage


def world_record(folder: Path, info: WorldInfo) -> dict[str, object]:
    """What made the world in a folder, for `set_marks`."""
    record: dict[str, object] = {
        "folder": str(folder),
        "seed": info.seed,
        "preset": info.preset,
        "revision": info.revision,
        "camera_height": info.camera_height_m,
    }
    with contextlib.suppress(RequestError):  # the command line writes none
        stored = read_request(folder)
        if isinstance(stored.request, (WorldRequest, EditRequest)):
            record |= {
                "job": stored.job,
                "source": stored.origin.source,
                "seed": stored.request.seed,
                "preset": stored.request.preset,
                "prompt": stored.request.prompt,
                "version": stored.kit,
                "service_version": stored.service,
            }
        if isinstance(stored.request, WorldRequest):
            record["cameras"] = json.dumps([stored.request.camera])
    return record


def add_variant(scene: bpy.types.Scene, folder: Path, name: str, seed: int, prompt: str) -> None:
    """Add a world to the scene's list, unless it is there."""
    worlds = scene.look_beyond.worlds
    known = [absolute(world.folder) for world in worlds]
    if folder.resolve() in known:
        scene.look_beyond.world_index = known.index(folder.resolve())
        return
    variant = worlds.add()
    variant.made = date_of(folder)
    scene.look_beyond.world_index = len(worlds) - 1
    variant.name, variant.folder, variant.seed = name, as_stored(folder), str(seed)
    variant.prompt = prompt


def chosen_reason(settings: bpy.types.PropertyGroup) -> str:
    """Why nothing can be done with the chosen world; empty if there is one."""
    return "" if 0 <= settings.world_index < len(settings.worlds) else "There is no world in the list"


def load_variant(scene: bpy.types.Scene, folder: Path) -> str:
    """Put the world in a folder into the scene's list and use it; returns a note. Raises `JobError`, `WorldError`."""
    check_world_files(folder)
    info = read_world_info(folder)
    try:
        stored = read_request(folder)
        prompt = "" if isinstance(stored.request, ShotRequest) else stored.request.prompt
        name = Path(stored.origin.source).stem or folder.name
    except RequestError:  # the command line writes none
        prompt, name = "", folder.name
    add_variant(scene, folder, f"{name} {info.seed}", info.seed, prompt)
    return use_world(scene, folder)


def unused_seed(scene: bpy.types.Scene) -> int:
    """A seed that none of the scene's worlds has."""
    return max([scene.look_beyond.seed, *(int(world.seed or 0) for world in scene.look_beyond.worlds)]) + 1


def use_world(scene: bpy.types.Scene, folder: Path) -> str:
    """Switch the scene to a world that was built before; returns a note for the artist. Raises `JobError`."""
    check_world_files(folder)
    return show_world(scene, folder, read_world_info(folder))


def show_world(scene: bpy.types.Scene, folder: Path, info: WorldInfo) -> str:
    """Make the world in a folder the scene's; returns a note for the artist."""
    note = set_scene_world(scene, shown_panorama(scene, folder), info.heading_rad, world_record(folder, info))
    scene.look_beyond.world_folder, scene.look_beyond.place = as_stored(folder), info.place
    return f"{note} {stage_note(scene, folder)}".strip()


def check_world_files(folder: Path) -> None:
    """Raise `JobError` if a file of the world in a folder is missing."""
    missing = next((name for name in WORLD_FILES if not (folder / name).is_file()), None)
    if missing:
        raise JobError(f"The world's file {folder / missing} is missing: build the world again.")


def is_whole(folder: Path) -> bool:
    """Whether the folder of a world has all files that every world has."""
    return all((folder / name).is_file() for name in WORLD_FILES)


def stage_note(scene: bpy.types.Scene, folder: Path) -> str:
    """A note if the scene's stage belongs to another world."""
    stage = find_stage(scene)
    if stage is None or mark_of(stage, "folder") == str(folder):
        return ""
    return "The stage still shows the previous world: add it again."
