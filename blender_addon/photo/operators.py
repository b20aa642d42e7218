"""Operators of the step Photo."""

import itertools
import math

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty

from .. import heartbeat
from ..kit import CameraError
from ..operator_bases import IMAGE_GLOB, NOT_REMEMBERED, OnPhoto, PollWithReason, ServiceOperator, refuse
from ..results import absolute, output_folder
from ..service import preferences
from ..session import session
from ..tasks import JobError
from ..viewports import look_through, use_standard_view
from .analysis import analyse_photo, forget_angles
from .background import photo_image
from .beside import align_photo, cameras_beside, place_beside, separate
from .camera import linked_reason
from .image import PhotoError
from .place import assumed_angles, place_photo, replaceable_camera
from .plane import show_on_plane
from .render import place_render


class PlacePhoto(PollWithReason, bpy.types.Operator):
    """Create the camera that took this photo"""

    bl_idname = "lookbeyond.place_photo"
    bl_label = "Place Photo"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options=NOT_REMEMBERED)
    filter_glob: StringProperty(default=IMAGE_GLOB, options={"HIDDEN"})
    focal_mm: FloatProperty(
        name="Focal Length",
        description="35 mm equivalent in millimetres; 0: from the photo's EXIF, else from its lines, else 65°",
        min=0.0,
        options=NOT_REMEMBERED,
    )
    fov_x: FloatProperty(
        name="Field of View",
        description="Horizontal field of view; 0: by the focal length",
        subtype="ANGLE",
        min=0.0,
        max=math.radians(170),
        options=NOT_REMEMBERED,
    )
    pitch: FloatProperty(
        name="Pitch",
        description="Tilt of the camera; positive: up. Unless set, the service finds it in the photo's lines",
        subtype="ANGLE",
        min=math.radians(-90),
        max=math.radians(90),
        options=NOT_REMEMBERED,
    )
    roll: FloatProperty(
        name="Roll",
        description="Rotation about the camera's axis; positive: clockwise. Unless set, the service finds it",
        subtype="ANGLE",
        options=NOT_REMEMBERED,
    )
    height: FloatProperty(
        name="Height (m)",
        description="Height of the camera above the floor (Z = 0), in metres",
        default=1.6,
        min=0.01,
        options=NOT_REMEMBERED,
    )
    heading: FloatProperty(
        name="Heading",
        description="Direction of the camera, counter-clockwise from the X axis",
        subtype="ANGLE",
        options=NOT_REMEMBERED,
    )
    role: EnumProperty(
        name="Second Photo",
        description="How this photo relates to the one that the scene has",
        items=(
            ("ASK", "Ask", "Ask in the window; a script's photo is a second place"),
            ("BESIDE", "Part of This Place", "Taken from the same standpoint: all its photos make one world"),
            ("SECOND", "A Second Place", "A camera and worlds of its own; the former photo stays"),
            ("REPLACE", "A Replacement", "The former photo's camera becomes this one's; worlds of that photo stay"),
        ),
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def invoke(self, context, event):
        self.in_window = True
        if self.filepath:  # dropped into the viewport
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def ask(self, context, former):
        """Let the artist say what a second photo is: the choice calls this operator again."""
        filepath = self.filepath

        def draw(menu, context):
            menu.layout.operator_context = "INVOKE_DEFAULT"
            for role, text, icon in (
                ("SECOND", "A Second Place", "ADD"),
                ("BESIDE", "Part of This Place", "MOD_ARRAY"),
                ("REPLACE", "A Replacement", "FILE_REFRESH"),
            ):
                button = menu.layout.operator(self.bl_idname, text=text, icon=icon)
                button.filepath, button.role = filepath, role

        context.window_manager.popup_menu(draw, title=f"There is {former.name} already. This Photo Is")
        return {"FINISHED"}

    def execute(self, context):
        if not self.filepath:
            self.report({"ERROR"}, "No photo was chosen: choose an image file.")
            return {"CANCELLED"}
        in_window = getattr(self, "in_window", False)
        former = replaceable_camera(context.scene, absolute(self.filepath))
        if in_window and self.role == "ASK" and former is not None:
            return self.ask(context, former)
        if self.role == "BESIDE":
            return self.place_beside(context, former)
        replaces = former if self.role == "REPLACE" else None
        height, heading = self.height, self.heading
        if replaces is not None:  # the same place again: its scale and direction stay, unless they are given
            seen = context.scene.look_beyond
            height = height if self.properties.is_property_set("height") else seen.camera_height
            heading = heading if self.properties.is_property_set("heading") else seen.heading
        try:
            placed, message = place_photo(
                context,
                absolute(self.filepath),
                focal_35mm=self.focal_mm,
                fov_x_rad=self.fov_x,
                pitch_rad=self.pitch if self.properties.is_property_set("pitch") else None,
                roll_rad=self.roll if self.properties.is_property_set("roll") else None,
                height_m=height,
                heading_rad=heading,
                replaces=replaces,
            )
        except (PhotoError, CameraError) as error:
            return refuse(self, error)
        usable = session.service is not None or preferences.starts_itself()
        if in_window:  # a script's scene keeps its camera
            look_through(context, placed)
            if not context.scene.look_beyond.is_property_set("quality"):
                context.scene.look_beyond.quality = "DRAFT"  # the first shot is to be seen soon
        connected = usable and not bpy.app.background and not preferences.unavailable_reason()
        photo = placed.data.look_beyond
        if not connected and (assumed := assumed_angles(photo)):
            message += f" {assumed} assumed to be 0°. The service, when it runs, looks for that in the photo."
        session.clear()
        session.notice = message
        self.report({"INFO"}, message)
        if connected:
            session.enqueue(preferences.with_service(analyse_photo(context.scene, message)))
            heartbeat.start()
        return {"FINISHED"}

    def place_beside(self, context, first):
        """Add a further photo to the scene's place, and have it aligned."""
        first = first or context.scene.look_beyond.photo_camera
        path = absolute(self.filepath)
        if first is None or absolute(context.scene.look_beyond.photo_path) == path:
            return refuse(self, PhotoError(f"{path.name} is not a further photo of this place: choose another."))
        if reason := linked_reason(context.scene):
            return refuse(self, PhotoError(f"{reason}."))
        try:
            placed = place_beside(context, path, first, focal_35mm=self.focal_mm, fov_x_rad=self.fov_x)
            task = align_photo(context.scene, placed)
        except (PhotoError, CameraError, JobError) as error:
            return refuse(self, error)
        session.clear()
        usable = session.service is not None or preferences.starts_itself()
        if usable and not bpy.app.background and not preferences.unavailable_reason():
            session.notice = f"{path.name} belongs to this place. It is being aligned."
            session.enqueue(preferences.with_service(task))
            heartbeat.start()
        else:
            session.notice = f"{path.name} belongs to this place. Align it when the service runs, or turn its camera."
        self.report({"INFO"}, session.notice)
        return {"FINISHED"}


class PhotoDrop(bpy.types.FileHandler):
    """Place an image file that is dropped into a 3D viewport"""

    bl_idname = "LOOKBEYOND_FH_photo"
    bl_label = "Photo to Look Beyond"
    bl_import_operator = PlacePhoto.bl_idname
    bl_file_extensions = ".jpg;.jpeg;.png;.webp;.tif;.tiff"

    @classmethod
    def poll_drop(cls, context):
        return context.area is not None and context.area.type == "VIEW_3D" and context.mode == "OBJECT"


class UseRender(PollWithReason, bpy.types.Operator):
    """Use the last render of the scene's camera as the photo"""

    bl_idname = "lookbeyond.use_render"
    bl_label = "Use Render as Photo"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        if "Render Result" not in bpy.data.images:
            return "Render an image first"
        return "" if context.scene.camera else "The scene has no active camera: set one"

    def execute(self, context):
        folder = output_folder(context.scene) / "photos"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = (folder / f"render_{number:03d}.png" for number in itertools.count(1))
            place_render(context, next(file for file in files if not file.exists()))
        except (PhotoError, CameraError, RuntimeError, OSError) as error:
            return refuse(self, error)
        return {"FINISHED"}


class LookThroughPhoto(OnPhoto, bpy.types.Operator):
    """Make the photo's camera the scene's camera and look through it"""

    bl_idname = "lookbeyond.look_through_photo"
    bl_label = "Look Through Photo's Camera"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        context.scene.camera = context.scene.look_beyond.photo_camera
        look_through(context, context.scene.camera)
        return {"FINISHED"}


def camera_beside(context: bpy.types.Context, name: str) -> bpy.types.Object | None:
    """A further photo's camera in the scene's place; None if it was renamed or deleted meanwhile."""
    beside = cameras_beside(context.scene, context.scene.look_beyond.photo_camera)
    return next((camera for camera in beside if camera.name == name), None)


class AlignPhoto(ServiceOperator, bpy.types.Operator):
    """Turn this photo's camera to match the other photos of the place"""

    bl_idname = "lookbeyond.align_photo"
    bl_label = "Align Photo"
    bl_options = {"REGISTER"}

    camera: StringProperty(name="Camera", options={"SKIP_SAVE", "HIDDEN"})

    def prepare(self, context):
        placed = camera_beside(context, self.camera)
        if placed is None:
            raise JobError(f"There is no photo with the camera {self.camera} in this place: choose another one.")
        return align_photo(context.scene, placed)


class SeparatePhoto(PollWithReason, bpy.types.Operator):
    """Separate this photo from its place; its camera stays where it is"""

    bl_idname = "lookbeyond.separate_photo"
    bl_label = "Separate Photo"
    bl_options = {"REGISTER", "UNDO"}

    camera: StringProperty(name="Camera", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context):
        placed = camera_beside(context, self.camera)
        if placed is None:
            return {"CANCELLED"}
        separate(placed)
        return {"FINISHED"}


class UndoAngles(PollWithReason, bpy.types.Operator):
    """Go back to the angles that are assumed for a photo without straight lines"""

    bl_idname = "lookbeyond.undo_angles"
    bl_label = "Undo Found Angles"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def reason(cls, context):
        camera = context.scene.look_beyond.photo_camera
        if camera is None or not camera.data.look_beyond.found_angles:
            return "No angle was found in the photo's lines"
        return linked_reason(context.scene)

    def execute(self, context):
        forget_angles(context.scene)
        return {"FINISHED"}


class UsePhotoResolution(OnPhoto, bpy.types.Operator):
    """Set the scene's resolution to that of the photo"""

    bl_idname = "lookbeyond.use_photo_resolution"
    bl_label = "Use Photo's Resolution"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        size = context.scene.look_beyond.photo_camera.data.look_beyond
        render = context.scene.render
        render.resolution_x, render.resolution_y = size.width, size.height
        render.pixel_aspect_x = render.pixel_aspect_y = 1.0
        return {"FINISHED"}


class PhotoPlane(OnPhoto, bpy.types.Operator):
    """Show the photo on a plane that fills its camera's frame"""

    bl_idname = "lookbeyond.photo_plane"
    bl_label = "Photo on a Plane"
    bl_options = {"REGISTER", "UNDO"}

    distance: FloatProperty(
        name="Distance (m)", description="Distance from the camera, in metres", default=3.0, min=0.01
    )

    def execute(self, context):
        camera = context.scene.look_beyond.photo_camera
        size = camera.data.look_beyond.width, camera.data.look_beyond.height
        image = photo_image(camera)
        if image is None:
            self.report({"ERROR"}, f"The camera {camera.name} has lost its photo: place the photo again.")
            return {"CANCELLED"}
        show_on_plane(context.scene, camera, image, size, self.distance)
        return {"FINISHED"}


class MatchPhotoColours(PollWithReason, bpy.types.Operator):
    """Show the photo in its own colours, which Blender's default view transform changes"""

    bl_idname = "lookbeyond.match_photo_colours"
    bl_label = "Match Photo Colours"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        view = context.scene.view_settings
        if message := use_standard_view(view):
            self.report({"WARNING"}, message)
        view.look = "None"
        view.exposure, view.gamma = 0.0, 1.0
        return {"FINISHED"}


CLASSES = (
    PlacePhoto,
    PhotoDrop,
    AlignPhoto,
    SeparatePhoto,
    UseRender,
    LookThroughPhoto,
    UndoAngles,
    UsePhotoResolution,
    PhotoPlane,
    MatchPhotoColours,
)
