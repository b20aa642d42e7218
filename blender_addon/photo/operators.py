"""The buttons of the photo."""

import math

import bpy
from bpy.props import FloatProperty, StringProperty

from .. import heartbeat
from ..kit import CameraError
from ..operator_bases import IMAGES, OF_THIS_PHOTO, ReasonedPoll
from ..results import absolute, output_folder
from ..service import preferences
from ..session import session
from ..viewports import show_own_colours
from . import faces
from .background import photo_image
from .image import PhotoError
from .place import place_photo
from .plane import show_before
from .render import place_render


class PlacePhoto(ReasonedPoll, bpy.types.Operator):
    """Make a camera that sees exactly this photo"""

    bl_idname = "lookbeyond.place_photo"
    bl_label = "Place Photo"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options=OF_THIS_PHOTO)
    filter_glob: StringProperty(default=IMAGES, options={"HIDDEN"})
    focal_mm: FloatProperty(
        name="Focal Length",
        description="In millimetres as on 35 mm film; 0: what the photo says, else a field of view of 65°",
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
        description="Positive looks up",
        subtype="ANGLE",
        min=math.radians(-90),
        max=math.radians(90),
        options=OF_THIS_PHOTO,
    )
    roll: FloatProperty(
        name="Roll",
        description="Positive: the camera was turned clockwise, seen from behind it",
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
                pitch=self.pitch,
                roll=self.roll,
                height_m=self.height,
                heading=self.heading,
            )
        except (PhotoError, CameraError) as error:
            session.refuse(str(error))
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.clear()
        session.notice = told
        self.report({"INFO"}, told)
        if session.service is not None and not bpy.app.background and not preferences.service_reason():
            session.enqueue(faces.look_at_photo(context.scene, told))
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


CLASSES = (PlacePhoto, PhotoDrop, UseRender, LookThroughPhoto, UsePhotoResolution, PhotoPlane, MatchPhotoColours)
