"""Masks that fade inside their border."""

import cv2
import numpy as np
from numpy.typing import NDArray

FEATHER_PX = 6
"""Width, in pixels of a frame, over which one source of pixels fades into another."""


def faded(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A mask [H, W] as shares 0..1 that fade to 0 within `FEATHER_PX` inside its border; frames have none."""
    if inside.all():
        return np.ones(inside.shape, np.float32)
    padded = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.minimum(depth * np.float32(1 / FEATHER_PX), 1)
