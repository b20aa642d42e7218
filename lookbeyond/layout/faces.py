"""The faces of a room as flat metric grids: where a texel lies, and what pictures show there."""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout

FaceKind = Literal["wall", "floor", "ceiling"]


@dataclass(frozen=True, eq=False)
class Face:
    """A rectangle in the world with a grid of square texels on it; columns run to the right, rows down (a wall as it is
    seen from inside; floor and ceiling as seen from above)."""

    number: int
    """Among the layout's faces."""
    kind: FaceKind
    corner: NDArray[np.float64]
    """[3], world: the outer corner of texel (0, 0)."""
    across: NDArray[np.float64]
    """[3], unit, along a row."""
    down: NDArray[np.float64]
    """[3], unit, along a column."""
    width_m: float
    height_m: float

    def shape(self, texel_m: float) -> tuple[int, int]:
        """Rows and columns of the grid whose texels are about `texel_m` wide."""
        return max(2, math.ceil(self.height_m / texel_m - 1e-6)), max(2, math.ceil(self.width_m / texel_m - 1e-6))

    def points(self, texel_m: float) -> NDArray[np.float32]:
        """[rows, columns, 3], world: the texels' centres."""
        rows, columns = self.shape(texel_m)
        u, v = (np.arange(columns) + 0.5) * texel_m, (np.arange(rows) + 0.5) * texel_m
        return (self.corner + v[:, None, None] * self.down + u[:, None] * self.across).astype(np.float32)

    def coordinates(self, points: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Metres along `across` and `down` of world points [..., 3]."""
        rel = points - self.corner.astype(np.float32)
        return rel @ self.across.astype(np.float32), rel @ self.down.astype(np.float32)


def faces_of(layout: RoomLayout) -> list[Face]:
    """All faces, in the layout's order: walls, floor, ceiling."""
    up = np.array([0.0, 0.0, 1.0])
    faces = []
    starts, directions, lengths, _ = layout.walls()
    for number, (start, direction, length) in enumerate(zip(starts, directions, lengths, strict=True)):
        # seen from inside, a wall's end is on its left
        end = start + direction * length
        corner = np.array([*end, layout.ceiling_z])
        faces.append(Face(number, "wall", corner, np.array([*-direction, 0.0]), -up, float(length), layout.height))
    longest = directions[lengths.argmax()]
    aside = np.array([-longest[1], longest[0]])
    along, away = layout.corners @ longest, layout.corners @ aside
    flat = longest * along.min() + aside * away.max()
    size = float(np.ptp(along)), float(np.ptp(away))
    for number, kind, z in (
        (layout.floor_face, "floor", layout.floor_z),
        (layout.ceiling_face, "ceiling", layout.ceiling_z),
    ):
        axes = np.array([*longest, 0.0]), np.array([*-aside, 0.0])
        faces.append(Face(number, kind, np.array([*flat, z]), *axes, *size))
    return faces


def sample(image: NDArray, columns: NDArray, rows: NDArray, *, wrap: bool = False) -> NDArray:
    """An image [H, W(, C)] at continuous pixel coordinates [n] or [h, w], bilinear; `wrap`: its columns wrap."""
    if wrap:
        image, columns = np.concatenate([image[:, -2:], image, image[:, :2]], 1), columns + 2
    if columns.ndim == 1:  # OpenCV's pictures have at most 32767 columns
        count, line = len(columns), 4096
        columns, rows = (np.pad(values, (0, -count % line)).reshape(-1, line) for values in (columns, rows))
        values = sample(image, columns, rows)
        return values.reshape(-1, *image.shape[2:])[:count]
    half = np.float32(0.5)
    return cv2.remap(image, columns - half, rows - half, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
