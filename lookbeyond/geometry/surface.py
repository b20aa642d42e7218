"""A distance map as a mesh: what a source saw, as triangles that any camera can draw.

Vertices are the middles of the map's pixels. Where the surface is torn (`warping.Tears`) no triangle crosses the
tear: each side goes on, as steeply as it came, for half a cell. (`warping.Relief` keeps its distance there.)
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .panorama import Panorama, View
from .projection import pixel_directions
from .warping import TEAR, Tears

BLOCK = 16
"""Cells along a side of the blocks that are drawn, or found to lie outside a frame, as one."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles relative to the source's position, in the world's axes, metres; clockwise as the source sees them."""

    points: NDArray[np.float32]
    """[R + 1, C + 1, 3] corners of R x C cells. A panorama's first and last column are the same, and each of its poles
    is a row."""
    whole: NDArray[np.bool_]
    """[R, C]: cells that are drawn as two triangles: above left of the diagonal from below left to above right, and
    below right of it."""
    loose: NDArray[np.float32]
    """[K, 3, 3] the triangles of the torn cells, block by block."""
    loose_from: NDArray[np.int64]
    """[B + 1] where each block's loose triangles begin; the last number is K. Blocks come row by row."""
    boxes: NDArray[np.float32]
    """[B, 2, 3] lowest and highest coordinates of everything in a block."""


_surfaces: "WeakKeyDictionary[Panorama | View, Surface]" = WeakKeyDictionary()


def surface_of(source: Panorama | View) -> Surface:
    """The source's surface, made once and kept as long as the source lives."""
    if source not in _surfaces:
        _surfaces[source] = _surface(source)
    return _surfaces[source]


def _surface(source: Panorama | View) -> Surface:
    tears = Tears.of(source)
    height, width = source.distance.shape
    rows, columns = (np.concatenate([[0], np.arange(size) + 0.5, [size]]) for size in (height, width))
    if isinstance(source, Panorama):
        around = [*range(1, width + 1), 1]
        inverse, across, down = tears.inverse[:, around], tears.right[:, 1:], tears.down[:, around]
        inverse[[0, -1]] = inverse[[1, -2], :-1].mean(1, keepdims=True)
        columns = np.arange(width + 1) + 0.5
        heading_rad = source.heading_rad

        def directions(rows: NDArray, columns: NDArray) -> NDArray:
            return pixel_directions(columns % width, rows, width, height, heading_rad)

    else:
        inverse, across, down = tears.inverse, tears.right, tears.down
        to_world = (source.camera.rotation @ np.linalg.inv(source.camera.intrinsics)).astype(np.float32)

        def directions(rows: NDArray, columns: NDArray) -> NDArray:
            rays = np.multiply.outer(columns.astype(np.float32), to_world[:, 0])
            rays = rays + np.multiply.outer(rows.astype(np.float32), to_world[:, 1]) + to_world[:, 2]
            return rays / np.sqrt(np.einsum("...i,...i->...", rays, rays))[..., None]

    points = directions(rows[:, None], columns[None]) / inverse[..., None]
    if isinstance(source, Panorama):  # to the last bit one point each
        points[[0, -1]] = points[[0, -1], :1]
    slopes_across = _slopes(inverse, across, wraps=isinstance(source, Panorama))
    slopes_down = [slope.T for slope in _slopes(inverse.T, down.T, wraps=False)]
    sides = np.stack([across[:-1], down[:, 1:], across[1:], down[:, :-1]])
    torn = sides.any(0)
    cell_row, cell_column = np.nonzero(torn)
    loose, cell = [np.zeros((0, 3, 3), np.float32)], [np.zeros(0, np.int64)]
    for some, parts in _parts(sides[:, cell_row, cell_column]):
        row, column = cell_row[some], cell_column[some]
        middle = (rows[row] + rows[row + 1]) / 2, (columns[column] + columns[column + 1]) / 2
        for part in parts:
            at = [(row + (corner in (2, 3)), column + (corner in (1, 2))) for corner in part]
            nearness = [inverse[corner] for corner in at]
            ends, rays = [], []
            for side, corner, (r, c) in (((part[0] - 1) % 4, part[0], at[0]), (part[-1], part[-1], at[-1])):
                # a side's middle lies on its row (sides 0 and 2) or on its column
                flat = side % 2 == 0
                # a corner below or to the right goes on against the sense in which pixels count
                backward = corner in ((1, 2) if flat else (2, 3))
                ends.append(inverse[r, c] + (slopes_across if flat else slopes_down)[int(backward)][r, c] / 2)
                rays.append(directions(*((rows[r], middle[1]) if flat else (middle[0], columns[c]))))
            if len(part) == 1:
                centre = np.maximum(ends[0] + ends[1] - nearness[0], nearness[0] / 2)
            else:
                centre = np.mean({2: ends, 3: [nearness[0], nearness[-1]], 4: nearness}[len(part)], 0)
            ends = [ray / end[:, None] for ray, end in zip(rays, ends, strict=True)]
            centre = directions(*middle) / centre[:, None]
            outline = [ends[0], *(points[corner] for corner in at), ends[1]]
            for first, second in itertools.pairwise(outline):
                loose.append(np.stack([centre, first, second], 1))
                cell.append(row * len(torn[0]) + column)
    return _in_blocks(points, ~torn, np.concatenate(loose), np.concatenate(cell))


def _slopes(inverse: NDArray, torn: NDArray[np.bool_], wraps: bool) -> list[NDArray[np.float32]]:
    """How a surface [H, W] continues to the right of each pixel, and to its left: as it arrives from the other side."""
    step = np.where(torn, 0, np.diff(inverse, axis=1))
    before, after = (step[:, -1:], step[:, :1]) if wraps else (np.zeros((len(step), 1)),) * 2
    most = np.float32(TEAR) * inverse
    return [
        np.clip(slope, -most, most).astype(np.float32)
        for slope in (np.concatenate([before, step], 1), -np.concatenate([step, after], 1))
    ]


def _parts(sides: NDArray[np.bool_]) -> Iterator[tuple[NDArray, list[list[int]]]]:
    """Torn cells [N] by which of their sides [4, N] are torn, and the corners that then hang together.

    Corners count clockwise from above left; side k leads from corner k to the next.
    """
    pattern = (sides * np.array([[1], [2], [4], [8]])).sum(0)
    for number in range(1, 16):
        some = np.flatnonzero(pattern == number)
        if some.size:
            begins = [(side + 1) % 4 for side in range(4) if number >> side & 1]
            ends = begins[1:] + begins[:1]
            parts = [
                [(begin + i) % 4 for i in range((end - begin - 1) % 4 + 1)]
                for begin, end in zip(begins, ends, strict=True)
            ]
            yield some, parts


def _in_blocks(points: NDArray, whole: NDArray, loose: NDArray, cell: NDArray) -> Surface:
    height, width = whole.shape
    first_rows, first_columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    block = cell // width // BLOCK * len(first_columns) + cell % width // BLOCK
    order = np.argsort(block, kind="stable")
    loose, block = loose[order].astype(np.float32), block[order]
    loose_from = np.searchsorted(block, np.arange(len(first_rows) * len(first_columns) + 1))
    bounds = []
    for extreme in (np.minimum, np.maximum):
        box = points
        for axis, first in enumerate((first_rows, first_columns)):
            # a block's last corners are the next one's first
            shared = np.take(box, np.append(first[1:], box.shape[axis] - 1), axis)
            box = extreme(extreme.reduceat(box, first, axis), shared)
        box = box.reshape(-1, 3).copy()
        extreme.at(box, block, extreme.reduce(loose, 1))
        bounds.append(box)
    return Surface(points, whole, loose, loose_from, np.stack(bounds, 1))
