"""The photo as the background image of its camera."""

import bpy
from bpy.app.handlers import persistent

from .. import handlers
from ..marks import mark_of
from .image import MAKER


def set_photo_background(
    data: bpy.types.Camera, image: bpy.types.Image, former: bpy.types.Image | None, scene: bpy.types.Scene
) -> None:
    """Show the photo as the camera's background, replacing the `former` image."""
    data.show_background_images = True
    background = photo_background(data) or data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = frame_method(data, scene)
    if former is not None and not former.users and mark_of(former, "upright_of"):
        bpy.data.images.remove(former)


def frame_method(data: bpy.types.Camera, scene: bpy.types.Scene) -> str:
    """The frame method that keeps the photo aligned with its camera at the scene's present aspect."""
    render, photo = scene.render, data.look_beyond
    frame_aspect = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    # The sensor fit ties the lens to one side of the frame; the photo must be tied to the same side.
    wider = frame_aspect > photo.width / photo.height
    return "CROP" if wider != (data.sensor_fit == "VERTICAL") else "FIT"


@persistent
def scene_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Adjust the frame methods: the render's aspect may have changed."""
    if not any(isinstance(update.id, bpy.types.Scene) for update in depsgraph.updates):
        return
    for data in bpy.data.cameras:
        if not data.look_beyond.photo_path:
            continue
        method = frame_method(data, scene)
        others = [one for one in data.background_images if one.frame_method != method]
        if others and photo_background(data) in others and any(thing.data == data for thing in scene.objects):
            photo_background(data).frame_method = method


def photo_background(data: bpy.types.Camera) -> bpy.types.CameraBackgroundImage | None:
    """The camera background that shows the add-on's image of the photo."""
    shown = (one for one in data.background_images if one.image is not None)
    return next((one for one in shown if mark_of(one.image, "maker") == MAKER), None)


def photo_image(placed: bpy.types.Object) -> bpy.types.Image | None:
    """The image of the camera background that shows the photo."""
    background = photo_background(placed.data)
    return None if background is None else background.image


HANDLERS = {"depsgraph_update_post": scene_changed}


def register() -> None:
    handlers.add(HANDLERS)


def unregister() -> None:
    handlers.remove(HANDLERS)
