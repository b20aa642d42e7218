"""Camera moves: their curves, and the longest that the world allows. No bpy here."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["PUSH_IN", "WALK", "ORBIT", "LOOK_AROUND", "WALK_TO", "CRANE"]


@dataclass(frozen=True)
class Move:
    """A camera path in the frame of its start: X ahead, Z up, metres."""

    points: np.ndarray
    """Ends and handles [3 n + 1, 3] of n Bezier segments."""
    target: tuple[float, float, float]
    """Where the camera looks if it looks at a target."""
    look: Literal["ALONG", "TARGET"] = "ALONG"
    """Whether the camera looks along the path or at the target by default."""

    def samples(self, number: int = 16) -> np.ndarray:
        """Points [N, 3] along the path."""
        share = np.linspace(0, 1, number)[:, None]
        weights = ((1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3)
        pieces = [
            sum(weight * point for weight, point in zip(weights, self.points[start : start + 4], strict=True))
            for start in range(0, len(self.points) - 1, 3)
        ]
        return np.concatenate(pieces)


def arc(length_m: float, turn_rad: float) -> np.ndarray:
    """Bezier points [3 n + 1, 3] of a horizontal circular arc that turns by `turn_rad` (positive: left).

    The usual approximation with handles of length 4/3 tan(angle / 4) r, exact at the segments' ends.
    """
    if abs(turn_rad) < 1e-4:
        return np.outer(np.linspace(0, 1, 4), (length_m, 0.0, 0.0))
    radius = length_m / turn_rad
    number = max(1, math.ceil(abs(turn_rad) / (math.pi / 2) - 1e-6))
    handle = 4 / 3 * math.tan(turn_rad / number / 4) * radius
    points = []
    for angle in np.linspace(0, turn_rad, number + 1):
        on_circle = np.array([math.sin(angle), 1 - math.cos(angle), 0.0]) * radius
        leaving = np.array([math.cos(angle), math.sin(angle), 0.0]) * handle
        points += [on_circle - leaving, on_circle, on_circle + leaving]
    return np.array(points[1:-1])


@dataclass(frozen=True)
class MoveFrame:
    """What a move is fitted to."""

    kind: Kind
    turn_rad: float
    """How far a WALK or LOOK_AROUND turns, positive to the left; its sign is the direction of an ORBIT."""
    ahead_m: float
    """Horizontal distance of what the camera looks at."""
    aim: tuple[float, float, float]
    """End of a WALK_TO, in the frame of its start."""
    rise_m: float = 0.0
    """How much higher than the start that is what the camera looks at."""

    def move(self, size: float) -> Move:
        """The move, `size` metres long; a WALK_TO goes that share of the way to `aim`."""
        target, turn_rad = (self.ahead_m, 0.0, self.rise_m), self.turn_rad
        match self.kind:
            case "PUSH_IN":
                return Move(arc(size, 0.0), target)
            case "LOOK_AROUND":  # a radius of 20 cm at most
                return Move(arc(min(size, 0.2 * abs(turn_rad)), turn_rad), target)
            case "ORBIT":
                x, y, z = arc(size, math.copysign(size / self.ahead_m, turn_rad)).T
                side = math.copysign(1.0, turn_rad)  # rotates the arc: forward becomes sideways
                return Move(np.stack([side * y, -side * x, z], 1), target, "TARGET")
            case "WALK_TO":
                end = size * np.array(self.aim)
                handle = np.array([np.linalg.norm(end) / 3, 0.0, 0.0])
                if end[0] < 0:  # behind the camera: turn on the way
                    handle = np.zeros(3)
                return Move(np.array([np.zeros(3), handle, end * 2 / 3, end]), target)
            case "CRANE":
                points = np.array([(0, 0, 0), (0.3, 0, 0.1), (0.5, 0, 0.6), (0.5, 0, 1.0)]) * size
                return Move(points, target, "TARGET")
        return Move(arc(size, turn_rad), target)

    def longest_move(self, limit: float, is_free: Callable[[Move], bool]) -> Move:
        """The largest move up to `limit` that is free, found by bisection; at least 2 % of the limit."""
        if is_free(self.move(limit)):
            return self.move(limit)
        low, high = 0.0, limit
        for _ in range(10):
            middle = (low + high) / 2
            if is_free(self.move(middle)):
                low = middle
            else:
                high = middle
        return self.move(max(low, 0.02 * limit))
