"""The layout of a room: a prism of vertical walls over a polygon, with a level floor and ceiling. Needs numpy only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LAYOUT_VERSION = 1
"""Version of the content of layout.json."""
MAX_CORNERS = 64
_INSIDE_M = 0.02
"""Least distance of the origin from every surface for a layout to be seen from within."""


@dataclass(frozen=True, eq=False)
class RoomLayout:
    """Floor, ceiling and walls of one room, in the world (Z up, metres).

    Raises `ValueError` for fewer than three or more than `MAX_CORNERS` corners, corners that are not
    counter-clockwise as seen from above, a ceiling that is not above the floor, or numbers that are not finite.
    """

    corners: NDArray[np.float64]
    """[n, 2], x and y of the walls' corners, counter-clockwise seen from above. Wall `i` runs from corner `i` to the
    next; a simple polygon, convex or not."""
    floor_z: float
    ceiling_z: float
    confidence: float = 1.0
    """0..1: how sure the fit is; `lookbeyond.layout` says how it was measured."""

    def __post_init__(self) -> None:
        corners = np.array(self.corners, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or not 3 <= len(corners) <= MAX_CORNERS:
            raise ValueError(f"a room's corners are [n, 2] with 3 to {MAX_CORNERS} corners, not {corners.shape}")
        numbers = [*corners.ravel(), self.floor_z, self.ceiling_z, self.confidence]
        if not np.isfinite(numbers).all():
            raise ValueError("a room's layout holds numbers that are not finite")
        if self.ceiling_z <= self.floor_z:
            raise ValueError(f"a room's ceiling ({self.ceiling_z:g} m) must be above its floor ({self.floor_z:g} m)")
        if signed_area(corners) <= 0:
            raise ValueError("a room's corners must be counter-clockwise as seen from above")
        corners.setflags(write=False)
        object.__setattr__(self, "corners", corners)

    @property
    def floor_face(self) -> int:
        """Number of the floor among the faces; walls are 0..n-1."""
        return len(self.corners)

    @property
    def ceiling_face(self) -> int:
        return len(self.corners) + 1

    @property
    def height(self) -> float:
        """Metres from floor to ceiling."""
        return self.ceiling_z - self.floor_z

    def walls(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Start [n, 2], unit direction [n, 2], length [n] and inward unit normal [n, 2] of every wall."""
        along = np.roll(self.corners, -1, 0) - self.corners
        length = np.maximum(np.linalg.norm(along, axis=1), 1e-9)
        direction = along / length[:, None]
        return self.corners, direction, length, np.stack([-direction[:, 1], direction[:, 0]], 1)

    def contains(self, position: ArrayLike, margin: float = _INSIDE_M) -> bool:
        """Whether a point [3] is inside and at least `margin` metres from every surface."""
        x, y, z = np.asarray(position, np.float64)
        start, direction, length, _ = self.walls()
        to = np.array([x, y]) - start
        along = np.clip((to * direction).sum(1), 0, length)
        nearest = np.linalg.norm(to - along[:, None] * direction, axis=1).min()
        end = np.roll(start, -1, 0)
        spans = (start[:, 1] > y) != (end[:, 1] > y)
        rise = np.where(spans, end[:, 1] - start[:, 1], 1)
        crossings = spans & (x < start[:, 0] + (y - start[:, 1]) / rise * (end[:, 0] - start[:, 0]))
        inside = int(crossings.sum()) % 2 == 1
        return inside and nearest >= margin and self.floor_z + margin <= z <= self.ceiling_z - margin

    def cast(self, origin: ArrayLike, directions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        """Distance (metres along the ray) and face hit by rays from a point inside.

        origin: [3]; directions: [..., 3], unit length. Raises `ValueError` when the origin is not inside.
        """
        if not self.contains(origin, 0.0):
            raise ValueError("the room is seen from outside: the origin must lie inside its walls, floor and ceiling")
        ox, oy, oz = (float(value) for value in np.asarray(origin))
        dx, dy, dz = (np.asarray(directions[..., axis], np.float64) for axis in range(3))
        with np.errstate(divide="ignore", invalid="ignore"):
            nearest = np.where(dz < 0, (self.floor_z - oz) / dz, np.where(dz > 0, (self.ceiling_z - oz) / dz, np.inf))
        face = np.where(dz < 0, self.floor_face, self.ceiling_face).astype(np.int16)
        for wall, (start, direction, length, normal) in enumerate(zip(*self.walls(), strict=True)):
            facing = -(dx * normal[0] + dy * normal[1])  # > 0: the ray runs towards the wall's inner side
            ahead = (ox - start[0]) * normal[0] + (oy - start[1]) * normal[1]
            if ahead <= 0:
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                t = np.where(facing > 1e-12, ahead / facing, np.inf)
                along = (ox + t * dx - start[0]) * direction[0] + (oy + t * dy - start[1]) * direction[1]
            # a hair over the ends, so that no ray slips between two walls
            hit = (t < nearest) & (along >= -1e-6) & (along <= length + 1e-6)
            nearest, face = np.where(hit, t, nearest), np.where(hit, np.int16(wall), face)
        return nearest.astype(np.float32), face

    def to_json_dict(self) -> dict[str, Any]:
        """As in layout.json."""
        return {
            "version": LAYOUT_VERSION,
            "corners": self.corners.tolist(),
            "floor_z": float(self.floor_z),
            "ceiling_z": float(self.ceiling_z),
            "confidence": float(self.confidence),
        }

    @classmethod
    def from_json_dict(cls, values: Mapping[str, Any]) -> "RoomLayout":
        """The inverse of `to_json_dict`; `ValueError` for a content it did not write."""
        try:
            if values["version"] != LAYOUT_VERSION:
                raise ValueError(f"the layout has version {values['version']}, not {LAYOUT_VERSION}")
            floor, ceiling, confidence = (float(values[key]) for key in ("floor_z", "ceiling_z", "confidence"))
            return cls(np.array(values["corners"], np.float64), floor, ceiling, confidence)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the layout's description is not complete ({error})") from None


def signed_area(corners: NDArray) -> float:
    """Area of a polygon [n, 2], positive when its corners are counter-clockwise."""
    x, y = corners.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def box_layout(
    centre: ArrayLike, size: ArrayLike, heading_rad: float, floor_z: float, ceiling_z: float, confidence: float = 1.0
) -> RoomLayout:
    """A rectangular room: centre [2], size [2] in metres along and across `heading_rad`."""
    along, across = np.asarray(size, np.float64) / 2
    square = np.array([[along, across], [-along, across], [-along, -across], [along, -across]])
    c, s = np.cos(heading_rad), np.sin(heading_rad)
    return RoomLayout(np.asarray(centre) + square @ np.array([[c, s], [-s, c]]), floor_z, ceiling_z, confidence)
