"""The moves of a camera: their curves, and the longest that is free. No bpy here."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["PUSH_IN", "WALK", "ORBIT", "LOOK_AROUND", "WALK_TO", "CRANE"]


@dataclass(frozen=True)
class Move:
    """A path in the frame of its beginning: X ahead, Z up, metres."""

    points: np.ndarray
    """[3 n + 1, 3]: ends and handles of the n Bezier segments."""
    target: tuple[float, float, float]
    """Where to look, if the camera looks at a target."""
    look: Literal["ALONG", "TARGET"] = "ALONG"
    """How the camera of such a move looks unless asked otherwise."""

    def samples(self, number: int = 16) -> np.ndarray:
        """Points [N, 3] along the path."""
        share = np.linspace(0, 1, number)[:, None]
        weights = ((1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3)
        pieces = [
            sum(weight * point for weight, point in zip(weights, self.points[start : start + 4], strict=True))
            for start in range(0, len(self.points) - 1, 3)
        ]
        return np.concatenate(pieces)


def arc(length_m: float, turn: float) -> np.ndarray:
    """Bezier points [3 n + 1, 3] of a level walk on a circle that turns by so many radians (positive: left).

    The usual approximation, exact in the segments' ends and their tangents: handles of 4/3 tan(turn/4) r.
    """
    if abs(turn) < 1e-4:
        return np.outer(np.linspace(0, 1, 4), (length_m, 0.0, 0.0))
    radius = length_m / turn
    number = max(1, math.ceil(abs(turn) / (math.pi / 2) - 1e-6))
    handle = 4 / 3 * math.tan(turn / number / 4) * radius
    points = []
    for angle in np.linspace(0, turn, number + 1):
        on_circle = np.array([math.sin(angle), 1 - math.cos(angle), 0.0]) * radius
        leaving = np.array([math.cos(angle), math.sin(angle), 0.0]) * handle
        points += [on_circle - leaving, on_circle, on_circle + leaving]
    return np.array(points[1:-1])


def move(kind: Kind, scale: float, turn: float, ahead_m: float, aim: tuple[float, float, float]) -> Move:
    """The move of a kind, `scale` metres long (WALK_TO: that share of the way to `aim`).

    `ahead_m` is how far away what is looked at stands; `turn` counts for WALK and LOOK_AROUND, its sign for
    ORBIT.
    """
    target = (ahead_m, 0.0, 0.0)
    match kind:
        case "PUSH_IN":
            return Move(arc(scale, 0.0), target)
        case "LOOK_AROUND":  # at most 20 cm of radius
            return Move(arc(min(scale, 0.2 * abs(turn)), turn), target)
        case "ORBIT":
            around = arc(scale, math.copysign(scale / ahead_m, turn))
            side = math.copysign(1.0, turn)  # what went ahead on the arc goes sideways, what turned comes nearer
            return Move(np.stack([side * around[:, 1], -side * around[:, 0], around[:, 2]], 1), target, "TARGET")
        case "WALK_TO":
            end = scale * np.array(aim)
            leaving = np.array([np.linalg.norm(end) / 3, 0.0, 0.0])
            if end[0] < 0:  # behind: turn on the way
                leaving = np.zeros(3)
            return Move(np.array([np.zeros(3), leaving, end * 2 / 3, end]), target)
        case "CRANE":
            points = np.array([(0, 0, 0), (0.3, 0, 0.1), (0.5, 0, 0.6), (0.5, 0, 1.0)]) * scale
            return Move(points, target, "TARGET")
    return Move(arc(scale, turn), target)


def fitted(
    kind: Kind, turn: float, ahead_m: float, aim: tuple[float, float, float], most: float, free: Callable[[Move], bool]
) -> Move:
    """The longest move of a kind, up to `most`, that is still free."""
    low, high = 0.0, most
    if free(move(kind, high, turn, ahead_m, aim)):
        return move(kind, high, turn, ahead_m, aim)
    for _ in range(10):
        middle = (low + high) / 2
        if free(move(kind, middle, turn, ahead_m, aim)):
            low = middle
        else:
            high = middle
    return move(kind, max(low, 0.02 * most), turn, ahead_m, aim)
