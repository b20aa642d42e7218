"""Places a photo: makes the camera that took it."""

import math
from pathlib import Path

import bpy

from ..cameras import matrix_world_of, metres_per_unit
from ..kit import PhotoTags, fov_x_assumed, fov_x_of_focal, placed_camera, read_tags, why_no_photo
from ..made import made_objects, remember_made
from ..properties import LookBeyondCamera
from ..results import absolute, as_stored
from ..viewports import local_collection, select_only
from .background import photo_image, set_photo_background
from .camera import own_lens
from .image import PhotoError, load_photo, photo_warnings

CAMERA_DISPLAY_M = 0.25
"""Display size of the add-on's cameras: Blender's default of a metre fills a room."""


def place_photo(
    context: bpy.types.Context,
    path: Path,
    *,
    focal_35mm: float = 0.0,
    fov_x_rad: float = 0.0,
    pitch_rad: float | None = None,
    roll_rad: float | None = None,
    height_m: float = 1.6,
    heading_rad: float = 0.0,
    replaces: bpy.types.Object | None = None,
) -> tuple[bpy.types.Object, str]:
    """Make the camera of a photo, or update it; returns the camera and a sentence on its field of view.

    The field of view is `fov_x_rad` (horizontal), else that of `focal_35mm` (35 mm equivalent, millimetres), else
    that of the EXIF, else 65 degrees across the longer side. `heading_rad` is counter-clockwise from +X; `pitch_rad`
    > 0 looks up; `roll_rad` > 0 turns the camera clockwise, seen from behind; None, for these two: 0 until the service
    finds them (`analysis`). The floor is z = 0. Another photo gets another camera, unless it `replaces` that of a
    former one, which then takes its name, too. Nothing else in the scene changes, except that a scene without a camera
    gets this one. Raises `PhotoError`.
    """
    try:
        tags = read_tags(path)
    except OSError as error:
        raise PhotoError(f"The photo {path} cannot be opened ({error.strerror}): choose an image file.") from None
    if reason := why_no_photo(tags):
        raise PhotoError(f"{path.name} {reason}.")
    scene = context.scene
    placed = find_photo_camera(scene, path)
    if placed is None and replaces is not None:
        placed = replaces
        placed.name = placed.data.name = f"Photo {path.stem}"
    former = None if placed is None else photo_image(placed)
    image = load_photo(path, tags)
    width, height = image.size[0], image.size[1]
    is_assumed = not (fov_x_rad or focal_35mm or tags.focal_35mm)
    fov_x_rad, message = field_of_view(fov_x_rad, focal_35mm, tags, width, height)
    unit_m = metres_per_unit(scene)
    angles = {"heading_rad": heading_rad, "pitch_rad": pitch_rad or 0.0, "roll_rad": roll_rad or 0.0}
    camera = placed_camera(width, height, fov_x_rad, position=(0, 0, height_m), **angles)

    if placed is None:
        placed = add_camera(context, f"Photo {path.stem}")
    data = _set_lens(placed, fov_x_rad, unit_m)
    photo = data.look_beyond
    photo.photo_path, photo.width, photo.height = as_stored(path), width, height
    photo.people, photo.looked_at = "", False
    photo.fov_x_assumed, photo.pitch_assumed, photo.roll_assumed = is_assumed, pitch_rad is None, roll_rad is None
    photo.angle_notes = photo.found_angles = ""
    photo.warnings = "\n".join(photo_warnings(image, focal_35mm or tags.focal_35mm))
    placed.matrix_world = matrix_world_of(camera, unit_m)
    set_photo_background(data, image, former, scene)

    scene.look_beyond.photo_camera = placed
    remember_made(scene, placed)
    scene.look_beyond.panorama_path = ""
    if scene.camera is None:
        scene.camera = placed
    select_only(context, placed)
    return placed, message


def _set_lens(placed: bpy.types.Object, fov_x_rad: float, unit_m: float) -> bpy.types.Camera:
    """Give a camera the photo's lens; returns its data."""
    data = own_lens(placed)
    data.type = "PERSP"
    data.sensor_fit = "HORIZONTAL"
    data.shift_x = data.shift_y = 0.0
    data.lens = data.sensor_width / 2 / math.tan(fov_x_rad / 2)
    data.clip_start = min(data.clip_start, 0.05 / unit_m)
    data.show_passepartout, data.passepartout_alpha = True, max(data.passepartout_alpha, 0.7)
    return data


def add_camera(context: bpy.types.Context, name: str) -> bpy.types.Object:
    """A new camera in the active collection, drawn in the size of a real one."""
    data = bpy.data.cameras.new(name)
    data.display_size = CAMERA_DISPLAY_M / metres_per_unit(context.scene)
    camera = bpy.data.objects.new(data.name, data)
    local_collection(context).objects.link(camera)
    return camera


def field_of_view(fov_x_rad: float, focal_35mm: float, tags: PhotoTags, width: int, height: int) -> tuple[float, str]:
    """The horizontal field of view, radians, and a sentence on its source."""
    if fov_x_rad > 0:
        return fov_x_rad, f"Field of view {math.degrees(fov_x_rad):.1f}°, as given."
    for focal, source in ((focal_35mm, "as given"), (tags.focal_35mm, "from the photo's EXIF")):
        if focal > 0:
            fov_x_rad = fov_x_of_focal(focal, width, height)
            return fov_x_rad, f"Field of view {math.degrees(fov_x_rad):.1f}° ({focal:g} mm, {source})."
    fov_x_rad = fov_x_assumed(width, height)
    return fov_x_rad, (
        f"{tags.focal_doubt or 'The photo has no focal length:'} {math.degrees(fov_x_rad):.0f}° is assumed. "
        "Correct the field of view if floor and walls look distorted."
    )


def replaceable_camera(scene: bpy.types.Scene, path: Path) -> bpy.types.Object | None:
    """The camera of the scene's photo, if this file is another one, and the add-on may change it; else None."""
    placed = scene.look_beyond.photo_camera
    if placed not in made_objects(scene) or find_photo_camera(scene, path) is not None:
        return None
    return placed


def find_photo_camera(scene: bpy.types.Scene, path: Path) -> bpy.types.Object | None:
    """The camera that the add-on made for this photo in this scene; None if it was not placed yet.

    A duplicate of the camera has the same properties and is not meant.
    """
    for camera in made_objects(scene):
        photo_path = camera.data.look_beyond.photo_path if camera.type == "CAMERA" else ""
        if photo_path and absolute(photo_path) == path.resolve():
            return camera
    return None


def assumed_angles(photo: LookBeyondCamera) -> str:
    """Those of a photo's pitch and roll that nobody has given, with a verb: "Roll is"; "" if both were."""
    names = [name for name, is_assumed in (("pitch", photo.pitch_assumed), ("roll", photo.roll_assumed)) if is_assumed]
    return f"{' and '.join(names).capitalize()} {'is' if len(names) == 1 else 'are'}" if names else ""
