"""A render of the scene's camera as a photo."""

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
    """The last render of the scene's camera as a photo: saved to `path`, placed where the camera stands."""
    scene = context.scene
    with renders_as_png(scene):
        bpy.data.images["Render Result"].save_render(str(path), scene=scene)
    source = scene.camera.evaluated_get(context.evaluated_depsgraph_get())
    size = load_photo(path, Exif()).size[:]
    seen = camera_of(source, *size, metres_per_unit(scene))
    placed, _ = place_photo(context, path, fov_x=seen.fov_x, height_m=float(seen.position[2]))
    for name in ("sensor_fit", "sensor_width", "sensor_height", "lens", "shift_x", "shift_y"):
        setattr(placed.data, name, getattr(source.data, name))
    if placed.data.sensor_fit == "AUTO":  # tied to the side that is the longer one of the render that was made
        portrait = size[1] > size[0]
        placed.data.sensor_fit = "VERTICAL" if portrait else "HORIZONTAL"
        if portrait:
            placed.data.sensor_height = placed.data.sensor_width
    placed.matrix_world = matrix_world_of(seen, metres_per_unit(scene))
    photo_background(placed.data).frame_method = frame_method(placed.data, scene)
    return placed


@contextmanager
def renders_as_png(scene: bpy.types.Scene) -> Iterator[None]:
    """Have renders be saved as pictures that can be read as photos, whatever the scene's own output is."""
    settings = scene.render.image_settings
    wanted = {
        "media_type": "IMAGE",  # from Blender 5.0 on, and first: it decides which formats there are
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
