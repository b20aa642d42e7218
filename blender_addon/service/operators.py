"""The buttons of the service."""

import bpy
from bpy.props import StringProperty

from ..operator_bases import AsksService
from ..photo.faces import looking
from ..tasks import Work
from . import lifecycle, preferences, program


class StartService(AsksService, bpy.types.Operator):
    """Start the program that runs the models, on this machine"""

    bl_idname = "lookbeyond.start_service"
    bl_label = "Start Service"
    needs_connection = False

    @classmethod
    def reason(cls, context):
        if preferences.addon_preferences().address.strip():
            return "The preferences name a remote service, which is started on its own machine"
        return super().reason(context)

    def prepare(self, context):
        command = program.service_command(preferences.addon_preferences().service_command)
        return Work(self.bl_label, lifecycle.start_service(command), looking(context.scene))


class StopService(AsksService, bpy.types.Operator):
    """End the service; what it has finished is kept"""

    bl_idname = "lookbeyond.stop_service"
    bl_label = "Stop Service"

    def prepare(self, context):
        return Work(self.bl_label, lifecycle.stop_service(preferences.connection()))


class CheckService(AsksService, bpy.types.Operator):
    """Ask the service who it is"""

    bl_idname = "lookbeyond.check_service"
    bl_label = "Test Connection"

    def prepare(self, context):
        return Work(self.bl_label, lifecycle.check_service(preferences.connection()), looking(context.scene))


class ReleaseMemory(AsksService, bpy.types.Operator):
    """Unload the models and give their memory back; they load again when they are needed"""

    bl_idname = "lookbeyond.release_memory"
    bl_label = "Free Memory"

    def prepare(self, context):
        return Work(self.bl_label, lifecycle.release_memory(preferences.connection()))


class CopyCommand(bpy.types.Operator):
    """Copy the command: paste it into a terminal on the service's machine"""

    bl_idname = "lookbeyond.copy_command"
    bl_label = "Copy Command"

    command: StringProperty(name="Command", default=program.INSTALL_COMMAND)

    def execute(self, context):
        context.window_manager.clipboard = self.command
        return {"FINISHED"}


CLASSES = (StartService, StopService, CheckService, ReleaseMemory, CopyCommand)
