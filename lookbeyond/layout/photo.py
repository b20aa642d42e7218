"""A photo, or a part of a sphere, laid over a panorama, at its own resolution."""

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

    photo: uint8 [h, w, 3], or [h, w, 4] whose last channel says what it knows (`place_photo`).
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


def lay_sphere(
    colour: NDArray[np.uint8], known: NDArray[np.bool_], made: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A sphere uint8 [H, 2H, 3] known on bool [H, 2H] over what was made of its rest, float32 [H, 2H, 3] (0..255).

    Returns the whole and from_photo uint8 [H, 2H]. Inside the border of what is known it fades into what was made.
    """
    width = colour.shape[1]
    band = FEATHER_DEG / 360 * width
    margin = int(band) + 2
    wrapped = np.concatenate([known[:, -margin:], known, known[:, :margin]], 1).astype(np.uint8)
    depth = cv2.distanceTransform(wrapped, cv2.DIST_L2, 5)[:, margin:-margin]
    share = np.asarray(np.clip(depth / band, 0, 1), np.float32)
    whole = made + share[..., None] * (colour - made)
    return np.clip(whole + 0.5, 0, 255).astype(np.uint8), (share * 255 + 0.5).astype(np.uint8)
