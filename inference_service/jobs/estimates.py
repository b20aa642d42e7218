"""How long jobs will take."""

import time

from inference_service.jobs.job import ActiveUnit, Job
from inference_service.jobs.pace import Key, Paces, kind_of, kind_with_steps
from inference_service.work.requests import CheckedShot


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
        for (preset, kind), size in job.left().sizes.items():
            if size > 1e-6:
                pace = self._paces.seconds(preset, kind, live)
                if pace is None:
                    return None
                total_s += pace * size
        for identity, active in self._working.items():
            if identity in job.identities and identity not in job.done:
                unit = active.unit
                pace = self._paces.seconds(unit.preset, kind_of(unit), live) or 0.0
                total_s += _left_s(active, pace) - pace * unit.size
        if job.is_planned:
            return max(0.0, total_s) / max(1, self.workers)
        # before its plan, only a shot's length is known
        kind = kind_with_steps("clip", getattr(job.request, "steps", 0))
        pace = self._paces.seconds(job.request.preset, kind, live)
        size = job.request.frames_size if isinstance(job.request, CheckedShot) else 0.0
        return None if pace is None else pace * size / max(1, self.workers)

    def _live(self) -> dict[Key, float]:
        """The paces of the units at work, in seconds for one unit of size."""
        return {
            (active.unit.preset, kind_of(active.unit)): (active.moved - active.begun)
            / (active.unit.size * active.fraction)
            for active in self._working.values()
            if active.fraction > 0.02
        }


def _left_s(active: ActiveUnit, pace: float) -> float:
    left_s = pace * active.unit.size * (1 - active.fraction)
    # it counts down between two steps, too, but never to zero: a late unit is not a finished one
    return max(left_s - (time.monotonic() - active.moved), left_s / 10)
