"""Where a camera may go in a world, at the height that the world was seen from: a grid of cells around that place."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from skimage.draw import polygon2mask

from lookbeyond.errors import InputError
from lookbeyond.geometry.coverage import Coverage
from lookbeyond.geometry.keyframes import nearest_surfaces
from lookbeyond.geometry.panorama import Panorama

from .goals import DOUBT

CELL_M = 0.05
MAX_CELLS = 320
"""Along a side of the grid: in a larger place cells are larger."""
EXTENT_M = 6.0
"""No farther than this from the world's viewpoint unless asked for."""
AZIMUTHS = 360
ROWS = 256
"""Of the distance map, at most: finer ones are shrunk to their nearest."""
UNSURE = 0.3
"""In a place whose layout was not found everything may be nearer by this share; less if less is doubted than usual."""
UNSURE_REACH_M = 0.5
"""Where neither a room nor an open place was found, a camera 1.6 m high goes no farther: near walls can pass for halls.
Twice as far if half as much is doubted as usual, anywhere if nothing is."""
DOUBT_FROM_RAD = math.radians(30)
"""So far beside the photo what it shows has ended; before that, its walls go on."""


@dataclass(frozen=True, eq=False)
class FreeSpace:
    """A level grid, its middle at the world's viewpoint; cells are counted [x, y] along the world's axes."""

    panorama: Panorama
    coverage: Coverage
    clearance_m: float
    doubt: float
    """0..1: what the photo did not show may be nearer than the world says, by this share."""
    cell_m: float
    clear_m: NDArray[np.float32]
    """[n, n] from the cell's middle to the nearest surface at the camera's height."""
    open: NDArray[np.bool_]
    """[n, n]: the camera may be there: it is seen from the viewpoint, may be shot from, and is clear of everything."""

    @property
    def middle(self) -> int:
        """Index of the viewpoint's cell, along both axes."""
        return len(self.open) // 2

    def cell(self, place: ArrayLike) -> tuple[int, int]:
        """The cell that holds a place [2 or 3]; it may lie outside the grid."""
        offset = np.asarray(place, np.float64)[:2] - self.panorama.position[:2]
        x, y = (round(float(value) / self.cell_m) + self.middle for value in offset)
        return x, y

    def places(self, cells: ArrayLike) -> NDArray[np.float64]:
        """The middles [..., 3] of cells [..., 2]."""
        offsets = (np.asarray(cells, np.float64) - self.middle) * self.cell_m
        return self.panorama.position + np.concatenate([offsets, np.zeros((*offsets.shape[:-1], 1))], -1)

    def is_open(self, places: NDArray) -> bool:
        """Whether a camera may go along places [N, 3] that follow each other closely."""
        at = ((places - self.panorama.position)[:, :2] / self.cell_m + self.middle).T
        if at.min() < 0 or at.max() > len(self.open) - 1:
            return False
        clear = map_coordinates(self.clear_m, at, order=1)
        nearest = np.rint(at).astype(int)
        if not self.open[nearest[0], nearest[1]].mean() > 0.8 or clear.min() < self.clearance_m - self.cell_m / 2:
            return False
        return all(self.coverage.reach.too_far(place) <= 0 for place in places)

    def _why_no_farther(self, offset: NDArray) -> str:
        if self.doubt and self.panorama.layout is None and self.panorama.place.kind == "neither":
            return " (no room was found here, so its distances are a guess: doubt them less to trust them)"
        seen = _beyond_photo(self.panorama, np.array([math.atan2(offset[1], offset[0])]))[0] < 0.01
        return "" if seen or not self.doubt else " (nobody saw what is there: of the way it tells, not all is trusted)"

    def require(self, place: ArrayLike, name: str) -> tuple[int, int]:
        """The open cell of a goal. Raises InputError that says why the camera cannot be there."""
        x, y = np.asarray(place, np.float64)[:2]
        offset = np.append(np.array([x, y]) - self.panorama.position[:2], 0.0)
        away_m = float(np.linalg.norm(offset))
        cell = self.cell(place)
        inside = all(0 <= index < len(self.open) for index in cell)
        if inside and self.open[cell]:
            return cell
        where = f"{name} ({x:g}, {y:g})"
        surface_m = float(self.panorama.distance_at(offset)) if away_m > 1e-6 else 0.0
        if away_m > surface_m > 0:
            raise InputError(
                f"{where} is inside or behind a wall or a thing: it lies {away_m:.2f} m from the world's viewpoint, "
                f"and the view ends after {surface_m:.2f} m there; choose a place before that."
            )
        if self.panorama.layout is not None and not self.panorama.layout.contains([x, y, self.panorama.position[2]]):
            raise InputError(f"{where} is outside the room's walls; choose a place inside the room.")
        if inside and self.clear_m[cell] < self.clearance_m:
            raise InputError(
                f"{where} is {self.clear_m[cell]:.2f} m from a wall or a thing, nearer than the clearance of "
                f"{self.clearance_m:.2f} m; choose a place farther away, or a smaller clearance."
            )
        azimuth = np.array([math.atan2(offset[1], offset[0])])
        reach_m = float(_level_reach(self.panorama, self.coverage, azimuth, self.doubt)[0])
        raise InputError(
            f"{where} is out of reach: it lies {away_m:.2f} m from the world's viewpoint, and a camera can go about "
            f"{reach_m:.2f} m that way{self._why_no_farther(offset)}; choose a nearer place."
        )


def _level_reach(panorama: Panorama, coverage: Coverage, azimuths: NDArray, doubt: float) -> NDArray[np.float64]:
    """How far a camera may go, metres, at each azimuth."""
    level = np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros(len(azimuths))], 1)
    reach = np.array([coverage.reach.free(direction) for direction in level])
    reach *= _trusted(panorama, doubt) * (1 - doubt * np.minimum(_beyond_photo(panorama, azimuths) / DOUBT_FROM_RAD, 1))
    if panorama.layout is None and panorama.place.kind == "neither" and doubt:
        reach = np.minimum(reach, UNSURE_REACH_M * panorama.camera_height / 1.6 * DOUBT / doubt)
    return reach


def free_space(panorama: Panorama, clearance_m: float, extent_m: float = EXTENT_M, doubt: float = DOUBT) -> FreeSpace:
    """The cells that a camera may go to, up to `extent_m` from the viewpoint. InputError where not even that is free.

    `doubt`: see `FreeSpace`.
    """
    coverage = Coverage(panorama)
    azimuths = np.arange(AZIMUTHS) * (2 * math.pi / AZIMUTHS)
    reach = _level_reach(panorama, coverage, azimuths, doubt)
    half_m = min(extent_m, float(reach.max())) + 2 * CELL_M
    cell_m = max(CELL_M, 2 * half_m / MAX_CELLS)
    middle = math.ceil(half_m / cell_m)
    size = 2 * middle + 1
    # what stands beside the grid is not near: only its own cells and a margin are marked
    margin = math.ceil(clearance_m / cell_m) + 2
    taken = np.zeros((size + 2 * margin,) * 2, bool)
    directions, distance = nearest_surfaces(panorama, ROWS)
    points = directions * distance[:, None] * np.float32(_trusted(panorama, doubt))
    level_points = points[np.abs(points[:, 2]) < clearance_m]
    at = np.rint(level_points[:, :2] / cell_m).astype(int) + middle + margin
    at = at[((at >= 0) & (at < len(taken))).all(1)]
    taken[at[:, 0], at[:, 1]] = True
    taken |= _outside(panorama, cell_m, middle + margin)
    inner = slice(margin, -margin)
    far = np.asarray(distance_transform_edt(~taken)) if taken.any() else np.full(taken.shape, np.inf)
    clear_m = np.minimum(far[inner, inner] * cell_m, 1e3).astype(np.float32)
    steps = (np.arange(size) - middle) * cell_m
    x, y = np.meshgrid(steps, steps, indexing="ij")
    place = np.mod(np.arctan2(y, x), 2 * math.pi) / (2 * math.pi) * AZIMUTHS
    allowed = np.minimum(reach[np.floor(place).astype(int) % AZIMUTHS], reach[np.ceil(place).astype(int) % AZIMUTHS])
    away = np.hypot(x, y)
    is_open = (away <= np.minimum(allowed, extent_m)) & (clear_m >= clearance_m)
    if not is_open[middle, middle]:
        nearest_m = float(np.linalg.norm(points, axis=1).min())
        raise InputError(
            "Nothing is free around the world's viewpoint: a wall, a thing, the floor or the ceiling is "
            f"{nearest_m:.2f} m from it, and the clearance is {clearance_m:.2f} m; choose a smaller clearance."
        )
    return FreeSpace(panorama, coverage, clearance_m, doubt, cell_m, clear_m, is_open)


def _trusted(panorama: Panorama, doubt: float) -> float:
    """The share of every distance that is believed."""
    return 1.0 if panorama.layout else 1 - UNSURE * min(1.0, doubt / DOUBT)


def _outside(panorama: Panorama, cell_m: float, middle: int) -> NDArray[np.bool_]:
    """[2 middle + 1, 2 middle + 1]: cells beyond the walls of a known layout, as behind doors and windows."""
    size = 2 * middle + 1
    layout = panorama.layout
    if layout is None or not layout.contains(panorama.position):
        return np.zeros((size, size), bool)
    return ~polygon2mask((size, size), (layout.corners - panorama.position[:2]) / cell_m + middle)


def _beyond_photo(panorama: Panorama, azimuths: NDArray) -> NDArray[np.float64]:
    """Radians from each azimuth to the nearest that the photo shows at the camera's height; pi where it shows none."""
    width = panorama.from_photo.shape[1]
    columns = np.flatnonzero(panorama.from_photo[len(panorama.from_photo) // 2] > 127)
    if not len(columns):
        return np.full(len(azimuths), math.pi)
    shown = panorama.heading_rad + math.pi * (1 - 2 * (columns + 0.5) / width)
    turn = np.abs((azimuths[:, None] - shown[None] + math.pi) % (2 * math.pi) - math.pi).min(1)
    return np.maximum(turn - math.pi / width, 0)
