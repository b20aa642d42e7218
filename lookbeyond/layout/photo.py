"""A photo, or a part of a sphere, laid over a panorama, at its own resolution."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.projection import place_photo

FEATHER_DEG = 0.5
"""Width of the band inside the photo's border in which it fades into what was made."""


@dataclass(frozen=True, eq=False)
class PlacedPhoto:
    """A photo where a panorama of one size shows it: placed once, laid over as many pictures of that size as wanted."""

    width: int
    """Of the panorama, pixels."""
    window: tuple[slice, slice]
    """Rows and columns around what the photo shows."""
    colour: NDArray[np.uint8]
    """[rows, columns, 3] of the window."""
    alpha: NDArray[np.float32]
    """[rows, columns] 0..1 of the window: inside its border the photo fades into what is beneath."""

    @classmethod
    def of(cls, photo: NDArray[np.uint8], camera: Camera, width: int, heading_rad: float) -> Self:
        """photo: uint8 [h, w, 3], or [h, w, 4] whose last channel says what it knows (`place_photo`)."""
        sharp, mask = place_photo(photo, camera, width, heading_rad)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        window = np.s_[:0, :0]
        if rows.size:  # one pixel more on each side, where there is one, is outside the photo
            window = np.s_[max(0, rows[0] - 1) : rows[-1] + 2, max(0, columns[0] - 1) : columns[-1] + 2]
        alpha = np.zeros(mask[window].shape, np.float32)
        if rows.size:
            depth = cv2.distanceTransform(mask[window].astype(np.uint8), cv2.DIST_L2, 5)
            alpha = np.clip(depth / (FEATHER_DEG / 360 * width), 0, 1).astype(np.float32)
        return cls(width, window, np.ascontiguousarray(sharp[window]), alpha)

    def over(
        self, beneath: NDArray[np.uint8 | np.float32], only: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        """[H, 2H, 3]: laid over a panorama of that size (0..255); only: [H, 2H] 0..1, how much it counts where."""
        laid = _as_bytes(beneath)
        alpha = self.alpha if only is None else self.alpha * only[self.window]
        under = beneath[self.window].astype(np.float32)
        laid[self.window] = _as_bytes(under + alpha[..., None] * (self.colour - under))
        return laid

    @property
    def from_photo(self) -> NDArray[np.uint8]:
        """[H, 2H]: 255 where the panorama shows the photo alone."""
        share = np.zeros((self.width // 2, self.width), np.uint8)
        share[self.window] = self.alpha * 255 + 0.5
        return share


def _as_bytes(colour: NDArray) -> NDArray[np.uint8]:
    return colour.copy() if colour.dtype == np.uint8 else np.clip(colour + 0.5, 0, 255).astype(np.uint8)


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
