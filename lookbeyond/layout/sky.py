"""The sky in a photo: whether there is one (`measure_sky`, `measure_white_sky`), and which pixels show it once that is
sure (`segment_sky`).

Both look for what is smooth from the photo's top down to no lower than the horizon: one for what is bluer than the
rest, the other for what is brighter. An overcast sky is the source of a place's light, so that hardly anything in the
photo is as bright, and what stands before it is plainly darker; a white ceiling is lit by what stands below. They
prefer misses to mistakes: a room that loses its ceiling is worse than a street that gets one.
"""

import math
from collections.abc import Iterator
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
_WHITE, _PALE, _EVEN = 60.0, 13.0, 3.5
"""Lightness of a white sky at least; its chroma, and largest local deviation of lightness, at most."""
_BENEATH = 7
"""Rows below a white sky, on a photo 160 pixels long, that are compared with those above its edge."""
_DARKER = 12.0
"""By how much what stands before a white sky is darker, at least."""
_BRIGHTEST = 0.9
"""Quantile of what lies beneath a white sky, or beside it, that it must outshine: a lamp may be brighter."""
_CORNER = 2.5
"""Pixels of such a photo by which the polygon of a white sky's lower edge may miss it."""


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


@dataclass(frozen=True)
class WhiteSky:
    """The part of a photo that may be white or grey sky; all zeros where there is none."""

    share: float = 0.0
    """Of the photo's pixels."""
    top: float = 0.0
    """Of its upper border."""
    brighter: float = 0.0
    """By how much its lightness is above the 90 % quantile of what lies beneath and beside it."""
    outlined: float = 0.0
    """Share of its lower edge along which what stands before it is plainly darker."""
    skyline_rad: float = math.pi / 2
    """Median elevation of that edge: a ceiling's is only so low where the wall is many metres away."""
    corners: int = 0
    """Of that edge, made a polygon: a ceiling has few."""

    @property
    def evidence(self) -> float:
        """0 for none; 1 for a quarter of the photo, as broad as it, that outshines the rest along a clear skyline."""
        seen = _ramp(self.share, 0, 0.25) * _ramp(self.top, 0.3, 0.95)
        shines = _ramp(self.brighter, 2, 10) * _ramp(self.outlined, 0.4, 0.75)
        no_ceiling = max(_ramp(-self.skyline_rad, -0.22, -0.14), _ramp(self.corners, 5, 9))
        return seen * shines * no_ceiling


def _ramp(value: float, zero: float, one: float) -> float:
    return min(1.0, max(0.0, (value - zero) / (one - zero)))


@dataclass(frozen=True)
class SkyEvidence:
    """How much speaks for a sky, 0..1."""

    blue: float
    white: float


def evidence_of_sky(photo: NDArray[np.uint8], camera: Camera) -> SkyEvidence:
    """Of a photo [h, w, 3] and its camera in the world."""
    return SkyEvidence(measure_sky(photo, camera).evidence, measure_white_sky(photo, camera).evidence)


def measure_sky(photo: NDArray[np.uint8], camera: Camera) -> Sky:
    """The blue sky in a photo [h, w, 3] of a camera in the world (any resolution)."""
    light, green, blue, elevation = _small(photo, camera)
    is_blue = (blue < _BLUE) & (light > 12)
    cloud = (light > _BRIGHT) & (np.hypot(green, blue) < _GREY)
    able = (is_blue | cloud) & (_roughness(light, 5) < _SMOOTH)
    sky = np.zeros(able.shape, bool)
    for own in _from_top(able, elevation):
        if is_blue[own].mean() > 0.4:
            sky |= own
    if not sky.any() or sky.all():
        return Sky()
    bluer = float(np.median(blue[~sky]) - np.median(blue[sky]))
    return Sky(float(sky.mean()), float(sky[:2].any(0).mean()), bluer)


def measure_white_sky(photo: NDArray[np.uint8], camera: Camera) -> WhiteSky:
    """The white or grey sky in a photo [h, w, 3] of a camera in the world (any resolution)."""
    light, green, blue, elevation = _small(photo, camera)
    able = (
        (light > _WHITE)
        & (np.hypot(green, np.where(blue < 0, blue / 2, blue)) < _PALE)
        & (_roughness(light, 3) < _EVEN)
    )
    sky = np.zeros(able.shape, bool)
    for own in _from_top(able, elevation):
        sky |= own
    if not sky.any():
        return WhiteSky()
    share, top = float(sky.mean()), float(sky[:2].any(0).mean())
    sky = cv2.morphologyEx(sky.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    if sky.all():
        return WhiteSky()
    columns = np.flatnonzero(sky.any(0))
    rows = len(sky)
    lowest = rows - 1 - np.argmax(sky[::-1, columns], 0)
    # patches of sky between branches and towers are not what it is compared with
    beneath = np.ones(sky.shape, bool)
    beneath[:, columns] = np.arange(rows)[:, None] > lowest
    if not beneath.any():
        return WhiteSky()
    brighter = float(np.median(light[sky]) - np.quantile(light[beneath], _BRIGHTEST))
    steps = [
        np.median(light[max(0, row - _BENEATH + 1) : max(1, row - 1), column])
        - np.median(light[row + 2 : row + _BENEATH, column])
        for column, row in zip(columns, lowest, strict=True)
        if row + 3 < rows
    ]
    outline = cv2.approxPolyDP(np.stack([columns, lowest], -1).astype(np.float32)[:, None], _CORNER, False)
    return WhiteSky(
        share,
        top,
        brighter,
        float(np.mean(np.array(steps) > _DARKER)) if steps else 0.0,
        float(np.median(elevation[lowest, columns])),
        len(outline),
    )


def _small(photo: NDArray[np.uint8], camera: Camera) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Lab lightness, a* and b* of a photo made small, and its pixels' elevation in radians."""
    scale = min(1.0, _SIDE / max(photo.shape[:2]))
    size = max(8, round(photo.shape[1] * scale)), max(8, round(photo.shape[0] * scale))
    light, green, blue = cv2.split(lab(cv2.resize(photo, size, interpolation=cv2.INTER_AREA)))
    return light, green, blue, np.arcsin(np.clip(camera.resized(*size).rays()[..., 2], -1, 1))


def _roughness(light: NDArray, window: int) -> NDArray:
    """Local deviation of lightness."""
    mean = cv2.blur(light, (window, window))
    return np.sqrt(np.maximum(cv2.blur(light * light, (window, window)) - mean * mean, 0))


def _from_top(able: NDArray[np.bool_], elevation: NDArray) -> Iterator[NDArray[np.bool_]]:
    """The connected parts of a mask that touch the photo's top and end at the horizon or above."""
    opened = cv2.morphologyEx(able.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts = cv2.connectedComponents(opened, connectivity=4)
    for part in range(1, count):
        own = parts == part
        if own[:2].any() and np.quantile(elevation[own], 0.02) > _LOWEST_RAD:
            yield own


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
