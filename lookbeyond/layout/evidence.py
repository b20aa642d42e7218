"""What the network and a picture's lines say for and against rooms. Lengths are in units of the camera's height."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.models.layout_network import CEILING, FLOOR, THING, WALL

from .canvas import ALL_COLUMNS, CELL_ROWS, PIXEL_RAD
from .prediction import Prediction
from .rectilinear import AZIMUTHS, CEILING_RANGE, FLOOR_AT_LEAST, RectilinearRoom, trace_walls
from .segments import find_segments, segment_normals

_FINE = 2  # samples of an edge for every column
_UPRIGHT = 24  # samples of an upright edge
_RASTER_SIDE = 320
_KINDS_WEIGHT, _DISTANCE_WEIGHT, _LINES_WEIGHT = 2.0, 0.5, 3.0
_LINE_COST = 0.25
"""Of an edge as long as a line that is quite sure."""


class PictureLines:
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
            self.rasters.append(
                [
                    np.minimum(cv2.GaussianBlur(raster, (0, 0), sigma) * sigma * math.sqrt(2 * math.pi), 1.0)
                    for sigma in (1.2, 4.0)
                ]
            )

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


class Evidence:
    """What pictures say for and against rooms."""

    def __init__(
        self, prediction: Prediction, known: NDArray[np.bool_], views: list[PictureLines], logs: NDArray | None = None
    ):
        """known: [CELL_ROWS, columns] of the cells that `prediction` tells the kinds of, the middle of them ahead.

        logs: log distances that a depth model found for these cells, or None.
        """
        self.prediction, self.known, self.views, self.logs = prediction, known, views, logs
        columns = known.shape[1]
        first = (ALL_COLUMNS - columns) // 2
        self.span = slice(first, first + columns)
        self.seen = np.zeros(ALL_COLUMNS, bool)
        self.seen[self.span] = known.any(0)
        fine = columns * _FINE
        self.azimuths = (0.5 - (np.arange(fine) + 0.5) / fine) * columns * 2 * PIXEL_RAD
        self.wall_weight = np.where(self.seen, 1.0, 0.6) / np.clip(np.exp(prediction.scales), 0.05, 1.0)
        self.wall_weight /= self.wall_weight.sum()
        self.frame_rad = sum(view.frame_rad for view in views)
        self._cumulate(prediction.kinds)

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
        self.own_columns = np.cos(AZIMUTHS - heading), np.sin(AZIMUTHS - heading)
        for view in self.views:
            view.draw(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))

    def seen_cost(self, room: RectilinearRoom) -> float:
        """Mean |log| between a room's walls and the network's where the photo shows them."""
        apart = np.abs(np.log(room.trace(AZIMUTHS)[0]) - self.prediction.walls)[self.seen]
        return float(np.minimum(apart, 1.5).mean()) if apart.size else 0.0

    def _wall_costs(self, logs: NDArray) -> NDArray:
        return (np.minimum(np.abs(logs - self.prediction.walls), 1.5) * self.wall_weight).sum(-1)

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
        distance, wall = trace_walls(offsets, *self.own_rays)
        level = self.rays * distance[..., None]
        step = self.azimuths[0] - self.azimuths[1]
        points, axes, spans = [], [], []
        for z in (np.full(rooms, -1.0), ceilings):
            height = np.broadcast_to(z[:, None, None], (*level.shape[:2], 1))
            points.append(np.concatenate([level, height], -1))
            axes.append(1 - wall % 2)  # walls across x run along y
            slope = np.abs(np.gradient(np.arctan(z[:, None] / distance), axis=1))
            spans.append(np.hypot(step, np.minimum(slope, 4 * step)))  # a jump from wall to wall has none
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
            points.append(
                np.concatenate(
                    [
                        np.broadcast_to(foot[:, None], (rooms, _UPRIGHT, 2)),
                        (np.tan(angles) * reach[:, None])[..., None],
                    ],
                    -1,
                )
            )
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
        """How likely something stands in front of these points."""
        columns = self.known.shape[1]
        azimuth = np.arctan2(points[..., 1], points[..., 0])
        column = (columns / 2 - azimuth / (2 * PIXEL_RAD)).astype(int).clip(0, columns - 1)
        elevation = np.arctan2(points[..., 2], np.hypot(points[..., 0], points[..., 1]))
        row = (CELL_ROWS / 2 - elevation / (2 * PIXEL_RAD)).astype(int).clip(0, CELL_ROWS - 1)
        return self.prediction.kinds[THING, row, column]

    def _distance_costs(self, distance: NDArray, ceilings: NDArray) -> NDArray | float:
        """Things in front of a wall cost little; a wall in front of what was seen costs much."""
        if self.logs is None:
            return 0.0
        up, level = np.sin(self.elevations[::2])[:, None], np.cos(self.elevations[::2])[:, None]
        flat = np.where(up < 0, 1.0, ceilings[:, None, None]) / np.maximum(np.abs(up), 1e-6)
        apart = np.log(np.minimum(distance[:, None, ::2] / level, flat)) - self.logs[::2, ::2]
        cost = np.where(apart > 0, np.minimum(0.5 * apart, 0.6), np.minimum(-apart, 1.5))
        known = self.known[::2, ::2]
        return (cost * known).sum((1, 2)) / max(known.sum(), 1)

    def costs(self, offsets: NDArray, ceilings: NDArray, blurred: bool = False) -> NDArray:
        """The whole cost of rooms [rooms, n] along the axes that were set, [rooms]; inf for what is not a room."""
        distance, _ = trace_walls(offsets, *self.own_columns)
        fine = np.isfinite(distance).all(1) & (distance.min(1) >= FLOOR_AT_LEAST)
        fine &= (ceilings >= CEILING_RANGE[0]) & (ceilings <= CEILING_RANGE[1])
        result = np.full(len(offsets), np.inf)
        if not fine.any():
            return result
        offsets, ceilings, distance = offsets[fine], ceilings[fine], distance[fine]
        above = np.abs(np.log(ceilings) - self.prediction.ceiling) / max(math.exp(self.prediction.ceiling_scale), 0.06)
        result[fine] = (
            self._wall_costs(np.log(distance))
            + _KINDS_WEIGHT * self.kinds_costs(distance[:, self.span], ceilings)
            + _DISTANCE_WEIGHT * self._distance_costs(distance[:, self.span], ceilings)
            + 0.02 * np.minimum(above, 8.0)
            - _LINES_WEIGHT * self.lines(offsets, ceilings, blurred)[0]
        )
        return result

    def wall_costs(self, offsets: NDArray) -> NDArray:
        """The part of the cost that the network's walls are, [rooms]."""
        distance, _ = trace_walls(offsets, *self.own_columns)
        fine = np.isfinite(distance).all(1) & (distance.min(1) >= FLOOR_AT_LEAST)
        return np.where(fine, self._wall_costs(np.log(np.where(np.isfinite(distance), distance, 1.0))), np.inf)

    def cost(self, room: RectilinearRoom, blurred: bool = False) -> float:
        return float(self.costs(room.offsets[None], np.array([room.ceiling]), blurred)[0])
