"""The buttons: thin, each calls a plain function of its step.

Those that ask the service let the window go on when they are pressed (`INVOKE_DEFAULT`), and wait for the
result when a script calls them (`EXEC_DEFAULT`, the default of bpy.ops), like Blender's own render operator.
"""

import math
import time
from collections.abc import Callable

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty
from lookbeyond_kit.client import MAX_CAMERAS
from lookbeyond_kit.geometry.cameras import CameraError

from . import heartbeat, jobs, packing, path_view, scene_jobs
from .cameras_from_blender import Reading, reads_apart, scene_frames
from .known_world import WorldError
from .path import add_path
from .photo import PhotoError, photo_image, place_photo, place_render
from .preferences import connection, preferences, service_reason
from .results import absolute, output_folder
from .session import Done, Task, Work, session
from .shot_output import show_before, show_own_colours
from .world_nodes import our_node, shows_world

READ_AT_ONCE = 120
"""Frames whose cameras are read while the window waits: it hardly notices."""
READ_S, READ_MOST_S = 0.012, 0.1
"""How long the window waits at a time while those of more frames are read: as long as it takes to be drawn."""
OF_THIS_PHOTO = {"SKIP_SAVE"}
"""Blender would offer the former photo's value for the next one."""
IMAGES = "*.jpg;*.jpeg;*.png;*.webp;*.tif;*.tiff;*.bmp"


class ReasonedPoll:
    """Every operator that cannot run says why: `reason` gives the sentence, or nothing."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = cls.reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


class AsksService(ReasonedPoll):
    """Runs steps in the session: on its own when invoked, waited for when executed."""

    needs_connection = True
    queues = False
    """Whether it may be asked for while something else runs, and then waits for its turn."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        if session.task is not None and not cls.queues:
            return f"{session.task.title} is still running: wait for it or cancel it"
        return service_reason() if cls.needs_connection else ""

    def prepare(self, context: bpy.types.Context) -> Work:
        """What is to be done. Raises ValueError with a sentence for the artist."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        started = self.begin(context)
        if started:
            heartbeat.start()
        return {"FINISHED"} if started else {"CANCELLED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.run()  # of what runs already, a script waits for the end
        if not self.begin(context):
            return {"CANCELLED"}
        session.run(Narrator() if bpy.app.background else None)
        if session.error:
            self.report({"ERROR"}, session.error)
            return {"CANCELLED"}
        self.report({"INFO"}, session.notice)
        return {"CANCELLED"} if session.error_code == "cancelled" else {"FINISHED"}

    def begin(self, context: bpy.types.Context) -> bool:
        try:
            session.enqueue(self.prepare(context))
        except ValueError as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return False
        return True


class Narrator:
    """Says on the console how a waited-for task goes: when its words change, and every few seconds."""

    def __init__(self) -> None:
        self.said, self.when = "", 0.0

    def __call__(self, task: Task) -> None:
        now = time.monotonic()
        if task.message != self.said or now - self.when > 5:
            self.said, self.when = task.message, now
            left = f", {task.eta_s:.0f} s left" if task.eta_s is not None else ""
            print(f"{task.title}: {task.fraction:4.0%} {task.message}{left}", flush=True)


# --- 1 photo ------------------------------------------------------------------------------------------------


class PlacePhoto(ReasonedPoll, bpy.types.Operator):
    """Make a camera that sees exactly this photo"""

    bl_idname = "lookbeyond.place_photo"
    bl_label = "Place Photo"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options=OF_THIS_PHOTO)
    filter_glob: StringProperty(default=IMAGES, options={"HIDDEN"})
    focal_mm: FloatProperty(
        name="Focal Length",
        description="In millimetres as on 35 mm film; 0: what the photo says, else what its lines say, else 65°",
        min=0.0,
        options=OF_THIS_PHOTO,
    )
    fov_x: FloatProperty(
        name="Field of View",
        description="Horizontal; 0: by the focal length",
        subtype="ANGLE",
        min=0.0,
        max=math.radians(170),
        options=OF_THIS_PHOTO,
    )
    pitch: FloatProperty(
        name="Pitch",
        description="Positive looks up; if it is not set, the service finds it in the photo's lines",
        subtype="ANGLE",
        min=math.radians(-90),
        max=math.radians(90),
        options=OF_THIS_PHOTO,
    )
    roll: FloatProperty(
        name="Roll",
        description="Positive: turned clockwise, seen from behind; if it is not set, the service finds it",
        subtype="ANGLE",
        options=OF_THIS_PHOTO,
    )
    height: FloatProperty(
        name="Height (m)",
        description="Metres from the floor, which is Z = 0",
        default=1.6,
        min=0.01,
        options=OF_THIS_PHOTO,
    )
    heading: FloatProperty(
        name="Heading",
        description="Where it looks, counter-clockwise from the X axis",
        subtype="ANGLE",
        options=OF_THIS_PHOTO,
    )

    def invoke(self, context, event):
        if self.filepath:  # dropped
            outcome = self.execute(context)
            if outcome == {"FINISHED"} and context.region_data is not None:
                context.scene.camera = context.scene.look_beyond.photo_camera
                context.region_data.view_perspective = "CAMERA"
            return outcome
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        if not self.filepath:
            self.report({"ERROR"}, "No photo was chosen: choose an image file.")
            return {"CANCELLED"}
        try:
            _, told = place_photo(
                context,
                absolute(self.filepath),
                focal_35mm=self.focal_mm,
                fov_x=self.fov_x,
                pitch=self.pitch if self.properties.is_property_set("pitch") else None,
                roll=self.roll if self.properties.is_property_set("roll") else None,
                height_m=self.height,
                heading=self.heading,
            )
        except (PhotoError, CameraError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        looks = session.service is not None and not bpy.app.background and not service_reason()
        known = context.scene.look_beyond.photo_camera.data.look_beyond
        if not looks and (known.pitch_assumed or known.roll_assumed):
            told += " Pitch and roll are assumed to be 0°: the service, when it runs, finds them in the photo's lines."
        session.clear()
        session.notice = told
        self.report({"INFO"}, told)
        if looks:
            session.enqueue(scene_jobs.look_at_photo(context.scene, told))
            heartbeat.start()
        return {"FINISHED"}


class PhotoDrop(bpy.types.FileHandler):
    """An image file dropped into a 3D viewport becomes the photo"""

    bl_idname = "LOOKBEYOND_FH_photo"
    bl_label = "Photo to Look Beyond"
    bl_import_operator = PlacePhoto.bl_idname
    bl_file_extensions = ".jpg;.jpeg;.png;.webp;.tif;.tiff"

    @classmethod
    def poll_drop(cls, context):
        return context.area is not None and context.area.type == "VIEW_3D" and context.mode == "OBJECT"


class UseRender(ReasonedPoll, bpy.types.Operator):
    """Take the scene camera's last render as the photo"""

    bl_idname = "lookbeyond.use_render"
    bl_label = "Use Render as Photo"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        if "Render Result" not in bpy.data.images:
            return "Render an image first"
        return "" if context.scene.camera else "The scene has no active camera"

    def execute(self, context):
        folder = output_folder(context.scene) / "photos"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            number = sum(1 for _ in folder.glob("render_*.png")) + 1
            place_render(context, folder / f"render_{number:03d}.png")
        except (PhotoError, CameraError, RuntimeError, OSError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class LookThroughPhoto(ReasonedPoll, bpy.types.Operator):
    """Make the photo's camera the scene's, and look through it"""

    bl_idname = "lookbeyond.look_through_photo"
    bl_label = "Look Through Photo's Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        return "" if context.scene.look_beyond.photo_camera else "Place a photo first"

    def execute(self, context):
        context.scene.camera = context.scene.look_beyond.photo_camera
        if context.region_data is not None:
            context.region_data.view_perspective = "CAMERA"
        return {"FINISHED"}


class UsePhotoResolution(ReasonedPoll, bpy.types.Operator):
    """Give the scene the photo's resolution, so that its render has the photo's frame"""

    bl_idname = "lookbeyond.use_photo_resolution"
    bl_label = "Use Photo's Resolution"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        return "" if context.scene.look_beyond.photo_camera else "Place a photo first"

    def execute(self, context):
        size = context.scene.look_beyond.photo_camera.data.look_beyond
        render = context.scene.render
        render.resolution_x, render.resolution_y = size.width, size.height
        render.pixel_aspect_x = render.pixel_aspect_y = 1.0
        return {"FINISHED"}


class PhotoPlane(ReasonedPoll, bpy.types.Operator):
    """Put the photo on an image that fills its camera's frame, as far away as you say"""

    bl_idname = "lookbeyond.photo_plane"
    bl_label = "Photo on a Plane"
    bl_options = {"REGISTER", "UNDO"}

    distance: FloatProperty(name="Distance (m)", description="Metres from the camera", default=3.0, min=0.01)

    @classmethod
    def reason(cls, context):
        return "" if context.scene.look_beyond.photo_camera else "Place a photo first"

    def execute(self, context):
        camera = context.scene.look_beyond.photo_camera
        size = camera.data.look_beyond.width, camera.data.look_beyond.height
        image = photo_image(camera)
        if image is None:
            self.report({"ERROR"}, f"The camera {camera.name} has lost its photo: place it again.")
            return {"CANCELLED"}
        show_before(context.scene, camera, image, size, self.distance)
        return {"FINISHED"}


class MatchPhotoColours(bpy.types.Operator):
    """Show the photo's colours as they are: Blender's default view changes them"""

    bl_idname = "lookbeyond.match_photo_colours"
    bl_label = "Match Photo Colours"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        view = context.scene.view_settings
        if said := show_own_colours(view):
            self.report({"WARNING"}, said)
        view.look = "None"
        view.exposure, view.gamma = 0.0, 1.0
        return {"FINISHED"}


class NeedsPhoto(AsksService):
    queues = True
    takes_panorama = False
    """Whether a 360° picture will do as well."""

    @classmethod
    def reason(cls, context):
        settings = context.scene.look_beyond
        if settings.photo_camera is None and not (cls.takes_panorama and settings.panorama_path):
            return "Place a photo first"
        return super().reason(context)


class BuildWorld(NeedsPhoto, bpy.types.Operator):
    """Make the panorama that the photo is a part of (or take the 360° picture), and the scene's world of it"""

    bl_idname = "lookbeyond.build_world"
    bl_label = "Build World"

    takes_panorama = True

    def prepare(self, context):
        return scene_jobs.build_world(context)


class UsePanorama(AsksService, bpy.types.Operator):
    """Make a world of a 360° picture that you have: only its distances are computed"""

    bl_idname = "lookbeyond.use_panorama"
    bl_label = "Use 360° Picture"

    filepath: StringProperty(subtype="FILE_PATH", options=OF_THIS_PHOTO)
    filter_glob: StringProperty(default=IMAGES, options={"HIDDEN"})
    height: FloatProperty(
        name="Height (m)",
        description="Metres from the floor to its camera",
        default=1.6,
        min=0.01,
        options=OF_THIS_PHOTO,
    )
    heading: FloatProperty(
        name="Heading",
        description="Where its centre looks, counter-clockwise from the X axis",
        subtype="ANGLE",
        options=OF_THIS_PHOTO,
    )

    def invoke(self, context, event):
        self.chosen_in_window = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        if getattr(self, "chosen_in_window", False):  # the file browser's button: nobody is to wait
            return AsksService.invoke(self, context, None)
        return super().execute(context)

    def prepare(self, context):
        return scene_jobs.use_panorama(context, absolute(self.filepath), self.height, self.heading)


class RerollWorld(NeedsPhoto, bpy.types.Operator):
    """Make another world of the same photo, with a seed that none has yet; the former ones stay"""

    bl_idname = "lookbeyond.reroll_world"
    bl_label = "Another World"

    def prepare(self, context):
        context.scene.look_beyond.seed = scene_jobs.another_seed(context.scene)
        return scene_jobs.build_world(context)


class UseWorld(ReasonedPoll, bpy.types.Operator):
    """Make this world the scene's again"""

    bl_idname = "lookbeyond.use_world"
    bl_label = "Use World"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Number", description="Among the scene's worlds, from 0", min=0)

    @classmethod
    def description(cls, context, properties):
        worlds = context.scene.look_beyond.worlds
        if properties.index >= len(worlds):
            return cls.__doc__
        world = worlds[properties.index]
        return f"{cls.__doc__}: {world.name}{f', told that it is {world.prompt}' if world.prompt else ''}"

    def execute(self, context):
        worlds = context.scene.look_beyond.worlds
        if self.index >= len(worlds):
            self.report({"ERROR"}, f"The scene has {len(worlds)} worlds: choose one of them.")
            return {"CANCELLED"}
        try:
            said = scene_jobs.use_world(context.scene, absolute(worlds[self.index].folder))
        except (ValueError, OSError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, said)
        path_view.view().touch()
        path_view.awaken()
        return {"FINISHED"}


class SeeWorld(ReasonedPoll, bpy.types.Operator):
    """Show the world in this viewport; pressed again: the viewport's solid mode"""

    bl_idname = "lookbeyond.see_world"
    bl_label = "See World"

    @classmethod
    def reason(cls, context):
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            return "This is for a 3D viewport: press it in the viewport's sidebar"
        return "" if our_node(context.scene.world) else "Build a world first"

    def execute(self, context):
        shading = context.space_data.shading
        shading.type = "SOLID" if shows_world(shading) else "MATERIAL"
        shading.use_scene_world = True
        return {"FINISHED"}


class ForgetWorld(ReasonedPoll, bpy.types.Operator):
    """Take this world off the list; its files stay"""

    bl_idname = "lookbeyond.forget_world"
    bl_label = "Forget World"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Number", description="Among the scene's worlds, from 0", min=0)

    def execute(self, context):
        context.scene.look_beyond.worlds.remove(self.index)
        return {"FINISHED"}


class NeedsWorld(AsksService):
    needs_connection = False

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.world_folder:
            return "Build a world first"
        return super().reason(context)


class AddStage(NeedsWorld, bpy.types.Operator):
    """Make a mesh of the world's distances, with the panorama on it: walk through it, place things on it"""

    bl_idname = "lookbeyond.add_stage"
    bl_label = "Add Stage"

    def prepare(self, context):
        return scene_jobs.build_stage(context)


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
        return scene_jobs.build_stage(context, preview=True)


# --- 2 path -------------------------------------------------------------------------------------------------


class AddPath(ReasonedPoll, bpy.types.Operator):
    """Add a curve to edit as you like, and a camera that runs along it"""

    bl_idname = "lookbeyond.add_path"
    bl_label = "Add Camera Path"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Move",
        items=(
            ("PUSH_IN", "Push In", "Straight ahead"),
            ("WALK", "Walk", "Forward on an arc"),
            ("ORBIT", "Orbit", "Around what stands ahead, looking at it"),
            ("LOOK_AROUND", "Look Around", "A whole turn on the spot, on a small circle"),
            ("WALK_TO", "Walk to 3D Cursor", "To the 3D cursor, at eye level"),
            ("CRANE", "Crane", "Up and a little ahead, looking at what stands there"),
        ),
        default="WALK",
    )
    length: FloatProperty(
        name="Length (m)",
        description="Metres; 0: as far as the world is known",
        default=0.0,
        min=0.0,
        soft_max=10.0,
    )
    turn: FloatProperty(
        name="Turn",
        description="How far the path turns, positive to the left",
        subtype="ANGLE",
        default=math.radians(65),
        min=math.radians(-360),
        max=math.radians(360),
    )
    look: EnumProperty(
        name="Look",
        items=(
            ("DEFAULT", "As the Move Does", "Along the path; orbits and cranes look at their target"),
            ("ALONG", "Along the Path", "The camera looks where the curve goes"),
            ("TARGET", "At a Target", "The camera looks at an empty that you can move"),
        ),
    )
    level: BoolProperty(
        name="Keep Level",
        description="Level horizon; otherwise the photo's own pitch and roll stay",
        default=True,
    )
    ease: BoolProperty(name="Ease", description="Set off and stop softly", default=False)
    frames: IntProperty(name="Frames", description="From the scene's first frame on; 0: its whole range", min=0)

    @classmethod
    def reason(cls, context):
        return "" if context.mode == "OBJECT" else "Go to Object Mode first"

    def execute(self, context):
        turn = self.turn
        if self.kind == "LOOK_AROUND" and not self.properties.is_property_set("turn"):
            turn = math.radians(360)
        try:
            world = path_view.known_world(context.scene)
        except WorldError as error:
            world = None
            self.report({"WARNING"}, str(error))
        try:
            add_path(
                context,
                kind=self.kind,
                length_m=self.length,
                turn=turn,
                look="" if self.look == "DEFAULT" else self.look,
                level=self.level,
                ease=self.ease,
                frames=self.frames,
                world=world,
            )
        except CameraError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        path_view.view().touch()
        path_view.awaken()
        return {"FINISHED"}


class CheckPath(ReasonedPoll, bpy.types.Operator):
    """Say how much of each view along the path is known, and where it goes too far"""

    bl_idname = "lookbeyond.check_path"
    bl_label = "Check Path"

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.world_folder:
            return "Build a world first: there is nothing to compare the path with"
        return "" if context.scene.camera else "The scene has no active camera: add a camera path"

    def execute(self, context):
        context.scene.look_beyond.show_path = True
        said = path_view.view().check_now(context.scene)
        self.report({"WARNING"} if said else {"INFO"}, " ".join(said) or "The whole path can be shot from this world.")
        path_view.redraw()
        return {"FINISHED"}


# --- 3 service ----------------------------------------------------------------------------------------------


def looking(scene: bpy.types.Scene) -> Callable[[Done], str]:
    """When the service is there: have it look at the photo that was placed before."""
    where = scene_jobs.SceneOf(scene)

    def finish(done: Done) -> str:
        scene = where.find()
        if scene is not None and scene_jobs.not_looked_at(scene):
            session.queue.append(scene_jobs.look_at_photo(scene))
        return ""

    return finish


class StartService(AsksService, bpy.types.Operator):
    """Start the program that runs the models, on this machine"""

    bl_idname = "lookbeyond.start_service"
    bl_label = "Start Service"
    needs_connection = False

    @classmethod
    def reason(cls, context):
        if preferences().address.strip():
            return "The preferences name a remote service, which is started on its own machine"
        return super().reason(context)

    def prepare(self, context):
        command = jobs.service_command(preferences().service_command)
        return Work(self.bl_label, jobs.start_service(command), looking(context.scene))


class StopService(AsksService, bpy.types.Operator):
    """End the service; what it has finished is kept"""

    bl_idname = "lookbeyond.stop_service"
    bl_label = "Stop Service"

    def prepare(self, context):
        return Work(self.bl_label, jobs.stop_service(connection()))


class CheckService(AsksService, bpy.types.Operator):
    """Ask the service who it is"""

    bl_idname = "lookbeyond.check_service"
    bl_label = "Test Connection"

    def prepare(self, context):
        return Work(self.bl_label, jobs.check_service(connection()), looking(context.scene))


class ReleaseMemory(AsksService, bpy.types.Operator):
    """Unload the models and give their memory back; they load again when they are needed"""

    bl_idname = "lookbeyond.release_memory"
    bl_label = "Free Memory"

    def prepare(self, context):
        return Work(self.bl_label, jobs.release_memory(connection()))


class CopyCommand(bpy.types.Operator):
    """Copy the command: paste it into a terminal on the service's machine"""

    bl_idname = "lookbeyond.copy_command"
    bl_label = "Copy Command"

    command: StringProperty(name="Command", default=jobs.INSTALL_COMMAND)

    def execute(self, context):
        context.window_manager.clipboard = self.command
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
        context.window_manager.clipboard = jobs.log_text(session.error or session.notice)
        return {"FINISHED"}


class Resume(AsksService, bpy.types.Operator):
    """Go on with what was begun when Blender was closed: what is finished is kept"""

    bl_idname = "lookbeyond.resume"
    bl_label = "Go On"
    queues = True

    folder: StringProperty(name="Folder", description="Of the world or shot; empty: the first one found")

    def prepare(self, context):
        found = [absolute(self.folder)] if self.folder else scene_jobs.unfinished()
        if not found:
            raise jobs.JobError("Nothing of this file was left unfinished.")
        work = scene_jobs.resume(context, found[0])
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
            said = scene_jobs.composite_shot(context.scene)
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
        return packing.pack(context)


# --- 4 shoot ------------------------------------------------------------------------------------------------


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
        return scene_jobs.shoot(context, reading.cameras if reading is not None else None)


CLASSES = (
    PlacePhoto,
    PhotoDrop,
    UseRender,
    LookThroughPhoto,
    UsePhotoResolution,
    PhotoPlane,
    MatchPhotoColours,
    BuildWorld,
    RerollWorld,
    UsePanorama,
    UseWorld,
    SeeWorld,
    ForgetWorld,
    AddStage,
    PreviewDraft,
    AddPath,
    CheckPath,
    StartService,
    StopService,
    CheckService,
    ReleaseMemory,
    CopyCommand,
    OpenFolder,
    CopyLog,
    Resume,
    Cancel,
    Unqueue,
    ClearMessage,
    CopyMessage,
    Shoot,
    SetUpComposite,
    PackForMoving,
)
