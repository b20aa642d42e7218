"""Takes a render as the photo."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

from ..cameras import matrix_world_of, metres_per_unit
from ..kit import Camera, PhotoTags
from .background import frame_method, photo_background
from .image import PhotoError, load_photo
from .place import place_photo
from .rendered import Rendered, last_render, region_px, rendered_camera

SRGB_DEVICES = ("sRGB", "sRGB - Display", "sRGB Display", "sRGB display")
"""Names of the sRGB display in colour configurations."""


def place_render(context: bpy.types.Context, path: Path) -> bpy.types.Object:
    """Save the last render to `path` and place it as a photo, with the lens and pose of the camera that rendered it.

    Raises `PhotoError`, `CameraError`.
    """
    scene = context.scene
    rendered = last_render()
    if rendered is None:
        raise PhotoError("The camera that made this render is unknown: render the image again.")
    if rendered.region is not None and not rendered.is_cropped:
        raise PhotoError(
            "Only a region of the frame was rendered: switch on Crop to Render Region, or render the whole frame."
        )
    whole = rendered_camera(context, rendered)
    with renders_as_png(scene):
        bpy.data.images["Render Result"].save_render(str(path), scene=scene)
    try:
        seen = square_pixels(path, cropped(whole, rendered, path), rendered.pixel_aspect)
    except PhotoError:
        path.unlink()
        raise
    placed, _ = place_photo(context, path, fov_x_rad=seen.fov_x, height_m=float(seen.position[2]))
    set_lens(placed.data, seen, rendered)
    placed.matrix_world = matrix_world_of(seen, metres_per_unit(scene))
    photo = placed.data.look_beyond
    photo.fov_x_assumed = photo.pitch_assumed = photo.roll_assumed = False
    photo_background(placed.data).frame_method = frame_method(placed.data, scene)
    return placed


def cropped(whole: Camera, rendered: Rendered, path: Path) -> Camera:
    """The camera of the region that was rendered. Raises `PhotoError` if the file does not show that region."""
    left, top, width, height = region_px(rendered)
    image = load_photo(path, PhotoTags())
    size = tuple(image.size)
    if not image.users:
        bpy.data.images.remove(image)
    if size != (width, height):
        raise PhotoError(
            f"The render is {size[0]} x {size[1]} pixels, and {width} x {height} were rendered last: render again."
        )
    intrinsics = whole.intrinsics.copy()
    intrinsics[0, 2] -= left
    intrinsics[1, 2] -= top
    return Camera(width, height, intrinsics, whole.camera_to_world)


def square_pixels(path: Path, camera: Camera, pixel_aspect: tuple[float, float]) -> Camera:
    """The camera of the file once its pixels are square: it is enlarged along their longer side."""
    across, down = (side / min(pixel_aspect) for side in pixel_aspect)
    width, height = round(camera.width * across), round(camera.height * down)
    if (width, height) == (camera.width, camera.height):
        return camera
    image = bpy.data.images.load(str(path), check_existing=False)
    try:
        image.scale(width, height)
        image.save()
    finally:
        bpy.data.images.remove(image)
    scale = np.diag([width / camera.width, height / camera.height, 1.0])
    return Camera(width, height, scale @ camera.intrinsics, camera.camera_to_world)


def set_lens(data: bpy.types.Camera, seen: Camera, rendered: Rendered) -> None:
    """Give the photo's camera the intrinsics of `seen`, and the focal length of the camera that rendered it."""
    fit, lens_mm = "AUTO", data.lens
    if rendered.state is not None:
        fit, lens_mm = rendered.state.sensor[2], rendered.state.lens_mm
    (focal, _, centre_x), (_, _, centre_y), _ = seen.intrinsics
    vertical = fit == "VERTICAL" or (fit == "AUTO" and seen.height > seen.width)
    side = seen.height if vertical else seen.width
    data.sensor_fit = "VERTICAL" if vertical else "HORIZONTAL"
    data.lens = lens_mm
    setattr(data, "sensor_height" if vertical else "sensor_width", lens_mm * side / focal)
    data.shift_x, data.shift_y = (seen.width / 2 - centre_x) / side, (centre_y - seen.height / 2) / side


@contextmanager
def renders_as_png(scene: bpy.types.Scene) -> Iterator[None]:
    """Save renders as 8-bit PNG in sRGB meanwhile, whatever the scene's output format and display are.

    Raises `PhotoError` if the colour configuration has no sRGB display.
    """
    settings = scene.render.image_settings
    is_srgb = scene.display_settings.display_device in SRGB_DEVICES
    wanted = {
        "media_type": "IMAGE",  # Blender 5.0 on; first, because the formats depend on it
        "file_format": "PNG",
        "color_mode": "RGB",
        "color_depth": "8",
        # Overriding loses the scene's curves, so it is done only where the scene's display is another.
        "color_management": "FOLLOW_SCENE" if is_srgb else "OVERRIDE",
    }
    former = {name: getattr(settings, name) for name in wanted if hasattr(settings, name)}
    device, view = settings.display_settings, settings.view_settings
    former_device, former_view = device.display_device, view_values(view)
    try:
        for name in former:
            setattr(settings, name, wanted[name])
        if not is_srgb:
            set_srgb(device)
            for name, value in view_values(scene.view_settings).items():
                # A view of another display, such as an HDR one, may not exist for sRGB.
                with contextlib.suppress(TypeError):
                    setattr(view, name, value)
        yield
    finally:
        with contextlib.suppress(TypeError):
            device.display_device = former_device
        for name, value in former_view.items():
            with contextlib.suppress(TypeError):
                setattr(view, name, value)
        for name, value in former.items():
            setattr(settings, name, value)


def view_values(view: bpy.types.ColorManagedViewSettings) -> dict[str, object]:
    """The settings of a view, without its curves."""
    names = ("view_transform", "look", "exposure", "gamma", "use_white_balance", "white_balance_temperature")
    return {name: getattr(view, name) for name in (*names, "white_balance_tint") if hasattr(view, name)}


def set_srgb(device: bpy.types.ColorManagedDisplaySettings) -> None:
    """Choose the sRGB display. Raises `PhotoError` if there is none."""
    for name in SRGB_DEVICES:
        with contextlib.suppress(TypeError):
            device.display_device = name
            return
    raise PhotoError("The colour configuration has no sRGB display: save the render as sRGB, and place it as a photo.")
