"""The spot of a world that is to change: the artist paints it over the world's 360° picture, in the Image Editor.

What is painted on is a dimmed copy of the picture, an image of the open file, so that any colour and any brush will do:
the spot is where the copy was changed. Annotations would have been the other way; but Blender 5.0 moved them to other
data, they have no area of their own, and a lasso is no brush.
"""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..kit import MOST_SHARE, sphere_share
from ..marks import find_marked, set_marks
from ..results import as_stored
from ..tasks import JobError

MAKER = "spot"
"""Marks the images that are painted on."""
MOST_COLUMNS = 4096
"""Larger worlds are painted on at a half or a quarter of their size."""
DARK, LIGHT = 0.15, 0.65
"""Black and white of the picture in its copy: the brush's own colours stand out from both."""
CHANGED = 4
"""Levels of 255 by which a painted pixel differs at least."""


def canvas(world: Path, *, afresh: bool = False) -> bpy.types.Image:
    """The image that is painted on for the world in a folder, which is made where there is none, or `afresh`."""
    image = _found(world)
    if image is None or afresh:
        values = _dimmed(world)
        height, width = values.shape[:2]
        if image is None or tuple(image.size) != (width, height):
            image = bpy.data.images.new(f"Spot of {world.name}", width, height, alpha=False)
            set_marks(image, {"maker": MAKER, "folder": as_stored(world)})
        pixels = np.ones((height, width, 4), np.float32)
        pixels[..., :3] = values[::-1].astype(np.float32) / 255
        image.pixels.foreach_set(pixels.ravel())
        image.update()
    return image


def show_canvas(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """Show it for painting, in an Image Editor that is open, else in a new window."""
    windows = context.window_manager.windows
    editors = [area for window in windows for area in window.screen.areas if area.type == "IMAGE_EDITOR"]
    if not editors and not bpy.app.background:
        bpy.ops.wm.window_new()
        editors = [windows[-1].screen.areas[0]]
        editors[0].type = "IMAGE_EDITOR"
    for area in editors[:1]:
        area.spaces.active.image = image
        area.spaces.active.ui_mode = "PAINT"


def painted_spot(world: Path) -> NDArray[np.bool_]:
    """What was painted over, [H, W] of the world's own size. Raises `JobError` where that is nothing or nearly all."""
    image = _found(world)
    if image is None:
        raise JobError("Nothing is marked yet: press Paint Spot and paint over what is to change.")
    expected = _dimmed(world)
    height, width = expected.shape[:2]
    if tuple(image.size) != (width, height):
        raise JobError(
            f"The image {image.name} has another size than the world's picture: press Clear and paint again."
        )
    pixels = np.empty(height * width * 4, np.float32)
    image.pixels.foreach_get(pixels)
    values = pixels.reshape(height, width, 4)[::-1, :, :3] * 255
    spot = (np.abs(values - expected) >= CHANGED).any(-1)
    if not spot.any():
        raise JobError("Nothing is marked: paint over what is to change, in the Image Editor.")
    if (share := sphere_share(spot)) > MOST_SHARE:
        raise JobError(
            f"{share:.0%} of the world is marked: mark a spot of at most {MOST_SHARE:.0%}, or build another world."
        )
    times = _columns(world) // width
    return spot.repeat(times, 0).repeat(times, 1)


def _found(world: Path) -> bpy.types.Image | None:
    return find_marked(bpy.data.images, maker=MAKER, folder=as_stored(world))


def _columns(world: Path) -> int:
    """Width of a world's picture."""
    image = bpy.data.images.load(str(world / "panorama.png"), check_existing=False)
    try:
        return image.size[0]
    finally:
        bpy.data.images.remove(image)


def _dimmed(world: Path) -> NDArray[np.uint8]:
    """The world's picture as it is painted on, [h, w, 3]."""
    image = bpy.data.images.load(str(world / "panorama.png"), check_existing=False)
    try:
        width, height = image.size
        if not width:
            raise JobError(f"The world's picture {world / 'panorama.png'} cannot be read: build the world again.")
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    step = -(-width // MOST_COLUMNS)
    while height % step:
        step += 1
    colour = pixels.reshape(height, width, 4)[::-1][::step, ::step, :3]
    return ((DARK + (LIGHT - DARK) * colour) * 255 + 0.5).astype(np.uint8)
