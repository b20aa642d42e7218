"""When the camera is where: as fast as its limits allow, from rest to rest."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from lookbeyond.errors import InputError

from .goals import SpeedLimits
from .route import SAMPLES, Curve

RAMP_S = 1.5
"""In so many seconds the camera reaches its speed, and comes to rest, if the move is long enough for both."""
SIDEWAYS_M_S2 = 0.3
"""Most that the camera is pulled aside in a bend."""
BRAKING = 0.04
"""Share of the way, before a bend or a turn, in which it slows down."""


def shares_of_way(
    curve: Curve, headings: NDArray, pitches: NDArray, limits: SpeedLimits, fps: float, frames: int = 0
) -> NDArray[np.float64]:
    """The share [N] of the way's length, 0..1, at which each frame is.

    headings, pitches: [SAMPLES + 1] radians at even shares. `frames`: how many; 0: as few as the limits allow.
    InputError where the limits need more.
    """
    steps = np.hypot(
        curve.length_m / SAMPLES / _speeds(curve, limits.speed_m_s),
        np.hypot(np.diff(headings), np.diff(pitches)) / math.radians(limits.turn_deg_s),
    )
    # a little before a bend or a turn it slows down, and a little after it is fast again
    width = round(SAMPLES * BRAKING)
    steps = gaussian_filter1d(maximum_filter1d(steps, 4 * width + 1, mode="nearest"), width, mode="nearest")
    busy = np.append(0, np.cumsum(steps))  # seconds at full speed
    # limits hold between frames, too, and each tick of the clock is at most a frame's
    ramp_s = min(RAMP_S, float(busy[-1]))
    seconds = float(busy[-1]) + ramp_s

    def shares(times: NDArray) -> NDArray:
        """At times 0..1 of the whole."""
        return np.interp(_run(times * seconds, seconds, ramp_s), busy, np.linspace(0, 1, SAMPLES + 1))

    count = max(60, math.ceil(30 * seconds))
    places = curve.at(shares(np.linspace(0, 1, count)))
    jerk = np.linalg.norm(np.diff(places, 3, axis=0), axis=1).max() / (seconds / (count - 1)) ** 3
    needed_s = seconds * max(1.0, (float(jerk) / limits.jerk_m_s3) ** (1 / 3))
    needed = math.ceil(needed_s * fps) + 1
    if frames and frames < needed:
        raise InputError(
            f"At these speeds the move takes {needed} frames; give it that many, or let the camera be faster than "
            f"{limits.speed_m_s:g} m and {limits.turn_deg_s:g}° a second."
        )
    return shares(np.linspace(0, 1, max(2, frames or needed)))


def _speeds(curve: Curve, most_m_s: float) -> NDArray:
    """Metres a second [SAMPLES] along the way, less in bends, which at full speed would be jerks."""
    places = curve.at(np.linspace(0, 1, SAMPLES + 1))
    step_m = curve.length_m / SAMPLES
    bend = np.linalg.norm(np.gradient(np.gradient(places, step_m, axis=0), step_m, axis=0), axis=1)
    return np.minimum(most_m_s, np.sqrt(SIDEWAYS_M_S2 / np.maximum(bend, 1e-6)))[:-1]


def _run(times: NDArray, seconds: float, ramp_s: float) -> NDArray:
    """How far the camera has come, in seconds of full speed: its speed rises and falls as a smooth step."""

    def risen(t: NDArray) -> NDArray:
        """The integral of 6 x^5 - 15 x^4 + 10 x^3, x = t / ramp, then of 1."""
        x = np.clip(t / ramp_s, 0, 1)
        return ramp_s * (x**6 - 3 * x**5 + 2.5 * x**4) + np.maximum(t - ramp_s, 0)

    whole = seconds - ramp_s
    return np.where(times < seconds / 2, risen(times), whole - risen(seconds - times))
