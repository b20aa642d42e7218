"""Cuts a person or a thing out of a photo: a rough marking becomes colour and alpha with soft edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError

MOST_SHARE = 0.6
"""Of the photo's pixels: of a marking beyond this, too little is left to tell what lies around the thing."""
LEAST_PIXELS = 64
MARGIN = 0.25
"""Of the marking's size: how much of its surroundings is looked at."""
GRABCUT_SIDE, MATTING_SIDE = 480, 640
"""Longest side at which the outline is found, and at which its softness is."""
EDGE_SHARE = 0.012
"""Half the width of the edge that may be soft, of the thing's longer side."""
ROUNDS = 6
HOLE_SHARE = 0.01
"""Of the thing's area: smaller holes in it are filled."""
HALO_SHARE = 0.006
"""Of the photo's longer side: so far around a thing its photo is not believed either."""


@dataclass(frozen=True, eq=False)
class CutOut:
    """A part of a photo and how much of each of its pixels belongs to what was cut out."""

    left: int
    top: int
    """Of the window in the photo, pixels."""
    colour: NDArray[np.uint8]
    """[h, w, 3], not multiplied by alpha; at the edge without what lies behind."""
    alpha: NDArray[np.float32]
    """[h, w], 0..1."""

    @property
    def solid(self) -> NDArray[np.bool_]:
        """[h, w]: the pixels that are mostly its own."""
        return self.alpha > 0.5


def marked_pixels(mask: NDArray[np.uint8], photo: NDArray[np.uint8], name: str = "The mask") -> NDArray[np.bool_]:
    """The pixels [h, w] of a photo [h, w, 3 or 4] that a mask [h, w] marks, above half of white.

    InputError for another size, and for one that marks nothing or nearly everything.
    """
    height, width = photo.shape[:2]
    if mask.shape != (height, width):
        raise InputError(
            f"{name} has {mask.shape[1]} x {mask.shape[0]} pixels but the photo {width} x {height}; paint it over the "
            "photo itself."
        )
    marked = mask > 127
    if marked.sum() < LEAST_PIXELS:
        raise InputError(f"{name} marks nothing: paint white, roughly, what is to be cut out.")
    if marked.mean() > MOST_SHARE:
        raise InputError(
            f"{name} marks {marked.mean():.0%} of the photo, so that too little is left of the place behind it; mark "
            f"at most {MOST_SHARE:.0%}, or use a photo that shows more of the place."
        )
    return marked


def cut_out(photo: NDArray[np.uint8], marked: NDArray[np.bool_]) -> CutOut:
    """What the marking [h, w] encircles in a photo [h, w, 3 or 4].

    Inside the marking GrabCut (Rother et al. 2004) tells the thing from what lies around it; closed-form matting
    (Levin et al. 2008) finds how soft its edge is. InputError where nothing in it differs from its surroundings.
    """
    from pymatting import estimate_foreground_ml  # it compiles what it needs, which the command line starts without

    window = _window(marked)
    pixels = np.ascontiguousarray(photo[window][..., :3])
    outline = _outline(pixels, marked[window])
    alpha = _soft(pixels, outline)
    colour = estimate_foreground_ml(pixels.astype(np.float64) / 255, alpha.astype(np.float64))
    return CutOut(
        window[1].start, window[0].start, (np.clip(np.asarray(colour), 0, 1) * 255 + 0.5).astype(np.uint8), alpha
    )


def without(photo: NDArray[np.uint8], cut: Sequence[CutOut]) -> NDArray[np.uint8]:
    """The photo [h, w, 4] whose fourth channel is 0 where it shows what was cut out, and a little around it."""
    height, width = photo.shape[:2]
    known = photo[..., 3].copy() if photo.shape[2] == 4 else np.full((height, width), 255, np.uint8)
    reach = max(2, round(HALO_SHARE * max(height, width)))
    for each in cut:
        taken = np.zeros((height, width), np.uint8)
        rows, columns = each.alpha.shape
        taken[each.top : each.top + rows, each.left : each.left + columns] = each.alpha > 0.02
        grown = cv2.dilate(taken, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
        known[grown > 0] = 0
    return np.dstack([photo[..., :3], known])


def _window(marked: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The marking's box with a margin, within the photo."""
    spans = []
    for axis in (1, 0):
        at = np.flatnonzero(marked.any(axis))
        margin = max(8, round(MARGIN * (at[-1] - at[0] + 1)))
        spans.append(slice(max(0, int(at[0]) - margin), min(marked.shape[1 - axis], int(at[-1]) + 1 + margin)))
    return spans[0], spans[1]


def _outline(pixels: NDArray[np.uint8], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[h, w]: the thing within its marking."""
    size = _at_most(pixels.shape, GRABCUT_SIDE)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(marked.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    cv2.setRNGSeed(0)  # its clusters begin at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), labels, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, pieces, boxes, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    areas = boxes[1:, cv2.CC_STAT_AREA] if count > 1 else np.zeros(1)
    if areas.max() < 0.05 * inside.sum():
        raise InputError(
            "Nothing that is marked differs from what lies around it; mark the thing more closely, or mark another."
        )
    kept = np.isin(pieces, 1 + np.flatnonzero(areas > 0.05 * areas.max()))
    kept = _without_small_holes(kept)
    whole = cv2.resize(kept.astype(np.float32), pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC) > 0.5
    return whole & marked


def _without_small_holes(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[h, w]: a badge or a button is the thing's own, whatever its colour; the gap below an arm is not."""
    _, holes, boxes, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=4)
    small = np.flatnonzero(boxes[:, cv2.CC_STAT_AREA] < HOLE_SHARE * found.sum())
    return found | np.isin(holes, small[small > 0])


def _soft(pixels: NDArray[np.uint8], outline: NDArray[np.bool_]) -> NDArray[np.float32]:
    """[h, w]: the share of each pixel that is the thing's; between 0 and 1 only along its outline."""
    from pymatting import estimate_alpha_cf

    size = _at_most(pixels.shape, MATTING_SIDE)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    inside = (cv2.resize(outline.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5).astype(np.uint8)
    rows, columns = np.nonzero(inside)
    reach = max(2, round(EDGE_SHARE * max(np.ptp(rows), np.ptp(columns))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    # a thing that the photo's border cuts has no edge there
    core = cv2.erode(inside, kernel, borderType=cv2.BORDER_REPLICATE)
    trimap = np.where(core > 0, 1.0, np.where(cv2.dilate(inside, kernel) > 0, 0.5, 0.0))
    alpha = estimate_alpha_cf(small, trimap) if core.any() else inside.astype(np.float64)
    alpha = cv2.resize(np.asarray(alpha, np.float32), pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip((alpha - 0.03) / 0.94, 0, 1).astype(np.float32)


def _at_most(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Width and height of a picture of this shape whose longer side is no longer than `side`."""
    scale = min(1.0, side / max(shape[:2]))
    return max(4, round(shape[1] * scale)), max(4, round(shape[0] * scale))
