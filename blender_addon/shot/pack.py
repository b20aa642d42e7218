"""Everything that a scene's worlds and shots need, copied beside the .blend file, so that it can be moved."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

from ..kit import Progress
from ..marks import stamp, stamped
from ..results import absolute, as_stored
from ..tasks import Done, Event, JobError, Work
from .strip import strips


def pack(context: bpy.types.Context) -> Work:
    """Work that copies what lies elsewhere, and then has the file point to the copies. Raises `JobError`."""
    home = Path(bpy.data.filepath).parent
    folders, files = needed()
    missing = [path for path in (*folders, *files) if not path.exists()]
    if missing:
        raise JobError(f"{missing[0]} is not there any more: build or shoot it again, or take it off the list.")
    copies: dict[Path, Path] = {}
    for path, kind in (folders | files).items():
        if not path.is_relative_to(home):
            copies[path] = free_name(home / "look_beyond" / kind / path.name, copies.values())
    beside = len(folders) + len(files) - len(copies)

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        for number, (source, target) in enumerate(copies.items()):
            yield Progress(number / len(copies), f"Copying {source.name}", None)
            if cancelled.is_set():
                break
            target.parent.mkdir(parents=True, exist_ok=True)
            whole = target.with_name(f".{target.name}.part")
            if source.is_dir():
                shutil.rmtree(whole, ignore_errors=True)
                shutil.copytree(source, whole)
            else:
                shutil.copy2(source, whole)
            whole.rename(target)
        yield Done()

    def finish(done: Done) -> str:
        there = {source: target for source, target in copies.items() if target.exists()}
        repoint(there, home)
        upright = [image for image in bpy.data.images if image.packed_file is not None]
        return (
            f"{len(there)} of {len(copies)} things were copied to {home / 'look_beyond'};"
            f" {beside} lay beside the file already; the file holds {len(upright)} pictures itself."
            " Save it to keep the new paths."
        )

    return Work("Pack for Moving", steps, finish)


def needed() -> tuple[dict[Path, str], dict[Path, str]]:
    """The folders and the files that the open file's scenes refer to, and what kind each is."""
    folders: dict[Path, str] = {}
    files: dict[Path, str] = {}
    for scene in bpy.data.scenes:
        settings = scene.look_beyond
        for stored, kind in (
            (settings.world_folder, "worlds"),
            (settings.shot_folder, "shots"),
            *((world.folder, "worlds") for world in settings.worlds),
        ):
            if stored:
                folders[absolute(stored)] = kind
        if settings.panorama_path:
            files[absolute(settings.panorama_path)] = "photos"
        for strip in strips(scene):
            if stamped(strip, "frames_folder"):
                folders[absolute(strip.directory).parent] = "shots"
    for camera in bpy.data.cameras:
        if camera.look_beyond.photo_path:
            files[absolute(camera.look_beyond.photo_path)] = "photos"
    return folders, files


def repoint(moved: dict[Path, Path], home: Path) -> None:
    """Have everything in the open file that points into the former places point into the new ones.

    What lies in `home`, the open file's own folder, moves with it only if its path begins there.
    """

    def new(stored: str) -> str:
        path = absolute(stored)
        for source, target in moved.items():
            if path == source or path.is_relative_to(source):
                return as_stored(target / path.relative_to(source))
        return as_stored(path) if path.is_relative_to(home) else stored

    for owner, name in own_paths():
        setattr(owner, name, new(getattr(owner, name)))
    for scene in bpy.data.scenes:
        for strip in strips(scene):
            if stamped(strip, "frames_folder"):
                strip.directory = new(strip.directory)
                stamp(strip, {"frames_folder": str(absolute(strip.directory))})
    for image in bpy.data.images:
        own = image.filepath and image.packed_file is None and image.library is None
        if own and new(image.filepath) != image.filepath:
            image.filepath = new(image.filepath)
            for name in ("sequence", "frames_folder"):
                if stamped(image, name):
                    stamp(image, {name: str(absolute(image.filepath).parent)})


def own_paths() -> Iterator[tuple[bpy.types.PropertyGroup, str]]:
    """Which properties of the open file's own scenes and cameras hold a path to something that was made or chosen."""
    for scene in bpy.data.scenes:
        settings = scene.look_beyond
        names = ("world_folder", "shot_folder", "panorama_path")
        owners = [(settings, name) for name in names] + [(world, "folder") for world in settings.worlds]
        yield from ((owner, name) for owner, name in owners if getattr(owner, name) and scene.library is None)
    for camera in bpy.data.cameras:
        if camera.look_beyond.photo_path and camera.library is None:
            yield camera.look_beyond, "photo_path"


def point_from(folder: Path) -> Callable[[], None]:
    """Have those paths lead on when the open file is saved into another folder, as Blender does with its own.

    What is given back puts them as they were: a copy may have been saved.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name in own_paths()]
    for owner, name, stored in before:
        if stored.startswith("//"):
            setattr(owner, name, as_stored(absolute(stored), folder))

    def put_back() -> None:
        for owner, name, stored in before:
            setattr(owner, name, stored)

    return put_back


def free_name(path: Path, taken) -> Path:
    number, free = 1, path
    while free.exists() or free in taken:
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
