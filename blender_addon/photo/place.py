"""A photo becomes a camera that sees exactly it."""

import math
from pathlib import Path

import bpy

from ..cameras import matrix_world_of, metres_per_unit
from ..kit import placed_camera
from ..results import absolute, as_stored
from ..viewports import select_only
from .background import photo_image, show_behind
from .exif import FOV_X_ASSUMED, Exif, fov_x_of_focal, read_exif
from .image import PhotoError, load_photo, photo_warnings

DISPLAY_M = 0.25
"""How large our cameras are drawn: Blender's metre fills a room."""


def place_photo(
    context: bpy.types.Context,
    path: Path,
    *,
    focal_35mm: float = 0.0,
    fov_x: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    height_m: float = 1.6,
    heading: float = 0.0,
) -> tuple[bpy.types.Object, str]:
    """Make (or, for a photo that is placed already, update) the camera of a photo, and say what was assumed.

    Angles are radians: `fov_x` horizontal, else `focal_35mm` in millimetres, else EXIF, else 65 degrees;
    `heading` counts counter-clockwise from +X; `pitch` > 0 looks up; `roll` > 0 turns the camera clockwise
    seen from behind. The floor is z = 0. Nothing else in the scene changes, but an absent scene camera
    becomes this one. Raises `PhotoError`.
    """
    try:
        exif = read_exif(path)
    except OSError as error:
        raise PhotoError(f"The photo {path} cannot be opened ({error.strerror}): choose an image file.") from None
    scene = context.scene
    placed = placed_already(scene, path)
    former = None if placed is None else photo_image(placed)
    image = load_photo(path, exif)
    width, height = image.size
    fov_x, told = field_of_view(fov_x, focal_35mm, exif, width, height)
    unit_m = metres_per_unit(scene)
    camera = placed_camera(
        width, height, fov_x, heading_rad=heading, pitch_rad=pitch, roll_rad=roll, position=(0, 0, height_m)
    )

    if placed is None:
        data = bpy.data.cameras.new(f"Photo {path.stem}")
        data.display_size = DISPLAY_M / unit_m
        placed = bpy.data.objects.new(data.name, data)
        context.collection.objects.link(placed)
    data = placed.data
    data.type = "PERSP"
    data.sensor_fit = "HORIZONTAL"
    data.shift_x = data.shift_y = 0.0
    data.lens = data.sensor_width / 2 / math.tan(fov_x / 2)
    data.clip_start = min(data.clip_start, 0.05 / unit_m)
    data.look_beyond.photo_path = as_stored(path)
    data.look_beyond.width, data.look_beyond.height = width, height
    data.look_beyond.people, data.look_beyond.looked_at = "", False
    data.look_beyond.warnings = "\n".join(photo_warnings(image, focal_35mm or exif.focal_35mm))
    data.show_passepartout, data.passepartout_alpha = True, max(data.passepartout_alpha, 0.7)
    placed.matrix_world = matrix_world_of(camera, unit_m)
    show_behind(data, image, former, scene)

    scene.look_beyond.photo_camera = placed
    scene.look_beyond.panorama_path = ""
    if scene.camera is None:
        scene.camera = placed
    select_only(context, placed)
    return placed, told


def field_of_view(fov_x: float, focal_35mm: float, exif: Exif, width: int, height: int) -> tuple[float, str]:
    """Radians, and in words where it is from."""
    if fov_x > 0:
        return fov_x, f"Field of view {math.degrees(fov_x):.1f}°, as given."
    for focal, source in ((focal_35mm, "as given"), (exif.focal_35mm, "from the photo's EXIF")):
        if focal > 0:
            fov_x = fov_x_of_focal(focal, width, height)
            return fov_x, f"Field of view {math.degrees(fov_x):.1f}° ({focal:g} mm, {source})."
    return FOV_X_ASSUMED, (
        "The photo does not say its focal length: 65° is assumed. Correct it if floor and walls look bent."
    )


def placed_already(scene: bpy.types.Scene, path: Path) -> bpy.types.Object | None:
    """The scene's camera of this very photo."""
    for thing in scene.objects:
        if thing.type == "CAMERA" and thing.data.look_beyond.photo_path:
            if absolute(thing.data.look_beyond.photo_path) == path.resolve():
                return thing
    return None
