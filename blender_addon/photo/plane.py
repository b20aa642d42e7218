"""Images at a camera: on a plane that fills its frame, or on a card that it does not see."""

import bpy

from ..cameras import camera_of, metres_per_unit
from ..made import made_objects, remember_made
from ..marks import find_marked, set_marks

CARD_M, CARD_BEHIND_M = 0.5, 0.01
"""Longer side of a card, and how far behind its camera it stands."""


def show_on_plane(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    image: bpy.types.Image,
    size: tuple[int, int],
    distance_m: float = 1.0,
) -> bpy.types.Object:
    """Show the image on an empty that fills the frame, `size` (width, height) pixels, at a distance from the camera."""
    plane = image_at(scene, camera, image, "Plane")
    unit_m = metres_per_unit(scene)
    photo = camera.data.look_beyond.photo_path
    aspect = (1.0, 1.0) if photo else (scene.render.pixel_aspect_x, scene.render.pixel_aspect_y)
    seen = camera_of(camera, *size, unit_m, aspect)
    (fx, _, cx), (_, fy, cy), _ = seen.intrinsics
    distance = distance_m / unit_m
    # The display size is the empty's longer side; its scale makes up for pixels that are not square.
    width, height = size[0] / fx * distance, size[1] / fy * distance
    plane.empty_display_size = max(width, width * size[1] / size[0])
    plane.scale = (1, height / (width * size[1] / size[0]), 1)
    plane.location = ((size[0] / 2 - cx) / fx * distance, -(size[1] / 2 - cy) / fy * distance, -distance)
    return plane


def show_on_card(scene: bpy.types.Scene, camera: bpy.types.Object, image: bpy.types.Image) -> bpy.types.Object:
    """Show the image on a card at the camera: behind it, where it does not see it."""
    card = image_at(scene, camera, image, "Card")
    unit_m = metres_per_unit(scene)
    aspect = scene.render.pixel_aspect_y / scene.render.pixel_aspect_x
    # The display size is the empty's longer side; its scale makes up for pixels that are not square.
    card.empty_display_size = CARD_M / unit_m
    card.scale = (1, aspect, 1)
    card.location = (0.0, 0.0, CARD_BEHIND_M / unit_m)
    card.hide_select = True  # one means the camera
    return card


def image_at(scene: bpy.types.Scene, camera: bpy.types.Object, image: bpy.types.Image, kind: str) -> bpy.types.Object:
    """The empty of this kind that the camera carries, showing the image; made if there is none."""
    children = [thing for thing in made_objects(scene) if thing.parent == camera]
    empty = find_marked(children, maker=kind.lower())
    if empty is None:
        empty = bpy.data.objects.new(f"{camera.name} {kind}", None)
        scene.collection.objects.link(empty)
        empty.parent = camera
        set_marks(empty, {"maker": kind.lower()})
        remember_made(scene, empty)
    empty.empty_display_type = "IMAGE"
    empty.data = image
    empty.hide_render = True
    return empty
