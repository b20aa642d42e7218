"""How long units take, as measured, and how long a job will."""

import time

from inference_service.jobs.job import ActiveUnit, Job
from inference_service.work.requests import CheckedShot
from inference_service.work.unit import Unit

Key = tuple[str, str]
"""Preset and kind of unit."""


def _key(unit: Unit) -> Key:
    return unit.preset, unit.kind


class Paces:
    """Seconds for one unit of size, by preset and kind."""

    def __init__(self, working: dict[str, ActiveUnit]):
        self._working = working
        self._measured: dict[Key, float] = {}
        self.workers = 1
        """How many units can be made at once."""

    def learn(self, made: ActiveUnit) -> None:
        """A unit was just finished."""
        pace = (time.monotonic() - made.begun) / made.unit.size
        key = _key(made.unit)
        self._measured[key] = (self._measured.get(key, pace) + pace) / 2

    def remaining_s(self, job: Job) -> float | None:
        """Seconds that all workers together still need for a job, or None if unknown."""
        paces = self._live() | self._measured
        total_s = 0.0
        for unit in job.units:
            if unit.identity not in job.done:
                preset, kind = _key(unit)
                # a kind that was never made here costs as much, for its size, as what was
                pace = paces.get((preset, kind)) or max((paces[k] for k in paces if k[0] == preset), default=None)
                if pace is None:
                    return None
                active = self._working.get(unit.identity)
                total_s += pace * unit.size * (1 - active.fraction if active else 1.0)
        if job.is_planned:
            return total_s / max(1, self.workers)
        pace = paces.get((job.request.preset, "clip"))  # before its plan, only a shot's length is known
        size = job.request.frames_size if isinstance(job.request, CheckedShot) else 0.0
        return None if pace is None else pace * size / max(1, self.workers)

    def _live(self) -> dict[Key, float]:
        """The paces of the units at work."""
        return {
            _key(active.unit): (time.monotonic() - active.begun) / (active.unit.size * active.fraction)
            for active in self._working.values()
            if active.fraction > 0.02
        }
