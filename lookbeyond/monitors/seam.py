"""The seam of a panorama: the jump where its last column meets its first."""

from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.panorama import Panorama

SEAM_WIDTH = 1024
"""Panoramas are looked at no finer than this: pixels."""
NEIGHBOURS = 16
"""Columns on each side of the wrap whose own jumps say what is usual there."""
BAND = 8
"""Rows that are judged together."""


_jumps: "WeakKeyDictionary[Panorama, float]" = WeakKeyDictionary()


def seam_jump(panorama: Panorama) -> float:
    """The jump across the wrap beside the jumps between the columns near it; about 1 where there is no seam.

    It is measured once and kept as long as the panorama lives: every clip through it asks.
    """
    if panorama not in _jumps:
        _jumps[panorama] = _measured(panorama)
    return _jumps[panorama]


def _measured(panorama: Panorama) -> float:
    """`seam_jump`, from the pixels.

    A seam shows in every row, an edge of the place that stands there by chance in some: the panorama is cut into bands
    of rows, and the median over the bands counts, each weighted by what it covers of the sphere. A jump is what the
    columns on both sides, carried on in a straight line, do not foretell.
    """
    colour, width = panorama.colour, panorama.colour.shape[1]
    step = max(1, round(width / SEAM_WIDTH))
    rows, side = colour.shape[0] // step, (NEIGHBOURS + 2) * step
    near = np.concatenate([colour[:, -side:], colour[:, :side]], 1)[: rows * step]
    if step > 1:
        near = cv2.resize(near, (near.shape[1] // step, rows), interpolation=cv2.INTER_AREA)
    return _jump_in_the_middle(near)


def _jump_in_the_middle(near: NDArray) -> float:
    height = len(near) // BAND * BAND
    bands = near[:height].astype(np.float32).reshape(-1, BAND, *near.shape[1:]).mean(1)
    left = 1.5 * bands[:, 1:-2] - 0.5 * bands[:, :-3]
    right = 1.5 * bands[:, 2:-1] - 0.5 * bands[:, 3:]
    jumps = np.abs(left - right).max(-1)
    middle = jumps.shape[1] // 2
    usual = np.delete(jumps, middle, 1)
    ratio = (jumps[:, middle] + 0.5) / (np.quantile(usual, 0.9, axis=1) + 0.5)
    weight = np.cos((np.arange(len(bands)) + 0.5) / len(bands) * np.pi - np.pi / 2)
    order = np.argsort(ratio)
    share = np.cumsum(weight[order])
    return float(ratio[order[np.searchsorted(share, share[-1] / 2)]])
