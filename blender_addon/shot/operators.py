"""The buttons of the shot."""

import time

import bpy

from ..kit import MAX_CAMERAS, CameraError
from ..operator_bases import AsksService, NeedsWorld, ReasonedPoll
from ..path.read import Reading, reads_apart, scene_frames
from ..session import session
from ..world import stage
from . import composite, pack, shoot

READ_AT_ONCE = 120
"""Frames whose cameras are read while the window waits: it hardly notices."""
READ_S, READ_MOST_S = 0.012, 0.1
"""How long the window waits at a time while those of more frames are read: as long as it takes to be drawn."""


class PreviewDraft(NeedsWorld, bpy.types.Operator):
    """See the shot at once, as far as the world is known: the stage through the scene's camera"""

    bl_idname = "lookbeyond.preview_draft"
    bl_label = "Preview Draft"

    @classmethod
    def reason(cls, context):
        if context.scene.camera is None:
            return "The scene has no active camera: add a camera path, or make a camera active"
        return super().reason(context)

    def prepare(self, context):
        return stage.build_stage(context, preview=True)


class Shoot(AsksService, bpy.types.Operator):
    """Make the frames of the scene's camera in the world"""

    bl_idname = "lookbeyond.shoot"
    bl_label = "Shoot"
    queues = True

    @classmethod
    def reason(cls, context):
        scene = context.scene
        if not scene.look_beyond.world_folder:
            return "Build a world first: there is nothing to shoot in"
        if scene.camera is None:
            return "The scene has no active camera: add a camera path, or make a camera active"
        if scene.camera.type != "CAMERA" or scene.camera.data.type != "PERSP":
            return "The scene's active camera is not a perspective camera"
        if scene.frame_end <= scene.frame_start:
            return "A shot needs at least two frames: set the scene's frame range"
        if len(scene_frames(scene)) < 2:
            return "Between these markers there are fewer than two frames: move the playhead or the markers"
        if scene.frame_start < 0:
            return "The scene's frame range begins below 0, and files have no negative numbers: move the range"
        if scene.frame_end - scene.frame_start >= MAX_CAMERAS:
            return f"The scene's frame range is longer than the {MAX_CAMERAS} frames of one shot: shorten it"
        return super().reason(context)

    def invoke(self, context, event):
        self.reading = None
        if len(scene_frames(context.scene)) <= READ_AT_ONCE or not reads_apart(context):
            return super().invoke(context, event)
        self.reading = Reading(context.scene)
        self.read_at = time.monotonic()
        self.timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.progress_begin(0, 1)
        context.workspace.status_text_set("Reading the camera  |  Esc: leave")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if event.type == "ESC":
            self.cancel(context)
            session.clear()
            session.notice = "Nothing was shot: reading the camera was left."
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}  # an edit now would be in some of the frames only
        try:
            # Each slice has the window drawn anew: where that is slow, short ones would take for ever.
            drawn_s = time.monotonic() - self.read_at
            ready = self.reading.step(context.scene, min(READ_MOST_S, max(READ_S, drawn_s)))
            self.read_at = time.monotonic()
        except CameraError as error:
            self.cancel(context)
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        context.window_manager.progress_update(self.reading.share)
        if not ready:
            return {"RUNNING_MODAL"}
        self.cancel(context)
        return super().invoke(context, event)

    def cancel(self, context):
        if self.timer is not None:  # Blender says this again when it resets
            context.window_manager.event_timer_remove(self.timer)
            context.window_manager.progress_end()
            context.workspace.status_text_set(None)
            self.timer = None

    def prepare(self, context):
        reading = getattr(self, "reading", None)
        return shoot.shoot(context, reading.cameras if reading is not None else None)


class SetUpComposite(ReasonedPoll, bpy.types.Operator):
    """Have Blender's own render put the scene's objects into the shot, before and behind what it shows"""

    bl_idname = "lookbeyond.set_up_composite"
    bl_label = "Set Up Compositing"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        return "" if context.scene.look_beyond.shot_folder else "Shoot first: there are no frames to put objects into"

    def execute(self, context):
        try:
            said = composite.composite_shot(context.scene)
        except (ValueError, OSError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.clear()
        session.notice = said
        self.report({"INFO"}, said)
        return {"FINISHED"}


class PackForMoving(NeedsWorld, bpy.types.Operator):
    """Copy everything that the scene's worlds and shots need beside the .blend file, and point to it there"""

    bl_idname = "lookbeyond.pack"
    bl_label = "Pack for Moving"

    @classmethod
    def reason(cls, context):
        return super().reason(context) if bpy.data.filepath else "Save the file first: its folder is where things go"

    def prepare(self, context):
        return pack.pack(context)


CLASSES = (PreviewDraft, Shoot, SetUpComposite, PackForMoving)
