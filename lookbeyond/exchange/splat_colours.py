"""Colours of splats that overlap: chosen so that what is drawn is the picture they stand for.

A rasteriser draws splats from front to back. On a floor the nearer neighbours always come first and the picture slides
by part of a pixel; everywhere neighbours blur it. Both are known beforehand for splats on a pixel grid, seen from where
the picture was taken, and are taken out of the colours by a few steps of Landweber's iteration,
c += picture - drawn(c).
"""

import numba
import numpy as np
from numpy.typing import NDArray

REACH = 2
"""Neighbours on every side that count."""
ITERATIONS = 6
DAMPING = 0.8
SIGMAS, CONTRASTS = (0.6, 0.4, 0.3), (0.1, 0.35)
"""Standard deviations of the splats, pixels, and the differences between neighbours (of 1) from which on the next one
counts: there wide splats would leave a halo that no colour makes good."""
SOFTENED = 0.2
"""Squared pixels that the drawing widens every splat by: two thirds of what the common rasterisers do at the photo's
own resolution; at twice that resolution they do less."""
BRIGHTEST = 1.4
"""Colours go no farther than SPZ can hold, and not below 0: there rasterisers cut them."""


def sizes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Which of `SIGMAS` each pixel of a picture [H, W, 3] (0..1) gets: by how much it differs from those beside it."""
    contrast = np.zeros(picture.shape[:2], np.float32)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        change = np.abs(picture[one] - picture[other]).max(-1)
        for side in (one, other):
            np.maximum(contrast[side], change, out=contrast[side])
    return np.digitize(contrast, CONTRASTS).astype(np.uint8)


def beforehand(
    picture: NDArray[np.float32], depth: NDArray, size: NDArray[np.uint8], opacity: float
) -> NDArray[np.float32]:
    """Colours [H, W, 3] of splats, one a pixel, that are drawn as `picture` [H, W, 3] (0..1) from its own camera.

    depth: [H, W] what splats are sorted by; size: [H, W] which of `SIGMAS` each one has; opacity: 0..1.
    """
    offsets, alphas = _kernels(opacity)
    depth = np.ascontiguousarray(depth, np.float32)
    colour = picture.astype(np.float32)
    for _ in range(ITERATIONS):
        colour += np.float32(DAMPING) * (picture - _drawn(colour, depth, size, offsets, alphas))
        np.clip(colour, 0, BRIGHTEST, out=colour)
    return colour


def _kernels(opacity: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Offsets [K, 2] (row, column) of the neighbours that show in a pixel, and their opacity [sizes, K] there."""
    side = range(-REACH, REACH + 1)
    offsets = np.array([(row, column) for row in side for column in side])
    squared = (offsets**2).sum(1)
    alphas = np.stack([opacity * np.exp(-0.5 * squared / (sigma**2 + SOFTENED)) for sigma in SIGMAS])
    alphas[alphas < 1 / 255] = 0
    shows = alphas.any(0)
    return offsets[shows], alphas[:, shows].astype(np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _drawn(colour, depth, size, offsets, alphas):
    height, width = depth.shape
    drawn = np.zeros_like(colour)
    count = len(offsets)
    near, alpha = np.empty(count, np.float32), np.empty(count, np.float32)
    rows, columns = np.empty(count, np.int64), np.empty(count, np.int64)
    for row in range(height):
        for column in range(width):
            found = 0
            for k in range(count):
                r, c = row + offsets[k, 0], column + offsets[k, 1]
                if r < 0 or r >= height or c < 0 or c >= width:
                    continue
                strength = alphas[size[r, c], k]
                if strength == 0:
                    continue
                place = found
                while place > 0 and near[place - 1] > depth[r, c]:
                    near[place], alpha[place] = near[place - 1], alpha[place - 1]
                    rows[place], columns[place] = rows[place - 1], columns[place - 1]
                    place -= 1
                near[place], alpha[place], rows[place], columns[place] = depth[r, c], strength, r, c
                found += 1
            through = np.float32(1)
            for k in range(found):
                weight = through * alpha[k]
                for channel in range(3):
                    drawn[row, column, channel] += weight * colour[rows[k], columns[k], channel]
                through *= 1 - alpha[k]
            for channel in range(3):
                drawn[row, column, channel] /= 1 - through
    return drawn
