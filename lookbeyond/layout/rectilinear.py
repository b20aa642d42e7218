"""Rooms whose walls run along two axes, around a camera at the origin. Lengths are in units of the camera's height."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import signed_area

from .canvas import ALL_COLUMNS

AZIMUTHS = math.pi * (1 - 2 * (np.arange(ALL_COLUMNS) + 0.5) / ALL_COLUMNS)
FLOOR_AT_LEAST, CEILING_RANGE = 0.15, (0.12, 6.0)


@dataclass(frozen=True, eq=False)
class RectilinearRoom:
    """A rectilinear room. Wall i is on the line x = offsets[i] (even i) or y = offsets[i] (odd i) of the room's frame,
    which is turned by `heading`; consecutive walls meet at a corner, counter-clockwise."""

    heading: float
    offsets: NDArray
    ceiling: float
    """Height above the camera."""

    def corners(self) -> NDArray:
        """[n, 2]; corner i is where wall i begins. In the photo's frame."""
        before = np.roll(self.offsets, 1)
        even = np.arange(len(self.offsets)) % 2 == 0
        own = np.stack([np.where(even, self.offsets, before), np.where(even, before, self.offsets)], -1)
        c, s = math.cos(self.heading), math.sin(self.heading)
        return own @ np.array([[c, s], [-s, c]])

    def valid(self) -> bool:
        """Whether it is a simple polygon around the camera, nowhere nearer than it can be."""
        corners = self.corners()
        if signed_area(corners) <= 0.1 or not CEILING_RANGE[0] <= self.ceiling <= CEILING_RANGE[1]:
            return False
        distance, _ = self.trace(AZIMUTHS)
        if not np.isfinite(distance).all() or distance.min() < FLOOR_AT_LEAST:
            return False
        return len(self.offsets) == 4 or _simple(corners)

    def trace(self, azimuths: NDArray) -> tuple[NDArray, NDArray]:
        """Level distance and number of the wall seen in these directions of the photo's frame; inf for none."""
        distance, number = trace_walls(
            self.offsets[None], np.cos(azimuths - self.heading), np.sin(azimuths - self.heading)
        )
        return distance[0], number[0]


def trace_walls(offsets: NDArray, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Level distance and wall, both [rooms, rays], for rooms [rooms, n] of one frame and rays (x, y) of it; inf, 0 for
    no wall."""
    count = offsets.shape[1]
    nearest = np.full((len(offsets), len(x)), np.inf)
    number = np.zeros(nearest.shape, int)
    with np.errstate(divide="ignore"):
        inverse = 1 / np.where(np.abs(x) < 1e-12, 1e-12, x), 1 / np.where(np.abs(y) < 1e-12, 1e-12, y)
    for wall in range(count):
        before, after = offsets[:, wall - 1], offsets[:, (wall + 1) % count]
        t = offsets[:, wall, None] * inverse[wall % 2]
        place = t * (y, x)[wall % 2]
        hit = (t > 0) & (t < nearest)
        hit &= place >= np.minimum(before, after)[:, None] - 1e-9
        hit &= place <= np.maximum(before, after)[:, None] + 1e-9
        np.copyto(nearest, t, where=hit)
        number[hit] = wall
    return nearest, number


def _simple(corners: NDArray) -> bool:
    """Whether no two sides of a polygon cross or touch but at its corners."""
    n = len(corners)
    a, b = corners, np.roll(corners, -1, 0)

    def side(p, q, r):
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    for i in range(n):
        for j in range(i + 2, n):
            if (j + 1) % n == i:
                continue
            first = side(a[i], b[i], a[j]) * side(a[i], b[i], b[j])
            second = side(a[j], b[j], a[i]) * side(a[j], b[j], b[i])
            if first <= 0 and second <= 0:
                return False
    return True
