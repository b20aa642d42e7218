"""A camera move from what it is for: to show the room, to go from here to there, or to end on something."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, placed_camera
from lookbeyond.geometry.panorama import Panorama

from .free_space import EXTENT_M, FreeSpace, free_space
from .gaze import KNOTS, heading_along, plan_headings
from .goals import EndOn, FromTo, Goal, MoveSettings
from .knowledge import HEADINGS, Knowledge, knowledge_of
from .pace import shares_of_way
from .route import SAMPLES, Curve, Routes, smooth_curve

GAZE_M = 2.0
"""The point that a camera looks at is so far ahead of it, unless it ends on something."""
HERE_M = 0.2
"""A move that begins so near to the photo's camera begins with its view."""
STOPS = 3
"""Places from which the room is shown, after the photo's."""
LEAST_PHOTO = 0.55
"""Share of a stop's view that is photo, where there are such places."""
MOST_HOLE = 0.12
PAN_GAIN = 0.4
"""What a stop gains, in shares of photo, that looks elsewhere than the one before."""
END_M = (0.8, 2.5)
"""Nearest and farthest from which a move ends on something: half as far as it is from the viewpoint, within these."""
TRIED_ENDS = 400


@dataclass(frozen=True, eq=False)
class PlannedMove:
    """A camera move, and what it is made of so that it can be edited."""

    cameras: Sequence[Camera]
    curve: NDArray[np.float64]
    """[3 n + 1, 3] ends and handles of Bezier segments, metres, world."""
    way: NDArray[np.float64]
    """[N] share of the curve's length, 0..1, at which each frame's camera is."""
    targets: NDArray[np.float64]
    """[N, 3] what each frame's camera looks at."""
    length_m: float
    photo: float
    """Mean share of the views that the photo saw, 0..1."""
    hole: float
    """Mean share that the world does not show."""

    def said(self, fps: float) -> str:
        """A sentence for the artist."""
        return (
            f"{len(self.cameras)} frames, {len(self.cameras) / fps:.1f} s, {self.length_m:.2f} m; of the views "
            f"{self.photo:.0%} is photo, {max(0.0, 1 - self.photo - self.hole):.0%} invented and {self.hole:.0%} holes."
        )


def plan_move(panorama: Panorama, goal: Goal, lens: Camera, settings: MoveSettings | None = None) -> PlannedMove:
    """Plan a move through a world. `lens`: size and lens of the frames, and heading and pitch of the first one.

    The camera stays at the height of the world's viewpoint, level, `clearance_m` from everything, within what can be
    shot from the world. Raises InputError for a goal that cannot be reached: inside a wall, too far, or nothing free.
    """
    settings = settings or MoveSettings()
    free = free_space(panorama, settings.clearance_m, _extent(panorama, goal), settings.doubt)
    heading, pitch, _ = heading_pitch_roll(lens)
    level = lens.placed(pitch_rad=pitch)
    start_place = panorama.position[:2]
    if isinstance(goal, FromTo) and goal.start is not None:
        start_place = np.array(goal.start, np.float64)
        free.require(start_place, "The start")
    if isinstance(goal, FromTo):
        free.require(goal.end, "The end")
    start = free.cell(start_place)
    known = knowledge_of(free, level, Routes(free, start).reachable)
    routes = Routes(free, start, _unknown(free, known))
    wanted = {}
    if np.linalg.norm(start_place - panorama.position[:2]) < HERE_M:
        wanted[0] = heading
    pitch_end, gaze_end_m = pitch, GAZE_M
    if isinstance(goal, FromTo):
        curve = smooth_curve(free, routes.to(free.cell(goal.end)))
    elif isinstance(goal, EndOn):
        target = np.array(goal.target, np.float64)
        curve = smooth_curve(free, routes.to(_end_for(free, known, routes, target)))
        sight = target - curve.at(np.array([1.0]))[0]
        wanted[KNOTS - 1] = math.atan2(sight[1], sight[0])
        pitch_end, gaze_end_m = math.atan2(sight[2], math.hypot(sight[0], sight[1])), float(np.linalg.norm(sight))
    else:
        curve, stops = _tour(free, known, routes, heading)
        wanted |= stops
    knots = plan_headings(free, known, curve, wanted, isinstance(goal, FromTo))
    heading_at = heading_along(knots)

    def pitch_at(shares: NDArray) -> NDArray:
        x = np.clip((shares - 0.3) / 0.7, 0, 1)  # first the camera goes, then it tilts
        return pitch + (pitch_end - pitch) * x**3 * (10 + x * (6 * x - 15))

    even = np.linspace(0, 1, SAMPLES + 1)
    way = shares_of_way(curve, heading_at(even), pitch_at(even), settings.limits, settings.fps, settings.frames)
    return _filmed(free, level, curve, way, heading_at(way), pitch_at(way), GAZE_M + (gaze_end_m - GAZE_M) * way)


def _filmed(
    free: FreeSpace, lens: Camera, curve: Curve, way: NDArray, headings: NDArray, pitches: NDArray, gaze_m: NDArray
) -> PlannedMove:
    places = curve.at(way)
    cameras = [
        lens.placed(float(heading), float(pitch), position=place)
        for heading, pitch, place in zip(headings, pitches, places, strict=True)
    ]
    sights = np.array([camera.forward for camera in cameras])
    looked_at = [free.coverage.known(camera) for camera in cameras[:: max(1, len(cameras) // 24)]]
    return PlannedMove(
        cameras,
        curve.bezier(),
        way,
        places + sights * gaze_m[:, None],
        curve.length_m,
        float(np.mean([known.photo for known in looked_at])),
        float(np.mean([known.hole for known in looked_at])),
    )


def _extent(panorama: Panorama, goal: Goal) -> float:
    """How far around the viewpoint a way is looked for, metres."""
    wanted = []
    if isinstance(goal, FromTo):
        wanted = [goal.end, *([goal.start] if goal.start is not None else [])]
    if isinstance(goal, EndOn):
        wanted = [goal.target[:2]]
    numbers = np.array(wanted, np.float64)
    if not np.isfinite(numbers).all() or (numbers.size and np.abs(numbers).max() > 1e5):
        raise InputError("A goal's coordinates are not finite metres; give places in the world.")
    away = [float(np.linalg.norm(place - panorama.position[:2])) for place in numbers]
    return max(EXTENT_M, *(distance + 1.0 for distance in away)) if away else EXTENT_M


def _unknown(free: FreeSpace, known: Knowledge) -> NDArray[np.float64]:
    """[n, n]: what the best view from the nearest place that was asked about does not know, 0..1."""
    best = known.cost.min(1)
    every = np.stack(np.meshgrid(*(np.arange(size) for size in free.open.shape), indexing="ij"), -1)
    return np.clip(best[known.nearest(every.reshape(-1, 2))].reshape(free.open.shape), 0, 1)


def _end_for(free: FreeSpace, known: Knowledge, routes: Routes, target: NDArray) -> tuple[int, int]:
    """The cell from which a point is best looked at. InputError where there is none."""
    origin = free.panorama.position
    sight = target - origin
    away_m = float(np.linalg.norm(sight))
    where = "The point ({:g}, {:g}, {:g})".format(*target)
    if away_m < 0.1:
        raise InputError(f"{where} is where the world was seen from; choose something to look at.")
    seen_m = float(free.panorama.distance_at(sight))
    if away_m > 1.15 * seen_m + 0.1:
        raise InputError(
            f"{where} is inside or behind a wall or a thing: it lies {away_m:.2f} m from the world's viewpoint, and "
            f"the view ends after {seen_m:.2f} m there; choose a point that is seen."
        )
    cells = np.argwhere(routes.reachable)
    cells = cells[:: max(1, len(cells) // TRIED_ENDS)]
    places = free.places(cells)
    sights = target - places
    level_m, length_m = np.linalg.norm(sights[:, :2], axis=1), np.linalg.norm(sights, axis=1)
    parts = places[:, None] + sights[:, None] * np.linspace(0, 0.85, 12)[None, :, None] - origin
    hidden = np.linalg.norm(parts, axis=-1) > free.panorama.distance_at(parts)
    good = ~hidden.any(1) & (np.abs(sights[:, 2]) < level_m) & (length_m > free.clearance_m + 0.1)
    if not good.any():
        raise InputError(
            f"{where} cannot be looked at from any free place; choose another point, or a smaller clearance."
        )
    cells, sights, length_m = cells[good], sights[good], length_m[good]
    wanted_m = float(np.clip(away_m / 2, *END_M))
    headings = np.rint(np.arctan2(sights[:, 1], sights[:, 0]) / (2 * math.pi) * HEADINGS).astype(int) % HEADINGS
    views = known.cost[known.nearest(cells), headings]
    price = 2 * np.abs(np.log(length_m / wanted_m)) + views + 0.2 * routes.cost[cells[:, 0], cells[:, 1]]
    moved = np.linalg.norm(free.places(cells) - free.places(routes.to(tuple(cells[0]))[0]), axis=1)
    price = price + np.where(moved < 4 * free.cell_m, 10.0, 0.0)  # a move has to move
    x, y = cells[int(price.argmin())]
    return int(x), int(y)


def _tour(free: FreeSpace, known: Knowledge, routes: Routes, heading: float) -> tuple[Curve, dict[int, float]]:
    """A way past places far from each other that see much of the photo, and the headings there by their knots."""
    there = routes.cost[known.cells[:, 0], known.cells[:, 1]]
    usable = np.isfinite(there) & (known.hole.min(1) <= MOST_HOLE)
    best = np.where(known.hole <= MOST_HOLE, known.photo, 0).max(1)
    usable &= best >= min(LEAST_PHOTO, float(best[usable].max(initial=0)))
    start = np.array(free.cell(free.panorama.position))
    chosen: list[int] = []
    far = np.linalg.norm(known.cells - start, axis=1)
    for _ in range(STOPS):
        number = int(np.where(usable, far, -1).argmax())
        if not usable[number] or far[number] * free.cell_m < 0.15:
            break
        chosen.append(number)
        far = np.minimum(far, np.linalg.norm(known.cells - known.cells[number], axis=1))
    if not chosen:
        raise InputError(
            "There is no free place besides the world's viewpoint from which enough is known; choose a smaller "
            "clearance, or turn the camera on the spot."
        )
    order = _shortest(start, known.cells, chosen)
    ways, ends = [routes.to(tuple(known.cells[order[0]]))], []
    for before, after in itertools.pairwise(order):
        ends.append(sum(map(len, ways)))
        ways.append(Routes(free, tuple(known.cells[before]), _unknown(free, known)).to(tuple(known.cells[after])))
    cells = np.concatenate(ways)
    steps = np.append(0, np.cumsum(np.linalg.norm(np.diff(cells, axis=0), axis=1)))
    curve = smooth_curve(free, cells)
    wanted, last = {}, heading
    for number, end in zip(order, [*ends, len(cells)], strict=True):
        last = _stop_heading(known, number, last)
        wanted[round(float(steps[end - 1] / steps[-1]) * (KNOTS - 1))] = last
    wanted.pop(0, None)
    return curve, wanted


def _stop_heading(known: Knowledge, number: int, before: float) -> float:
    turned = np.abs((known.headings - before + math.pi) % (2 * math.pi) - math.pi)
    gain = known.photo[number] - 2 * known.hole[number] + PAN_GAIN * np.minimum(turned / math.radians(40), 1)
    gain = np.where(known.photo[number] >= min(LEAST_PHOTO, known.photo[number].max()), gain, -10)
    return float(known.headings[int(gain.argmax())])


def _shortest(start: NDArray, cells: NDArray, chosen: list[int]) -> list[int]:
    """The chosen places in the order of the shortest way, as the crow flies."""

    def length(order: Sequence[int]) -> float:
        stops = np.array([start, *(cells[number] for number in order)])
        return float(np.linalg.norm(np.diff(stops, axis=0), axis=1).sum())

    return list(min(itertools.permutations(chosen), key=length))


def first_view(panorama: Panorama, width: int, height: int, fov_x_deg: float | None = None) -> Camera:
    """The photo's camera with frames of this size, as wide as the photo unless told otherwise, and level.

    Of a world that was given as a 360° picture: its viewpoint and middle, 65° wide.
    """
    photo = panorama.photo_camera
    fov_x_rad = math.radians(fov_x_deg) if fov_x_deg else photo.fov_x if photo else math.radians(65)
    heading, pitch, _ = heading_pitch_roll(photo) if photo else (panorama.heading_rad, 0.0, 0.0)
    return placed_camera(width, height, fov_x_rad, heading_rad=heading, pitch_rad=pitch, position=panorama.position)
