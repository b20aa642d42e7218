"""Ticks the session on Blender's main thread while a task runs, and redraws what shows it."""

import time

import bpy

from .icons import preview_icon
from .session import session

INTERVAL_S = 0.1
SOON_S = 0.01
"""Time to the next beat when this one left work to do."""
CLOCK_S = 1.0
"""How often the remaining time is redrawn, even while the service is silent."""
_drawn_s = [0.0]


def start() -> None:
    """Start the timer. It survives loading a file and ends by itself after the task."""
    if not bpy.app.background and not bpy.app.timers.is_registered(beat):
        bpy.app.timers.register(beat, first_interval=INTERVAL_S, persistent=True)


def beat() -> float | None:
    """One beat of the timer; returns the seconds to the next, None when no task runs."""
    # Creating datablocks during a render crashes Blender: results wait in the queue.
    if bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"):
        return 1.0
    if session.tick() or time.monotonic() - _drawn_s[0] > CLOCK_S:
        preview_icon.show(session.preview)
        redraw()
    if not session.busy:
        return None
    return SOON_S if session.has_pending_work else INTERVAL_S


def redraw() -> None:
    """Redraw the sidebars, the preferences and the status bar, but not the viewports."""
    _drawn_s[0] = time.monotonic()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type in ("VIEW_3D", "PREFERENCES") else ():
                if region.type == "UI" or area.type == "PREFERENCES":
                    region.tag_redraw()
        # A script cannot tag the status bar; resetting its text redraws it. A modal operator may own that text.
        if not window.modal_operators:
            # Right after a file was loaded the context has no window, and Blender would crash.
            with bpy.context.temp_override(window=window):  # pyright: ignore[reportGeneralTypeIssues]
                window.workspace.status_text_set(None)


def register() -> None:
    """Nothing to add: `start` starts the timer."""


def unregister() -> None:
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
