"""Whether to trust a fitted room, and what a place without one is."""

import math

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.panorama import Place
from lookbeyond.models.layout_network import THING

from .canvas import CELL_ROWS, PIXEL_RAD
from .evidence import Evidence
from .rectilinear import AZIMUTHS, RectilinearRoom
from .sky import SkyEvidence

SURE = 0.5
"""Confidence from which on a room is sure."""
BELIEVED, SUPPOSED = 0.15, 0.03
"""Confidence from which on a room is drawn, and from which on one is of which the photo shows edges, or walls down to
the floor or up to the ceiling: 17 of 18 real photos looked better in the room that was fitted, however unsure, than in
what is painted around them. The one that did not was the least sure, with 0.006."""
_EDGES_SHOWN = 0.2
"""Share of a supposed room's visible edges on which there is a line; or a third of its columns show where it ends."""
_THINGS_SHOWN, _THINGS_APART, _THINGS_SURE = (0.05, 0.3), 0.2, 0.09
"""Share of things from which on a photo shows more than a bare wall, and up to which it is no close-up; with walls this
near to the network's, and this sure, a room is drawn around it, too: to the eye, walls around a wall and what stands
before it are better than fog."""
_SKY_ALONE, _SKY_WITH_NETWORK = 0.6, 0.2
"""Evidence of blue sky from which a place is open by itself, and when the network thinks so, too."""
_WHITE_ALONE, _WHITE_WITH_NETWORK = 0.7, 0.1
"""The same of white sky, under which no room may be nearly sure, either."""
_OPEN_AT_ALL, _ROOM_AT_MOST = 0.3, 0.25
"""What the network must think of an open place to support a white sky; confidence of the room that it may overrule."""
_OPEN_RIGHT = 0.95
"""Of as many open places as rooms, how many that pass for open are."""


def signs_of(evidence: Evidence, room: RectilinearRoom, contrast: float) -> NDArray:
    """What tells whether a fit is right, [SIGNS]: see `SIGNS`."""
    prediction, span = evidence.prediction, evidence.span
    distance, _ = room.trace(AZIMUTHS)
    seen = evidence.seen
    unsure = math.log(float(np.exp(prediction.scales[seen]).mean()))
    apart = float(np.minimum(np.abs(np.log(distance) - prediction.walls)[seen], 1).mean())
    one = room.offsets[None], np.array([room.ceiling])
    _, length, found = (float(value[0]) for value in evidence.lines(*one, blurred=False))
    area = evidence.known * np.cos(evidence.elevations)[:, None]
    things = float((prediction.kinds[THING] * area).sum() / evidence.cell_count)
    muddle = float((-(prediction.kinds * np.log(prediction.kinds + 1e-6)).sum(0) * area).sum() / evidence.cell_count)
    # columns in which the photo shows where the wall ends, below or above, and nothing stands there
    columns = np.arange(evidence.known.shape[1])
    clear = np.zeros(len(columns))
    for z in (-1.0, room.ceiling):
        row = CELL_ROWS / 2 - np.arctan(z / distance[span]) / (2 * PIXEL_RAD)
        inside = (row >= 1) & (row < CELL_ROWS - 1)
        row = row.astype(int).clip(0, CELL_ROWS - 1)
        clear = np.maximum(clear, inside * evidence.known[row, columns] * (1 - prediction.kinds[THING, row, columns]))
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


def room_reason(walls: int, sure: float) -> str:
    """What is said of a room of so many walls."""
    shape = "A room of four walls" if walls == 4 else f"A room with {walls} walls"
    how = "put where the photo's lines are" if sure >= SURE else "but the photo hardly shows where they are"
    return f"{shape}, {how}."


def judge(evidence: Evidence, room: RectilinearRoom | None, contrast: float, sky: SkyEvidence) -> Place:
    """What the place is, how sure that is, and the reason in words."""
    signs, sure = np.zeros(len(SIGNS)), 0.0
    if room is not None:
        signs = signs_of(evidence, room, contrast)
        sure = float(1 / (1 + np.exp(-(_SIGN_BASE + _SIGN_WEIGHTS @ signs))))
    network = evidence.prediction.open_place
    is_blue = sky.blue > _SKY_ALONE or (sky.blue > _SKY_WITH_NETWORK and network > 0.5)
    is_white = sky.white > _WHITE_ALONE or (sky.white > _WHITE_WITH_NETWORK and network > _OPEN_AT_ALL)
    if (is_blue and sure < SURE) or (is_white and sure < _ROOM_AT_MOST):
        return Place("open", _OPEN_RIGHT, "An open place: there is sky in the photo, and no ceiling that fits.")
    if room is None:
        why = "No room could be fitted: the walls that the photo seems to show do not close around it."
        return Place("neither", 0.0, why)
    by_name = dict(zip(SIGNS, signs, strict=True))
    shown = by_name["length"] > 0 and (by_name["found"] >= _EDGES_SHOWN or by_name["ended"] >= 1 / 3)
    furnished = _THINGS_SHOWN[0] <= by_name["things"] <= _THINGS_SHOWN[1] and by_name["apart"] <= _THINGS_APART
    if sure >= BELIEVED or (sure >= SUPPOSED and shown) or (sure >= _THINGS_SURE and furnished):
        return Place("room", round(sure, 4), room_reason(len(room.offsets), sure))
    if by_name["ended"] < 0.3:
        why = "no wall is seen down to the floor or up to the ceiling, so nothing shows how far away it is"
    elif by_name["things"] > 0.45:
        why = "things hide most of the walls"
    elif by_name["found"] < 0.25:
        why = "the photo has no lines where walls would meet floor and ceiling"
    else:
        why = "what it shows does not look like the floor, walls and ceiling of one room"
    return Place("neither", round(sure, 4), f"Not sure of a room: {why}.")
