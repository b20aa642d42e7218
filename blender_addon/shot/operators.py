"""Operators of the step Shoot."""

import time
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..kit import MAX_CAMERAS, CameraError
from ..list_operators import DeleteOperator, FolderOperator
from ..operator_bases import NOT_REMEMBERED, PollWithReason, ServiceOperator, WorldOperator, refuse
from ..path.frames import scene_frames
from ..path.read import CameraReader, can_read_isolated
from ..results import absolute, file_name
from ..session import session
from ..world import stage
from . import composite, pack, play, shoot

READ_AT_ONCE = 120
"""Up to this many frames, cameras are read in one go: that hardly blocks the window."""
MIN_SLICE_S, MAX_SLICE_S = 0.012, 0.1
"""Limits of a time slice in which more frames are read; a slice takes as long as a redraw of the window."""


class PreviewDraft(WorldOperator, bpy.types.Operator):
    """Preview the shot at once: play the stage through the scene's camera"""

    bl_idname = "lookbeyond.preview_draft"
    bl_label = "Preview Draft"

    @classmethod
    def reason(cls, context):
        if context.scene.camera is None:
            return "The scene has no active camera: add a camera path or set a camera"
        return super().reason(context)

    def prepare(self, context):
        task = stage.build_stage(context, preview=True)
        return play.played(task, context.scene, "The draft plays. Esc stops it.")


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
            return refuse(self, error)
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
        task = shoot.shoot(context, reader.cameras if reader is not None else None)
        return play.played(task, context.scene) if context.scene.look_beyond.play_finished else task


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
            return refuse(self, error)
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


class TakeOperator(PollWithReason):
    """Works on the take that is chosen in the list."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        settings = context.scene.look_beyond
        return "" if settings.shot_index < len(settings.shots) else "Shoot first: there are no takes yet"

    def work(self, context: bpy.types.Context, folder: Path) -> str:
        """Do it with the take in a folder; returns a sentence, or nothing. Raises ValueError with a sentence."""
        raise NotImplementedError

    def execute(self, context):
        settings = context.scene.look_beyond
        try:
            message = self.work(context, absolute(settings.shots[settings.shot_index].folder))
        except (ValueError, OSError) as error:
            return refuse(self, error)
        if message:
            session.clear()
            session.notice = message
        return {"FINISHED"}


class UseTake(TakeOperator, bpy.types.Operator):
    """Show the chosen take where the scene's shots are shown"""

    bl_idname = "lookbeyond.use_take"
    bl_label = "Use Take"

    def work(self, context, folder):
        return shoot.use_take(context.scene, folder)


class PlayTake(TakeOperator, bpy.types.Operator):
    """Play the chosen take from its first frame, in the sequencer"""

    bl_idname = "lookbeyond.play_take"
    bl_label = "Play Shot"
    bl_options = {"REGISTER"}

    def work(self, context, folder):
        editing = play.choose_strip(context.scene, folder)
        if not bpy.app.background:
            play.play(context, editing)
        return ""


class ShootAgain(ServiceOperator, bpy.types.Operator):
    """Shoot the chosen take again, with its seed and with its camera as it is now"""

    bl_idname = "lookbeyond.shoot_again"
    bl_label = "Shoot Again"
    can_queue = True

    @classmethod
    def reason(cls, context):
        scene = context.scene
        settings = scene.look_beyond
        if settings.shot_index >= len(settings.shots):
            return "Shoot first: there are no takes yet"
        if settings.shots[settings.shot_index].camera not in scene.objects:
            return "The camera of this take is no longer in the scene"
        return Shoot.reason(context)

    def prepare(self, context):
        settings = context.scene.look_beyond
        take = settings.shots[settings.shot_index]
        context.scene.camera, settings.shot_seed = context.scene.objects[take.camera], int(take.seed or 0)
        return shoot.shoot(context)


class LoadTake(FolderOperator, bpy.types.Operator):
    """Show a shot from its folder, such as one that was made for another file"""

    bl_idname = "lookbeyond.load_take"
    bl_label = "Load Shot"
    bl_options = {"REGISTER", "UNDO"}

    def load(self, context, folder):
        return shoot.use_take(context.scene, folder)


class DeleteTake(DeleteOperator, bpy.types.Operator):
    """Delete the chosen take's files and remove it from the list"""

    bl_idname = "lookbeyond.delete_take"
    bl_label = "Delete Take"
    kind = "take"

    @classmethod
    def entries(cls, settings):
        return settings.shots, "shot_index", settings.shot_folder


class ExportMovie(TakeOperator, bpy.types.Operator):
    """Write the chosen take as a movie"""

    bl_idname = "lookbeyond.export_movie"
    bl_label = "Export Movie"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options=NOT_REMEMBERED)
    codec: EnumProperty(
        name="Codec",
        items=(
            ("H264", "H.264", "Plays everywhere; colours are compressed"),
            ("PRORES", "ProRes", "For editing; large files"),
        ),
    )

    def invoke(self, context, event):
        settings = context.scene.look_beyond
        take = settings.shots[settings.shot_index]
        self.filepath = str(absolute(take.folder) / f"{file_name(take.name)}.mp4")
        context.window_manager.fileselect_add(self)
        self.in_window = True
        return {"RUNNING_MODAL"}

    def work(self, context, folder):
        if self.codec not in play.codecs():
            raise ValueError("This Blender writes no ProRes: choose H.264.")
        suffix = ".mp4" if self.codec == "H264" else ".mov"
        path = absolute(self.filepath or str(folder / "shot")).with_suffix(suffix)
        editing = play.choose_strip(context.scene, folder)
        play.set_movie_output(editing, path, self.codec)
        if getattr(self, "in_window", False):
            bpy.ops.render.render("INVOKE_DEFAULT", animation=True, scene=editing.name)
            return f"The movie is being written to {path}."
        bpy.ops.render.render(animation=True, scene=editing.name)
        return f"The movie is {path}."


CLASSES = (
    PreviewDraft,
    Shoot,
    SetUpComposite,
    PackForMoving,
    UseTake,
    PlayTake,
    ShootAgain,
    LoadTake,
    DeleteTake,
    ExportMovie,
)
