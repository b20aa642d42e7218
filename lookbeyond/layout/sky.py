"""Whether there is sky in a photo: smooth, bluer than the rest, from the photo's top down to no lower than the horizon.

Made to miss rather than to mistake: a room that loses its ceiling is worse than a street that gets one. White skies
look like ceilings and are not looked for.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera

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


def find_sky(photo: NDArray[np.uint8], camera: Camera) -> Sky:
    """The sky in a photo [h, w, 3] of a camera in the world (any resolution)."""
    scale = min(1.0, _SIDE / max(photo.shape[:2]))
    size = max(8, round(photo.shape[1] * scale)), max(8, round(photo.shape[0] * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light, blue = lab[..., 0], lab[..., 2]
    mean = cv2.blur(light, (5, 5))
    rough = np.sqrt(np.maximum(cv2.blur(light * light, (5, 5)) - mean * mean, 0))
    is_blue = (blue < _BLUE) & (light > 12)
    cloud = (light > _BRIGHT) & (np.hypot(lab[..., 1], blue) < _GREY)
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
