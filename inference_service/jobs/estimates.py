"""How long jobs will take."""

import time

from inference_service.jobs.job import ActiveUnit, Job
from inference_service.jobs.pace import Key, Paces, key_of, kind_with_steps
from inference_service.work.requests import CheckedShot
from inference_service.work.unit import pixels_of

OWN_PACE_FROM = 0.1
"""From this share on what a unit at work has taken so far says how long the rest of it will take."""


class Estimates:
    """Estimates from what was measured, and from the units at work."""

    def __init__(self, paces: Paces, working: dict[str, ActiveUnit]):
        self._paces, self._working = paces, working
        self.workers = 1
        """How many units can be made at once."""

    def remaining_s(self, job: Job) -> float | None:
        """Seconds that all workers together still need for a job, or None if unknown."""
        live = self._live()
        total_s = 0.0
        for key, weight in job.left().weights.items():
            if weight > 1e-6:
                pace = self._paces.seconds(key, live)
                if pace is None:
                    return None
                total_s += pace * weight
        for identity, active in self._working.items():
            if identity in job.identities and identity not in job.done:
                pace = self._paces.seconds(key_of(active.unit), live) or 0.0
                total_s += _left_s(active, pace) - pace * active.unit.weight
        if job.is_planned:
            return max(0.0, total_s) / max(1, self.workers)
        # before its plan, only a shot's length is known
        request = job.request
        if not isinstance(request, CheckedShot):
            return None
        key = Key(request.preset, kind_with_steps("clip", request.steps), pixels_of(request.cameras[0]))
        pace = self._paces.seconds(key, live)
        return None if pace is None else pace * len(request.cameras) / max(1, self.workers)

    def _live(self) -> dict[Key, float]:
        """The paces of the units at work, in seconds for one of `Unit.weight`."""
        return {
            key_of(active.unit): (active.moved - active.begun) / (active.unit.weight * active.fraction)
            for active in self._working.values()
            if active.fraction > 0.02
        }


def _left_s(active: ActiveUnit, pace: float) -> float:
    if active.fraction > OWN_PACE_FROM:
        # it says by itself how fast it is, the better the farther it is
        own = (active.moved - active.begun) / (active.unit.weight * active.fraction)
        pace += active.fraction * (own - pace)
    left_s = pace * active.unit.weight * (1 - active.fraction)
    # it counts down between two steps, too, but never to zero: a late unit is not a finished one
    return max(left_s - (time.monotonic() - active.moved), left_s / 10)
