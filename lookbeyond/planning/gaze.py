"""What the camera looks at on its way: headings that see what is known, and turn little."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from .free_space import FreeSpace
from .knowledge import HEADINGS, Knowledge
from .route import Curve

KNOTS = 25
TURN_COST = 1.5
"""Of turning by a radian within a knot's step, squared, against one knot's view of which nothing is photo."""
AHEAD_COST = 0.15
"""Of looking back, against a view of which nothing is photo."""
SPREAD = 1.6
"""Standard deviation, in knots, of the filter that headings are smoothed with."""


def plan_headings(
    free: FreeSpace, known: Knowledge, curve: Curve, wanted: dict[int, float], looks_ahead: bool
) -> NDArray[np.float64]:
    """Headings [KNOTS] at even shares of the curve, radians, continuous over the turn.

    `wanted`: headings that are fixed, by their knot. The cheapest sequence: Viterbi over `HEADINGS`.
    """
    shares = np.linspace(0, 1, KNOTS)
    places = curve.at(shares)
    cells = np.rint((places - free.panorama.position)[:, :2] / free.cell_m).astype(int) + free.middle
    price = known.cost[known.nearest(cells)].copy()
    if looks_ahead:
        travel = curve.travel(shares)
        ahead = np.arctan2(travel[:, 1], travel[:, 0])
        price += AHEAD_COST * (1 - np.cos(known.headings[None] - ahead[:, None])) / 2
    for knot, heading in wanted.items():
        nearest = round(heading / (2 * math.pi) * HEADINGS) % HEADINGS
        price[knot] = np.where(np.arange(HEADINGS) == nearest, 0.0, 1e6)
    offsets = np.arange(HEADINGS)
    turns = (offsets[:, None] - offsets[None] + HEADINGS // 2) % HEADINGS - HEADINGS // 2  # [to, from], steps
    turning = TURN_COST * (turns * (2 * math.pi / HEADINGS)) ** 2
    total, before = price[0], []
    for knot in range(1, KNOTS):
        sums = total[None] + turning
        before.append(sums.argmin(1))
        total = sums.min(1) + price[knot]
    best = [int(total.argmin())]
    for came_from in reversed(before):
        best.append(int(came_from[best[-1]]))
    steps = np.array(best[::-1]) * (2 * math.pi / HEADINGS)
    headings = np.unwrap(steps)
    return _smooth(headings, wanted)


def _smooth(headings: NDArray, wanted: dict[int, float]) -> NDArray[np.float64]:
    """The headings filtered, then bent so that both ends are exactly what was wanted of them."""
    smooth = gaussian_filter1d(headings, SPREAD, mode="nearest")
    for end, ramp in ((0, np.linspace(1, 0, KNOTS)), (KNOTS - 1, np.linspace(0, 1, KNOTS))):
        if end in wanted:
            miss = (wanted[end] - smooth[end] + math.pi) % (2 * math.pi) - math.pi
            smooth = smooth + miss * (ramp**2 * (3 - 2 * ramp))
    return smooth


def heading_along(headings: NDArray) -> PchipInterpolator:
    """Headings of any share 0..1 of the way; once continuously differentiable, and it never swings past a knot."""
    return PchipInterpolator(np.linspace(0, 1, len(headings)), headings)
