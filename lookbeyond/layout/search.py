"""The room that costs least, of all rectilinear ones. Lengths are in units of the camera's height."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence
from .rectilinear import AZIMUTHS, CEILING_RANGE, FLOOR_AT_LEAST, RectilinearRoom

_POLYGON_GAIN, _MOST_CORNERS = 0.01, 14
"""How much nearer (mean |log|) than a box a polygon must be to the seen walls to be considered."""
_CORNER_COST = 0.03
"""Of every corner beyond a box's four: the room has to be better by that."""


def _best_heading(evidence: Evidence) -> tuple[float, float]:
    """Direction of the room's axes, radians in (-45°, 45°], and how far the lines agree on it (0: not at all)."""
    prediction = evidence.prediction
    grid = np.radians(np.arange(-45, 45, 0.25))
    n = np.concatenate([view.normals for view in evidence.views])
    lengths = np.minimum(np.degrees(np.concatenate([view.lengths for view in evidence.views])), 20)
    # upright segments, and those at the camera's own height, say nothing about it
    useful = (np.abs(n[:, 2]) > math.sin(math.radians(6))) & (np.hypot(n[:, 0], n[:, 1]) > math.sin(math.radians(4)))
    n, lengths = n[useful], lengths[useful]
    along = np.stack([np.cos(grid), np.sin(grid)])
    across = np.stack([-np.sin(grid), np.cos(grid)])
    votes = np.zeros(len(grid))
    for way in (along, across):
        off = np.degrees(np.arcsin(np.clip(np.abs(n[:, :2] @ way), 0, 1)))
        votes += (lengths[:, None] * np.exp(-((off / 1.2) ** 2))).sum(0)
    own = np.arctan2(prediction.normals[:, 1], prediction.normals[:, 0])
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


def best_rooms(evidence: Evidence) -> tuple[list[RectilinearRoom], float]:
    """The room that costs least and the best box, if that is another one; how far the lines agree on the walls'
    direction."""
    heading, contrast = _best_heading(evidence)
    evidence.set_heading(heading)
    prediction = evidence.prediction
    ceiling = float(np.clip(math.exp(prediction.ceiling), *CEILING_RANGE))
    found: list[tuple[float, RectilinearRoom]] = []
    box = _box_of_columns(evidence, heading, ceiling)
    polygon = polygon_of_columns(evidence, heading, ceiling)
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
        found.append((evidence.cost(room) + _CORNER_COST * (len(room.offsets) - 4), room))
    found.sort(key=lambda each: each[0])
    return [room for number, (_, room) in enumerate(found) if number == 0 or len(room.offsets) == 4], contrast


def _box_of_columns(evidence: Evidence, heading: float, ceiling: float) -> RectilinearRoom | None:
    """The box that agrees best with the network's walls."""
    distance = np.exp(evidence.prediction.walls)
    x, y = distance * np.cos(AZIMUTHS - heading), distance * np.sin(AZIMUTHS - heading)
    starts = []
    for values, other in ((x, y), (y, x), (-x, y), (-y, x)):
        facing = values > np.abs(other)
        pool = values[facing] if facing.any() else values[values > 0]
        starts.append(max(float(np.median(pool)) if len(pool) else 1.0, FLOOR_AT_LEAST * 1.5))
    best = np.array([starts[0], starts[1], -starts[2], -starts[3]])
    for span in (0.5, 0.25, 0.12, 0.06, 0.03):
        for _ in range(2):
            for wall in range(4):
                trials = np.repeat(best[None], 5, 0)
                trials[:, wall] *= np.exp(span * np.array([0, -1, -0.5, 0.5, 1]))
                best = trials[evidence.wall_costs(trials).argmin()]
    room = RectilinearRoom(heading, best, ceiling)
    return room if room.valid() else None


def polygon_of_columns(evidence: Evidence, heading: float, ceiling: float) -> RectilinearRoom | None:
    """The rectilinear polygon that agrees best with the network's walls, or None where that is not a room.

    Viterbi over planes: each column sees one of them, and passing to another costs, less where the network sees a
    corner, more where the distance jumps.
    """
    prediction = evidence.prediction
    angles = AZIMUTHS - heading
    rays = np.stack([np.cos(angles), np.sin(angles)], -1)
    steps = np.exp(np.linspace(math.log(0.2), math.log(12.0), 42))
    axis = np.repeat([0, 1, 0, 1], len(steps))
    offset = np.concatenate([sign * steps for sign in (1, 1, -1, -1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(np.where(offset / rays[:, axis] > 0, offset / rays[:, axis], np.nan))  # [columns, planes]
    scale = np.clip(np.exp(prediction.scales), np.where(evidence.seen, 0.05, 0.15), 1.0)[:, None]
    own = np.arctan2(prediction.normals[:, 1], prediction.normals[:, 0]) - heading
    outward = np.where(axis == 0, 0.0, math.pi / 2) + np.where(offset > 0, math.pi, 0.0)
    unary = np.minimum(np.abs(log - prediction.walls[:, None]) / scale, 6) + 1.5 * (1 - np.cos(own[:, None] - outward))
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
            corner = prediction.corners[column - 1]
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
    distance = np.exp(prediction.walls)
    weight = 1 / scale[:, 0]
    for begin, end in zip(begins, np.roll(begins, -1), strict=True):
        own_columns = np.arange(begin, end if end > begin else end + count) % count
        side = axis[path[begin]]
        values = distance[own_columns] * rays[own_columns, side]
        order = np.argsort(values)
        share = np.cumsum(weight[own_columns][order])
        runs.append((int(side), float(values[order[np.searchsorted(share, share[-1] / 2)]]), int(begin)))
    return _joined(runs, edge / np.linalg.norm(edge, axis=1, keepdims=True), heading, ceiling)


def _joined(
    runs: list[tuple[int, float, int]], edges: NDArray, heading: float, ceiling: float
) -> RectilinearRoom | None:
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
    room = RectilinearRoom(heading, np.array([offset for _, offset in sides]), ceiling)
    return room if room.valid() else None


def _settled(evidence: Evidence, room: RectilinearRoom) -> RectilinearRoom:
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


def _simplified(evidence: Evidence, room: RectilinearRoom) -> RectilinearRoom:
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
