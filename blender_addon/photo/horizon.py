"""Pitch and roll of a camera from the horizon or from edges in its photo. No bpy here."""

import math
from collections.abc import Sequence

import numpy as np

from ..kit import Camera, heading_pitch_roll

Pixel = tuple[float, float]


class PickError(ValueError):
    """Picked points that cannot be used; the message says what to click."""


def horizon_row(camera: Camera, column: float) -> float:
    """The row, in pixels, at which the horizon crosses a column."""
    up = camera.rotation[2]
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    return float(cy - fy * (up[2] + up[0] * (column - cx) / fx) / up[1])


def pitch_roll_of_horizon(camera: Camera, left: Pixel, right: Pixel) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera whose horizon passes through two pixels."""
    up, length = plane_normal(camera, left, right)
    if length < 1e-9:
        raise PickError("Both handles are at the same point: move them apart.")
    return pitch_roll_of_up(up)


def pitch_roll_of_up(up: np.ndarray) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera that sees the vertical along `up` [3], either way."""
    up = up * (-1 if up[1] > 0 else 1)
    return math.asin(max(-1.0, min(1.0, up[2]))), math.atan2(-up[0], -up[1])


def plane_normal(camera: Camera, one: Pixel, other: Pixel) -> tuple[np.ndarray, float]:
    """Unit normal [3], in the camera's frame, of the plane through the camera and two pixels, and its length before
    normalising, which is 0 if both pixels are the same."""
    rays = np.array([(*one, 1.0), (*other, 1.0)]) @ np.linalg.inv(camera.intrinsics).T
    normal = np.cross(rays[0], rays[1])
    length = float(np.linalg.norm(normal))
    return normal / max(length, 1e-12), length


def direction_of_lines(camera: Camera, ends: Sequence[Pixel]) -> np.ndarray:
    """Direction of two parallel edges: unit vector [3] in the camera's frame, either way.

    `ends` are two pixels on each edge. An edge lies in the plane through its line in the photo and the camera; the
    direction of both is the intersection of the two planes, towards the lines' vanishing point.
    """
    (one, length), (other, other_length) = plane_normal(camera, *ends[:2]), plane_normal(camera, *ends[2:])
    if min(length, other_length) < 1e-9:
        raise PickError("Both ends of a line are at the same point: move them apart.")
    direction = np.cross(one, other)
    sine = float(np.linalg.norm(direction))
    if sine < 1e-3:
        raise PickError("Both lines are on the same edge: move one of them to another edge.")
    return direction / sine


def pitch_roll_of_lines(camera: Camera, kind: str, ends: Sequence[Pixel]) -> tuple[float, float]:
    """Pitch and roll, radians, from two lines of the photo (see `direction_of_lines`).

    UPRIGHT (vertical) edges give both. LEVEL (horizontal, parallel) edges give a vanishing point on the horizon, and
    so the pitch; the roll is kept.
    """
    direction = direction_of_lines(camera, ends)
    if kind == "UPRIGHT":
        return pitch_roll_of_up(direction)
    _, _, roll = heading_pitch_roll(camera)
    if abs(direction[2]) < 1e-3:
        raise PickError(
            "The two lines are parallel in the photo: choose edges that run away from you, or correct the roll first."
        )
    return math.atan((direction[0] * math.sin(roll) + direction[1] * math.cos(roll)) / direction[2]), roll


def pixels(values: Sequence[float]) -> list[Pixel]:
    """The pairs of x, y, x, y, ..."""
    values = tuple(values)
    return list(zip(values[::2], values[1::2], strict=True))
