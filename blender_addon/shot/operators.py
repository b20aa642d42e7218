"""Operators of the step Shoot."""

import time

import bpy

from ..kit import MAX_CAMERAS, CameraError
from ..operator_bases import PollWithReason, ServiceOperator, WorldOperator
from ..path.frames import scene_frames
from ..path.read import CameraReader, can_read_isolated
from ..session import session
from ..world import stage
from . import composite, pack, shoot

READ_AT_ONCE = 120
"""Up to this many frames, cameras are read in one go: that hardly blocks the window."""
MIN_SLICE_S, MAX_SLICE_S = 0.012, 0.1
"""Limits of a time slice in which more frames are read; a slice takes as long as a redraw of the window."""


class PreviewDraft(WorldOperator, bpy.types.Operator):
    """Preview the shot at once: show the stage through the scene's camera"""

    bl_idname = "lookbeyond.preview_draft"
    bl_label = "Preview Draft"

    @classmethod
    def reason(cls, context):
        if context.scene.camera is None:
            return "The scene has no active camera: add a camera path or set a camera"
        return super().reason(context)

    def prepare(self, context):
        return stage.build_stage(context, preview=True)


class Shoot(ServiceOperator, bpy.types.Operator):
    """Shoot the frames of the scene's camera in the world"""

    bl_idname = "lookbeyond.shoot"
    bl_label = "Shoot"
    can_queue = True

    @classmethod
    def reason(cls, context):
        scene = context.scene
        if not scene.look_beyond.world_folder:
            return "Build a world first"
        if scene.camera is None:
            return "The scene has no active camera: add a camera path or set a camera"
        if scene.camera.type != "CAMERA" or scene.camera.data.type != "PERSP":
            return "The scene's active camera is not a perspective camera: change its type"
        if scene.frame_end <= scene.frame_start:
            return "A shot needs at least two frames: set the scene's frame range"
        if len(scene_frames(scene)) < 2:
            return "There are fewer than two frames between these markers: move the playhead or the markers"
        if scene.frame_start < 0:
            return "The scene's frame range starts below 0, and file names have no negative numbers: move the range"
        if scene.frame_end - scene.frame_start >= MAX_CAMERAS:
            return f"A shot has at most {MAX_CAMERAS} frames: shorten the scene's frame range"
        return super().reason(context)

    def invoke(self, context, event):
        self.reader = None
        if len(scene_frames(context.scene)) <= READ_AT_ONCE or not can_read_isolated(context):
            return super().invoke(context, event)
        self.reader = CameraReader(context.scene)
        self.slice_ended_s = time.monotonic()
        self.timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.progress_begin(0, 1)
        context.workspace.status_text_set("Reading the camera  |  Esc: cancel")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if event.type == "ESC":
            self.cancel(context)
            session.clear()
            session.notice = "The shot was cancelled while its camera was read."
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}  # an edit now would affect only some of the frames
        try:
            # Each slice is followed by a redraw: where that is slow, short slices would take for ever.
            redraw_s = time.monotonic() - self.slice_ended_s
            ready = self.reader.step(context.scene, min(MAX_SLICE_S, max(MIN_SLICE_S, redraw_s)))
            self.slice_ended_s = time.monotonic()
        except CameraError as error:
            self.cancel(context)
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        context.window_manager.progress_update(self.reader.share)
        if not ready:
            return {"RUNNING_MODAL"}
        self.cancel(context)
        return super().invoke(context, event)

    def cancel(self, context):
        if self.timer is not None:  # Blender calls this again when it resets
            context.window_manager.event_timer_remove(self.timer)
            context.window_manager.progress_end()
            context.workspace.status_text_set(None)
            self.timer = None

    def prepare(self, context):
        reader = getattr(self, "reader", None)
        return shoot.shoot(context, reader.cameras if reader is not None else None)


class SetUpComposite(PollWithReason, bpy.types.Operator):
    """Set up the compositor so that Blender renders the scene's objects into the shot, with correct occlusion"""

    bl_idname = "lookbeyond.set_up_composite"
    bl_label = "Set Up Compositing"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        return "" if context.scene.look_beyond.shot_folder else "Shoot first: there are no frames yet"

    def execute(self, context):
        try:
            message = composite.composite_shot(context.scene)
        except (ValueError, OSError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.clear()
        session.notice = message
        self.report({"INFO"}, message)
        return {"FINISHED"}


class PackForMoving(WorldOperator, bpy.types.Operator):
    """Copy all files of the scene's worlds and shots beside the .blend file and use the copies"""

    bl_idname = "lookbeyond.pack"
    bl_label = "Pack for Moving"

    @classmethod
    def reason(cls, context):
        return super().reason(context) if bpy.data.filepath else "Save the file first: the copies go beside it"

    def prepare(self, context):
        return pack.pack(context)


CLASSES = (PreviewDraft, Shoot, SetUpComposite, PackForMoving)
