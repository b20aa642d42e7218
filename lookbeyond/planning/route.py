"""The way between places: searched on the grid by scikit-image, smoothed by a spline of SciPy's."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_splprep
from skimage.graph import MCP_Geometric

from lookbeyond.errors import InputError

from .free_space import FreeSpace

NEAR_COST = 3.0
"""How much dearer a cell is that is just clear than one that is twice as far from everything."""
UNKNOWN_COST = 3.0
"""How much dearer a cell is from which nothing is known in any heading than one from which all is photo."""
SMOOTHING_M = (0.5, 0.3, 0.2, 0.12, 0.07, 0.04, 0.02, 0.01, 0.0)
"""How far on average the spline may leave the way on the grid: the first that stays in the open is taken."""
PINNED = 1e3
"""Weight of the way's ends."""
SAMPLES = 2000
CHECK_M = 0.04
"""Distance of the samples at which a curve is checked."""


class Routes:
    """Cheapest ways from one cell to all others."""

    def __init__(self, free: FreeSpace, start: tuple[int, int], unknown: NDArray | None = None):
        """unknown: [n, n], 0..1, of every cell."""
        near = np.clip(2 - free.clear_m / max(free.clearance_m, 1e-3), 0, 1)
        price = 1 + NEAR_COST * near + (0 if unknown is None else UNKNOWN_COST * unknown)
        price = np.where(free.open, price, -1.0)  # negative: never
        self._search = MCP_Geometric(price, fully_connected=True, sampling=(free.cell_m, free.cell_m))
        self.cost, _ = self._search.find_costs([start])
        """[n, n], metres of the cheapest cells; infinite where there is no way."""

    @property
    def reachable(self) -> NDArray[np.bool_]:
        return np.isfinite(self.cost)

    def to(self, cell: tuple[int, int]) -> NDArray[np.int64]:
        """The cells [k, 2] from the start to this one. InputError where there is no way."""
        if not np.isfinite(self.cost[cell]):
            raise InputError(
                "There is no free way between the two places: something stands between them; choose another place, or "
                "a smaller clearance."
            )
        return np.array(self._search.traceback(cell))


@dataclass(frozen=True, eq=False)
class Curve:
    """A smooth level way: a cubic spline, twice continuously differentiable."""

    spline: BSpline
    """Of the parameter 0..1; values [3], metres, world."""

    @cached_property
    def _table(self) -> tuple[NDArray, NDArray]:
        parameters = np.linspace(0, 1, SAMPLES + 1)
        steps = np.linalg.norm(np.diff(self.spline(parameters), axis=0), axis=1)
        return parameters, np.append(0, np.cumsum(steps))

    @property
    def length_m(self) -> float:
        return float(self._table[1][-1])

    def at(self, shares: NDArray) -> NDArray[np.float64]:
        """Places [N, 3] at shares [N], 0..1, of the length."""
        parameters, along = self._table
        return self.spline(np.interp(shares, along / along[-1], parameters))

    def travel(self, shares: NDArray) -> NDArray[np.float64]:
        """Directions [N, 3] of the way, of any length."""
        parameters, along = self._table
        return self.spline.derivative()(np.interp(shares, along / along[-1], parameters))

    def bezier(self) -> NDArray[np.float64]:
        """Ends and handles [3 n + 1, 3] of the Bezier segments that are this curve."""
        knots = np.unique(self.spline.t)
        ends, slopes = self.spline(knots), self.spline.derivative()(knots)
        third = np.diff(knots)[:, None] / 3
        segments = np.stack([ends[:-1], ends[:-1] + slopes[:-1] * third, ends[1:] - slopes[1:] * third], 1)
        return np.append(segments.reshape(-1, 3), ends[-1:], 0)


def smooth_curve(free: FreeSpace, cells: NDArray) -> Curve:
    """A curve from the first cell to the last that stays in the open. InputError where they are one place."""
    places = free.places(cells)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    places = places[np.append(True, steps > 0)]
    along = np.append(0, np.cumsum(steps[steps > 0]))
    if along[-1] < 2 * free.cell_m:
        raise InputError("The camera is there already: choose places that are at least 10 cm apart.")
    for smoothing_m in SMOOTHING_M:
        curve = _fitted(places, along, smoothing_m)
        if free.is_open(curve.at(np.linspace(0, 1, max(12, round(curve.length_m / CHECK_M))))):
            return curve
    raise InputError("The free way is too narrow for a smooth move; choose a smaller clearance.")


def _fitted(places: NDArray, along: NDArray, smoothing_m: float) -> Curve:
    count = max(12, round(along[-1] / 0.1))
    shares = np.linspace(0, 1, count)
    points = np.stack([np.interp(shares * along[-1], along, axis) for axis in places.T])
    weights = np.ones(count)
    weights[[0, -1]] = PINNED
    spline, _ = make_splprep(list(points), w=weights, u=shares, k=3, s=count * smoothing_m**2)
    return Curve(BSpline(spline.t, spline.c, spline.k))
