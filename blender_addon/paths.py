"""The paths of worlds, shots and photos in the open file: what refers to them, and redirecting it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import bpy

from .made import made_objects
from .marks import is_local, is_own, mark_of, set_marks
from .results import absolute, as_stored
from .shot.strip import image_strips

FOLDER_MARKS = ("sequence", "frames_folder", "folder")
"""Marks that hold the folder of an image sequence, of a strip or of a world."""
PathProperty = tuple[bpy.types.PropertyGroup, str]
"""Owner and name of a property that holds a path."""


def referenced_paths() -> tuple[dict[Path, str], dict[Path, str]]:
    """Folders and files that the open file refers to, each with the subfolder that its copy goes to."""
    folders: dict[Path, str] = {}
    files: dict[Path, str] = {}
    for scene in filter(is_local, bpy.data.scenes):
        settings = scene.look_beyond
        for stored, kind in (
            (settings.world_folder, "worlds"),
            (settings.shot_folder, "shots"),
            *((world.folder, "worlds") for world in settings.worlds),
            *((folder, "worlds") for link in settings.links for folder in (link.first, link.second)),
            *((shot.folder, "shots") for shot in settings.shots),
        ):
            if stored:
                folders[absolute(stored)] = kind
        if settings.panorama_path:
            files[absolute(settings.panorama_path)] = "photos"
        for strip in image_strips(scene):
            if mark_of(strip, "frames_folder"):
                folders[absolute(strip.directory).parent] = "shots"
    for camera in filter(is_local, bpy.data.cameras):
        if camera.look_beyond.photo_path:
            files[absolute(camera.look_beyond.photo_path)] = "photos"
    return folders, files


def path_owners() -> Iterator[bpy.types.PropertyGroup]:
    """The properties of the local scenes and cameras."""
    for datablock in (*bpy.data.scenes, *bpy.data.cameras):
        if is_local(datablock):
            yield datablock.look_beyond


def path_properties() -> Iterator[PathProperty]:
    """The properties of local scenes and cameras that hold paths."""
    for owner in path_owners():
        yield from paths_of(owner)


def paths_of(owner: bpy.types.PropertyGroup) -> Iterator[PathProperty]:
    """The properties of a scene or a camera that hold paths of results and photos."""
    if isinstance(owner.id_data, bpy.types.Camera):
        found = [(owner, "photo_path")]
    else:
        found = [(owner, name) for name in ("world_folder", "shot_folder", "panorama_path")]
        found += [(world, "folder") for world in owner.worlds]
        found += [(link, name) for link in owner.links for name in ("first", "second")]
        found += [(shot, name) for shot in owner.shots for name in ("folder", "world")]
    yield from ((each, name) for each, name in found if getattr(each, name))


class Redirection:
    """Redirects the open file's paths from the keys of `moved` to the values; `restore` puts the former ones back.

    Paths inside `home`, the file's own folder, become relative to the file, so that they move with it. `saved_into` is
    the folder of a file that is about to be saved for the first time.
    """

    def __init__(self, moved: Mapping[Path, Path], home: Path | None = None, saved_into: Path | None = None) -> None:
        self._moved, self._home, self._saved_into = moved, home, saved_into
        self._changed: list[tuple[object, str, str]] = []
        self._marked: list[tuple[bpy.types.ID, str, object]] = []

    def redirect_own(self) -> None:
        """Redirect the settings, and the images, strips and objects of the add-on."""
        for owner, name in path_properties():
            self._redirect(owner, name, self._home)
        for scene in filter(is_local, bpy.data.scenes):
            for strip in image_strips(scene):
                if mark_of(strip, "frames_folder") and self._redirect(strip, "directory", self._home):
                    self._redirect_marks(strip)
            for thing in made_objects(scene):
                self._redirect_marks(thing)
        for image in filter(has_file, bpy.data.images):
            # Unlike `filepath`, `filepath_raw` does not reload the image: the artist may have painted on it.
            if is_own(image) and self._redirect(image, "filepath_raw", self._home):
                self._redirect_marks(image)

    def redirect_artists(self) -> None:
        """Redirect the artist's images, clips and strips that show what was moved: their files are gone."""
        for image in filter(has_file, bpy.data.images):
            if not is_own(image):
                self._redirect(image, "filepath_raw", None)
        for clip in filter(is_local, bpy.data.movieclips):
            self._redirect(clip, "filepath", None)
        for scene in filter(is_local, bpy.data.scenes):
            for strip in image_strips(scene):
                if not mark_of(strip, "frames_folder"):
                    self._redirect(strip, "directory", None)

    def restore(self) -> None:
        """Undo all redirections."""
        for owner, name, stored in self._changed:
            setattr(owner, name, stored)
        for datablock, name, value in self._marked:
            set_marks(datablock, {name: value})

    def _target(self, path: Path, home: Path | None) -> Path | None:
        for source, target in self._moved.items():
            if path.is_relative_to(source):
                return target / path.relative_to(source)
        return path if home is not None and path.is_relative_to(home) else None

    def _redirect(self, owner: object, name: str, home: Path | None) -> bool:
        stored = getattr(owner, name)
        target = self._target(absolute(stored), home)
        if target is None or as_stored(target, self._saved_into) == stored:
            return False
        self._changed.append((owner, name, stored))
        setattr(owner, name, as_stored(target, self._saved_into))
        return True

    def _redirect_marks(self, datablock: bpy.types.ID) -> None:
        for name in FOLDER_MARKS:
            folder = mark_of(datablock, name)
            target = self._target(Path(str(folder)), None) if folder else None
            if target is not None:
                self._marked.append((datablock, name, folder))
                set_marks(datablock, {name: str(target)})


def has_file(image: bpy.types.Image) -> bool:
    """Whether a local image shows a file that is not packed."""
    return bool(image.filepath) and image.packed_file is None and is_local(image)


def open_folder() -> str:
    """The folder of the open file; empty if it was never saved."""
    return str(Path(bpy.data.filepath).parent) if bpy.data.filepath else ""


def set_base(folder: str) -> None:
    """Say that all relative paths start from a folder."""
    for owner in path_owners():
        owner.base = folder


def rebase_foreign_paths() -> None:
    """Let relative paths that start from another folder start from the open file's.

    They come with what was appended or made local, and with an undo past saving into another folder.
    """
    folder = open_folder()
    for owner in path_owners():
        if owner.base and owner.base != folder:
            for each, name in list(paths_of(owner)):
                rebase(each, name, Path(owner.base), Path(folder) if folder else None)
            owner.base = folder


def rebase_paths(folder: Path) -> Callable[[], None]:
    """Let the open file's relative paths start from the folder that it is about to be saved into.

    Returns a function that restores them, for when only a copy was saved.
    """
    changed = [*path_properties(), *((owner, "base") for owner in path_owners())]
    before = [(owner, name, getattr(owner, name)) for owner, name in changed]
    present = open_folder()
    for owner, name in path_properties() if present not in ("", str(folder)) else ():
        rebase(owner, name, Path(present), folder)
    set_base(str(folder))

    def restore() -> None:
        for owner, name, stored in before:
            setattr(owner, name, stored)

    return restore


def rebase(owner: bpy.types.PropertyGroup, name: str, base: Path, folder: Path | None) -> None:
    """Let a path that starts from `base`, if it is relative, start from `folder`; None: make it absolute."""
    stored = getattr(owner, name)
    if stored.startswith("//"):
        path = (base / stored[2:]).resolve()
        setattr(owner, name, as_stored(path, folder) if folder else str(path))


def unused_path(path: Path, taken: set[Path]) -> Path:
    """The path, with a number if it exists or is taken."""
    number, free = 1, path
    while free.exists() or free in taken:
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
