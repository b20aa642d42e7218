"""When the camera is where: as fast as its limits allow, from rest to rest."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from lookbeyond.errors import InputError

from .goals import SpeedLimits
from .route import SAMPLES, Curve

RAMP_S = 1.5
"""In so many seconds the camera reaches its speed, and comes to rest, if the move is long enough for both."""
SIDEWAYS_M_S2 = 0.3
"""Most that the camera is pulled aside in a bend; more where it may be faster than usual, so that the whole move is."""
BRAKING = 0.04
"""Share of the way, before a bend or a turn, in which it slows down."""


@dataclass(frozen=True, eq=False)
class _Timing:
    """How a way is gone through at full speed, and slowed down as a whole until its jerk is allowed."""

    busy_s: NDArray[np.float64]
    """[SAMPLES + 1]: when each sample of the way would be reached at full speed."""
    needed_s: float
    """Seconds of the move, those of the slowing down included."""

    @property
    def ramp_s(self) -> float:
        return min(RAMP_S, float(self.busy_s[-1]))

    @property
    def seconds(self) -> float:
        """Of the move, if its jerk did not matter."""
        return float(self.busy_s[-1]) + self.ramp_s

    def shares(self, times: NDArray) -> NDArray[np.float64]:
        """The shares of the way at times 0..1 of the whole."""
        run = _run(times * self.seconds, self.seconds, self.ramp_s)
        return np.interp(run, self.busy_s, np.linspace(0, 1, len(self.busy_s)))


def shares_of_way(
    curve: Curve, headings: NDArray, pitches: NDArray, limits: SpeedLimits, fps: float, frames: int = 0
) -> NDArray[np.float64]:
    """The share [N] of the way's length, 0..1, at which each frame is.

    headings, pitches: [SAMPLES + 1] radians at even shares. `frames`: how many; 0: as few as the limits allow.
    InputError where the limits need more.
    """
    turning = np.hypot(np.diff(headings), np.diff(pitches)) / math.radians(limits.turn_deg_s)
    # a way on which the speed changes much needs longer, for its jerk, than one that is gone through more slowly
    speeds = limits.speed_m_s / 2.0 ** np.arange(5)
    timing = min((_timing(curve, turning, limits, speed) for speed in speeds), key=lambda timing: timing.needed_s)
    needed = math.ceil(timing.needed_s * fps) + 1
    if frames and frames < needed:
        faster = f"be faster than {limits.speed_m_s:g} m and {limits.turn_deg_s:g}° a second"
        if timing.needed_s > timing.seconds:
            faster = f"jerk by more than {limits.jerk_m_s3:g} m/s³"
        raise InputError(
            f"Within its limits the move takes {needed} frames; give it that many, or let the camera {faster}."
        )
    return timing.shares(np.linspace(0, 1, max(2, frames or needed)))


def _timing(curve: Curve, turning_s: NDArray, limits: SpeedLimits, most_m_s: float) -> _Timing:
    """turning_s: [SAMPLES] seconds that turning takes in each step of the way."""
    steps = np.hypot(curve.length_m / SAMPLES / _speeds(curve, most_m_s), turning_s)
    # a little before a bend or a turn it slows down, and a little after it is fast again
    width = round(SAMPLES * BRAKING)
    steps = gaussian_filter1d(maximum_filter1d(steps, 4 * width + 1, mode="nearest"), width, mode="nearest")
    timing = _Timing(np.append(0, np.cumsum(steps)), 0.0)
    # limits hold between frames, too, and each tick of the clock is at most a frame's
    count = max(60, math.ceil(30 * timing.seconds))
    places = curve.at(timing.shares(np.linspace(0, 1, count)))
    jerk = np.linalg.norm(np.diff(places, 3, axis=0), axis=1).max() / (timing.seconds / (count - 1)) ** 3
    return replace(timing, needed_s=timing.seconds * max(1.0, (float(jerk) / limits.jerk_m_s3) ** (1 / 3)))


def _speeds(curve: Curve, most_m_s: float) -> NDArray:
    """Metres a second [SAMPLES] along the way, less in bends, which at full speed would be jerks."""
    places = curve.at(np.linspace(0, 1, SAMPLES + 1))
    step_m = curve.length_m / SAMPLES
    bend = np.linalg.norm(np.gradient(np.gradient(places, step_m, axis=0), step_m, axis=0), axis=1)
    aside_m_s2 = SIDEWAYS_M_S2 * max(1.0, most_m_s / SpeedLimits().speed_m_s) ** 2
    return np.minimum(most_m_s, np.sqrt(aside_m_s2 / np.maximum(bend, 1e-6)))[:-1]


def _run(times: NDArray, seconds: float, ramp_s: float) -> NDArray:
    """How far the camera has come, in seconds of full speed: its speed rises and falls as a smooth step."""

    def risen(t: NDArray) -> NDArray:
        """The integral of 6 x^5 - 15 x^4 + 10 x^3, x = t / ramp, then of 1."""
        x = np.clip(t / ramp_s, 0, 1)
        return ramp_s * (x**6 - 3 * x**5 + 2.5 * x**4) + np.maximum(t - ramp_s, 0)

    whole = seconds - ramp_s
    return np.where(times < seconds / 2, risen(times), whole - risen(seconds - times))
