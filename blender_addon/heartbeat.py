"""Ticks the session on Blender's main thread while something runs, and lets the windows show it."""

import bpy

from .icons import previews
from .session import session

INTERVAL_S = 0.1
SOON_S = 0.01
"""To the next beat when this one left something over."""


def start() -> None:
    """Begin ticking; goes on over file loads, and ends by itself with the task."""
    if not bpy.app.background and not bpy.app.timers.is_registered(beat):
        bpy.app.timers.register(beat, first_interval=INTERVAL_S, persistent=True)


def beat() -> float | None:
    """One beat; seconds to the next, None when nothing runs any more."""
    # Datablocks that appear during a render crash Blender: what arrives meanwhile waits in the queue.
    if bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"):
        return 1.0
    if session.tick():
        previews.show(session.preview)
        redraw()
    if not session.busy:
        return None
    return SOON_S if session.has_news else INTERVAL_S


def redraw() -> None:
    """The sidebars and the status bar: what the viewports show need not be drawn anew for words."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type == "VIEW_3D" else ():
                if region.type == "UI":
                    region.tag_redraw()
        # The status bar is no area that a script can tag; giving back its text, which an operator at work owns,
        # has it redrawn.
        if not window.modal_operators:
            # Where a file has just been loaded, the context has no window yet, and Blender would crash.
            with bpy.context.temp_override(window=window):
                window.workspace.status_text_set(None)


def register() -> None:
    """Nothing to do: `start` begins the ticking."""


def unregister() -> None:
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
