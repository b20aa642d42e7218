"""A photo becomes a camera that sees exactly it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from bpy.app.handlers import persistent
from lookbeyond_kit.client import Held
from lookbeyond_kit.geometry.cameras import Camera, heading_pitch_roll, placed_camera

from .cameras_from_blender import camera_of, matrix_world_of, metres_per_unit, select_only
from .photo_exif import Exif, fov_x_assumed, fov_x_of_focal, read_exif
from .photo_quality import MEASURED_WIDTH, warnings
from .results import absolute, as_stored, stamp, stamped

MIN_SIDE, MAX_SIDE = 64, 16384
TOUCHED_RAD = 1e-4
"""Angles that differ by less are still what they were set to: Blender's matrices are single precision."""
DISPLAY_M = 0.25
"""How large our cameras are drawn: Blender's metre fills a room."""


class PhotoError(ValueError):
    """A photo that cannot be placed: the message names it and the remedy."""


def place_photo(
    context: bpy.types.Context,
    path: Path,
    *,
    focal_35mm: float = 0.0,
    fov_x: float = 0.0,
    pitch: float | None = None,
    roll: float | None = None,
    height_m: float = 1.6,
    heading: float = 0.0,
) -> tuple[bpy.types.Object, str]:
    """Make (or, for a photo that is placed already, update) the camera of a photo, and say what was assumed.

    Angles are radians: `fov_x` horizontal, else `focal_35mm` in millimetres, else EXIF, else 65 degrees across the
    longer side; `heading` counts counter-clockwise from +X; `pitch` > 0 looks up; `roll` > 0 turns the camera clockwise
    seen from behind; these two are 0 until somebody knows better (`hold_as_found`). The floor is z = 0. Nothing else in
    the scene changes, but an absent scene camera becomes this one. Raises `PhotoError`.
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
    assumed = (not (fov_x or focal_35mm or exif.focal_35mm), pitch is None, roll is None)
    fov_x, told = field_of_view(fov_x, focal_35mm, exif, width, height)
    unit_m = metres_per_unit(scene)
    camera = placed_camera(
        width,
        height,
        fov_x,
        heading_rad=heading,
        pitch_rad=pitch or 0.0,
        roll_rad=roll or 0.0,
        position=(0, 0, height_m),
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
    data.look_beyond.fov_x_assumed, data.look_beyond.pitch_assumed, data.look_beyond.roll_assumed = assumed
    data.look_beyond.camera_told = ""
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


def load_photo(path: Path, exif: Exif) -> bpy.types.Image:
    """The photo as an image datablock, upright. Raises `PhotoError`."""
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise PhotoError(f"The photo {path} cannot be opened ({error}): choose an image file.") from None
    image.filepath_raw = as_stored(path)
    image.reload()  # it may be known already, and have been edited on the disk since
    width, height = image.size
    if not width or not height:
        bpy.data.images.remove(image)
        raise PhotoError(f"{path} is not an image that Blender can read: choose a JPEG, PNG, WebP or TIFF file.")
    if not MIN_SIDE <= min(width, height) <= max(width, height) <= MAX_SIDE:
        if not image.users:
            bpy.data.images.remove(image)
        raise PhotoError(
            f"The photo {path.name} is {width} x {height} pixels: choose one with sides of {MIN_SIDE} to"
            f" {MAX_SIDE} pixels."
        )
    return image if exif.orientation == 1 else upright(image, path, exif.orientation)


def photo_warnings(image: bpy.types.Image, focal_35mm: float) -> list[str]:
    """What to say about a photo before it is used."""
    width, height = image.size
    share = min(1.0, MEASURED_WIDTH / max(width, height))
    small = image.copy()
    try:
        small.scale(max(3, round(width * share)), max(3, round(height * share)))
        pixels = np.empty(small.size[0] * small.size[1] * small.channels, np.float32)
        small.pixels.foreach_get(pixels)
        pixels = pixels.reshape(small.size[1], small.size[0], small.channels)[::-1]
    finally:
        bpy.data.images.remove(small)
    colours = np.repeat(pixels[..., :1], 3, -1) if pixels.shape[-1] < 3 else pixels[..., :3]
    return warnings(colours, max(width, height), focal_35mm)


def upright(image: bpy.types.Image, path: Path, orientation: int) -> bpy.types.Image:
    """A packed copy of the image, turned as its EXIF orientation says; Blender itself turns no photos."""
    # Names do not tell photos apart: every camera has its IMG_0001.jpg.
    source = {"upright_of": as_stored(path), "modified": str(path.stat().st_mtime_ns)}
    for known in bpy.data.images:
        if all(stamped(known, name) == value for name, value in source.items()):
            return known
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    turned = turn(pixels.reshape(height, width, image.channels)[::-1], orientation)[::-1]
    copy = bpy.data.images.new(f"{image.name} upright", turned.shape[1], turned.shape[0], alpha=image.channels == 4)
    copy.colorspace_settings.name = image.colorspace_settings.name
    rgba = np.ones((*turned.shape[:2], 4), np.float32)
    rgba[..., : image.channels] = turned
    copy.pixels.foreach_set(rgba.ravel())
    copy.pack()
    stamp(copy, source)
    if not image.users:
        bpy.data.images.remove(image)
    return copy


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored rows, top first, [H, W, C] -> upright, by EXIF orientation 1..8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    mirrored = orientation in (2, 3, 6, 7)
    upside_down = orientation in (3, 4, 7, 8)
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def field_of_view(fov_x: float, focal_35mm: float, exif: Exif, width: int, height: int) -> tuple[float, str]:
    """Radians, and in words where it is from."""
    if fov_x > 0:
        return fov_x, f"Field of view {math.degrees(fov_x):.1f}°, as given."
    for focal, source in ((focal_35mm, "as given"), (exif.focal_35mm, "from the photo's EXIF")):
        if focal > 0:
            fov_x = fov_x_of_focal(focal, width, height)
            return fov_x, f"Field of view {math.degrees(fov_x):.1f}° ({focal:g} mm, {source})."
    fov_x = fov_x_assumed(width, height)
    return fov_x, (
        f"The photo does not say its focal length: {math.degrees(fov_x):.0f}° is assumed. "
        "Correct it if floor and walls look bent."
    )


def placed_already(scene: bpy.types.Scene, path: Path) -> bpy.types.Object | None:
    """The scene's camera of this very photo."""
    for thing in scene.objects:
        if thing.type == "CAMERA" and thing.data.look_beyond.photo_path:
            if absolute(thing.data.look_beyond.photo_path) == path.resolve():
                return thing
    return None


def show_behind(
    data: bpy.types.Camera, image: bpy.types.Image, former: bpy.types.Image | None, scene: bpy.types.Scene
) -> None:
    """The photo as the camera's background, in the place of what was its picture before."""
    data.show_background_images = True
    backgrounds = data.background_images
    background = next((one for one in backgrounds if one.image in (image, former or image)), None) or backgrounds.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = frame_method(data, scene)
    if former is not None and not former.users and stamped(former, "upright_of"):
        bpy.data.images.remove(former)


def frame_method(data: bpy.types.Camera, scene: bpy.types.Scene) -> str:
    """How the photo fills its camera's frame as it was placed, whatever the scene's aspect is now."""
    render, photo = scene.render, data.look_beyond
    frame_aspect = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    # The lens is tied to one side of the frame, and so must the photo be, whichever aspect is the larger.
    wider = frame_aspect > photo.width / photo.height
    return "CROP" if wider != (data.sensor_fit == "VERTICAL") else "FIT"


@persistent
def scene_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """The render may have another aspect now."""
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
    """The photo behind its camera."""
    size = data.look_beyond.width, data.look_beyond.height
    return next((one for one in data.background_images if one.image and tuple(one.image.size) == size), None)


def photo_image(placed: bpy.types.Object) -> bpy.types.Image | None:
    """The photo that its camera's background shows."""
    background = photo_background(placed.data)
    return None if background is None else background.image


def photo_camera(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> Camera | None:
    """The placed photo's camera as it stands now, for the photo's own pixels; None without a photo."""
    placed = scene.look_beyond.photo_camera
    if placed is None or placed.type != "CAMERA" or not placed.data.look_beyond.width:
        return None
    size = placed.data.look_beyond
    seen = placed if depsgraph is None else placed.evaluated_get(depsgraph)
    return camera_of(seen, size.width, size.height, metres_per_unit(scene))


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
    known = placed.data.look_beyond
    known.fov_x_assumed = known.pitch_assumed = known.roll_assumed = False
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


def hold_as_found(scene: bpy.types.Scene, held: Held) -> bool:
    """Turn the photo's camera as the service found it; what is no longer assumed stays. Whether anything changed."""
    camera = photo_camera(scene)
    if camera is None:
        return False
    known = scene.look_beyond.photo_camera.data.look_beyond
    _, pitch, roll = heading_pitch_roll(camera)
    # turned by hand, without our fields
    untouched = {
        "fov_x": abs(camera.fov_x - fov_x_assumed(known.width, known.height)) < TOUCHED_RAD,
        "pitch": abs(pitch) < TOUCHED_RAD,
        "roll": abs(roll) < TOUCHED_RAD,
    }
    found, told = {}, []
    for name, label in (("fov_x", "Field of view"), ("pitch", "Pitch"), ("roll", "Roll")):
        angle = getattr(held, name)
        if not getattr(known, f"{name}_assumed") or not untouched[name]:
            continue
        unsure = f", ± {math.degrees(angle.uncertainty_rad):.1f}°" if angle.uncertainty_rad else ""
        told.append(f"{label}: {math.degrees(angle.value_rad):.1f}° {angle.source}{unsure}.")
        if angle.uncertainty_rad:
            found[name] = angle.value_rad
    if found:
        set_photo_camera(scene, **found)
    known.camera_told = "\n".join(told)
    return bool(found)


def set_photo_camera(scene: bpy.types.Scene, **changes: float) -> None:
    """Change `fov_x`, `heading`, `pitch`, `roll` (radians), `height` (metres) of the photo's camera."""
    camera = photo_camera(scene)
    if camera is None:
        return
    placed = scene.look_beyond.photo_camera
    for name in {"fov_x", "pitch", "roll"} & set(changes):
        setattr(placed.data.look_beyond, f"{name}_assumed", False)
    if "fov_x" in changes:
        wanted = camera.width / 2 / math.tan(changes.pop("fov_x") / 2)
        placed.data.lens *= wanted / float(camera.intrinsics[0, 0])
    heading, pitch, roll = heading_pitch_roll(camera)
    position = np.array(camera.position)
    position[2] = changes.get("height", position[2])
    moved = placed_camera(
        camera.width,
        camera.height,
        intrinsics=camera.intrinsics,
        heading_rad=changes.get("heading", heading),
        pitch_rad=changes.get("pitch", pitch),
        roll_rad=changes.get("roll", roll),
        position=position,
    )
    placed.matrix_world = matrix_world_of(moved, metres_per_unit(scene))


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(scene_changed)


def unregister() -> None:
    if scene_changed in bpy.app.handlers.depsgraph_update_post:
        bpy.app.handlers.depsgraph_update_post.remove(scene_changed)
