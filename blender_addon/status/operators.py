"""The buttons of what runs, waits and was said."""

import bpy
from bpy.props import IntProperty, StringProperty

from .. import heartbeat, tasks
from ..operator_bases import AsksService, ReasonedPoll
from ..results import absolute
from ..service import program, unfinished
from ..session import session
from . import resume


class Resume(AsksService, bpy.types.Operator):
    """Go on with what was begun when Blender was closed: what is finished is kept"""

    bl_idname = "lookbeyond.resume"
    bl_label = "Go On"
    queues = True

    folder: StringProperty(name="Folder", description="Of the world or shot; empty: the first one found")

    def prepare(self, context):
        found = [absolute(self.folder)] if self.folder else unfinished.unfinished()
        if not found:
            raise tasks.JobError("Nothing of this file was left unfinished.")
        work = resume.resume(context, found[0])
        session.unfinished = [folder for folder in session.unfinished if folder != found[0]]
        return work


class Cancel(ReasonedPoll, bpy.types.Operator):
    """End what is running; what it has finished is kept"""

    bl_idname = "lookbeyond.cancel"
    bl_label = "Cancel"

    @classmethod
    def reason(cls, context):
        if session.task is None:
            return "Nothing is running"
        return "It is being cancelled" if session.task.cancelled.is_set() else ""

    def execute(self, context):
        session.cancel()
        heartbeat.redraw()
        return {"FINISHED"}


class Unqueue(bpy.types.Operator):
    """Take this off the queue: it has not begun yet"""

    bl_idname = "lookbeyond.unqueue"
    bl_label = "Take off the Queue"

    index: IntProperty(name="Number", description="In the queue, from 0", min=0)

    def execute(self, context):
        if self.index < len(session.queue):
            del session.queue[self.index]
        heartbeat.redraw()
        return {"FINISHED"}


class OpenFolder(ReasonedPoll, bpy.types.Operator):
    """Show the files of what was just made"""

    bl_idname = "lookbeyond.open_folder"
    bl_label = "Open Folder"

    @classmethod
    def reason(cls, context):
        return "" if session.folder is not None and session.folder.is_dir() else "Nothing was made that is still there"

    def execute(self, context):
        bpy.ops.wm.path_open(filepath=str(session.folder))
        return {"FINISHED"}


class CopyLog(bpy.types.Operator):
    """Copy the message and the service's log to the clipboard, for whoever is asked for help"""

    bl_idname = "lookbeyond.copy_log"
    bl_label = "Copy Log"

    def execute(self, context):
        context.window_manager.clipboard = program.log_text(session.error or session.notice)
        return {"FINISHED"}


class ClearMessage(bpy.types.Operator):
    """Empty the status box"""

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
