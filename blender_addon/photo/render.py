"""Takes a render as the photo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..cameras import camera_of, matrix_world_of, metres_per_unit
from .background import frame_method, photo_background
from .exif import Exif
from .image import load_photo
from .place import place_photo


def place_render(context: bpy.types.Context, path: Path) -> bpy.types.Object:
    """Save the last render to `path` and place it as a photo, with the lens and pose of the scene's camera."""
    scene = context.scene
    with renders_as_png(scene):
        bpy.data.images["Render Result"].save_render(str(path), scene=scene)
    source = scene.camera.evaluated_get(context.evaluated_depsgraph_get())
    size = load_photo(path, Exif()).size[:]
    seen = camera_of(source, *size, metres_per_unit(scene))
    placed, _ = place_photo(context, path, fov_x_rad=seen.fov_x, height_m=float(seen.position[2]))
    for name in ("sensor_fit", "sensor_width", "sensor_height", "lens", "shift_x", "shift_y"):
        setattr(placed.data, name, getattr(source.data, name))
    if placed.data.sensor_fit == "AUTO":  # AUTO fits the longer side of the render
        portrait = size[1] > size[0]
        placed.data.sensor_fit = "VERTICAL" if portrait else "HORIZONTAL"
        if portrait:
            placed.data.sensor_height = placed.data.sensor_width
    placed.matrix_world = matrix_world_of(seen, metres_per_unit(scene))
    photo = placed.data.look_beyond
    photo.fov_x_assumed = photo.pitch_assumed = photo.roll_assumed = False
    photo_background(placed.data).frame_method = frame_method(placed.data, scene)
    return placed


@contextmanager
def renders_as_png(scene: bpy.types.Scene) -> Iterator[None]:
    """Save renders as 8-bit PNG meanwhile, whatever the scene's output format is."""
    settings = scene.render.image_settings
    wanted = {
        "media_type": "IMAGE",  # Blender 5.0 on; first, because the formats depend on it
        "file_format": "PNG",
        "color_mode": "RGB",
        "color_depth": "8",
        "color_management": "FOLLOW_SCENE",
    }
    former = {name: getattr(settings, name) for name in wanted if hasattr(settings, name)}
    try:
        for name in former:
            setattr(settings, name, wanted[name])
        yield
    finally:
        for name, value in former.items():
            setattr(settings, name, value)
