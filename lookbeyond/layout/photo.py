"""A photo laid over a panorama, at its own resolution."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.projection import place_photo

FEATHER_DEG = 0.5
"""Width of the band inside the photo's border in which it fades into what was made."""


def lay_photo(
    photo: NDArray[np.uint8],
    camera: Camera,
    heading_rad: float,
    colour: NDArray[np.float32],
    only: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The photo laid over a panorama float32 [H, 2H, 3] (0..255): colour uint8 and from_photo uint8 [H, 2H].

    only: [H, 2H] 0..1, how much of the photo counts where. `colour` is overwritten.
    """
    width = colour.shape[1]
    sharp, mask = place_photo(photo, camera, width, heading_rad)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return np.clip(colour + 0.5, 0, 255).astype(np.uint8), np.zeros(mask.shape, np.uint8)
    # one pixel more on each side, where there is one, is outside the photo
    window = np.s_[max(0, rows[0] - 1) : rows[-1] + 2, max(0, columns[0] - 1) : columns[-1] + 2]
    band = FEATHER_DEG / 360 * width
    alpha = np.clip(cv2.distanceTransform(mask[window].astype(np.uint8), cv2.DIST_L2, 5) / band, 0, 1)
    if only is not None:
        alpha *= only[window]
    colour[window] += alpha[..., None] * (sharp[window] - colour[window])
    from_photo = np.zeros(mask.shape, np.uint8)
    from_photo[window] = alpha * 255 + 0.5
    return np.clip(colour + 0.5, 0, 255).astype(np.uint8), from_photo
