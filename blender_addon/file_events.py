"""What follows when a file is loaded or saved."""

from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from . import handlers
from .service.unfinished import follow_save, offer_unfinished
from .shot.pack import point_from

_put_back: tuple[Path, Callable[[], None]] | None = None
"""While a file is saved into another folder: which, and what has the paths lead from the former one again."""


@persistent
def file_loaded(*_: object) -> None:
    """Say what was left unfinished in the file that is open now."""
    offer_unfinished()


@persistent
def file_saving(path: str = "", *_: object) -> None:
    """What the file points to is found from the folder that it is saved into, too."""
    global _put_back
    _put_back = None
    if path and bpy.data.filepath and Path(path).parent != Path(bpy.data.filepath).parent:
        _put_back = Path(path), point_from(Path(path).parent)


@persistent
def file_saved(*_: object) -> None:
    """What runs, waits or was left unfinished belongs to the file under its new name, too."""
    global _put_back
    if _put_back is not None:
        path, put_back = _put_back
        if Path(bpy.data.filepath) != path:  # only a copy was saved
            put_back()
        _put_back = None
    follow_save()


HANDLERS = {"load_post": file_loaded, "save_pre": file_saving, "save_post": file_saved}


def register() -> None:
    handlers.add(HANDLERS)


def unregister() -> None:
    handlers.remove(HANDLERS)
