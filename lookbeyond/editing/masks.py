"""Masks [H, 2H] over a panorama, whose sides meet."""

import cv2
import numpy as np
from numpy.typing import NDArray


def grown(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The mask and what lies within so many pixels of it, over the panorama's seam too."""
    wrapped = np.hstack([mask[:, -reach:], mask, mask[:, :reach]]).astype(np.uint8)
    wide = cv2.dilate(wrapped, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
    return wide[:, reach:-reach] > 0
