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
EDGE = 0.1
"""Of 1: a larger difference between neighbours would leave a halo that no colour makes good."""
SOFTENED = 0.2
"""Squared pixels that the drawing widens every splat by: two thirds of what the common rasterisers do at the photo's
own resolution; at twice that resolution they do less."""
BRIGHTEST = 1.4
"""Colours go no farther than SPZ can hold, and not below 0: there rasterisers cut them."""


def at_edges(picture: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a picture [H, W, 3] (0..1) changes by more than `EDGE` from a pixel to one beside it."""
    edge = np.zeros(picture.shape[:2], bool)
    across = np.abs(np.diff(picture, axis=1)).max(-1) > EDGE
    down = np.abs(np.diff(picture, axis=0)).max(-1) > EDGE
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def beforehand(
    picture: NDArray[np.float32],
    depth: NDArray,
    edge: NDArray[np.bool_],
    sigmas: tuple[float, float],
    opacity: float,
) -> NDArray[np.float32]:
    """Colours [H, W, 3] of splats, one a pixel, that are drawn as `picture` [H, W, 3] (0..1) from its own camera.

    depth: [H, W] what splats are sorted by; edge: [H, W] which ones have the second of the sigmas (pixels) instead of
    the first; opacity: 0..1.
    """
    offsets, alphas = _kernels(sigmas, opacity)
    depth = np.ascontiguousarray(depth, np.float32)
    colour = picture.astype(np.float32)
    for _ in range(ITERATIONS):
        colour += np.float32(DAMPING) * (picture - _drawn(colour, depth, edge.astype(np.uint8), offsets, alphas))
        np.clip(colour, 0, BRIGHTEST, out=colour)
    return colour


def _kernels(sigmas: tuple[float, float], opacity: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Offsets [K, 2] (row, column) of the neighbours that show in a pixel, and their opacity [2, K] there."""
    side = range(-REACH, REACH + 1)
    offsets = np.array([(row, column) for row in side for column in side])
    squared = (offsets**2).sum(1)
    alphas = np.stack([opacity * np.exp(-0.5 * squared / (sigma**2 + SOFTENED)) for sigma in sigmas])
    alphas[alphas < 1 / 255] = 0
    shows = alphas.any(0)
    return offsets[shows], alphas[:, shows].astype(np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _drawn(colour, depth, kind, offsets, alphas):
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
                strength = alphas[kind[r, c], k]
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
