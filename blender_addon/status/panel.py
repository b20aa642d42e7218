"""The status panel: the running task, messages, unfinished jobs; and the entry in Blender's status bar."""

import bpy

from .. import icons
from ..panel_bases import STATUS_PANEL, SidebarPanel, draw_wrapped
from ..service import preferences
from ..service.panel import draw_connect
from ..session import session
from ..tasks import RunningTask


class StatusPanel(SidebarPanel, bpy.types.Panel):
    bl_idname = STATUS_PANEL
    bl_label = "Look Beyond"

    def draw(self, context):
        layout = self.layout
        if session.task is not None:
            draw_task(layout, session.task)
        elif session.error or session.notice:
            draw_message(layout, context)
        else:
            layout.label(text=next_step(context.scene))
        if session.task is None:
            if session.service is None:
                draw_connect(layout)
            for folder in session.unfinished[:3]:
                row = layout.row(align=True)
                row.label(text=f"Unfinished: {folder.name}", icon="SORTTIME")
                row.operator("lookbeyond.resume", text="Resume").folder = str(folder)


def draw_task(layout: bpy.types.UILayout, task: RunningTask) -> None:
    """Draw the running task and the queue."""
    row = layout.row(align=True)
    row.progress(factor=task.fraction, text=f"{task.title}  {task.fraction:.0%}{time_left(task)}")
    row.operator("lookbeyond.cancel", text="", icon="X")
    column = layout.column()
    column.label(text=task.message)
    if task.files:
        column.label(text=f"{task.files} files have arrived")
    for number, waiting in enumerate(session.queue):
        row = column.row(align=True)
        row.label(text=f"Then: {waiting.title}", icon="SORTTIME")
        row.operator("lookbeyond.unqueue", text="", icon="X").index = number
    if icon := icons.preview_icon.icon:
        layout.template_icon(icon, scale=8)


def draw_message(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the error or the notice."""
    box = layout.box()
    text, icon = (session.error, "ERROR") if session.error else (session.notice, "INFO")
    column = box.column(align=True)
    column.alert = bool(session.error)
    draw_wrapped(column, context, text, icon)
    row = box.row()
    row.operator("lookbeyond.copy_message", text="Copy", icon="COPYDOWN")
    if session.folder is not None:
        row.operator("lookbeyond.open_folder", text="Folder", icon="FILE_FOLDER")
    if session.error:
        row.operator("lookbeyond.copy_log")
    row.operator("lookbeyond.clear_message", text="Dismiss", icon="CHECKMARK")


def time_left(task: RunningTask) -> str:
    """The remaining time as text; empty if it is unknown."""
    if task.eta_s is None:
        return ""
    minutes, seconds = divmod(round(task.eta_s), 60)
    return f", {minutes}:{seconds:02d} left"


def next_step(scene: bpy.types.Scene) -> str:
    """What the artist can do next."""
    settings = scene.look_beyond
    if settings.photo_camera is None and not settings.world_folder:
        return "Place a photo to begin"
    if not settings.world_folder:
        ready = session.service is not None or preferences.starts_itself()
        return "Build the world" if ready else "Start the service, then build the world"
    return "Add a camera path, then shoot" if not settings.shot_folder else "Ready"


def draw_status_bar(self: bpy.types.Header, context: bpy.types.Context) -> None:
    """Draw the running task in Blender's status bar."""
    if session.task is not None:
        task = session.task
        self.layout.separator_spacer()
        row = self.layout.row()
        row.ui_units_x = 14
        row.progress(factor=task.fraction, text=f"Look Beyond: {task.title}{time_left(task)}")


CLASSES = (StatusPanel,)
