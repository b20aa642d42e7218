"""What the add-on does when a file is loaded, saved or appended from, and after an undo."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from .made import forget_deleted
from .marks import is_local
from .moved import forget_moved, moved_results, present_path
from .paths import Redirection, open_folder, rebase_foreign_paths, rebase_paths, set_base
from .service.unfinished import follow_saved_file, offer_unfinished
from .session import session
from .unsaved import ResultMove


@dataclass(frozen=True)
class PendingSave:
    """What was prepared before a file is saved."""

    path: Path
    undo: tuple[Callable[[], None], ...]
    """For when the file could not be saved."""
    after_copy: tuple[Callable[[], None], ...]
    """For when only a copy was saved."""
    notice: str = ""
    """What to tell the artist once the file is saved."""


_pending: PendingSave | None = None


@persistent
def file_loaded(*_: object) -> None:
    """Offer to resume what the opened file left unfinished; messages about another file are cleared."""
    forget_moved()
    if session.task is None:
        session.clear()
    set_base(open_folder())
    offer_unfinished()


@persistent
def file_saving(path: str = "", *_: object) -> None:
    """Make the stored paths valid from the folder that the file is saved into; results of an unsaved file go along.

    In a file that goes to another folder, those wait for the next save.
    """
    global _pending
    _pending = None
    for scene in filter(is_local, bpy.data.scenes):
        forget_deleted(scene)
    rebase_foreign_paths()
    if not path:
        return
    file = Path(path)
    stays = open_folder() in ("", str(file.parent))
    restore = rebase_paths(file.parent)
    _pending = PendingSave(file, (restore,), (restore,))
    if not stays:
        return
    try:
        move = ResultMove(file)
    except OSError as error:
        session.refuse(f"Worlds and shots could not be moved beside the file ({error}): Pack for Moving copies them.")
        return
    if move.moved:
        notice = f"Worlds and shots were moved beside the file, to {file.parent / 'look_beyond'}."
        _pending = PendingSave(file, (move.undo, restore), (move.leave_copy, restore), notice)


@persistent
def file_saved(*_: object) -> None:
    """Running, waiting and unfinished jobs now belong to the file under its new name as well."""
    global _pending
    if _pending is not None and Path(bpy.data.filepath) != _pending.path:
        for action in _pending.after_copy:
            action()
    elif _pending is not None and _pending.notice:
        session.notice = _pending.notice
        session.folder = None if session.folder is None else present_path(session.folder)
    _pending = None
    follow_saved_file()


@persistent
def saving_failed(*_: object) -> None:
    """Undo what saving has prepared."""
    global _pending
    if _pending is not None:
        for action in _pending.undo:
            action()
        _pending = None


@persistent
def undone(*_: object) -> None:
    """Undo brings back the paths of before the file was saved."""
    rebase_foreign_paths()
    if moved_results() and bpy.data.filepath:
        redirection = Redirection(moved_results())
        redirection.redirect_own()
        redirection.redirect_artists()


@persistent
def imported(context: Any, *_: object) -> None:
    """Make the paths of appended scenes and cameras valid in this file: they start from their own file's folder."""
    for item in context.import_items:
        is_new = item.append_action in ("MAKE_LOCAL", "COPY_LOCAL") and item.source_library is not None
        if is_new and isinstance(item.id, (bpy.types.Scene, bpy.types.Camera)):
            library = Path(bpy.path.abspath(item.source_library.filepath))
            item.id.look_beyond.base = str(library.parent)  # the project may have been moved since it was saved
    rebase_foreign_paths()


@persistent
def scene_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Make the paths of what was made local valid in this file; Blender 4.2 reports nothing else of appending."""
    if any(isinstance(update.id, (bpy.types.Scene, bpy.types.Camera)) for update in depsgraph.updates):
        rebase_foreign_paths()


HANDLERS = {
    "load_post": file_loaded,
    "save_pre": file_saving,
    "save_post": file_saved,
    "save_post_fail": saving_failed,
    "undo_post": undone,
    "redo_post": undone,
    "depsgraph_update_post": scene_changed,
}
if bpy.app.version >= (4, 3, 0):
    HANDLERS["blend_import_post"] = imported
