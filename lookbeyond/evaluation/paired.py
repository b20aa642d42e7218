"""What a few rooms can show: paired differences, their intervals, and how many rooms a difference would take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import metrics

LEAST_ROOMS = 5
"""Below so many rooms a bootstrap says nothing: no interval is given and nothing is claimed."""
WANTED_DB = 0.5
TWO_SIDED_95, POWER_80 = 1.96, 0.84
"""Quantiles of the normal distribution: found in four of five studies of that size, at 95 %."""


@dataclass(frozen=True)
class Difference:
    """One method minus another over the same rooms."""

    mean: float
    interval: tuple[float, float] | None
    """95 %, by a bootstrap over the rooms; None of fewer than `LEAST_ROOMS`."""
    rooms: int
    rooms_wanted: int | None
    """About so many would tell a difference of half a decibel; None where the spread is not known."""

    is_same: bool = False
    """Whether no room differs at all."""

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Of two figures, one value a room in the same order; rooms where either is NaN are left out."""
    apart = np.asarray(one, float) - np.asarray(other, float)
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return Difference(math.nan, None, 0, None)
    spread = float(apart.std(ddof=1)) if len(apart) > 1 else math.nan
    wanted = None
    if math.isfinite(spread):
        wanted = max(LEAST_ROOMS, math.ceil(((TWO_SIDED_95 + POWER_80) * spread / WANTED_DB) ** 2))
    interval = metrics.interval(apart) if len(apart) >= LEAST_ROOMS else None
    return Difference(float(apart.mean()), interval, len(apart), wanted, not apart.any())


def claim(name: str, reference: str, figure: str, unit: str, higher_is_better: bool, found: Difference) -> str:
    """One sentence, which claims a difference only outside of its interval."""
    if not found.rooms:
        return f"{figure}: there is no figure for both {name} and {reference}."
    unit = f" {unit}" if unit else ""
    if found.is_same:
        return f"{figure}: {name} and {reference} are the same in each of {found.rooms} rooms."
    said = f"{signed(found.mean)}{unit}"
    if found.interval is None:
        few = f"{found.rooms} of the {LEAST_ROOMS} rooms that a claim takes"
        return f"{figure}: {name} minus {reference} is {said}; {few}{_wanted(found, unit)}."
    low, high = map(signed, found.interval)
    said += f" [{low}, {high}], {found.rooms} rooms"
    if not found.is_told:
        return f"{figure}: {name} and {reference} cannot be told apart ({said}){_wanted(found, unit)}."
    better = "better" if (found.mean > 0) == higher_is_better else "worse"
    return f"{figure}: {name} is {better} than {reference} ({said})."


def signed(value: float) -> str:
    """With two decimals, or as many as it takes to tell it from zero."""
    return f"{value:+.2f}" if abs(value) >= 0.005 or not value else f"{value:+.1g}"


def _wanted(found: Difference, unit: str) -> str:
    if unit != " dB" or found.rooms_wanted is None:
        return ""
    return f"; about {found.rooms_wanted} rooms would tell {WANTED_DB:g} dB"
