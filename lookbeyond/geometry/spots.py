"""Spots of a panorama that are to be changed. Needs numpy only."""

import numpy as np
from numpy.typing import NDArray

MOST_SHARE = 0.5
"""Of the sphere: what is masked beyond this is no spot."""


def sphere_share(spot: NDArray[np.bool_]) -> float:
    """Share of the sphere, 0..1, that the marked pixels [H, 2H] of an equirectangular picture cover."""
    height, width = spot.shape
    rows = np.cos((np.arange(height) + 0.5) / height * np.pi - np.pi / 2)
    return float((spot.sum(1) * rows).sum() / (width * rows.sum()))
