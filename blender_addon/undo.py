"""What a task does to a scene, as steps that the artist can undo."""

from collections.abc import Callable

import bpy

from .tasks import Done


def undoable(message: str, finish: Callable[[Done], str | None]) -> Callable[[Done], str | None]:
    """What `finish` does, as a step that the artist can undo.

    Remembering it takes Blender some milliseconds, so that it waits for the next tick.
    """
    said: list[str] = []

    def finish_and_remember(done: Done) -> str | None:
        if not said:
            said.extend(words for words in (finish(done),) if words is not None)
            return None
        remember_for_undo(message)
        return said[0]

    return finish_and_remember


def remember_for_undo(message: str) -> None:
    if not bpy.app.background and bpy.context.window_manager.windows:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=message)
