"""What a camera move is for, and what it may not exceed: values that need no planner to be checked."""

import math
from dataclasses import dataclass, field

from lookbeyond.errors import InputError

DOUBT = 0.6
"""What nobody saw may be nearer by this share: behind the photographer walls are guessed."""


@dataclass(frozen=True)
class ShowRoom:
    """To places far from each other, from which much of the photo is seen."""


@dataclass(frozen=True)
class FromTo:
    """Between two places of the plan (x, y); metres, world. No start: the world's viewpoint."""

    end: tuple[float, float]
    start: tuple[float, float] | None = None


@dataclass(frozen=True)
class EndOn:
    """To a view of a point (x, y, z); metres, world."""

    target: tuple[float, float, float]


Goal = ShowRoom | FromTo | EndOn


@dataclass(frozen=True)
class SpeedLimits:
    """What a move may not exceed."""

    speed_m_s: float = 0.5
    turn_deg_s: float = 20.0
    jerk_m_s3: float = 1.0
    """Of the camera's place: how fast its acceleration changes."""

    def __post_init__(self) -> None:
        for name, value in (
            ("speed", self.speed_m_s),
            ("turning speed", self.turn_deg_s),
            ("jerk", self.jerk_m_s3),
        ):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"The move's {name} is limited to {value:g}; give a number above 0.")


@dataclass(frozen=True)
class MoveSettings:
    """How a move is planned."""

    clearance_m: float = 0.3
    doubt: float = DOUBT
    """0..1: what the photo did not show may be nearer than the world says, by this share."""
    limits: SpeedLimits = field(default_factory=SpeedLimits)
    fps: float = 24.0
    frames: int = 0
    """0: as few as the limits allow."""

    def __post_init__(self) -> None:
        if not 0.05 <= self.clearance_m <= 10:
            raise InputError(f"A clearance of {self.clearance_m:g} m cannot be kept; give 0.05 to 10 metres.")
        if not 0 <= self.doubt < 1:
            raise InputError(f"The doubt in what nobody saw cannot be {self.doubt:g}; give 0 to less than 1.")
        if not (math.isfinite(self.fps) and 1 <= self.fps <= 240):
            raise InputError(f"A rate of {self.fps:g} frames a second is impossible; give 1 to 240.")
        if not 0 <= self.frames <= 10_000 or self.frames == 1:
            raise InputError(f"A move of {self.frames} frames is impossible; give 2 to 10000, or 0: as few as needed.")
