"""Undo steps for what a task does to a scene."""

from collections.abc import Callable

import bpy

from .tasks import Succeeded


def undoable(title: str, finish: Callable[[Succeeded], str | None]) -> Callable[[Succeeded], str | None]:
    """A `Task.finish` that also pushes an undo step, in a separate tick: that takes Blender some milliseconds."""
    finished: list[str] = []

    def finish_and_push(result: Succeeded) -> str | None:
        if not finished:
            message = finish(result)
            if message is not None:
                finished.append(message)
            return None
        push_undo_step(title)
        return finished[0]

    return finish_and_push


def push_undo_step(title: str) -> None:
    """Push an undo step; background mode has no undo."""
    if not bpy.app.background and bpy.context.window_manager.windows:
        window = bpy.context.window_manager.windows[0]
        with bpy.context.temp_override(window=window):  # pyright: ignore[reportGeneralTypeIssues]
            bpy.ops.ed.undo_push(message=title)
