"""A pattern continued in phase over a plane, outward from what is known: image quilting (Efros and Freeman 2001)."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

PATCHES_PX = (56, 44, 32, 24)
"""Sides of a patch; the largest counts that the example has room for."""
OVERLAP = 1 / 3
TOLERANCE = 1.15
"""A patch is drawn from those whose error is within this factor of the least."""
REPEATED = 0.25
"""How much more costly, in units of the pattern's variance, a patch becomes each time it has been used."""
LEAST_CHOICE = 60
"""Places in the example that a patch of some size must have to choose from."""
EXAMPLE_PX = 256
"""Side of the example at most: a search costs in proportion to its area."""
MOST_PATCHES = 700
COARSER = 2
"""Patches are compared at this fraction of the resolution: it finds the same ones in a fraction of the time."""


def continue_pattern(
    pattern: NDArray[np.float32],
    known: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    rng: np.random.Generator,
    example: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None,
) -> NDArray[np.float32] | None:
    """A pattern [h, w, C] of mean zero that is known on a mask, over everything that is wanted.

    example: a pattern and where it is valid, to take patches from instead (of another face, say).
    None where the example is too small for the smallest patch, or the plane too large.
    """
    source, valid = example if example is not None else (pattern, known)
    source, valid = _cropped(source, valid)
    side, places = _patch_side(valid)
    if side is None:
        return None
    step = max(1, round(side * (1 - OVERLAP)))
    height, width = known.shape
    step -= step % COARSER
    tops, lefts = np.arange(0, height, step), np.arange(0, width, step)
    result = np.pad(np.where(known[..., None], pattern, 0), ((0, side), (0, side), (0, 0))).astype(np.float32)
    done = np.pad(known, ((0, side), (0, side)))
    fixed = done.copy()
    needed = np.pad(wanted & ~known, ((0, side), (0, side)))
    cells = [(top, left) for top in tops for left in lefts if needed[top : top + side, left : left + side].any()]
    if len(cells) > MOST_PATCHES:
        return None
    variance = float(source[valid].var()) + 1e-8
    small = _shrunk(np.ascontiguousarray(source.mean(-1)))
    places = places[::COARSER, ::COARSER]
    used = np.zeros(places.shape, np.float32)
    canvas = _shrunk(np.ascontiguousarray(result.mean(-1)))
    ramp = np.minimum(np.arange(side) + 1, np.arange(side)[::-1] + 1) / (side * OVERLAP)
    inner = np.clip(np.minimum(ramp[:, None], ramp), 0, 1)
    half, reach = side // COARSER, side // (2 * COARSER)
    for top, left in _outward(cells, known, side):
        window = np.s_[top : top + side, left : left + side]
        y0, x0 = top // COARSER, left // COARSER
        little = np.s_[y0 : y0 + half, x0 : x0 + half]
        mask = done[window]
        cost = used * variance
        if mask.any():
            weight = mask[::COARSER, ::COARSER].astype(np.float32)
            error = cv2.matchTemplate(small, canvas[little], cv2.TM_SQDIFF, mask=weight) / max(weight.sum(), 1)
            cost = cost + np.maximum(error[: places.shape[0], : places.shape[1]], 0)
        cost = np.where(places, cost, np.inf)
        near = np.argwhere(cost <= float(cost.min()) * TOLERANCE + 0.01 * variance)
        y, x = near[rng.integers(len(near))]
        used[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach] += REPEATED
        patch = source[COARSER * y : COARSER * y + side, COARSER * x : COARSER * x + side]
        # into what is there it fades over the overlap, on the side of which it lies
        depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        share = np.where(mask, np.clip(1 - depth / (0.6 * side * OVERLAP), 0, 1) * inner, 1)
        share = np.where(fixed[window] & (depth > 3), 0, share)
        result[window] += share[..., None] * (patch - result[window])
        canvas[little] = _shrunk(np.ascontiguousarray(result[window].mean(-1)))
        done[window] = True
    return result[:height, :width]


def _outward(cells: list[tuple[int, int]], known: NDArray[np.bool_], side: int) -> list[tuple[int, int]]:
    """Cells in the order of their distance from what is known; from the middle where nothing is."""
    height, width = known.shape
    if not known.any():
        return sorted(cells, key=lambda cell: math.hypot(cell[0] - height / 2, cell[1] - width / 2))
    away = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3)
    half = side // 2
    return sorted(cells, key=lambda cell: away[min(cell[0] + half, height - 1), min(cell[1] + half, width - 1)])


def _shrunk(image: NDArray) -> NDArray:
    size = image.shape[1] // COARSER, image.shape[0] // COARSER
    return cv2.resize(image[: size[1] * COARSER, : size[0] * COARSER], size, interpolation=cv2.INTER_AREA)


def _cropped(source: NDArray, valid: NDArray) -> tuple[NDArray, NDArray]:
    """The window of at most EXAMPLE_PX a side that holds the most valid pixels."""
    height, width = valid.shape
    rows, columns = min(EXAMPLE_PX, height), min(EXAMPLE_PX, width)
    sums = cv2.integral(valid.astype(np.uint8))
    counts = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    y, x = np.unravel_index(int(counts.argmax()), counts.shape)
    window = np.s_[y : y + rows, x : x + columns]
    return np.ascontiguousarray(source[window]), valid[window]


def _patch_side(valid: NDArray) -> tuple[int | None, NDArray]:
    """The largest patch that has room in a mask, and where its upper left corner may lie."""
    padded = cv2.integral(valid.astype(np.uint8))
    for side in PATCHES_PX:
        if min(valid.shape) < side:
            continue
        counts = padded[side:, side:] - padded[:-side, side:] - padded[side:, :-side] + padded[:-side, :-side]
        places = counts >= side * side * 0.995
        if places.sum() >= LEAST_CHOICE:
            return side, places
    return None, np.zeros((0, 0), bool)
