"""Operators of the service."""

import bpy
from bpy.props import StringProperty

from ..operator_bases import ServiceOperator
from ..photo.analysis import analyse_when_connected
from ..tasks import Task
from . import lifecycle, preferences, program


class StartService(ServiceOperator, bpy.types.Operator):
    """Start the program that runs the models on this machine"""

    bl_idname = "lookbeyond.start_service"
    bl_label = "Start Service"
    needs_connection = False

    @classmethod
    def reason(cls, context):
        if preferences.addon_preferences().address.strip():
            return "The preferences name a remote service: start it on its own machine"
        return super().reason(context)

    def prepare(self, context):
        steps = lifecycle.start_service(preferences.launch_command())
        return Task(self.bl_label, steps, analyse_when_connected(context.scene))


class StopService(ServiceOperator, bpy.types.Operator):
    """Stop the service; finished results are kept"""

    bl_idname = "lookbeyond.stop_service"
    bl_label = "Stop Service"
    starts_service = False

    def prepare(self, context):
        return Task(self.bl_label, lifecycle.stop_service(preferences.connection()))


class CheckService(ServiceOperator, bpy.types.Operator):
    """Connect to the service and show its devices"""

    bl_idname = "lookbeyond.check_service"
    bl_label = "Test Connection"
    starts_service = False

    def prepare(self, context):
        return Task(
            self.bl_label, lifecycle.check_service(preferences.connection()), analyse_when_connected(context.scene)
        )


class ReleaseMemory(ServiceOperator, bpy.types.Operator):
    """Unload the models to free their memory; they load again when they are needed"""

    bl_idname = "lookbeyond.release_memory"
    bl_label = "Free Memory"
    starts_service = False

    def prepare(self, context):
        return Task(self.bl_label, lifecycle.release_memory(preferences.connection()))


class CopyCommand(bpy.types.Operator):
    """Copy the command, to be pasted into a terminal on the service's machine"""

    bl_idname = "lookbeyond.copy_command"
    bl_label = "Copy Command"

    command: StringProperty(name="Command", default=program.INSTALL_COMMAND)

    def execute(self, context):
        context.window_manager.clipboard = self.command
        return {"FINISHED"}


class ShowPreferences(bpy.types.Operator):
    """Open the preferences of Look Beyond"""

    bl_idname = "lookbeyond.show_preferences"
    bl_label = "Preferences"

    def execute(self, context):
        return bpy.ops.preferences.addon_show(module=preferences.LookBeyondPreferences.bl_idname)


CLASSES = (ShowPreferences, StartService, StopService, CheckService, ReleaseMemory, CopyCommand)
