"""How much of a view is known, estimated in a millisecond, for drawing while a path is edited.

`warping.warp_to_view` walks every ray and is exact; this splats the panorama's points onto a coarse frame, each at its
apparent size, and counts the pixels that they cover.
"""

import math
from dataclasses import dataclass

import numpy as np

from .cameras import Camera
from .keyframes import Reach
from .panorama import Panorama
from .projection import equirectangular_directions

FRAME_WIDTH = 24
"""Width in pixels of the coarse frame."""
POINTS_WIDTH = 128
"""Most columns of the panorama that become points."""
OVERLAP = 1.6
"""How much larger than their spacing points are drawn: their squares follow the frame, not each other."""
MAX_SPLAT = 10
"""Largest side of a point in pixels of the coarse frame: nearer points are inside the camera."""


@dataclass(frozen=True)
class Known:
    """What a view is made of, as shares of its pixels, 0..1; they sum to 1."""

    photo: float
    """What the photo saw."""
    invented: float
    """What was made up with the panorama: it stays as it is from view to view."""

    @property
    def hole(self) -> float:
        """What the panorama does not show: each shot makes it up."""
        return max(0.0, 1 - self.photo - self.invented)

    @property
    def share(self) -> float:
        """What the panorama shows at all."""
        return self.photo + self.invented


class Coverage:
    """A panorama's surfaces as points, prepared once; `known` is then quick for any camera."""

    def __init__(self, panorama: Panorama) -> None:
        step = max(1, -(-panorama.distance.shape[1] // POINTS_WIDTH))
        distance = panorama.distance[step // 2 :: step, step // 2 :: step]
        height, width = distance.shape
        directions = equirectangular_directions(width, height, panorama.heading_rad)
        # Rows crowd towards the poles: there every so many columns are enough.
        rows = (np.arange(height) + 0.5) / height * math.pi
        every = np.maximum(1, (1 / np.maximum(np.sin(rows), 1e-3)).astype(int))
        kept = np.arange(width)[None, :] % every[:, None] == 0
        self._points = (panorama.position + directions * distance[..., None])[kept].astype(np.float32)
        self._spread = (distance * (OVERLAP * 2 * math.pi / width))[kept].astype(np.float32)
        mask = panorama.from_photo
        at_row = ((np.arange(height) + 0.5) / height * mask.shape[0]).astype(int)
        at_column = ((np.arange(width) + 0.5) / width * mask.shape[1]).astype(int)
        self._from_photo = (mask[np.ix_(at_row, at_column)] > 127)[kept]
        self.reach = Reach(panorama)

    def known(self, camera: Camera) -> Known:
        """What the camera's view is made of; `share` of it is within some 0.1 of the exact one."""
        columns = FRAME_WIDTH
        rows = max(1, round(columns * camera.height / camera.width))
        small = camera.resized(columns, rows)
        local = (self._points - small.position.astype(np.float32)) @ small.rotation.astype(np.float32)
        depth = local[:, 2]
        ahead = depth > 1e-3
        x, y, depth = local[ahead, 0], local[ahead, 1], depth[ahead]
        intrinsics = small.intrinsics.astype(np.float32)
        scale = 1 / depth
        column = (intrinsics[0, 0] * x + intrinsics[0, 1] * y) * scale + intrinsics[0, 2]
        row = intrinsics[1, 1] * y * scale + intrinsics[1, 2]
        size = np.minimum(intrinsics[0, 0] * self._spread[ahead] * scale, MAX_SPLAT)
        margin = size / 2
        inside = (column > -margin) & (column < columns + margin) & (row > -margin) & (row < rows + margin)
        # From far to near: of several points in a pixel, the nearest, which is drawn last, is seen.
        order = np.argsort(-local[ahead, 2][inside])
        column, row, size, photo = (values[inside][order] for values in (column, row, size, self._from_photo[ahead]))
        count = np.ceil(size).astype(int)
        pixels, order_of, kinds = [], [], []
        for side in np.unique(count):
            these = np.flatnonzero(count == side)
            offsets = (np.arange(side) + 0.5) / side - 0.5
            at_column = np.floor(column[these] + offsets[:, None] * size[these]).astype(int)[:, None]
            at_row = np.floor(row[these] + offsets[:, None] * size[these]).astype(int)[None]
            seen = (at_column >= 0) & (at_column < columns) & (at_row >= 0) & (at_row < rows)
            pixels.append((at_row * columns + at_column)[seen])
            order_of.append(np.broadcast_to(these, seen.shape)[seen])
            kinds.append(np.broadcast_to(photo[these], seen.shape)[seen])
        found = np.zeros(rows * columns, np.uint8)
        if pixels:
            drawn = np.argsort(np.concatenate(order_of), kind="stable")
            found[np.concatenate(pixels)[drawn]] = np.where(np.concatenate(kinds)[drawn], 2, 1)
        return Known(photo=float((found == 2).mean()), invented=float((found == 1).mean()))
