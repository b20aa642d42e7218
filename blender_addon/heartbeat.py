"""Ticks the session on Blender's main thread while something runs, and lets the windows show it."""

import time
from pathlib import Path

import bpy
import bpy.utils.previews
from bpy.app.handlers import persistent

from . import packing, scene_jobs
from .session import session

INTERVAL_S = 0.1
SHOWN_S = 3.0
"""How long a preview stays: Blender reads it in a thread, and one after another would never be seen."""
SOON_S = 0.01
"""To the next beat when this one left something over."""


def start() -> None:
    """Begin ticking; goes on over file loads, and ends by itself with the task."""
    if not bpy.app.background and not bpy.app.timers.is_registered(beat):
        bpy.app.timers.register(beat, first_interval=INTERVAL_S, persistent=True)


def register() -> None:
    for name, ours in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(ours)


def stop() -> None:
    for name, ours in HANDLERS.items():
        if ours in getattr(bpy.app.handlers, name):
            getattr(bpy.app.handlers, name).remove(ours)
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
    session.the(Previews).clear()
    session.the(Thumbnails).clear()


def beat() -> float | None:
    """One beat; seconds to the next, None when nothing runs any more."""
    # Datablocks that appear during a render crash Blender: what arrives meanwhile waits in the queue.
    if bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"):
        return 1.0
    if session.tick():
        session.the(Previews).show(session.preview)
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


@persistent
def file_loaded(*_: object) -> None:
    """Say what was left unfinished in the file that is open now."""
    scene_jobs.offer_unfinished()


@persistent
def file_saving(path: str = "", *_: object) -> None:
    """What the file points to is found from the folder that it is saved into, too."""
    session.put_back = None
    if path and bpy.data.filepath and Path(path).parent != Path(bpy.data.filepath).parent:
        session.put_back = Path(path), packing.point_from(Path(path).parent)


@persistent
def file_saved(*_: object) -> None:
    """What runs, waits or was left unfinished belongs to the file under its new name, too."""
    if session.put_back is not None:
        path, put_back = session.put_back
        if Path(bpy.data.filepath) != path:  # only a copy was saved
            put_back()
        session.put_back = None
    scene_jobs.follow_save()


HANDLERS = {"load_post": file_loaded, "save_pre": file_saving, "save_post": file_saved}


class Previews:
    """The newest preview as an icon. Blender reads one once per name, and when it is first drawn."""

    def __init__(self) -> None:
        self._icons: bpy.utils.previews.ImagePreviewCollection | None = None
        self._shown: Path | None = None
        self._since = 0.0

    @property
    def icon(self) -> int:
        """For `template_icon`; 0 when there is none."""
        return next(iter(self._icons.values())).icon_id if self._icons else 0

    def show(self, file: Path | None) -> None:
        now = time.monotonic()
        if file == self._shown or (file is not None and now - self._since < SHOWN_S):
            return
        self.clear()
        self._shown, self._since = file, now
        if file is not None:
            self._icons = bpy.utils.previews.new()
            self._icons.load(str(file), str(file), "IMAGE")

    def clear(self) -> None:
        self._shown, self._since = None, 0.0
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
            self._icons = None


class Thumbnails:
    """Pictures on disk as icons; Blender reads them when they are first drawn, in a thread of its own."""

    def __init__(self) -> None:
        self._icons: bpy.utils.previews.ImagePreviewCollection | None = None

    def icon(self, file: Path) -> int:
        """For `template_icon`; 0 when the file is not there."""
        name = str(file)
        if self._icons is None:
            self._icons = bpy.utils.previews.new()
        if name not in self._icons:
            if not file.is_file():
                return 0
            self._icons.load(name, name, "IMAGE")
        return self._icons[name].icon_id

    def clear(self) -> None:
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
            self._icons = None
