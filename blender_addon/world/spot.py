"""The spot of a world that is to change: the artist paints it over the world's 360° picture (see `painting`)."""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..kit import MOST_SHARE, sphere_share
from ..marks import find_marked
from ..photo.image import pixels_of
from ..results import as_stored
from ..tasks import JobError
from .painting import dimmed, new_canvas, painted

MAKER = "spot"
"""Marks the images that are painted on."""
MOST_COLUMNS = 4096
"""Larger worlds are painted on at a half or a quarter of their size."""


def canvas(world: Path, *, afresh: bool = False) -> bpy.types.Image:
    """The image that is painted on for the world in a folder, which is made where there is none, or `afresh`."""
    image = _found(world)
    if image is None or afresh:
        marks = {"maker": MAKER, "folder": as_stored(world)}
        image = new_canvas(image, f"Spot of {world.name}", marks, _shown(world)[0])
    return image


def painted_spot(world: Path) -> NDArray[np.bool_]:
    """What was painted over, [H, W] of the world's own size. Raises `JobError` where that is nothing or nearly all."""
    image = _found(world)
    if image is None:
        raise JobError("Nothing is marked yet: press Paint Spot and paint over what is to change.")
    values, times = _shown(world)
    spot = painted(image, values, "the world's picture")
    if not spot.any():
        raise JobError("Nothing is marked: paint over what is to change, in the Image Editor.")
    if (share := sphere_share(spot)) > MOST_SHARE:
        raise JobError(
            f"{share:.0%} of the world is marked: mark a spot of at most {MOST_SHARE:.0%}, or build another world."
        )
    return spot.repeat(times, 0).repeat(times, 1)


def _found(world: Path) -> bpy.types.Image | None:
    return find_marked(bpy.data.images, maker=MAKER, folder=as_stored(world))


def _shown(world: Path) -> tuple[NDArray[np.uint8], int]:
    """The world's picture as it is painted on, [h, w, 3], and how many of its own columns and rows each stands for."""
    image = bpy.data.images.load(str(world / "panorama.png"), check_existing=False)
    try:
        width, height = image.size[0], image.size[1]
        if not width:
            raise JobError(f"The world's picture {world / 'panorama.png'} cannot be read: build the world again.")
        pixels = pixels_of(image)
    finally:
        bpy.data.images.remove(image)
    step = -(-width // MOST_COLUMNS)
    while height % step:
        step += 1
    return dimmed(pixels[::-1][::step, ::step, :3]), step
