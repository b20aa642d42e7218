"""Where the opening between two worlds is: the part of the first one's wall, on the way to the second, past which one
of them sees."""

import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.opening import Opening
from lookbeyond.geometry.panorama import Panorama

STEP_M = 0.025
REACH_M = 2.0
"""So far to either side of where the way goes through the wall its rim is looked for."""
PAST, PAST_M = 1.08, 0.1
"""A world sees past a wall where it sees this much farther."""
USUAL_WIDTH_M, USUAL_HEIGHT_M = 0.9, 2.05
"""Of a door, where neither world sees past the wall."""
LEAST_WIDTH_M, MOST_WIDTH_M = 0.4, 1.8
"""Of an opening that is found: what seems wider is a world that does not show the wall beside it."""
NEAR_WALL = 0.7, 1.5
"""So many times as far as the layout has it a world may have the wall."""
GIVE = "give its place (--opening X1 Y1 X2 Y2; in Blender, Door at 3D Cursor)"


def find_opening(first: Panorama, second: Panorama) -> tuple[Opening, str]:
    """The opening between two worlds in one frame, and a sentence about it.

    The second one lies beyond a wall of the first one's layout, or looks at it. Raises InputError where the first has
    no layout, or no wall is there.
    """
    layout = first.layout
    if layout is None:
        raise InputError(f"Where the opening is cannot be found: the first world has no walls; {GIVE}.")
    wall, across = _wall_on_the_way(layout, first, second)
    start, direction, length, normal = (part[wall] for part in layout.walls())
    spots = np.arange(max(0.0, across - REACH_M), min(length, across + REACH_M), STEP_M)
    heights = np.arange(layout.floor_z + 0.1, layout.ceiling_z - 0.05, 0.05)
    points = np.zeros((len(heights), len(spots), 3))
    points[..., :2] = start + direction * spots[:, None]
    points[..., 2] = heights[:, None]
    at_door = (heights > layout.floor_z + 0.3) & (heights < layout.floor_z + 1.8)
    past = _sees_past(first, points, at_door) | _sees_past(second, points, at_door)
    columns = _run_around(past[at_door].mean(0) > 0.5, int(np.abs(spots - across).argmin()), int(0.5 / STEP_M))
    found = columns is not None and LEAST_WIDTH_M <= (columns[1] - columns[0]) * STEP_M <= MOST_WIDTH_M
    if columns is not None and found:
        left, right = spots[columns[0]] - STEP_M / 2, spots[columns[1] - 1] + STEP_M / 2
        open_at = past[:, columns[0] : columns[1]].mean(1) > 0.5
        rows = _run_around(open_at, int(np.abs(heights - (layout.floor_z + 1.0)).argmin()), 4)
        assert rows is not None
        bottom = heights[rows[0]] - 0.025 if rows[0] > 4 else layout.floor_z
        top = heights[rows[1] - 1] + 0.025
        said = f"The opening is {right - left:.2f} m wide and {top - bottom:.2f} m high, {{around}}."
    else:
        left, right = across - USUAL_WIDTH_M / 2, across + USUAL_WIDTH_M / 2
        bottom, top = layout.floor_z, min(layout.floor_z + USUAL_HEIGHT_M, layout.ceiling_z)
        said = (
            "Neither world shows the sides of the opening between them, so it was taken to be a usual door, "
            f"{USUAL_WIDTH_M} m wide, {{around}}; {GIVE} if it is another."
        )
    ends = [tuple((start + direction * each).tolist()) for each in (left, right)]
    opening = Opening(ends[0], ends[1], float(bottom), float(top))
    # corners run counter-clockwise, so that the room lies to the left of every wall
    assert opening.side([*(start + normal), 0.0]) > 0
    x, y, _ = opening.centre
    return opening, said.format(around=f"around ({x:.2f}, {y:.2f})")


def _wall_on_the_way(layout: RoomLayout, first: Panorama, second: Panorama) -> tuple[int, float]:
    """The wall that the way to the second world goes through, and where along it, metres."""
    begin, end = first.position[:2], second.position[:2]
    if layout.contains([*end, (layout.floor_z + layout.ceiling_z) / 2]):
        heading = second.heading_rad
        if second.photo_camera is not None:
            heading = float(np.arctan2(*second.photo_camera.forward[1::-1]))
        begin, end = end, end + 100 * np.array([np.cos(heading), np.sin(heading)])
    best: tuple[float, int, float] | None = None
    way = end - begin
    for wall, (start, direction, length, normal) in enumerate(zip(*layout.walls(), strict=True)):
        towards = -float(way @ normal)
        if towards <= 1e-9:
            continue
        share = float((begin - start) @ normal) / towards
        across = float((begin + share * way - start) @ direction)
        if 0 <= share <= 1 and 0 <= across <= length and (best is None or share < best[0]):
            best = share, wall, across
    if best is None:
        raise InputError(
            "No wall of the first world lies on the way to the second one; place the second world beyond an opening, "
            f"or {GIVE}."
        )
    return best[1], best[2]


def _sees_past(world: Panorama, points: NDArray, at_door: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a world shows something farther than points [h, w, 3] on the wall in their direction.

    at_door: [h], the heights at which most of the wall is taken to be shut. A world may have the whole wall somewhat
    nearer or farther than the first one's layout has it.
    """
    offset = points - world.position
    away = np.linalg.norm(offset, axis=-1)
    seen = world.distance_at(offset)
    wall = float(np.clip(np.quantile((seen / away)[at_door], 0.3), *NEAR_WALL))
    return seen > wall * (PAST * away + PAST_M)


def _run_around(along: NDArray[np.bool_], place: int, near: int) -> tuple[int, int] | None:
    """First and end of the run of True at a place, or at the nearest one not more than `near` from it."""
    places = np.flatnonzero(along)
    if not places.size or abs(nearest := places[np.abs(places - place).argmin()] - place) > near:
        return None
    first = last = place + int(nearest)
    while first > 0 and along[first - 1]:
        first -= 1
    while last + 1 < len(along) and along[last + 1]:
        last += 1
    return first, last + 1
