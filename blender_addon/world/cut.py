"""What is cut out of the photo when its world is built: the artist paints over it (see `painting`).

Pieces that do not touch become cards of their own.
"""

import bpy
import numpy as np
from numpy.typing import NDArray

from ..kit import MAX_CUTS
from ..marks import find_marked
from ..photo.background import photo_image
from ..photo.image import pixels_of
from ..tasks import JobError
from .painting import dimmed, new_canvas, painted

MAKER = "cut"
"""Marks the images that are painted on."""
MOST_SIDE_PX = 2048
"""Larger photos are painted on at a half or a third of their size."""
TOLD_APART_PX = 256
"""Pieces are told apart at this width or height: what is nearer to each other than a pixel of that is one."""
LEAST_SHARE = 2e-4
"""Of the photo: what is smaller is a slip of the brush."""
MOST_SHARE = 0.6


def canvas(placed: bpy.types.Object, *, afresh: bool = False) -> bpy.types.Image:
    """The image that is painted on for the photo of a camera; made where there is none, or `afresh`.

    Raises `JobError` where the camera has lost its photo.
    """
    image = find_canvas(placed)
    if image is None or afresh:
        marks = {"maker": MAKER, "photo": placed.data.look_beyond.photo_path}
        image = new_canvas(image, f"Cut Out of {_photo(placed).name}", marks, _shown(placed))
    return image


def find_canvas(placed: bpy.types.Object) -> bpy.types.Image | None:
    """What was painted on for the photo of a camera; None if nothing was."""
    return find_marked(bpy.data.images, maker=MAKER, photo=placed.data.look_beyond.photo_path)


def painted_cuts(placed: bpy.types.Object) -> list[NDArray[np.bool_]]:
    """What is to be cut out, each [H, W] of the photo's own size; nothing where nothing was painted.

    Raises `JobError` for what cannot be cut out.
    """
    image = find_canvas(placed)
    if image is None:
        return []
    values = _shown(placed)
    marked = painted(image, values, "the photo")
    if (share := marked.mean()) > MOST_SHARE:
        raise JobError(
            f"{share:.0%} of the photo is to be cut out: paint over at most {MOST_SHARE:.0%}, or too little is left."
        )
    pieces = [piece for piece in _pieces(marked) if piece.mean() > LEAST_SHARE]
    if len(pieces) > MAX_CUTS:
        raise JobError(f"{len(pieces)} things are to be cut out: paint over at most {MAX_CUTS} that do not touch.")
    size = _photo(placed).size
    own_width, own_height = size[0], size[1]
    rows = np.arange(own_height) * len(values) // own_height
    columns = np.arange(own_width) * values.shape[1] // own_width
    return [piece[rows[:, None], columns] for piece in pieces]


def _photo(placed: bpy.types.Object) -> bpy.types.Image:
    image = photo_image(placed)
    if image is None or not image.size[0]:
        raise JobError(f"The camera {placed.name} has lost its photo: place the photo again.")
    return image


def _shown(placed: bpy.types.Object) -> NDArray[np.uint8]:
    """The photo as it is painted on, [h, w, 3]."""
    image = _photo(placed)
    step = -(-max(image.size) // MOST_SIDE_PX)
    colour = pixels_of(image)[::-1][::step, ::step, :3]
    if colour.shape[2] < 3:
        colour = colour[..., :1].repeat(3, -1)
    return dimmed(np.clip(colour, 0, 1))


def _pieces(painted: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The pieces of what is painted [h, w] that do not touch each other."""
    step = -(-max(painted.shape) // TOLD_APART_PX)
    height, width = (-(-side // step) for side in painted.shape)
    padded = np.zeros((height * step, width * step), bool)
    padded[: painted.shape[0], : painted.shape[1]] = painted
    coarse = padded.reshape(height, step, width, step).any((1, 3))
    labels = np.where(coarse, np.arange(1, coarse.size + 1).reshape(coarse.shape), 0)
    while True:  # each takes on the largest number beside it until a piece has one
        spread = np.pad(labels, 1)
        around = [spread[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        grown = np.where(coarse, np.max(around, 0), 0)
        grown = np.where(coarse, grown.ravel()[np.maximum(grown - 1, 0)], 0)  # and what that has become meanwhile
        if np.array_equal(grown, labels):
            break
        labels = grown
    fine = labels.repeat(step, 0).repeat(step, 1)[: painted.shape[0], : painted.shape[1]]
    return [painted & (fine == label) for label in np.unique(labels[labels > 0])]
