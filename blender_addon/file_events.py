"""What the add-on does when a file is loaded or saved."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from . import handlers
from .service.unfinished import follow_saved_file, offer_unfinished
from .session import session
from .shot.pack import move_unsaved_results, rebase_paths


@dataclass(frozen=True)
class PendingSave:
    """What saving a file into another folder has prepared."""

    path: Path
    restore: Callable[[], None]
    """Undoes it, for when the file could not be saved or only a copy was."""
    notice: str = ""
    """What the artist is told once the file is saved."""


_pending: PendingSave | None = None


@persistent
def file_loaded(*_: object) -> None:
    """Offer what the opened file left unfinished."""
    offer_unfinished()


@persistent
def file_saving(path: str = "", *_: object) -> None:
    """Make the stored paths valid from the folder that the file is saved into; a first save takes its results along."""
    global _pending
    _pending = None
    file, folder = Path(path), Path(path).parent
    if not path or (bpy.data.filepath and folder == Path(bpy.data.filepath).parent):
        return
    if bpy.data.filepath:
        _pending = PendingSave(file, rebase_paths(folder))
        return
    try:
        restore = move_unsaved_results(file)
    except OSError as error:
        session.refuse(f"Worlds and shots could not be moved beside the file ({error}): Pack for Moving copies them.")
        return
    if restore is not None:
        notice = f"Worlds and shots were moved beside the file, to {folder / 'look_beyond'}."
        _pending = PendingSave(file, restore, notice)


@persistent
def file_saved(*_: object) -> None:
    """Running, waiting and unfinished jobs now belong to the file under its new name as well."""
    global _pending
    if _pending is not None and Path(bpy.data.filepath) != _pending.path:  # only a copy was saved
        undo_pending()
    elif _pending is not None and _pending.notice:
        session.notice = _pending.notice
    _pending = None
    follow_saved_file()


@persistent
def undo_pending(*_: object) -> None:
    """Undo what saving has prepared."""
    global _pending
    if _pending is not None:
        _pending.restore()
        _pending = None


HANDLERS = {
    "load_post": file_loaded,
    "save_pre": file_saving,
    "save_post": file_saved,
    "save_post_fail": undo_pending,
}


def register() -> None:
    handlers.add(HANDLERS)


def unregister() -> None:
    handlers.remove(HANDLERS)
