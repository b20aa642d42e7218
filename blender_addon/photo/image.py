"""The photo as an image datablock: loaded, turned upright and into sRGB, measured."""

from pathlib import Path

import bpy
import numpy as np

from ..kit import PhotoTags, as_shown, changes_pixels
from ..marks import find_marked, is_local, mark_of, set_marks
from ..results import absolute, as_stored
from .quality import MEASURED_SIDE_PX, quality_warnings

MAKER = "photo"
"""Marks the add-on's own images of photos."""
MIN_SIDE_PX, MAX_SIDE_PX = 64, 16384


class PhotoError(ValueError):
    """A photo that cannot be placed; the message names it and the remedy."""


def load_photo(path: Path, tags: PhotoTags) -> bpy.types.Image:
    """The photo as an image datablock of the add-on, upright. Raises `PhotoError`.

    Images that the artist has loaded from the same file are left alone, and so is paint on the add-on's own.
    """
    image = find_photo_image(path)
    if image is None:
        try:
            image = bpy.data.images.load(str(path), check_existing=False)
        except RuntimeError as error:
            raise PhotoError(f"The photo {path} cannot be opened ({error}): choose an image file.") from None
        image.filepath_raw = as_stored(path)
        set_marks(image, {"maker": MAKER})
    else:
        image.reload()  # the file may have changed on disk since
    width, height = image.size[0], image.size[1]
    try:
        check_size(path, width, height)
    except PhotoError:
        if not image.users:
            bpy.data.images.remove(image)
        raise
    return converted(image, path, tags) if changes_pixels(tags) else image


def find_photo_image(path: Path) -> bpy.types.Image | None:
    """The add-on's own image of a photo, unless the artist has painted on it, packed it or made it a plate."""
    for image in bpy.data.images:
        if is_photo_image(image) and is_local(image) and shows_file(image, path.resolve()):
            return image
    return None


def shows_file(image: bpy.types.Image, path: Path) -> bool:
    """Whether an image shows a file as it is: neither painted on nor packed. `path` is resolved."""
    unchanged = not image.is_dirty and image.packed_file is None and bool(image.filepath)
    return unchanged and absolute(image.filepath) == path


def is_photo_image(image: bpy.types.Image) -> bool:
    """Whether an image shows a photo and was made by the add-on."""
    return mark_of(image, "maker") == MAKER and image.source in ("FILE", "GENERATED")


def check_size(path: Path, width: int, height: int) -> None:
    """Raise `PhotoError` if a photo of this size cannot be used."""
    if not width or not height:
        raise PhotoError(f"{path} is not an image that Blender can read: choose a JPEG, PNG, WebP or TIFF file.")
    if not MIN_SIDE_PX <= min(width, height) <= max(width, height) <= MAX_SIDE_PX:
        raise PhotoError(
            f"The photo {path.name} is {width} x {height} pixels: choose one with sides of {MIN_SIDE_PX} to"
            f" {MAX_SIDE_PX} pixels."
        )


def photo_warnings(image: bpy.types.Image, focal_35mm: float) -> list[str]:
    """Warnings about flaws of the photo that the result will show."""
    width, height = image.size[0], image.size[1]
    share = min(1.0, MEASURED_SIDE_PX / max(width, height))
    pixels = small_pixels(image, max(3, round(width * share)), max(3, round(height * share)))[::-1]
    colours = np.repeat(pixels[..., :1], 3, -1) if pixels.shape[-1] < 3 else pixels[..., :3]
    return quality_warnings(colours, max(width, height), focal_35mm)


def pixels_of(image: bpy.types.Image) -> np.ndarray:
    """Pixels float32 [height, width, channels], from below."""
    width, height = image.size[0], image.size[1]
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, image.channels)


def small_pixels(image: bpy.types.Image, width: int, height: int) -> np.ndarray:
    """Pixels float32 [height, width, channels], from below, of a scaled copy; the image stays as it is."""
    small = image.copy()
    try:
        small.scale(width, height)
        return pixels_of(small)
    finally:
        bpy.data.images.remove(small)


def converted(image: bpy.types.Image, path: Path, tags: PhotoTags) -> bpy.types.Image:
    """A packed copy of the image as the service reads it: upright, in sRGB, linear light exposed."""
    # By path, not by name: every camera has its IMG_0001.jpg.
    source = {"upright_of": as_stored(path), "modified": str(path.stat().st_mtime_ns)}
    untouched = (one for one in bpy.data.images if not one.is_dirty)
    if (known := find_marked(untouched, **source)) is not None:
        return known
    if image.is_float:
        image.colorspace_settings.is_data = True  # the file's own numbers
    shown = as_shown(pixels_of(image)[::-1], tags, levels=65535 if image.is_float else 255)[::-1]
    copy = bpy.data.images.new(f"{image.name} upright", shown.shape[1], shown.shape[0], alpha=True)
    copy.pixels.foreach_set((shown / np.float32(255)).ravel())
    copy.pack()
    set_marks(copy, {"maker": MAKER, **source})
    if not image.users:
        bpy.data.images.remove(image)
    return copy
