"""Operators of the status panel."""

import bpy
from bpy.props import IntProperty, StringProperty

from .. import heartbeat, tasks
from ..operator_bases import PollWithReason, ServiceOperator
from ..panel_bases import wrapped
from ..results import absolute
from ..service import program, unfinished
from ..session import session
from . import example, resume


class Resume(ServiceOperator, bpy.types.Operator):
    """Resume this unfinished job; what was finished before is kept"""

    bl_idname = "lookbeyond.resume"
    bl_label = "Resume"
    can_queue = True

    folder: StringProperty(
        name="Folder", description="Folder of the unfinished world or shot; empty: the first one found"
    )

    def prepare(self, context):
        found = [absolute(self.folder)] if self.folder else unfinished.unfinished()
        if not found:
            raise tasks.JobError("This file has no unfinished jobs.")
        task = resume.resume(context, found[0])
        session.unfinished = [folder for folder in session.unfinished if folder != found[0]]
        return task


class TryExample(ServiceOperator, bpy.types.Operator):
    """Try it with a photo that comes with Look Beyond: its world and a small shot, which take about a minute"""

    bl_idname = "lookbeyond.try_example"
    bl_label = "Try the Example"

    def prepare(self, context):
        try:
            return example.example(context)
        except OSError as error:
            raise tasks.JobError(f"The example's photo cannot be copied ({error}): choose another output.") from None


class Cancel(PollWithReason, bpy.types.Operator):
    """Cancel the running task; finished results are kept"""

    bl_idname = "lookbeyond.cancel"
    bl_label = "Cancel"

    @classmethod
    def reason(cls, context):
        if session.task is None:
            return "Nothing is running"
        return "The task is already being cancelled" if session.task.cancelled.is_set() else ""

    def execute(self, context):
        session.cancel()
        heartbeat.redraw()
        return {"FINISHED"}


class Unqueue(bpy.types.Operator):
    """Remove this task from the queue"""

    bl_idname = "lookbeyond.unqueue"
    bl_label = "Remove from Queue"

    index: IntProperty(name="Number", description="Index in the queue, from 0", min=0)

    def execute(self, context):
        if self.index < len(session.queue):
            del session.queue[self.index]
        heartbeat.redraw()
        return {"FINISHED"}


class OpenFolder(bpy.types.Operator):
    """Open the folder of these results"""

    bl_idname = "lookbeyond.open_folder"
    bl_label = "Open Folder"

    folder: StringProperty(name="Folder", description="Empty: the folder of the last result", options={"SKIP_SAVE"})

    def execute(self, context):
        folder = absolute(self.folder) if self.folder else session.folder
        if folder is None or not folder.is_dir():
            self.report({"ERROR"}, f"The folder {folder} is gone." if folder else "No results yet: build a world.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(folder))
        return {"FINISHED"}


class ShowMessage(bpy.types.Operator):
    """Show the whole message"""

    bl_idname = "lookbeyond.show_message"
    bl_label = "Whole Message"

    def execute(self, context):
        return {"FINISHED"}

    def invoke(self, context, event):
        return context.window_manager.invoke_popup(self, width=420)

    def draw(self, context):
        column = self.layout.column(align=True)
        for line in wrapped(session.error or session.notice, 480):
            column.label(text=line)


class CopyLog(bpy.types.Operator):
    """Copy the message and the service's log to the clipboard, for a support request"""

    bl_idname = "lookbeyond.copy_log"
    bl_label = "Copy Log"

    def execute(self, context):
        context.window_manager.clipboard = program.log_text(session.error or session.notice)
        return {"FINISHED"}


class ClearMessage(bpy.types.Operator):
    """Dismiss the message"""

    bl_idname = "lookbeyond.clear_message"
    bl_label = "Dismiss"

    def execute(self, context):
        session.clear()
        return {"FINISHED"}


class CopyMessage(bpy.types.Operator):
    """Copy the message to the clipboard"""

    bl_idname = "lookbeyond.copy_message"
    bl_label = "Copy Message"

    def execute(self, context):
        context.window_manager.clipboard = session.error or session.notice
        return {"FINISHED"}


CLASSES = (Resume, TryExample, Cancel, Unqueue, OpenFolder, ShowMessage, CopyLog, ClearMessage, CopyMessage)
