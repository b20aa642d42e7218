"""Pitch and roll of a photo's camera, from its horizon or from lines along edges in it. No bpy here."""

import math
from collections.abc import Sequence

import numpy as np

from ..kit import Camera, heading_pitch_roll

Pixel = tuple[float, float]


class HandleError(ValueError):
    """Clicks that say nothing: the message names what to click on."""


def horizon_row(camera: Camera, column: float) -> float:
    """The photo's row at which the horizon crosses a column, pixels."""
    up = camera.rotation[2]
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    return float(cy - fy * (up[2] + up[0] * (column - cx) / fx) / up[1])


def pitch_roll_of_horizon(camera: Camera, left: Pixel, right: Pixel) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera whose horizon goes through two pixels of its photo."""
    up, length = plane_normal(camera, left, right)
    if length < 1e-9:
        raise HandleError("The two handles stand on one point: move them apart.")
    return pitch_roll_of_up(up)


def pitch_roll_of_up(up: np.ndarray) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera that sees the vertical [3] along this direction, or its opposite."""
    up = up * (-1 if up[1] > 0 else 1)
    return math.asin(max(-1.0, min(1.0, up[2]))), math.atan2(-up[0], -up[1])


def plane_normal(camera: Camera, one: Pixel, other: Pixel) -> tuple[np.ndarray, float]:
    """The normal [3] (in the camera, of length 1) of the plane in which two pixels are seen; 0 if they are one."""
    rays = np.array([(*one, 1.0), (*other, 1.0)]) @ np.linalg.inv(camera.intrinsics).T
    normal = np.cross(rays[0], rays[1])
    length = float(np.linalg.norm(normal))
    return normal / max(length, 1e-12), length


def direction_of_lines(camera: Camera, ends: Sequence[Pixel]) -> np.ndarray:
    """Where two edges run that are parallel in the place: [3] in the camera, of length 1, either way.

    `ends` are two pixels of the one and two of the other. Whatever runs along a line of the photo lies in the plane
    through it and the camera: the direction of both is where the two planes meet, the lines' vanishing point.
    """
    (one, length), (other, other_length) = plane_normal(camera, *ends[:2]), plane_normal(camera, *ends[2:])
    if min(length, other_length) < 1e-9:
        raise HandleError("Both ends of a line stand on one point: move them apart.")
    direction = np.cross(one, other)
    turned = float(np.linalg.norm(direction))
    if turned < 1e-3:
        raise HandleError("Both lines lie along one edge: move one of them to another edge.")
    return direction / turned


def pitch_roll_of_lines(camera: Camera, kind: str, ends: Sequence[Pixel]) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera by two lines of its photo (see `direction_of_lines`).

    UPRIGHT edges tell both. LEVEL ones, parallel to each other, tell where they vanish, which is on the horizon: the
    pitch follows, the roll stays as it is.
    """
    direction = direction_of_lines(camera, ends)
    if kind == "UPRIGHT":
        return pitch_roll_of_up(direction)
    _, _, roll = heading_pitch_roll(camera)
    if abs(direction[2]) < 1e-3:
        raise HandleError("The two lines never meet: choose edges that run away from you, or level the roll first.")
    return math.atan((direction[0] * math.sin(roll) + direction[1] * math.cos(roll)) / direction[2]), roll


def pixels(values: Sequence[float]) -> list[Pixel]:
    """x, y, x, y, ... as pairs."""
    values = tuple(values)
    return list(zip(values[::2], values[1::2], strict=True))
