"""Finds the sources of light in a panorama, as it is displayed: what is clipped, and what was invented very bright.

A source is a connected region of a small picture of the sphere. Its features say what kind of thing it may be; they
are all that `energy` knows of it.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.photo.exposure import LUMINANCE
from lookbeyond.photo.pixels import srgb_to_linear

WIDTH = 256
"""Width of the sphere on which sources are found, pixels."""
CLIPPED = 250
"""Level of a channel, of 255, from which on it is taken as clipped."""
_WHITE = 0.8
"""Linear luminance that a clipped pixel must have, or it is a colour at its fullest: the blue of a sky above all."""
_SHARE = 0.15
"""Of a small pixel, that must be clipped."""
_INVENTED = 0.75
"""Linear luminance from which on what was invented is a source, at the most: what is painted is soft, and hardly ever
reaches white."""
_INVENTED_SHARE = 0.03
"""Share of what was invented that counts as sources, if it stands out: somewhere the light comes from."""
_STANDS_OUT = 1.25
"""Times the mean of what was invented that a source of it must have."""
LEAST_SR = 1e-3
"""Smaller regions (2 degrees across) are no sources, unless the picture is white there."""
FEATURES = (
    "size",
    "elevation",
    "elevation_squared",
    "level",
    "glow",
    "invented",
    "scene_key",
    "scene_clipped",
    "scene_above",
    "scene_blue",
    "scene_seen",
)
"""Of the source: its solid angle, height, luminance as displayed, how much brighter its rim is than what lies around,
whether it was invented. Of the scene: its mean luminance, what is clipped of it, how much brighter and how blue its
upper half is, how much of it is a photo."""


@dataclass(frozen=True, eq=False)
class Source:
    """A region of the sphere that may be brighter than it is displayed."""

    mask: NDArray[np.bool_]
    """[WIDTH / 2, WIDTH]"""
    share: NDArray[np.float32]
    """[WIDTH / 2, WIDTH] 0..1: how much of each pixel is clipped, or was invented; 0 outside of the mask."""
    solid_angle_sr: float
    features: NDArray[np.float32]
    """[len(FEATURES)], as in `FEATURES`: logarithms to base 2, sines and shares."""


def solid_angles(height: int) -> NDArray[np.float32]:
    """[H, 1] steradians of a pixel of each row of a panorama [H, 2H]."""
    edges = np.sin(np.linspace(math.pi / 2, -math.pi / 2, height + 1))
    return ((edges[:-1] - edges[1:]) * math.pi / height)[:, None].astype(np.float32)


def small_sphere(light: NDArray, width: int = WIDTH) -> NDArray[np.float32]:
    """A panorama [H, 2H(, C)] at another width: the mean of each pixel's area, or in between."""
    how = cv2.INTER_AREA if light.shape[1] >= width else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(light, np.float32), (width, width // 2), interpolation=how)
    return np.asarray(resized, np.float32)


def clipped_white(colour: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture, sRGB [..., 3], is at its brightest, and may have been brighter."""
    red, green, blue = np.moveaxis(colour, -1, 0)
    linear = srgb_to_linear(np.arange(256) / 255)
    luminance = sum(
        table[channel]
        for table, channel in zip(np.float32(LUMINANCE[:, None] * linear), (red, green, blue), strict=True)
    )
    return (colour.max(-1) >= CLIPPED) & (luminance >= _WHITE)


def find_sources(
    light: NDArray[np.float32], clipped: NDArray[np.bool_], seen: NDArray[np.float32] | None = None
) -> list[Source]:
    """The sources of a panorama.

    light: [H, 2H, 3] linear, 0..1 as displayed; clipped: [H, 2H], of `clipped_white`; seen: [H, 2H] 0..1, what a photo
    shows of it (None: all is a photo).
    """
    small = small_sphere(light)
    luminance = small @ LUMINANCE
    own = np.ones_like(luminance) if seen is None else small_sphere(seen)
    share = small_sphere(clipped)
    weight = np.broadcast_to(solid_angles(WIDTH // 2), luminance.shape)
    mask = (share > _SHARE) & (own > 0.5)
    invented = own <= 0.5
    share = np.where(invented, np.float32(1), share)
    # of the clipped part alone, however much of a pixel it is
    level = np.where(invented, luminance, small_sphere(light @ LUMINANCE * clipped) / np.maximum(share, 1e-3))
    if invented.any():
        soft = cv2.GaussianBlur(np.concatenate([luminance[:, -16:], luminance, luminance[:, :16]], 1), (0, 0), 1)[
            :, 16:-16
        ]
        limit = min(_INVENTED, _quantile(soft[invented], weight[invented], 1 - _INVENTED_SHARE))
        # even paint has no sources
        mean = float(np.average(luminance[invented], weights=weight[invented]))
        mask |= invented & (soft >= max(limit, min(_STANDS_OUT * mean, _INVENTED), 1e-3))
    if not mask.any():
        return []
    # a region must not be cut by the picture's edge: it is turned to where the fewest are
    turn = int((mask * weight).sum(0).argmin())
    closed = cv2.morphologyEx(np.roll(mask, -turn, 1).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(closed, connectivity=8)
    labels = np.roll(labels, turn, 1)
    scene = _scene_features(luminance, small, mask, share, own, weight)
    sources = []
    for number in range(1, count):
        region = (labels == number) & mask
        angle = float((weight * share)[region].sum())
        if angle >= LEAST_SR or (share * region > 0.5).any():
            own_features = _region_features(region, share, luminance, level, weight, own)
            sources.append(Source(region, share * region, angle, np.float32([*own_features, *scene])))
    return sources


def _quantile(values: NDArray, weight: NDArray, share: float) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weight[order])
    return float(values[order[min(np.searchsorted(sums, share * sums[-1]), len(order) - 1)]])


def _region_features(region, share, luminance, level, weight, own) -> list[float]:
    weight_inside = (weight * share)[region]
    height = len(region)
    rows = np.nonzero(region)[0]
    up = float(np.average(np.sin((0.5 - (rows + 0.5) / height) * math.pi), weights=weight_inside))
    pad = 16
    wide = np.concatenate([region[:, -pad:], region, region[:, :pad]], 1).astype(np.uint8)
    away = cv2.distanceTransform(1 - wide, cv2.DIST_L2, 5)[:, pad:-pad]
    far = _mean(luminance, weight, (away > 3) & (away <= 6), 0.18)
    near = _mean(luminance, weight, (away > 0) & (away <= 2), far)
    shown = float(np.average(level[region], weights=weight_inside))
    return [
        math.log2(float(weight_inside.sum())),
        up,
        up * up,
        shown,
        math.log2(near / far),
        1 - float(own[region].mean()),
    ]


def _mean(values: NDArray, weight: NDArray, mask: NDArray, otherwise: float) -> float:
    return max(float(np.average(values[mask], weights=weight[mask])), 1e-3) if mask.any() else otherwise


def _scene_features(luminance, small, mask, share, own, weight) -> list[float]:
    height = len(luminance)
    rest = ~mask
    logs = np.log2(np.maximum(luminance, 1e-3))
    above, below = rest.copy(), rest.copy()
    above[height // 2 :], below[: height // 2] = False, False
    up, down = (float(np.average(logs[part], weights=weight[part])) if part.any() else -2.5 for part in (above, below))
    blue = float(np.average((small[..., 2] - small[..., 0])[above], weights=weight[above])) if above.any() else 0.0
    high = blue / _mean(luminance, weight, above, 0.18)
    return [
        float(np.average(logs[rest], weights=weight[rest])) if rest.any() else 0.0,
        math.log2(float((weight * share)[mask].sum())),
        up - down,
        high,
        float(np.average(own, weights=weight)),
    ]
