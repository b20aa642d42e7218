"""The room that a photo was taken in: the network's walls, put where the photo's lines are.

The network (`lookbeyond.models.layout_network`) tells how far the walls are, all around, and what is floor, wall,
ceiling or a thing before them. The photo's line segments tell the directions of the walls to a quarter of a degree,
and where exactly walls meet floor and ceiling. A room is a rectilinear polygon along these directions: a box, or with
more corners where the walls that are seen ask for it. Of all such rooms that one is taken which costs least:

    cost = deviation from the network's walls (in units of what it is sure of)
         + how unlikely the network finds the kinds of what each part of the photo would then show
         - line segments along the room's edges, where nothing hides them

Inside this module lengths are in units of the camera's height, the camera is at the origin, and the photo looks
along +X; the floor is at z = -1.
"""

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, placed_camera
from lookbeyond.geometry.layout import RoomLayout, signed_area
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.models.layout_network import CEILING, FLOOR, THING, WALL, LayoutNetwork

from .canvas import (
    ALL_COLUMNS,
    CELL_COLUMNS,
    CELL_ROWS,
    PIXEL_RAD,
    Canvas,
    grid_in_photo,
    grid_on_canvas,
    place_on_canvas,
)
from .segments import find_segments, segment_normals
from .sky import measure_sky

Place = Literal["room", "open", "neither"]

SURE = 0.5
"""Confidence from which on a room is sure."""
BELIEVED, SUPPOSED = 0.15, 0.03
"""Confidence from which on a room is drawn, and from which on one is of which the photo shows edges, or walls down to
the floor or up to the ceiling: 17 of 18 real photos looked better in the room that was fitted, however unsure, than in
what is painted around them. The one that did not was the least sure, with 0.006."""
_EDGES_SHOWN = 0.2
"""Share of a supposed room's visible edges on which there is a line; or a third of its columns show where it ends."""
_SKY_ALONE, _SKY_TOLD = 0.6, 0.2
"""Evidence of sky from which a place is open by itself, and when the network thinks so, too."""
_HEIGHTS_M = (1.7, 15.0)
"""Lowest and highest room that is believed, floor to ceiling."""
_OPEN_RIGHT = 0.95
"""Of as many open places as rooms, how many that pass for open are."""
INSIDE_SIDE = 96
"""Longer side of the distance inside the photo, pixels."""
_FINE = 2  # samples of an edge for every column
_UPRIGHT = 24  # samples of an upright edge
_RASTER_SIDE = 320
_AZIMUTHS = math.pi * (1 - 2 * (np.arange(ALL_COLUMNS) + 0.5) / ALL_COLUMNS)
_CUTS = 8
"""Photos that a panorama is seen in."""
_FLOOR_AT_LEAST, _CEILING_RANGE = 0.15, (0.12, 6.0)

_KINDS_WEIGHT, _DISTANCE_WEIGHT, _LINES_WEIGHT = 2.0, 0.5, 3.0
_LINE_COST = 0.25
"""Of an edge as long as a line that is quite sure."""
_POLYGON_GAIN, _MOST_CORNERS = 0.01, 14
"""By how much a polygon must be nearer to the seen walls (mean |log|) than a box to be looked at."""
_CORNER_COST = 0.03
"""Of every corner beyond a box's four: the room has to be better by that."""


@dataclass(frozen=True, eq=False)
class LayoutFit:
    """What was found out about the place of a photo."""

    layout: RoomLayout | None
    """In the world; None when the place is not a room, or nothing could be fitted."""
    candidate: RoomLayout | None
    """The room that fits best, sure or not: for who overrules the gate. None where none closes around the camera."""
    place: Place
    confidence: float
    """0..1, how often fits like this one were right, on procedural rooms and failures (`_SIGN_BASE`): of the room, or
    of its being an open place."""
    reason: str
    """In words for the artist: what the place was taken for, and why."""
    distance_inside: NDArray[np.float32]
    """[h, w] metres along the rays of `distance_camera`, by the network alone."""
    things_inside: NDArray[np.float32]
    """[h, w] 0..1: how likely something stands there before floor, walls and ceiling, by the network alone."""
    walls: NDArray[np.float32]
    """[256] log of the walls' level distance in metres, by the network alone; columns as an equirectangular
    panorama's whose middle looks along +X."""
    distance_camera: Camera | None
    """The photo's camera, at the resolution of `distance_inside`; None when that is a panorama's."""


@dataclass(frozen=True, eq=False)
class _Told:
    """What the network says of a photo; arrays of numpy, logs of lengths."""

    walls: NDArray
    scales: NDArray
    corners: NDArray
    normals: NDArray
    ceiling: float
    ceiling_scale: float
    open_place: float
    distance: NDArray
    distance_scales: NDArray
    kinds: NDArray
    """[4, CELL_ROWS, CELL_COLUMNS] shares, adding up to 1."""


@dataclass(frozen=True, eq=False)
class _Room:
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
        if signed_area(corners) <= 0.1 or not _CEILING_RANGE[0] <= self.ceiling <= _CEILING_RANGE[1]:
            return False
        distance, _ = self.trace(_AZIMUTHS)
        if not np.isfinite(distance).all() or distance.min() < _FLOOR_AT_LEAST:
            return False
        return len(self.offsets) == 4 or _simple(corners)

    def trace(self, azimuths: NDArray) -> tuple[NDArray, NDArray]:
        """Level distance and number of the wall seen in these directions of the photo's frame; inf for none."""
        distance, number = _trace(self.offsets[None], np.cos(azimuths - self.heading), np.sin(azimuths - self.heading))
        return distance[0], number[0]


def _trace(offsets: NDArray, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
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


class _View:
    """A picture whose lines are evidence: its segments, and rasters of those along the room's axes."""

    def __init__(self, picture: NDArray[np.uint8], camera: Camera):
        self.segments = find_segments(picture)
        self.normals, self.lengths = segment_normals(self.segments, camera)
        self.scale = _RASTER_SIDE / max(picture.shape[:2])
        size = (max(2, round(side * self.scale)) for side in (picture.shape[1], picture.shape[0]))
        self.camera = camera.resized(*size)
        corners = np.array([[0, 0, 1], [self.camera.width, self.camera.height, 1]], float)
        spread = corners @ np.linalg.inv(self.camera.intrinsics).T
        self.frame_rad = 2 * float(np.arctan(np.abs(spread[:, :2])).sum())
        """Length of the border, as an angle."""
        self.rasters: list[list[NDArray]] = []

    def draw(self, directions: NDArray) -> None:
        """Rasters of the segments that run along `directions` [3, 3]: of each a fine and a blurred one, 0..1."""
        off = np.degrees(np.arcsin(np.clip(np.abs(self.normals @ directions.T), 0, 1)))
        strength = np.exp(-((off / 1.5) ** 2)) * np.clip(np.degrees(self.lengths) / 3, 0.3, 1)[:, None]
        self.rasters = []
        for axis in range(3):
            raster = np.zeros((self.camera.height, self.camera.width), np.float32)
            drawn = np.flatnonzero(strength[:, axis] > 0.1)
            for k in drawn[np.argsort(strength[drawn, axis])]:  # the strongest on top
                ends = (self.segments[k] * self.scale - 0.5) * 16
                x0, y0, x1, y1 = (int(v) for v in ends.round())
                cv2.line(raster, (x0, y0), (x1, y1), float(strength[k, axis]), 1, cv2.LINE_8, 4)
            # a line one pixel wide keeps its own value at its middle
            self.rasters.append([
                np.minimum(cv2.GaussianBlur(raster, (0, 0), sigma) * sigma * math.sqrt(2 * math.pi), 1.0)
                for sigma in (1.2, 4.0)
            ])  # fmt: skip

    def values(self, points: NDArray, axes: NDArray, blurred: bool) -> tuple[NDArray, NDArray]:
        """Which points [n, 3] of edges along `axes` [n] the picture shows, and how surely a line is there: [n], [n]."""
        pixels, depth = self.camera.project(points)
        with np.errstate(invalid="ignore"):
            inside = (depth > 1e-3) & (pixels >= 1).all(1)
            inside &= (pixels[:, 0] < self.camera.width - 1) & (pixels[:, 1] < self.camera.height - 1)
        values = np.zeros(len(points))
        for axis in range(3):
            own = np.flatnonzero(inside & (axes == axis))
            x, y = pixels[own].astype(int).T
            values[own] = self.rasters[axis][int(blurred)][y, x]
        return inside, values


class _Evidence:
    """What pictures say for and against rooms."""

    def __init__(self, told: _Told, known: NDArray[np.bool_], views: list[_View], logs: NDArray | None = None):
        """known: [CELL_ROWS, columns] of the cells that `told` tells the kinds of, the middle of them ahead.

        logs: log distances that a depth model found for these cells, or None.
        """
        self.told, self.known, self.views, self.logs = told, known, views, logs
        columns = known.shape[1]
        first = (ALL_COLUMNS - columns) // 2
        self.span = slice(first, first + columns)
        self.seen = np.zeros(ALL_COLUMNS, bool)
        self.seen[self.span] = known.any(0)
        fine = columns * _FINE
        self.azimuths = (0.5 - (np.arange(fine) + 0.5) / fine) * columns * 2 * PIXEL_RAD
        self.wall_weight = np.where(self.seen, 1.0, 0.6) / np.clip(np.exp(told.scales), 0.05, 1.0)
        self.wall_weight /= self.wall_weight.sum()
        self.frame_rad = sum(view.frame_rad for view in views)
        self._cumulate(told.kinds)

    def _cumulate(self, kinds: NDArray) -> None:
        """Likelihoods of faces, summed down each column, so that a room's are three differences a column."""
        scores = np.stack([np.log(kinds[k] + 0.5 * kinds[THING] + 0.03) for k in (FLOOR, CEILING, WALL)])
        self.elevations = (0.5 - (np.arange(CELL_ROWS) + 0.5) / CELL_ROWS) * CELL_ROWS * 2 * PIXEL_RAD
        area = self.known * np.cos(self.elevations)[:, None]
        self.cell_count = max(float(area.sum()), 1.0)
        summed = np.cumsum(scores * area, 1)
        self.below = np.concatenate([np.zeros_like(summed[:, :1]), summed], 1)

    def set_heading(self, heading: float) -> None:
        """The direction of the rooms' axes that is judged from now on."""
        c, s = math.cos(heading), math.sin(heading)
        self.heading = heading
        self.rays = np.stack([np.cos(self.azimuths), np.sin(self.azimuths)], -1)
        self.own_rays = np.cos(self.azimuths - heading), np.sin(self.azimuths - heading)
        self.own_columns = np.cos(_AZIMUTHS - heading), np.sin(_AZIMUTHS - heading)
        for view in self.views:
            view.draw(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))

    def seen_cost(self, room: _Room) -> float:
        """Mean |log| between a room's walls and the network's where the photo shows them."""
        apart = np.abs(np.log(room.trace(_AZIMUTHS)[0]) - self.told.walls)[self.seen]
        return float(np.minimum(apart, 1.5).mean()) if apart.size else 0.0

    def _wall_costs(self, logs: NDArray) -> NDArray:
        return (np.minimum(np.abs(logs - self.told.walls), 1.5) * self.wall_weight).sum(-1)

    def kinds_costs(self, distance: NDArray, ceilings: NDArray) -> NDArray:
        """distance: [rooms, columns of the cells], level, of the walls."""
        middle = CELL_ROWS / 2
        foot = np.clip(middle + np.arctan(1 / distance) / (2 * PIXEL_RAD), 0, CELL_ROWS)
        head = np.clip(middle - np.arctan(ceilings[:, None] / distance) / (2 * PIXEL_RAD), 0, CELL_ROWS)
        floor = self.below[0, -1] - self._at(0, foot)
        above = self._at(1, head)
        wall = self._at(2, foot) - self._at(2, head)
        return -(floor + above + wall).sum(-1) / self.cell_count

    def _at(self, kind: int, row: NDArray) -> NDArray:
        low = np.minimum(row.astype(int), CELL_ROWS - 1)
        share = row - low
        columns = np.arange(row.shape[-1])
        table = self.below[kind]
        return (1 - share) * table[low, columns] + share * table[low + 1, columns]

    def lines(self, offsets: NDArray, ceilings: NDArray, blurred: bool) -> tuple[NDArray, NDArray, NDArray]:
        """Of rooms [rooms, n] along the axes that were set: (gain, length, share), [rooms] each.

        Lines along the visible edges less what these cost, the edges' length relative to the photo's border, and the
        share of them that has a line.
        """
        rooms = len(offsets)
        distance, wall = _trace(offsets, *self.own_rays)
        level = self.rays * distance[..., None]
        step = self.azimuths[0] - self.azimuths[1]
        points, axes, spans = [], [], []
        for z in (np.full(rooms, -1.0), ceilings):
            height = np.broadcast_to(z[:, None, None], (*level.shape[:2], 1))
            points.append(np.concatenate([level, height], -1))
            axes.append(1 - wall % 2)  # walls across x run along y
            slope = np.abs(np.gradient(np.arctan(z[:, None] / distance), axis=1))
            spans.append(np.hypot(step, np.minimum(slope, 4 * step)))  # across a jump from wall to wall there is none
        for corner in range(offsets.shape[1]):
            even = corner % 2 == 0
            x, y = (offsets[:, corner], offsets[:, corner - 1])[:: 1 if even else -1]
            reach = np.hypot(x, y)
            azimuth = (np.arctan2(y, x) + self.heading + math.pi) % (2 * math.pi) - math.pi
            column = np.clip(((self.azimuths[0] - azimuth) / step), 1, len(self.azimuths) - 3).astype(int)
            rows = np.arange(rooms)
            beside = np.maximum(distance[rows, column - 1], distance[rows, column + 2])
            low, high = np.arctan(-1 / reach), np.arctan(ceilings / reach)
            angles = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, _UPRIGHT)
            c, s = math.cos(self.heading), math.sin(self.heading)
            foot = np.stack([c * x - s * y, s * x + c * y], -1)
            points.append(np.concatenate([
                np.broadcast_to(foot[:, None], (rooms, _UPRIGHT, 2)), (np.tan(angles) * reach[:, None])[..., None]
            ], -1))  # fmt: skip
            axes.append(np.full((rooms, _UPRIGHT), 2))
            visible = (reach < 1.03 * beside) & np.isfinite(beside)
            spans.append(np.broadcast_to((visible * (high - low) / _UPRIGHT)[:, None], (rooms, _UPRIGHT)))
        points, axes, spans = np.concatenate(points, 1), np.concatenate(axes, 1), np.concatenate(spans, 1)
        spans = spans * (1 - 0.85 * self._things(points))
        length, found = np.zeros(rooms), np.zeros(rooms)
        for view in self.views:
            inside, values = view.values(points.reshape(-1, 3), axes.ravel(), blurred)
            shown = spans * inside.reshape(spans.shape)
            length += shown.sum(1)
            found += (shown * values.reshape(spans.shape)).sum(1)
        frame = max(self.frame_rad, 1e-6)
        return (found - _LINE_COST * length) / frame, length / frame, found / np.maximum(length, 1e-6)

    def _things(self, points: NDArray) -> NDArray:
        """How likely something stands before these points."""
        columns = self.known.shape[1]
        azimuth = np.arctan2(points[..., 1], points[..., 0])
        column = (columns / 2 - azimuth / (2 * PIXEL_RAD)).astype(int).clip(0, columns - 1)
        elevation = np.arctan2(points[..., 2], np.hypot(points[..., 0], points[..., 1]))
        row = (CELL_ROWS / 2 - elevation / (2 * PIXEL_RAD)).astype(int).clip(0, CELL_ROWS - 1)
        return self.told.kinds[THING, row, column]

    def _distance_costs(self, distance: NDArray, ceilings: NDArray) -> NDArray | float:
        """What stands out before a wall is cheap; a wall before what was seen is dear."""
        if self.logs is None:
            return 0.0
        up, level = np.sin(self.elevations[::2])[:, None], np.cos(self.elevations[::2])[:, None]
        flat = np.where(up < 0, 1.0, ceilings[:, None, None]) / np.maximum(np.abs(up), 1e-6)
        apart = np.log(np.minimum(distance[:, None, ::2] / level, flat)) - self.logs[::2, ::2]
        cost = np.where(apart > 0, np.minimum(0.5 * apart, 0.6), np.minimum(-apart, 1.5))
        known = self.known[::2, ::2]
        return (cost * known).sum((1, 2)) / max(known.sum(), 1)

    def costs(self, offsets: NDArray, ceilings: NDArray, blurred: bool = False) -> NDArray:
        """The whole cost of rooms [rooms, n] along the axes that were set, [rooms]; inf for what is no room."""
        distance, _ = _trace(offsets, *self.own_columns)
        fine = np.isfinite(distance).all(1) & (distance.min(1) >= _FLOOR_AT_LEAST)
        fine &= (ceilings >= _CEILING_RANGE[0]) & (ceilings <= _CEILING_RANGE[1])
        result = np.full(len(offsets), np.inf)
        if not fine.any():
            return result
        offsets, ceilings, distance = offsets[fine], ceilings[fine], distance[fine]
        above = np.abs(np.log(ceilings) - self.told.ceiling) / max(math.exp(self.told.ceiling_scale), 0.06)
        result[fine] = (
            self._wall_costs(np.log(distance)) + _KINDS_WEIGHT * self.kinds_costs(distance[:, self.span], ceilings)
            + _DISTANCE_WEIGHT * self._distance_costs(distance[:, self.span], ceilings)
            + 0.02 * np.minimum(above, 8.0) - _LINES_WEIGHT * self.lines(offsets, ceilings, blurred)[0]
        )  # fmt: skip
        return result

    def wall_costs(self, offsets: NDArray) -> NDArray:
        """The part of the cost that the network's walls are, [rooms]."""
        distance, _ = _trace(offsets, *self.own_columns)
        fine = np.isfinite(distance).all(1) & (distance.min(1) >= _FLOOR_AT_LEAST)
        return np.where(fine, self._wall_costs(np.log(np.where(np.isfinite(distance), distance, 1.0))), np.inf)

    def cost(self, room: _Room, blurred: bool = False) -> float:
        return float(self.costs(room.offsets[None], np.array([room.ceiling]), blurred)[0])


def fit_layout(
    photo: NDArray[np.uint8],
    camera: Camera,
    camera_height: float,
    network: LayoutNetwork,
    *,
    distance: NDArray[np.float32] | None = None,
) -> LayoutFit:
    """The room around a photo.

    photo: uint8 [h, w, 3]; camera: the photo's in the world, at any resolution; camera_height: metres above the floor.
    distance: [h', w'] metres along the photo's rays that a depth model measured, where there is one. (The one that
    comes with a made panorama is worse than the network's own; leave it out.)
    Never raises for a photo of something else: `place`, `confidence` and `reason` then say what it is.
    """
    height, width = photo.shape[:2]
    camera = camera.resized(width, height)
    heading, pitch, roll = heading_pitch_roll(camera)
    level = placed_camera(width, height, intrinsics=camera.intrinsics, pitch_rad=pitch, roll_rad=roll)
    canvas = place_on_canvas(photo, level)
    told = _ask(network, [canvas])[0]
    logs = None if distance is None else grid_on_canvas(np.log(distance / camera_height), level)
    evidence = _Evidence(told, canvas.known_cells, [_View(photo, level)], logs)
    room, contrast = _best_room(evidence)
    side = INSIDE_SIDE / max(width, height)
    small = camera.resized(max(2, round(width * side)), max(2, round(height * side)))
    inside = np.exp(grid_in_photo(told.distance, small, small.width, small.height)) * camera_height
    things = grid_in_photo(told.kinds[THING], small, small.width, small.height)
    sky = measure_sky(photo, level).evidence
    return _outcome(evidence, room, contrast, sky, camera.position, heading, camera_height, (inside, things), small)


def fit_signs(
    photo: NDArray[np.uint8], camera: Camera, network: LayoutNetwork
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None:
    """What the gate judges a photo's fit by, for calibrating it; None where no room could be fitted.

    Returns the signs (`SIGNS`), the level distance [256] of the fitted walls in units of the camera's height, columns
    as `data.room_photos.column_azimuths`, and which of them the photo shows. The camera looks along heading 0.
    """
    canvas = place_on_canvas(photo, camera)
    evidence = _Evidence(_ask(network, [canvas])[0], canvas.known_cells, [_View(photo, camera)])
    room, contrast = _best_room(evidence)
    if room is None:
        return None
    return _signs(evidence, room, contrast), room.trace(_AZIMUTHS)[0], evidence.seen


def fit_layout_panorama(
    colour: NDArray[np.uint8],
    camera_height: float,
    network: LayoutNetwork,
    *,
    heading_rad: float = 0.0,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> LayoutFit:
    """The room around a 360° picture [H, 2H, 3] that was taken at `origin`, its middle looking along the heading.

    The network sees it in `_CUTS` photos around, of each the middle counts. `distance_inside` is the picture's own
    grid here, [128, 256]; its camera is None.
    """
    span = 2 * math.pi / _CUTS
    tall = math.tan(math.radians(48))
    pictures, canvases, skies = [], [], []
    focal = min(max(colour.shape[1] / (2 * math.pi), 160.0), 400.0)
    for fov in (math.radians(80), span):
        width = 2 * round(focal * math.tan(fov / 2))
        size = width, 2 * round(focal * tall)
        intrinsics = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        for cut in range(_CUTS):
            camera = placed_camera(*size, intrinsics=intrinsics, heading_rad=cut * span)
            picture = extract_perspective(_shrunk(colour, focal), camera)
            if fov == span:
                pictures.append(_View(picture, camera))
                skies.append(measure_sky(picture, camera).evidence)
            else:
                canvases.append(place_on_canvas(picture, camera))
    told = _all_around(_ask(network, canvases))
    evidence = _Evidence(told, np.ones((CELL_ROWS, ALL_COLUMNS), bool), pictures)
    room, contrast = _best_room(evidence)
    inside = np.exp(told.distance) * camera_height
    sky, place = float(np.median(skies)), np.array(origin, float)
    return _outcome(evidence, room, contrast, sky, place, heading_rad, camera_height, (inside, told.kinds[THING]), None)


def _outcome(
    evidence: _Evidence, room: _Room | None, contrast: float, sky: float, position: NDArray, heading: float,
    unit: float, inside: tuple[NDArray, NDArray], camera: Camera | None,
) -> LayoutFit:  # fmt: skip
    sure, place, reason = _judge(evidence, room, contrast, sky)
    if place == "room" and room is not None and not _HEIGHTS_M[0] <= (1 + room.ceiling) * unit <= _HEIGHTS_M[1]:
        sure, place = 0.0, "neither"
        reason = (
            f"Not sure of a room: it would be {(1 + room.ceiling) * unit:.1f} m high with the camera {unit:g} m above "
            "the floor; correct the camera's height."
        )
    candidate = None
    if room is not None:
        turned = replace(room, heading=room.heading + heading)
        floor = float(position[2]) - unit
        candidate = RoomLayout(
            position[:2] + unit * turned.corners(), floor, floor + unit * (1 + room.ceiling),
            round(sure if place == "room" else 0.0, 4),
        )  # fmt: skip
    columns = (0.5 - (_AZIMUTHS - heading) / (2 * math.pi)) * ALL_COLUMNS - 0.5
    walls = np.interp(columns, np.arange(ALL_COLUMNS), evidence.told.walls, period=ALL_COLUMNS) + math.log(unit)
    return LayoutFit(
        candidate if place == "room" else None, candidate, place, round(sure, 4), reason,
        *(values.astype(np.float32) for values in inside), walls.astype(np.float32), camera,
    )  # fmt: skip


def _shrunk(colour: NDArray[np.uint8], focal: float) -> NDArray[np.uint8]:
    width = round(2 * math.pi * focal)
    if colour.shape[1] <= 1.5 * width:
        return colour
    return cv2.resize(colour, (width, width // 2), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _all_around(tolds: list[_Told]) -> _Told:
    """What was told of cuts, evenly around and counter-clockwise from ahead, put together from their middles."""
    step = ALL_COLUMNS // len(tolds)
    place = np.arange(ALL_COLUMNS)
    # the cut that a column is nearest to the middle of, and the column's number in that cut
    cut = np.round((ALL_COLUMNS / 2 - 0.5 - place) / step).astype(int)
    own = place + cut * step
    cell = own - (ALL_COLUMNS - CELL_COLUMNS) // 2
    cut = cut % len(tolds)
    turn = cut * 2 * math.pi / len(tolds)
    normals = np.stack([told.normals for told in tolds])[cut, own]
    c, s = np.cos(turn), np.sin(turn)
    normals = np.stack([c * normals[:, 0] - s * normals[:, 1], s * normals[:, 0] + c * normals[:, 1]], -1)

    def columns(name: str) -> NDArray:
        return np.stack([getattr(told, name) for told in tolds])[cut, own]

    def cells(name: str) -> NDArray:
        return np.moveaxis(np.stack([getattr(told, name) for told in tolds])[cut, ..., cell], 0, -1)

    surest = np.array([told.ceiling_scale for told in tolds])
    order = np.argsort(surest)[: max(1, len(tolds) // 2)]
    ceiling = float(np.median([tolds[k].ceiling for k in order]))
    return _Told(
        columns("walls"), columns("scales"), columns("corners"), normals, ceiling, float(surest[order].mean()),
        float(np.mean([told.open_place for told in tolds])), cells("distance"), cells("distance_scales"),
        cells("kinds"),
    )  # fmt: skip


@torch.no_grad()
def _ask(network: LayoutNetwork, canvases: list[Canvas]) -> list[_Told]:
    parameter = next(network.parameters())
    colour = torch.from_numpy(np.stack([canvas.colour for canvas in canvases])).to(parameter).permute(0, 3, 1, 2)
    known = torch.from_numpy(np.stack([canvas.known for canvas in canvases])).to(parameter)[:, None]
    told = {name: value.float().cpu().numpy() for name, value in network(colour / 127.5 - 1, known).items()}
    return [_numbers({name: value[k] for name, value in told.items()}) for k in range(len(canvases))]


def _numbers(told: dict[str, NDArray]) -> _Told:
    share = np.exp(told["kinds"] - told["kinds"].max(0))
    return _Told(
        told["walls"], told["wall_scales"], 1 / (1 + np.exp(-told["corners"])), told["normals"],
        float(told["ceiling"]), float(told["ceiling_scale"]), 1 / (1 + math.exp(-float(told["open_place"]))),
        told["distance"], told["distance_scales"], share / share.sum(0),
    )  # fmt: skip


def _best_heading(evidence: _Evidence) -> tuple[float, float]:
    """Direction of the room's axes, radians in (-45°, 45°], and how far the lines agree on it (0: not at all)."""
    told = evidence.told
    grid = np.radians(np.arange(-45, 45, 0.25))
    n = np.concatenate([view.normals for view in evidence.views])
    lengths = np.minimum(np.degrees(np.concatenate([view.lengths for view in evidence.views])), 20)
    # upright segments, and those at the camera's own height, say nothing of it
    useful = (np.abs(n[:, 2]) > math.sin(math.radians(6))) & (np.hypot(n[:, 0], n[:, 1]) > math.sin(math.radians(4)))
    n, lengths = n[useful], lengths[useful]
    along = np.stack([np.cos(grid), np.sin(grid)])
    across = np.stack([-np.sin(grid), np.cos(grid)])
    votes = np.zeros(len(grid))
    for way in (along, across):
        off = np.degrees(np.arcsin(np.clip(np.abs(n[:, :2] @ way), 0, 1)))
        votes += (lengths[:, None] * np.exp(-((off / 1.2) ** 2))).sum(0)
    own = np.arctan2(told.normals[:, 1], told.normals[:, 0])
    weight = evidence.wall_weight * np.where(evidence.seen, 1.0, 0.3)
    total = (weight * np.exp(4j * own)).sum()
    agreed = abs(total) / weight.sum()
    middle = float(np.angle(total)) / 4
    apart = np.degrees((grid - middle + math.pi / 4) % (math.pi / 2) - math.pi / 4)
    prior = 25 * agreed * np.exp(-((apart / 7) ** 2))
    both = votes + prior
    best = int(both.argmax())
    near = np.degrees(np.abs((grid - grid[best] + math.pi / 4) % (math.pi / 2) - math.pi / 4)) > 8
    contrast = float((votes[best] - np.median(votes[near])) / (lengths.sum() + 20)) if len(lengths) else 0.0
    return float(grid[best]), contrast


def _best_room(evidence: _Evidence) -> tuple[_Room | None, float]:
    """The room that costs least, and how far the lines agree on its walls' direction."""
    heading, contrast = _best_heading(evidence)
    evidence.set_heading(heading)
    told = evidence.told
    ceiling = float(np.clip(math.exp(told.ceiling), *_CEILING_RANGE))
    best: _Room | None = None
    least = math.inf
    box = _box_of_columns(evidence, heading, ceiling)
    polygon = _polygon_of_columns(evidence, heading, ceiling)
    if box is not None and polygon is not None:
        # seen walls ask for more corners, or there are none
        gain = evidence.seen_cost(box) - evidence.seen_cost(polygon)
        polygon = polygon if gain > _POLYGON_GAIN and len(polygon.offsets) <= _MOST_CORNERS else None
    for start in (box, polygon):
        if start is None:
            continue
        room = _settled(evidence, start)
        if len(room.offsets) > 4:
            simple = _simplified(evidence, room)
            room = _settled(evidence, simple) if simple is not room else room
        cost = evidence.cost(room) + _CORNER_COST * (len(room.offsets) - 4)
        if cost < least:
            best, least = room, cost
    return best, contrast


def _box_of_columns(evidence: _Evidence, heading: float, ceiling: float) -> _Room | None:
    """The box that agrees best with the network's walls."""
    distance = np.exp(evidence.told.walls)
    x, y = distance * np.cos(_AZIMUTHS - heading), distance * np.sin(_AZIMUTHS - heading)
    starts = []
    for values, other in ((x, y), (y, x), (-x, y), (-y, x)):
        facing = values > np.abs(other)
        pool = values[facing] if facing.any() else values[values > 0]
        starts.append(max(float(np.median(pool)) if len(pool) else 1.0, _FLOOR_AT_LEAST * 1.5))
    best = np.array([starts[0], starts[1], -starts[2], -starts[3]])
    for span in (0.5, 0.25, 0.12, 0.06, 0.03):
        for _ in range(2):
            for wall in range(4):
                trials = np.repeat(best[None], 5, 0)
                trials[:, wall] *= np.exp(span * np.array([0, -1, -0.5, 0.5, 1]))
                best = trials[evidence.wall_costs(trials).argmin()]
    room = _Room(heading, best, ceiling)
    return room if room.valid() else None


def _polygon_of_columns(evidence: _Evidence, heading: float, ceiling: float) -> _Room | None:
    """The rectilinear polygon that agrees best with the network's walls, or None where that is no room.

    Viterbi over planes: each column sees one of them, and passing to another costs, less where the network sees a
    corner, more where the distance jumps.
    """
    told = evidence.told
    angles = _AZIMUTHS - heading
    rays = np.stack([np.cos(angles), np.sin(angles)], -1)
    steps = np.exp(np.linspace(math.log(0.2), math.log(12.0), 42))
    axis = np.repeat([0, 1, 0, 1], len(steps))
    offset = np.concatenate([sign * steps for sign in (1, 1, -1, -1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(np.where(offset / rays[:, axis] > 0, offset / rays[:, axis], np.nan))  # [columns, planes]
    scale = np.clip(np.exp(told.scales), np.where(evidence.seen, 0.05, 0.15), 1.0)[:, None]
    own = np.arctan2(told.normals[:, 1], told.normals[:, 0]) - heading
    outward = np.where(axis == 0, 0.0, math.pi / 2) + np.where(offset > 0, math.pi, 0.0)
    unary = np.minimum(np.abs(log - told.walls[:, None]) / scale, 6) + 1.5 * (1 - np.cos(own[:, None] - outward))
    unary = np.where(np.isfinite(log), unary, 1e3)
    edge = rays + np.roll(rays, -1, 0)
    count, planes = len(angles), len(offset)
    across = axis[:, None] != axis[None]
    cost, back = np.zeros(planes), np.zeros((2 * count, planes), int)
    for turn in range(2 * count):
        column = turn % count
        if turn:
            middle = edge[column - 1] / 2
            with np.errstate(divide="ignore"):
                t = offset / middle[axis]
            reach = np.log(np.where(t > 0, np.minimum(t, 1e3), 1e-3))
            apart = np.abs(reach[:, None] - reach[None])
            corner = told.corners[column - 1]
            pass_on = 5.0 - 3.0 * corner + np.where(across & (apart < 0.12), 0.0, 5.0)
            np.fill_diagonal(pass_on, 0.0)
            through = cost[:, None] + pass_on
            back[turn] = through.argmin(0)
            cost = through[back[turn], np.arange(planes)]
        cost = cost + unary[column]
    state = int(cost.argmin())
    path = np.zeros(2 * count, int)
    for turn in range(2 * count - 1, -1, -1):
        path[turn] = state
        state = back[turn, state]
    # the middle turn, whose ends do not know that they are ends
    half = count // 2
    path = np.roll(path[half : half + count], half)
    begins = np.flatnonzero(path != np.roll(path, 1))
    if len(begins) < 4:
        return None
    runs: list[tuple[int, float, int]] = []  # axis, offset, first column
    distance = np.exp(told.walls)
    weight = 1 / scale[:, 0]
    for begin, end in zip(begins, np.roll(begins, -1), strict=True):
        own_columns = np.arange(begin, end if end > begin else end + count) % count
        side = axis[path[begin]]
        values = distance[own_columns] * rays[own_columns, side]
        order = np.argsort(values)
        share = np.cumsum(weight[own_columns][order])
        runs.append((int(side), float(values[order[np.searchsorted(share, share[-1] / 2)]]), int(begin)))
    return _joined(runs, edge / np.linalg.norm(edge, axis=1, keepdims=True), heading, ceiling)


def _joined(runs: list[tuple[int, float, int]], edges: NDArray, heading: float, ceiling: float) -> _Room | None:
    """A polygon from the planes seen one after the other, clockwise; where one hides the next, hidden walls join them.

    runs: axis, offset, first column; edges: [n, 2] rays between each column and the next.
    """
    sides: list[tuple[int, float]] = []
    for number, (axis, offset, _) in enumerate(runs):
        sides.append((axis, offset))
        other, beyond, begin = runs[(number + 1) % len(runs)]
        ray = edges[begin - 1]
        t, u = offset / ray[axis], beyond / ray[other]
        if min(t, u) <= 0:
            return None
        near = ray * min(t, u)
        if other == axis:
            sides.append((1 - axis, near[1 - axis]))
        elif abs(math.log(t / u)) > 0.2:
            far = ray * max(t, u)
            if t < u:  # out along the nearer wall's end, then to the farther wall
                sides += [(other, near[other]), (axis, far[axis])]
            else:
                sides += [(other, far[other]), (axis, near[axis])]
    if any(sides[k][0] == sides[k - 1][0] for k in range(len(sides))):
        return None
    sides = sides[::-1]
    if sides[0][0] == 1:
        sides = sides[1:] + sides[:1]
    room = _Room(heading, np.array([offset for _, offset in sides]), ceiling)
    return room if room.valid() else None


def _settled(evidence: _Evidence, room: _Room) -> _Room:
    """The room moved, wall by wall and the ceiling, to where the whole cost is least.

    Each part is tried at many places, far ones first and all sides of the photo's own lines: floors have joints and
    tiles, which look like the foot of a wall to a search that only goes downhill.
    """
    best = room
    for reach, step, blurred in ((0.4, 0.05, True), (0.32, 0.014, False), (0.14, 0.014, False), (0.012, 0.003, False)):
        factors = np.exp(np.arange(-reach, reach + step / 2, step))
        cost = evidence.cost(best, blurred)
        for part in (-1, *range(len(best.offsets) + 1)):
            offsets, ceilings = np.repeat(best.offsets[None], len(factors), 0), np.full(len(factors), best.ceiling)
            if part < len(best.offsets):  # -1: the whole room, nearer or farther
                offsets[:, part if part >= 0 else slice(None)] *= factors[:, None] if part < 0 else factors
            if part in (-1, len(best.offsets)):
                ceilings = ceilings * factors
            found = evidence.costs(offsets, ceilings, blurred)
            for k in np.argsort(found):
                trial = replace(best, offsets=offsets[k], ceiling=float(ceilings[k]))
                if found[k] >= cost - 1e-6:
                    break
                if len(best.offsets) == 4 or trial.valid():
                    best, cost = trial, float(found[k])
                    break
    return best


def _simplified(evidence: _Evidence, room: _Room) -> _Room:
    """The room without the corners that nothing in the photo asks for."""
    best, cost = room, evidence.cost(room)
    while len(best.offsets) > 4:
        trials = []
        for wall in range(len(best.offsets)):
            # two walls that follow one another go; those before and after them meet
            offsets = np.delete(best.offsets, [wall, (wall + 1) % len(best.offsets)])
            if (wall + 1) % len(best.offsets) == 0:  # the first wall went: what begins now runs across
                offsets = np.roll(offsets, 1)
            trial = replace(best, offsets=offsets)
            if trial.valid():
                trials.append((evidence.cost(trial), len(trials), trial))
        if not trials or min(trials)[0] > cost + 2 * _CORNER_COST:
            break
        cost, _, best = min(trials)
    return best


def _signs(evidence: _Evidence, room: _Room, contrast: float) -> NDArray:
    """What tells whether a fit is right, [SIGNS]: see `SIGNS`."""
    told, span = evidence.told, evidence.span
    distance, _ = room.trace(_AZIMUTHS)
    seen = evidence.seen
    unsure = math.log(float(np.exp(told.scales[seen]).mean()))
    apart = float(np.minimum(np.abs(np.log(distance) - told.walls)[seen], 1).mean())
    one = room.offsets[None], np.array([room.ceiling])
    _, length, found = (float(value[0]) for value in evidence.lines(*one, blurred=False))
    area = evidence.known * np.cos(evidence.elevations)[:, None]
    things = float((told.kinds[THING] * area).sum() / evidence.cell_count)
    muddle = float((-(told.kinds * np.log(told.kinds + 1e-6)).sum(0) * area).sum() / evidence.cell_count)
    # columns in which the photo shows where the wall ends, below or above, and nothing stands there
    columns = np.arange(evidence.known.shape[1])
    clear = np.zeros(len(columns))
    for z in (-1.0, room.ceiling):
        row = CELL_ROWS / 2 - np.arctan(z / distance[span]) / (2 * PIXEL_RAD)
        inside = (row >= 1) & (row < CELL_ROWS - 1)
        row = row.astype(int).clip(0, CELL_ROWS - 1)
        clear = np.maximum(clear, inside * evidence.known[row, columns] * (1 - told.kinds[THING, row, columns]))
    ended = float(clear[seen[span]].mean())
    kinds = float(evidence.kinds_costs(distance[None, span], one[1])[0])
    return np.array([unsure, apart, kinds, found, min(length, 1.0), things, muddle, ended, contrast])


SIGNS = ("unsure", "apart", "kinds", "found", "length", "things", "muddle", "ended", "contrast")
"""Log of the mean scale of the seen walls; mean |log| between them and the room's; cost of the kinds; share of the
room's visible edges on which there is a line; their length in the photo's borders; share of things; entropy of the
kinds; share of columns whose wall is seen to end at floor or ceiling; how far the lines agree on the walls'
direction."""
_SIGN_WEIGHTS = np.array([-1.691, -6.461, -1.964, 1.335, 0.433, -0.675, 1.094, -0.216, 0.864])
_SIGN_BASE = -3.642
"""`lookbeyond train gate`: a logistic regression on 386 photos that training never draws. Right: the seen walls within
15 % on average. Cross-validated, of those said to be right with 0.0-0.2, ..., 0.8-1.0 there were 7, 34, 43, 70, 90 %
right."""


def _judge(evidence: _Evidence, room: _Room | None, contrast: float, sky: float) -> tuple[float, Place, str]:
    """Confidence, place, and the reason in words. sky: evidence of it, 0..1."""
    signs, sure = np.zeros(len(SIGNS)), 0.0
    if room is not None:
        signs = _signs(evidence, room, contrast)
        sure = float(1 / (1 + np.exp(-(_SIGN_BASE + _SIGN_WEIGHTS @ signs))))
    is_sky = sky > _SKY_ALONE or (sky > _SKY_TOLD and evidence.told.open_place > 0.5)
    if is_sky and sure < SURE:
        return _OPEN_RIGHT, "open", "An open place: there is sky in the photo, and no ceiling that fits."
    if room is None:
        return 0.0, "neither", "No room could be fitted: the walls that the photo seems to show do not close around it."
    by_name = dict(zip(SIGNS, signs, strict=True))
    shown = by_name["length"] > 0 and (by_name["found"] >= _EDGES_SHOWN or by_name["ended"] >= 1 / 3)
    if sure >= BELIEVED or (sure >= SUPPOSED and shown):
        walls = len(room.offsets)
        shape = "A room of four walls" if walls == 4 else f"A room with {walls} walls"
        how = "put where the photo's lines are" if sure >= SURE else "but the photo hardly tells where they are"
        return sure, "room", f"{shape}, {how}."
    if by_name["ended"] < 0.3:
        why = "no wall is seen down to the floor or up to the ceiling, so nothing tells how far away it is"
    elif by_name["things"] > 0.45:
        why = "things hide most of the walls"
    elif by_name["found"] < 0.25:
        why = "the photo has no lines where walls would meet floor and ceiling"
    else:
        why = "what it shows does not look like the floor, walls and ceiling of one room"
    return sure, "neither", f"Not sure of a room: {why}."


@functools.lru_cache(1)
def built_in_network() -> LayoutNetwork:
    """The layout network of the built-in weights, float32 on the CPU. InputError when they are not there."""
    folder = Path(presets.__file__).parent / "builtin" / "layout"
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"the weights of the layout network are not in {folder}; install the lookbeyond package again")
    network = LayoutNetwork.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    return network.eval()
