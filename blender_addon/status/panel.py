"""The strip at the top of the tab, which always has the same height; waiting tasks; the entry in the status bar."""

from collections.abc import Callable

import bpy

from .. import icons
from ..folding import has_path
from ..panel_bases import SidebarPanel, panel_width_px, wrapped
from ..service import preferences
from ..service.panel import connect_rows
from ..session import session
from ..tasks import RunningTask
from ..world.outdated import MISSING, outdated_reason

ROWS = 5
"""Rows of the strip."""
Row = Callable[[bpy.types.UILayout], object]
"""Draws one row."""


class StatusPanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_status"
    bl_label = "Look Beyond"
    bl_options = {"HIDE_HEADER"}

    def draw(self, context):
        column = self.layout.box().column(align=True)
        rows = strip_rows(context)[:ROWS]
        for row in rows:
            row(column.row(align=True))
        for _ in range(ROWS - len(rows)):
            column.row(align=True).label(text="")


class WaitingPanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_waiting"
    bl_label = "Preview and Queue"

    @classmethod
    def poll(cls, context):
        return bool(session.queue or icons.preview_icon.icon)

    def draw(self, context):
        layout = self.layout
        for number, waiting in enumerate(session.queue):
            row = layout.row(align=True)
            row.label(text=f"Then: {waiting.title}", icon="SORTTIME")
            row.operator("lookbeyond.unqueue", text="", icon="X").index = number
        if icon := icons.preview_icon.icon:
            layout.template_icon(icon, scale=8)


def strip_rows(context: bpy.types.Context) -> list[Row]:
    """What the strip shows, row by row."""
    if session.task is not None:
        return task_rows(session.task)
    if session.error or session.notice:
        return message_rows(panel_width_px(context))
    rows: list[Row] = [lambda row, line=line: row.label(text=line) for line in next_step_lines(context)]
    if session.service is None:
        rows += connect_rows()
    for folder in session.unfinished:
        rows.append(lambda row, folder=folder: draw_unfinished(row, folder))
    return rows


def task_rows(task: RunningTask) -> list[Row]:
    """The running task: title and cancel, bar, how far it is, what comes then."""

    def draw_title(row: bpy.types.UILayout) -> None:
        row.label(text=task.title, icon="SORTTIME")
        row.operator("lookbeyond.cancel", text="", icon="X")

    percent = f"{task.fraction:.0%}{time_left(task)}"
    waiting = f"Then: {session.queue[0].title}" if session.queue else ""
    more = f" and {len(session.queue) - 1} more" if len(session.queue) > 1 else ""
    return [
        draw_title,
        lambda row: row.progress(factor=task.fraction, text=percent),
        lambda row: row.label(text=in_short(task.message)),
        lambda row: row.label(text=f"{waiting}{more}"),
    ]


def message_rows(width_px: float) -> list[Row]:
    """The error or the notice in three lines, and what can be done with it."""
    text, icon = (session.error, "ERROR") if session.error else (session.notice, "INFO")
    lines = wrapped(text, width_px)
    is_cut = len(lines) >= ROWS
    shown = lines[: ROWS - 1]
    if is_cut:
        shown[-1] = f"{shown[-1][:-1]}…"
    rows: list[Row] = [
        lambda row, line=line, at=at: draw_line(row, line, icon if at == 0 else "BLANK1")
        for at, line in enumerate(shown)
    ]
    blank: list[Row] = [lambda row: row.label(text="")]
    return [*rows, *(blank * (ROWS - 1 - len(rows))), lambda row: draw_actions(row, is_cut)]


def draw_line(row: bpy.types.UILayout, line: str, icon: str) -> None:
    """Draw a line of the message."""
    row.alert = bool(session.error)
    row.label(text=line, icon=icon)


def draw_actions(row: bpy.types.UILayout, is_cut: bool) -> None:
    """Draw what can be done with the message; at its right end, Dismiss."""
    if is_cut:
        row.operator("lookbeyond.show_message", text="More", icon="ZOOM_IN")
    row.operator("lookbeyond.copy_message", text="", icon="COPYDOWN")
    if session.folder is not None:
        row.operator("lookbeyond.open_folder", text="", icon="FILE_FOLDER")
    if session.error:
        row.operator("lookbeyond.copy_log", text="Log")
    row.operator("lookbeyond.clear_message", text="Dismiss")


def draw_unfinished(row: bpy.types.UILayout, folder) -> None:
    """Draw an unfinished job."""
    row.operator("lookbeyond.resume", text="Resume").folder = str(folder)
    row.label(text=folder.name)


def in_short(message: str) -> str:
    """How far a task is, in one short line: which frame or view, without the steps of diffusion."""
    if message.startswith(("Frame ", "Key view ")):
        return message.partition(":")[0]
    return message.removeprefix("World: ")


def time_left(task: RunningTask) -> str:
    """The remaining time as text; empty if it is unknown."""
    if task.left_s is None:
        return ""
    minutes, seconds = divmod(round(task.left_s), 60)
    return f", {minutes}:{seconds:02d} left"


def next_step_lines(context: bpy.types.Context) -> list[str]:
    """What the artist can do next, in lines that fit."""
    return wrapped(next_step(context.scene), panel_width_px(context))


def next_step(scene: bpy.types.Scene) -> str:
    """What the artist can do next."""
    settings = scene.look_beyond
    if settings.photo_camera is None and not settings.world_folder:
        return "One photo becomes a world around it, to move a camera through. Place a photo to begin"
    if not settings.world_folder:
        ready = session.service is not None or preferences.starts_itself()
        return "Build the world" if ready else "Start the service, then build the world"
    if reason := outdated_reason(scene):
        return reason if reason == MISSING else "Build the world again: its photo or camera changed"
    if not has_path(scene):
        return "Add a camera path"
    return "Preview the move, or shoot it" if not settings.shot_folder else "Ready"


def draw_status_bar(self: bpy.types.Header, context: bpy.types.Context) -> None:
    """Draw the running task in Blender's status bar."""
    if session.task is not None:
        task = session.task
        self.layout.separator_spacer()
        row = self.layout.row()
        row.ui_units_x = 14
        row.progress(factor=task.fraction, text=f"Look Beyond: {task.title}{time_left(task)}")


CLASSES = (StatusPanel,)
"""The strip stands above the steps."""
LAST_CLASSES = (WaitingPanel,)
"""What waits stands below them."""
