"""Where results lie."""

import re
from pathlib import Path

import bpy


def output_folder(scene: bpy.types.Scene) -> Path:
    """The folder that the settings name; for an unsaved file, one in the extension's own user folder."""
    wanted = scene.look_beyond.output_folder or "//look_beyond"
    return unsaved_folder() if wanted.startswith("//") and not bpy.data.filepath else absolute(wanted)


def unsaved_folder() -> Path:
    """Where the results of files lie that have not been saved yet."""
    return absolute(bpy.utils.extension_path_user(__package__, path="results", create=True))


def absolute(path: str) -> Path:
    return Path(bpy.path.abspath(path)).resolve()


def as_stored(path: Path, folder: Path | None = None) -> str:
    """The path as a .blend should hold it: relative to the file (in `folder`, if it is to move there) where that is
    possible."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return bpy.path.relpath(str(path), start=str(folder) if folder else None)
    except ValueError:  # another drive
        return str(path)


def file_name(text: str) -> str:
    """The text as a name that every file system takes."""
    return re.sub(r"[^\w\-]+", "_", text).strip("_")[:40] or "unnamed"
