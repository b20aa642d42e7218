"""The photo as the background image of its camera."""

import bpy
from bpy.app.handlers import persistent

from ..made import is_in, made_objects
from ..marks import is_local, mark_of
from ..results import absolute
from .image import is_photo_image, shows_file


def set_photo_background(
    data: bpy.types.Camera, image: bpy.types.Image, former: bpy.types.Image | None, scene: bpy.types.Scene
) -> None:
    """Show the photo as the camera's background, replacing the `former` image."""
    data.show_background_images = True
    background = photo_background(data) or data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = frame_method(data, scene)
    if former is None or former.users:
        return
    if mark_of(former, "upright_of") and not former.is_dirty:
        bpy.data.images.remove(former)
    elif not shows_file(former, absolute(data.look_beyond.photo_path)):
        former.use_fake_user = True  # the artist has painted on it, packed it or given it another file


def frame_method(data: bpy.types.Camera, scene: bpy.types.Scene) -> str:
    """The frame method that keeps the photo aligned with its camera at the scene's present aspect."""
    render, photo = scene.render, data.look_beyond
    frame_aspect = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    # The sensor fit ties the lens to one side of the frame; the photo must be tied to the same side.
    wider = frame_aspect > photo.width / photo.height
    return "CROP" if wider != (data.sensor_fit == "VERTICAL") else "FIT"


@persistent
def scene_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Forget a deleted photo camera, and adjust the frame methods: the render's aspect may have changed."""
    forget_deleted_camera(scene)
    if not any(isinstance(update.id, bpy.types.Scene) for update in depsgraph.updates):
        return
    for camera in made_objects(scene):
        if camera.type != "CAMERA" or not camera.data.look_beyond.photo_path or not is_local(camera.data):
            continue
        background = photo_background(camera.data)
        method = frame_method(camera.data, scene)
        if background is not None and background.frame_method != method:
            background.frame_method = method


def forget_deleted_camera(scene: bpy.types.Scene) -> None:
    """Let a scene whose photo camera was deleted have none: Blender keeps what a pointer refers to."""
    placed = scene.look_beyond.photo_camera
    if placed is not None and is_local(scene) and not is_in(scene, placed) and scene not in placed.users_scene:
        scene.look_beyond.photo_camera = None


def photo_background(data: bpy.types.Camera) -> bpy.types.CameraBackgroundImage | None:
    """The camera background that shows the add-on's image of the photo."""
    shown = (one for one in data.background_images if one.image is not None)
    return next((one for one in shown if is_photo_image(one.image)), None)


def photo_image(placed: bpy.types.Object) -> bpy.types.Image | None:
    """The image of the camera background that shows the photo."""
    background = photo_background(placed.data)
    return None if background is None else background.image


HANDLERS = {"depsgraph_update_post": scene_changed}
