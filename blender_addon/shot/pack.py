"""Copies all files that worlds and shots need beside the .blend file, so that the project can be moved."""

import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import bpy

from ..kit import Progress
from ..marks import is_local, mark_of, set_marks
from ..results import absolute, as_stored, unsaved_folder
from ..tasks import Event, JobError, Succeeded, Task
from .strip import image_strips

FOLDER_MARKS = ("sequence", "frames_folder")
"""Marks that hold the folder of an image sequence or a strip."""


def pack(context: bpy.types.Context) -> Task:
    """A task that copies what lies elsewhere and redirects the paths to the copies. Raises `JobError`."""
    home = Path(bpy.data.filepath).parent
    folders, files = referenced_paths()
    missing = [path for path in (*folders, *files) if not path.exists()]
    if missing:
        raise JobError(f"{missing[0]} is missing: build or shoot it again, or remove it from the list.")
    copies: dict[Path, Path] = {}
    for path, kind in (folders | files).items():
        if not path.is_relative_to(home):
            copies[path] = unused_path(home / "look_beyond" / kind / path.name, copies.values())
    already_beside = len(folders) + len(files) - len(copies)

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        for number, (source, target) in enumerate(copies.items()):
            yield Progress(number / len(copies), f"Copying {source.name}", None)
            if cancelled.is_set():
                break
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.part")
            if source.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(source, partial)
            else:
                shutil.copy2(source, partial)
            partial.rename(target)
        yield Succeeded()

    def finish(result: Succeeded) -> str:
        copied = {source: target for source, target in copies.items() if target.exists()}
        redirect_paths(copied, home)
        packed = [image for image in bpy.data.images if image.packed_file is not None]
        return (
            f"{len(copied)} of {len(copies)} items were copied to {home / 'look_beyond'}; {already_beside} were already"
            f" beside the file; {len(packed)} images are packed in the file. Save the file to keep the new paths."
        )

    return Task("Pack for Moving", steps, finish)


def referenced_paths() -> tuple[dict[Path, str], dict[Path, str]]:
    """Folders and files that the open file refers to, each with the subfolder that its copy goes to."""
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
        for strip in image_strips(scene):
            if mark_of(strip, "frames_folder"):
                folders[absolute(strip.directory).parent] = "shots"
    for camera in bpy.data.cameras:
        if camera.look_beyond.photo_path:
            files[absolute(camera.look_beyond.photo_path)] = "photos"
    return folders, files


def redirect_paths(moved: Mapping[Path, Path], home: Path, saved_into: Path | None = None) -> Callable[[], None]:
    """Redirect the open file's paths from the keys of `moved` to the values; returns a function that restores them.

    Paths inside `home`, the file's own folder, become relative to the file, so that they move with it. `saved_into` is
    the folder of a file that is about to be saved for the first time.
    """
    changed: list[tuple[object, str, str]] = []
    marked: list[tuple[bpy.types.ID, str, object]] = []

    def target_of(stored: str) -> Path | None:
        path = absolute(stored)
        for source, target in moved.items():
            if path == source or path.is_relative_to(source):
                return target / path.relative_to(source)
        return path if path.is_relative_to(home) else None

    def redirect(owner: object, name: str) -> Path | None:
        stored = getattr(owner, name)
        target = target_of(stored)
        if target is not None and as_stored(target, saved_into) != stored:
            changed.append((owner, name, stored))
            setattr(owner, name, as_stored(target, saved_into))
            return target
        return None

    def redirect_marks(datablock: bpy.types.ID, folder: Path) -> None:
        for name in FOLDER_MARKS:
            if mark_of(datablock, name):
                marked.append((datablock, name, mark_of(datablock, name)))
                set_marks(datablock, {name: str(folder)})

    for owner, name in path_properties():
        redirect(owner, name)
    for scene in bpy.data.scenes:
        for strip in image_strips(scene):
            if mark_of(strip, "frames_folder") and (folder := redirect(strip, "directory")) is not None:
                redirect_marks(strip, folder)
    for image in bpy.data.images:
        local = image.filepath and image.packed_file is None and is_local(image)
        if local and (file := redirect(image, "filepath")) is not None:
            redirect_marks(image, file.parent)

    def restore() -> None:
        for owner, name, stored in changed:
            setattr(owner, name, stored)
        for datablock, name, value in marked:
            set_marks(datablock, {name: value})

    return restore


def path_properties() -> Iterator[tuple[bpy.types.PropertyGroup, str]]:
    """The properties of local scenes and cameras that hold paths: their owner and name."""
    for scene in bpy.data.scenes:
        settings = scene.look_beyond
        names = ("world_folder", "shot_folder", "panorama_path")
        owners = [(settings, name) for name in names] + [(world, "folder") for world in settings.worlds]
        yield from ((owner, name) for owner, name in owners if getattr(owner, name) and scene.library is None)
    for camera in bpy.data.cameras:
        if camera.look_beyond.photo_path and camera.library is None:
            yield camera.look_beyond, "photo_path"


def rebase_paths(folder: Path) -> Callable[[], None]:
    """Make the stored relative paths valid from another folder that the file is saved into.

    Returns a function that restores them, for when only a copy was saved.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name in path_properties()]
    for owner, name, stored in before:
        if stored.startswith("//"):
            setattr(owner, name, as_stored(absolute(stored), folder))

    def restore() -> None:
        for owner, name, stored in before:
            setattr(owner, name, stored)

    return restore


def move_unsaved_results(file: Path) -> Callable[[], None] | None:
    """Before the first save: move the results from `unsaved_folder` beside the file, and redirect the paths.

    Returns a function that undoes both, for when only a copy was saved; None if there was nothing to move.
    """
    folders, files = referenced_paths()
    moved: dict[Path, Path] = {}
    for source in (*folders, *files):
        if source.exists() and source.is_relative_to(unsaved_folder()):
            target = file.parent / "look_beyond" / source.relative_to(unsaved_folder())
            moved[source] = unused_path(target, moved.values())
    if not moved:
        return None
    for source, target in moved.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
    restore_paths = redirect_paths(moved, file.parent, file.parent)

    def move_back() -> None:
        for source, target in moved.items():
            shutil.move(target, source)
        restore_paths()

    return move_back


def unused_path(path: Path, taken: Collection[Path]) -> Path:
    """The path, with a number if it exists or is taken."""
    number, free = 1, path
    while free.exists() or free in taken:
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
