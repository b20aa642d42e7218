"""The sky in a photo: whether there is one (`measure_sky`), and which pixels show it once that is sure (`segment_sky`).

`measure_sky` looks for what is smooth, bluer than the rest, from the photo's top down to no lower than the horizon.
It prefers misses to mistakes: a room that loses its ceiling is worse than a street that gets one. White
skies look like ceilings and are not looked for.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera

from .picture import PhotoPicture
from .surfaces import EDGE, lab, slopes

_SIDE = 160
_SMOOTH = 7.0
"""Largest local deviation of lightness in a sky, clouds included (Lab, 0..100)."""
_BLUE, _BRIGHT, _GREY = -5.0, 70.0, 14.0
"""Lab b* of blue sky at most; lightness of a cloud at least; chroma of a cloud at most."""
_LOWEST_RAD = math.radians(-5)


@dataclass(frozen=True)
class Sky:
    """The part of a photo that may be sky; all zeros where there is none."""

    share: float = 0.0
    """Of the photo's pixels."""
    top: float = 0.0
    """Of its upper border."""
    bluer: float = 0.0
    """By how much its Lab b* is below that of the rest of the photo (medians)."""

    @property
    def evidence(self) -> float:
        """0 for none; 1 for a sky as broad as the photo, of a fifth of its area, plainly bluer than the rest."""
        return min(1.0, self.share / 0.2) * min(1.0, self.top / 0.8) * min(1.0, max(self.bluer, 0.0) / 10)


def measure_sky(photo: NDArray[np.uint8], camera: Camera) -> Sky:
    """The sky in a photo [h, w, 3] of a camera in the world (any resolution)."""
    scale = min(1.0, _SIDE / max(photo.shape[:2]))
    size = max(8, round(photo.shape[1] * scale)), max(8, round(photo.shape[0] * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    light, green, blue = cv2.split(lab(small))
    mean = cv2.blur(light, (5, 5))
    rough = np.sqrt(np.maximum(cv2.blur(light * light, (5, 5)) - mean * mean, 0))
    is_blue = (blue < _BLUE) & (light > 12)
    cloud = (light > _BRIGHT) & (np.hypot(green, blue) < _GREY)
    able = ((is_blue | cloud) & (rough < _SMOOTH)).astype(np.uint8)
    able = cv2.morphologyEx(able, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts = cv2.connectedComponents(able, connectivity=4)
    elevation = np.arcsin(np.clip(camera.resized(*size).rays()[..., 2], -1, 1))
    sky = np.zeros(able.shape, bool)
    for part in range(1, count):
        own = parts == part
        if own[:2].any() and is_blue[own].mean() > 0.4 and np.quantile(elevation[own], 0.02) > _LOWEST_RAD:
            sky |= own
    if not sky.any() or sky.all():
        return Sky()
    bluer = float(np.median(blue[~sky]) - np.median(blue[sky]))
    return Sky(float(sky.mean()), float(sky[:2].any(0).mean()), bluer)


def segment_sky(picture: PhotoPicture) -> NDArray[np.bool_]:
    """Sky in a photo at working size: calm, bright or blue, above the horizon, and down from the photo's top."""
    colours = cv2.bilateralFilter(lab(picture.pixels), 5, 12, 3)
    up = picture.rays()[..., 2]
    lightness, _, yellow = cv2.split(colours)
    calm = (slopes(colours) < 0.75 * EDGE) & (up > 0.01)
    calm &= ((lightness > 50) & (yellow < -4)) | ((lightness > 78) & (yellow < 12)) | ((lightness > 60) & (yellow < 4))
    _, pieces = cv2.connectedComponents(calm.astype(np.uint8), connectivity=4)
    at_top = np.unique(pieces[:3])
    sky = np.isin(pieces, at_top[at_top > 0])
    sky = cv2.morphologyEx(sky.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    return sky & (up > 0)
