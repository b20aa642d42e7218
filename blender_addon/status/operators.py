"""Operators of the status panel."""

import bpy
from bpy.props import IntProperty, StringProperty

from .. import heartbeat, tasks
from ..operator_bases import PollWithReason, ServiceOperator
from ..results import absolute
from ..service import program, unfinished
from ..session import session
from . import resume


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


class OpenFolder(PollWithReason, bpy.types.Operator):
    """Open the folder of the last result"""

    bl_idname = "lookbeyond.open_folder"
    bl_label = "Open Folder"

    @classmethod
    def reason(cls, context):
        return "" if session.folder is not None and session.folder.is_dir() else "There is no result folder"

    def execute(self, context):
        bpy.ops.wm.path_open(filepath=str(session.folder))
        return {"FINISHED"}


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


CLASSES = (Resume, Cancel, Unqueue, OpenFolder, CopyLog, ClearMessage, CopyMessage)
