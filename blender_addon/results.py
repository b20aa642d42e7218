"""Folders of results, and paths as a .blend stores them."""

import re
from pathlib import Path

import bpy


def output_folder(scene: bpy.types.Scene) -> Path:
    """The output folder of the settings; for an unsaved file, `unsaved_folder`."""
    wanted = scene.look_beyond.output_folder or "//look_beyond"
    return unsaved_folder() if wanted.startswith("//") and not bpy.data.filepath else absolute(wanted)


def unsaved_folder() -> Path:
    """The results folder of files that were never saved: in Blender's user data, which no uninstalling removes."""
    return absolute(bpy.utils.user_resource("DATAFILES", path="look_beyond", create=True))


def absolute(path: str) -> Path:
    """A path from a .blend, `//` resolved."""
    return Path(bpy.path.abspath(path)).resolve()


def as_stored(path: Path, folder: Path | None = None) -> str:
    """The path as a .blend should store it: relative to the file where possible.

    `folder` is the folder that the file is about to be saved into; None: its present one.
    """
    if not bpy.data.filepath and folder is None:
        return str(path)
    try:
        return bpy.path.relpath(str(path), start=str(folder) if folder else None)
    except ValueError:  # another drive
        return str(path)


def file_name(text: str) -> str:
    """The text as a file name that is valid on every system."""
    return re.sub(r"[^\w\-]+", "_", text).strip("_")[:40] or "unnamed"
