"""A panorama or a view as seen from another position, using its distances.

Relief marching: every pixel of the new frame walks its own ray through the source's distance map (a relief,
as in Policarpo et al. 2005) until it passes behind the surface. No splats, so no cracks and no double images;
a pixel that finds no surface is a hole.
"""

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .cameras import Camera
from .panorama import Panorama, View
from .projection import Interpolation, _equirectangular_pixels, sample_pixels

STEP_RAD = math.radians(0.5)
"""Longest step of a walk as an angle seen from the source: thinner surfaces may be missed."""
STEPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
"""Numbers of steps that a ray may take; each ray has its own, so that its hit depends on no other ray."""
TEAR = 0.06
"""Share by which the inverse distance must jump between two pixels for the surface to be torn there."""
GRAZING = math.tan(math.radians(86))
"""Relative change of the inverse distance per radian above which a slope is a smeared edge, not a surface."""
HIT_TOLERANCE = 0.03
"""Largest relative difference between a hit's distance from the source and the distance map there."""
STRIDE = 2
"""Every so many pixels a ray is walked; between rays that agree, the surface is interpolated."""
AGREEMENT = 0.04
"""Relative difference of inverse depth up to which neighbouring rays are taken to have met one surface."""

REFINEMENTS = 4
CROSSINGS = 4
_SAMPLES = 1 << 17
"""Samples taken at a time, so that the temporaries stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Warped:
    """A source seen by another camera."""

    colour: NDArray
    """[H, W, C] of the source's type, 0 in holes."""
    distance: NDArray[np.float32]
    """[H, W] along the ray from the new camera, metres, 0 in holes."""
    known: NDArray[np.bool_]
    """[H, W]: False in holes."""
    source_coords: NDArray[np.float32]
    """[H, W, 2] pixel coordinates (column, row) in the source's colour, 0 in holes."""
    source_size: tuple[int, int]
    """Width and height of the source's colour."""
    sphere: bool
    """Whether the source is a panorama."""

    def sample(self, image: NDArray, interpolation: Interpolation = "bilinear") -> NDArray:
        """Any other image [h, w] or [h, w, C] that covers the source's frame, warped alike; 0 in holes."""
        scale = np.divide(image.shape[1::-1], self.source_size, dtype=np.float32)
        result = np.zeros((*self.known.shape, *image.shape[2:]), image.dtype)
        columns, rows = (self.source_coords[self.known] * scale).T
        result[self.known] = sample_pixels(image, columns, rows, interpolation, sphere=self.sphere)
        return result


def warp_to_view(source: Panorama | View, target: Camera) -> Warped:
    """What `target` sees of the surfaces that `source` saw.

    A ray that passes behind the rim of a surface goes on until it comes out again; what it meets first then
    is its hit. Rays that meet nothing, or leave a view's frame, are holes. What is prepared from a source is
    kept as long as the source lives. Sampling does not filter: see `Panorama.shrunk`.
    """
    relief = relief_of(source)
    offset = (target.position - relief.position).astype(np.float32)
    rays = target.rays().astype(np.float32)
    distance = _walk_frame(relief, offset, rays, rays @ target.forward.astype(np.float32))
    known = distance > 0
    x, y, z = (offset + rays[known] * distance[known][:, None]).T
    height, width = source.colour.shape[:2]
    columns, rows = relief.pixels(x, y, z, width, height)
    coords = np.zeros((*known.shape, 2), np.float32)
    coords[known] = np.stack([columns, rows], -1)
    colour = np.zeros((*known.shape, *source.colour.shape[2:]), source.colour.dtype)
    colour[known] = sample_pixels(source.colour, columns, rows, sphere=relief.sphere)
    return Warped(colour, distance, known, coords, (width, height), relief.sphere)


@dataclass(frozen=True, eq=False)
class Tears:
    """A source's inverse distance with one more pixel on every side, and where the surface is torn."""

    inverse: NDArray[np.float32]
    """[H + 2, W + 2] 1 / metres: a panorama goes on around and over its poles, a view as its border is."""
    right: NDArray[np.bool_]
    """[H + 2, W + 1]: between a pixel and its right neighbour."""
    down: NDArray[np.bool_]
    """[H + 1, W + 2]: between a pixel and the one below it."""

    @classmethod
    def of(cls, source: Panorama | View) -> "Tears":
        inverse = 1 / source.distance
        if isinstance(source, Panorama):
            pixel_rad = 2 * math.pi / inverse.shape[1]
            padded = _padded_sphere(inverse)
        else:
            pixel_rad = 1 / max(source.camera.intrinsics[0, 0], source.camera.intrinsics[1, 1])
            padded = np.pad(inverse, 2, mode="edge")
        return cls(padded[1:-1, 1:-1], _tears(padded, pixel_rad), _tears(padded.T, pixel_rad).T)

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """[H + 2, W + 2]: on either side of a tear."""
        torn = np.zeros(self.inverse.shape, bool)
        torn[:, :-1] |= self.right
        torn[:, 1:] |= self.right
        torn[:-1] |= self.down
        torn[1:] |= self.down
        return torn


class Relief:
    """A distance map prepared for walking through: bilinear where it is one surface, torn where it jumps."""

    def __init__(self, source: Panorama | View) -> None:
        self.sphere = isinstance(source, Panorama)
        self.height, self.width = source.distance.shape
        self.near = float(source.distance.min()) * 0.999
        self.far = float(source.distance.max()) * 1.001
        if isinstance(source, Panorama):
            self.position = source.position
            self.heading_rad = source.heading_rad
        else:
            self.position = source.camera.position
            intrinsics = np.diag([1 / source.camera.width, 1 / source.camera.height, 1.0]) @ source.camera.intrinsics
            self.to_frame = (intrinsics @ source.camera.rotation.T).astype(np.float32)
        tears = Tears.of(source)
        inner, right, down = tears.inverse, tears.right, tears.down
        corners = (inner[:-1, :-1], inner[:-1, 1:], inner[1:, :-1], inner[1:, 1:])
        self.quads = np.stack(corners, -1).reshape(-1, 4)
        self.torn = (right[:-1] | right[1:] | down[:, :-1] | down[:, 1:]).reshape(-1)

    def pixels(self, x: NDArray, y: NDArray, z: NDArray, width: int, height: int) -> tuple[NDArray, NDArray]:
        """Pixel coordinates of directions seen from the source, in an image of its frame of any size."""
        if self.sphere:
            return _equirectangular_pixels(x, y, z, width, height, self.heading_rad)
        to_frame = self.to_frame * np.array([[width], [height], [1]], np.float32)
        column, row, depth = (line[0] * x + line[1] * y + line[2] * z for line in to_frame)
        scale = 1 / np.where(depth > 1e-6, depth, np.float32(np.nan))
        return column * scale, row * scale

    def inverse_distance(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray[np.float32]:
        """1 / distance along directions (any length) from the source; 0, nothing there, outside its frame."""
        column, row = self.pixels(x, y, z, self.width, self.height)
        if not self.sphere:
            outside = ~((column >= 0) & (column <= self.width) & (row >= 0) & (row <= self.height))
            column[outside] = row[outside] = 0
        column += np.float32(0.5)
        row += np.float32(0.5)
        left, above = column.astype(np.int32), row.astype(np.int32)
        column -= left
        row -= above
        index = above * (self.width + 1) + left
        torn = self.torn.take(index)
        if torn.any():
            column[torn] = column[torn] >= 0.5
            row[torn] = row[torn] >= 0.5
        quads = self.quads.take(index.reshape(-1), 0).reshape(*index.shape, 4)
        top = quads[..., 0] + (quads[..., 1] - quads[..., 0]) * column
        bottom = quads[..., 2] + (quads[..., 3] - quads[..., 2]) * column
        result = top + (bottom - top) * row
        if not self.sphere:
            result[outside] = 0
        return result


_reliefs: "WeakKeyDictionary[Panorama | View, Relief]" = WeakKeyDictionary()


def relief_of(source: Panorama | View) -> Relief:
    """The source's relief, prepared once and kept as long as the source lives."""
    if source not in _reliefs:
        _reliefs[source] = Relief(source)
    return _reliefs[source]


def _padded_sphere(image: NDArray) -> NDArray:
    """An equirectangular image [H, W] with two more pixels on every side: around, and over the poles."""
    over = np.roll(image, image.shape[1] // 2, 1)
    tall = np.concatenate([over[1::-1], image, over[:-3:-1]])
    return np.pad(tall, ((0, 0), (2, 2)), mode="wrap")


def _tears(padded: NDArray, pixel_rad: float) -> NDArray[np.bool_]:
    """Where the surface is torn between a pixel and its right neighbour, [H + 2, W + 1] for [H + 4, W + 4].

    Planes are linear in inverse distance: a change that neither side's slope foretells is a jump. Where an
    edge was smeared over several pixels, only its steepness tells.
    """
    change = np.diff(padded, axis=1)[1:-1]
    jump = np.minimum(np.abs(change[:, 1:-1] - change[:, :-2]), np.abs(change[:, 1:-1] - change[:, 2:]))
    nearer = np.maximum(padded[1:-1, 1:-2], padded[1:-1, 2:-1])
    steep = max(GRAZING * pixel_rad, TEAR)
    return (jump > TEAR * nearer) | (np.abs(change[:, 1:-1]) > steep * nearer)


def _walk_frame(relief: Relief, offset: NDArray, rays: NDArray, cosines: NDArray) -> NDArray[np.float32]:
    """Distances [H, W] of the hits of a frame's rays [H, W, 3], 0 in holes; `cosines` = depth / distance.

    Rays are walked on a grid of every STRIDE-th pixel. Inverse depth is linear across the image of a plane,
    so between four rays that met the same surface it is interpolated; the other pixels are walked themselves.
    """
    height, width = cosines.shape
    grid_rows, row, below = frame_grid(height)
    grid_columns, column, right = frame_grid(width)
    grid = np.ix_(grid_rows, grid_columns)
    hits = _walk(relief, offset, rays[grid].reshape(-1, 3)).reshape(len(grid_rows), len(grid_columns))
    inverse = np.divide(1, hits * cosines[grid], out=np.zeros_like(hits), where=hits > 0)
    corners = [inverse[:-1, :-1], inverse[:-1, 1:], inverse[1:, :-1], inverse[1:, 1:]]
    least, most = np.minimum.reduce(corners), np.maximum.reduce(corners)
    agree = most - least <= AGREEMENT * least
    lines = inverse[:, column] * (1 - right) + inverse[:, column + 1] * right
    depth = lines[row] * (1 - below[:, None]) + lines[row + 1] * below[:, None]
    met = agree[row][:, column] & (depth > 0)
    distance = np.divide(1, depth * cosines, out=np.zeros_like(depth), where=met)
    distance[grid] = hits
    met[grid] = True
    distance[~met] = _walk(relief, offset, rays[~met])
    return distance


def frame_grid(size: int) -> tuple[NDArray, NDArray, NDArray]:
    """Indices of the walked pixels along a side, and for every pixel its cell and its place (0..1) in it."""
    walked = np.append(np.arange(0, size - 1, STRIDE), size - 1)
    if size == 1:
        walked = np.zeros(2, int)
    every = np.arange(size)
    cell = np.minimum(every // STRIDE, len(walked) - 2)
    span = np.maximum(walked[cell + 1] - walked[cell], 1)
    return walked, cell, ((every - walked[cell]) / span).astype(np.float32)


def _walk(relief: Relief, offset: NDArray, rays: NDArray) -> NDArray[np.float32]:
    """Distances [R] from an offset [3] from the source along unit rays [R, 3] to their hits, 0 for none."""
    # Surfaces lie between the spheres around the source through its nearest and its farthest point.
    square = float(offset @ offset)
    along = -(rays @ offset)
    aside = square - along**2
    start = np.zeros_like(along)
    if square < relief.near**2:
        start = along + np.sqrt(relief.near**2 - aside)
    end = along + np.sqrt(np.maximum(relief.far**2 - aside, 0))
    distance = np.zeros_like(along)
    walked = np.flatnonzero(end > start)
    path = _Path(relief, offset, rays[walked], start[walked], end[walked])
    steps = np.minimum(np.searchsorted(STEPS, path.angles() / STEP_RAD), len(STEPS) - 1)
    for number, count in enumerate(STEPS):
        alike = np.flatnonzero(steps == number)
        at_once = _SAMPLES // count
        for first in range(0, len(alike), at_once):
            some = alike[first : first + at_once]
            distance[walked[some]] = path.first_hits(some, count)
    return distance


class _Path:
    """Segments of rays as seen from the source.

    At a share s of [0, 1] the direction is (1 - s) a + s b, with a and b the unit directions of the ends, and
    the distance is |direction| / ((1 - s) / |A| + s / |B|).

    `behind(s)` = |direction| / surface distance - ((1 - s) / |A| + s / |B|) is negative in front of the
    surface and, on a plane, linear in s.
    """

    def __init__(self, relief: Relief, offset: NDArray, rays: NDArray, start: NDArray, end: NDArray) -> None:
        self.relief = relief
        self.start, self.end = start, end
        first, last = (offset + rays * length[:, None] for length in (start, end))
        self.near, self.far = (1 / np.maximum(np.linalg.norm(x, axis=-1), 1e-6) for x in (first, last))
        first *= self.near[:, None]
        last *= self.far[:, None]
        self.direction = np.ascontiguousarray(first.T)
        self.turn = np.ascontiguousarray((last - first).T)

    def angles(self) -> NDArray:
        """About the angle that each ray sweeps as seen from the source, radians."""
        return np.sqrt((self.turn**2).sum(0))

    def behind(self, share: NDArray, which: NDArray) -> NDArray:
        x, y, z = (a[which] + t[which] * share for a, t in zip(self.direction, self.turn, strict=True))
        surface = self.relief.inverse_distance(x, y, z)
        surface *= np.sqrt(x * x + y * y + z * z)
        surface -= self.near[which] + (self.far - self.near)[which] * share
        return surface

    def first_hits(self, which: NDArray, steps: int) -> NDArray[np.float32]:
        """Distances of the first hits of some of the rays, each walked in so many steps; 0 for none."""
        shares = np.linspace(0, 1, steps + 1, dtype=np.float32)
        behind = self.behind(shares[:, None], which)
        crossing = (behind[:-1] < 0) & (behind[1:] >= 0)
        distance = np.zeros(len(which), np.float32)
        waiting = np.flatnonzero(crossing.any(0))
        for _ in range(CROSSINGS):
            if not waiting.size:
                break
            step, rays = crossing[:, waiting].argmax(0), which[waiting]
            low, high = behind[step, waiting], behind[step + 1, waiting]
            share, miss = self._refined(rays, shares[step], shares[step + 1], low, high)
            nearness = self.near[rays] + (self.far - self.near)[rays] * share
            weight = share * self.far[rays] / nearness
            hit = np.abs(miss) < HIT_TOLERANCE * nearness
            distance[waiting[hit]] = ((1 - weight) * self.start[rays] + weight * self.end[rays])[hit]
            # The others only passed behind a rim: they go on until they next meet a surface from its front.
            crossing[step, waiting] = False
            waiting = waiting[~hit]
            waiting = waiting[crossing[:, waiting].any(0)]
        return distance

    def _refined(
        self, rays: NDArray, low: NDArray, high: NDArray, low_value: NDArray, high_value: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Share between low and high where rays meet the surface, and `behind` there: regula falsi."""
        share, value = low, low_value
        for _ in range(REFINEMENTS):
            share = low + (high - low) * (low_value / (low_value - high_value))
            value = self.behind(share, rays)
            front = value < 0
            high_value = np.where(front, high_value * np.float32(0.5), value)
            low_value = np.where(front, value, low_value * np.float32(0.5))
            low, high = np.where(front, share, low), np.where(front, high, share)
        return share, value
