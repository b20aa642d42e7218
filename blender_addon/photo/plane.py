"""An image on a plane that fills the frame of a camera."""

import bpy

from ..cameras import camera_of, metres_per_unit
from ..made import made_objects, remember_made
from ..marks import find_marked, set_marks


def show_on_plane(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    image: bpy.types.Image,
    size: tuple[int, int],
    distance_m: float = 1.0,
) -> bpy.types.Object:
    """Show the image on an empty that fills the frame, `size` (width, height) pixels, at a distance from the camera."""
    children = [thing for thing in made_objects(scene) if thing.parent == camera]
    plane = find_marked(children, maker="plane")
    if plane is None:
        plane = bpy.data.objects.new(f"{camera.name} Plane", None)
        scene.collection.objects.link(plane)
        plane.parent = camera
        set_marks(plane, {"maker": "plane"})
        remember_made(scene, plane)
    unit_m = metres_per_unit(scene)
    photo = camera.data.look_beyond.photo_path
    aspect = (1.0, 1.0) if photo else (scene.render.pixel_aspect_x, scene.render.pixel_aspect_y)
    seen = camera_of(camera, *size, unit_m, aspect)
    (fx, _, cx), (_, fy, cy), _ = seen.intrinsics
    distance = distance_m / unit_m
    plane.empty_display_type = "IMAGE"
    plane.data = image
    # The display size is the empty's longer side; its scale makes up for pixels that are not square.
    width, height = size[0] / fx * distance, size[1] / fy * distance
    plane.empty_display_size = max(width, width * size[1] / size[0])
    plane.scale = (1, height / (width * size[1] / size[0]), 1)
    plane.location = ((size[0] / 2 - cx) / fx * distance, -(size[1] / 2 - cy) / fy * distance, -distance)
    plane.hide_render = True
    return plane
