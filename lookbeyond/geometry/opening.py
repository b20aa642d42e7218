"""An opening between two places, such as a door: an upright rectangle in the world. Needs numpy only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import Camera, PathError

LEAST_M, MOST_M = 0.2, 20.0
"""Width and height of an opening."""


@dataclass(frozen=True)
class Opening:
    """An upright rectangle; the first place lies to the left of the way from `start` to `end`, the second to the right.

    Raises `ValueError` for numbers that are not finite, or a width or height outside `LEAST_M`..`MOST_M`.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    """x and y of its two sides, metres."""
    bottom_z: float
    top_z: float

    def __post_init__(self) -> None:
        numbers = [*self.start, *self.end, self.bottom_z, self.top_z]
        if not np.isfinite(numbers).all():
            raise ValueError("an opening's place holds numbers that are not finite")
        for what, size in (("wide", self.width), ("high", self.top_z - self.bottom_z)):
            if not LEAST_M <= size <= MOST_M:
                raise ValueError(f"an opening {size:.2f} m {what} is impossible; give {LEAST_M:g} to {MOST_M:g} m")

    @property
    def width(self) -> float:
        return math.dist(self.start, self.end)

    @property
    def along(self) -> NDArray[np.float64]:
        """Unit direction [3] from `start` to `end`."""
        return np.array([self.end[0] - self.start[0], self.end[1] - self.start[1], 0.0]) / self.width

    @property
    def normal(self) -> NDArray[np.float64]:
        """Level unit vector [3] that points into the first place."""
        x, y, _ = self.along
        return np.array([-y, x, 0.0])

    @property
    def centre(self) -> NDArray[np.float64]:
        return np.array(
            [
                (self.start[0] + self.end[0]) / 2,
                (self.start[1] + self.end[1]) / 2,
                (self.bottom_z + self.top_z) / 2,
            ]
        )

    def side(self, points: ArrayLike) -> NDArray[np.float64]:
        """Metres of points [..., 3] from the opening's plane: positive in the first place, negative in the second."""
        return (np.asarray(points, np.float64) - [*self.start, 0.0]) @ self.normal

    def holds(self, points: ArrayLike, margin: float = 0.0) -> NDArray[np.bool_]:
        """Whether points [..., 3] on its plane are in it, `margin` metres or more from its rim."""
        points = np.asarray(points, np.float64)
        across = (points - [*self.start, 0.0]) @ self.along
        inside = (across >= margin) & (across <= self.width - margin)
        return inside & (points[..., 2] >= self.bottom_z + margin) & (points[..., 2] <= self.top_z - margin)

    def distances(self, position: ArrayLike, rays: NDArray) -> NDArray[np.float32]:
        """Metres along unit rays [..., 3] from a place [3] to where they go through it; infinite where they do not."""
        position = np.asarray(position, np.float64)
        level = float(self.side(position))
        towards = -(rays @ self.normal.astype(rays.dtype))
        ahead = towards * level > 0
        away = np.where(ahead, level / np.where(ahead, towards, 1), 1.0).astype(rays.dtype)
        points = position.astype(rays.dtype) + rays * away[..., None]
        return np.where(ahead & self.holds(points), away, np.inf).astype(np.float32)

    def moved(self, pose: NDArray[np.float64]) -> "Opening":
        """The same opening under an upright transform [4, 4]."""
        ends = np.array([[*self.start, 0.0], [*self.end, 0.0]]) @ pose[:3, :3].T + pose[:3, 3]
        (x, y), (u, v) = ends[:, :2].tolist()
        return Opening((x, y), (u, v), self.bottom_z + float(pose[2, 3]), self.top_z + float(pose[2, 3]))

    def turned(self) -> "Opening":
        """The same opening as the second place has it: what was first is second."""
        return Opening(self.end, self.start, self.bottom_z, self.top_z)

    def to_json_dict(self) -> dict[str, Any]:
        return {
            "start": list(self.start),
            "end": list(self.end),
            "bottom_z": self.bottom_z,
            "top_z": self.top_z,
        }

    @classmethod
    def from_json_dict(cls, values: Mapping[str, Any]) -> "Opening":
        """The inverse of `to_json_dict`; `ValueError` for what it did not write."""
        try:
            (a, b), (c, d) = ([float(number) for number in values[name]] for name in ("start", "end"))
            return cls((a, b), (c, d), float(values["bottom_z"]), float(values["top_z"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"the opening's description is not complete ({error})") from None


def crossings(cameras: Sequence[Camera], opening: Opening, first_frame: int = 1) -> list[int]:
    """The frames, from 0, after which a path is on the opening's other side.

    Raises `PathError` where the path goes through the wall around the opening instead, naming the frame.
    """
    positions = np.array([camera.position for camera in cameras]).reshape(-1, 3)
    sides = opening.side(positions)
    found = []
    for number in np.flatnonzero((sides[:-1] > 0) != (sides[1:] > 0)).tolist():
        share = sides[number] / (sides[number] - sides[number + 1])
        place = positions[number] + share * (positions[number + 1] - positions[number])
        if not opening.holds(place):
            if np.linalg.norm(place - opening.centre) > 2 * max(opening.width, opening.top_z - opening.bottom_z):
                continue  # the plane goes on without end; so far away there is other wall, which no world tells of
            raise PathError(
                f"frame {first_frame + number + 1}: the path goes through the wall beside the opening to the second"
                " world; lead it through the opening"
            )
        found.append(number)
    return found
