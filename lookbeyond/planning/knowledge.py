"""What views from a few places of a world would be made of, asked once and looked up afterwards."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera, heading_pitch_roll

from .free_space import FreeSpace

HEADINGS = 24
PLACES = 20
"""About how many places are asked about."""
HOLE_COST = 2.0
"""A hole, which every shot makes up anew, costs so many times what was invented with the world."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Views from places, each in every heading."""

    cells: NDArray[np.int64]
    """[P, 2] of the free space."""
    photo: NDArray[np.float64]
    """[P, HEADINGS] share of the view that the photo saw, 0..1."""
    hole: NDArray[np.float64]
    """[P, HEADINGS] share that the world does not show."""

    @property
    def headings(self) -> NDArray[np.float64]:
        """[HEADINGS] radians."""
        return np.linspace(0, 2 * math.pi, HEADINGS, endpoint=False)

    @property
    def cost(self) -> NDArray[np.float64]:
        """[P, HEADINGS]: the invented share, holes counted `HOLE_COST` times; 0 where all is photo."""
        return 1 - self.photo - self.hole + HOLE_COST * self.hole

    def nearest(self, cells: NDArray) -> NDArray[np.int64]:
        """The number [N] of the place that is nearest to each cell [N, 2]."""
        return np.linalg.norm(cells[:, None] - self.cells[None], axis=-1).argmin(1)


def knowledge_of(free: FreeSpace, lens: Camera, reachable: NDArray[np.bool_]) -> Knowledge:
    """Ask about places that spread over the cells that can be reached [n, n], with this lens and its pitch."""
    step = max(2, round(math.sqrt(reachable.sum() / PLACES)))
    middle = free.middle
    at = np.argwhere(reachable)
    chosen = at[((at - middle) % step == 0).all(1)]  # the viewpoint is one of them
    _, pitch, _ = heading_pitch_roll(lens)
    shares = np.array(
        [
            [_shares(free, lens, place, heading, pitch) for heading in np.arange(HEADINGS) * (2 * math.pi / HEADINGS)]
            for place in free.places(chosen)
        ]
    )
    return Knowledge(chosen, shares[..., 0], shares[..., 1])


def _shares(free: FreeSpace, lens: Camera, place: NDArray, heading: float, pitch: float) -> tuple[float, float]:
    known = free.coverage.known(lens.placed(heading, pitch, position=place))
    return known.photo, known.hole
