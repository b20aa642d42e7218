"""What the add-on does when a file is loaded or saved."""

from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from . import handlers
from .service.unfinished import follow_saved_file, offer_unfinished
from .shot.pack import rebase_paths

_restore: tuple[Path, Callable[[], None]] | None = None
"""While a file is saved into another folder: its path, and what restores the stored paths."""


@persistent
def file_loaded(*_: object) -> None:
    """Offer what the opened file left unfinished."""
    offer_unfinished()


@persistent
def file_saving(path: str = "", *_: object) -> None:
    """Make the stored paths valid from the folder that the file is saved into."""
    global _restore
    _restore = None
    if path and bpy.data.filepath and Path(path).parent != Path(bpy.data.filepath).parent:
        _restore = Path(path), rebase_paths(Path(path).parent)


@persistent
def file_saved(*_: object) -> None:
    """Running, waiting and unfinished jobs now belong to the file under its new name as well."""
    global _restore
    if _restore is not None:
        path, restore = _restore
        if Path(bpy.data.filepath) != path:  # only a copy was saved
            restore()
        _restore = None
    follow_saved_file()


HANDLERS = {"load_post": file_loaded, "save_pre": file_saving, "save_post": file_saved}


def register() -> None:
    handlers.add(HANDLERS)


def unregister() -> None:
    handlers.remove(HANDLERS)
