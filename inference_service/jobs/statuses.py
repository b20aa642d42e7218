"""What clients are told about jobs: states, progress, remaining times."""

from inference_service.jobs.estimates import Estimates
from inference_service.jobs.job import ActiveUnit, Job, in_order
from inference_service.wire.messages import JobStatus
from inference_service.work.units.clip import ShootClip


class JobStatuses:
    """The state of all jobs, as of now."""

    def __init__(self, jobs: dict[str, Job], working: dict[str, ActiveUnit], estimates: Estimates):
        self._jobs, self._working, self._estimates = jobs, working, estimates

    def of(self, job: Job, with_artifacts: bool = True, after: int = 0) -> JobStatus:
        """The state of a job; without its first `after` artifacts."""
        ahead_s: float | None = 0.0
        for other in in_order(self._jobs):
            if other is job or ahead_s is None:
                break
            ahead_s = self._plus(ahead_s, other)
        return self._status(job, ahead_s, with_artifacts, after)

    def all(self) -> list[JobStatus]:
        """All jobs in the order in which they are worked on, without their artifacts."""
        statuses: list[JobStatus] = []
        ahead_s: float | None = 0.0
        for job in in_order(self._jobs):
            statuses.append(self._status(job, ahead_s, False, 0))
            ahead_s = self._plus(ahead_s, job)
        return statuses

    def eta_s(self) -> float | None:
        """Seconds until every job that is not paused is done, or None if unknown."""
        total: float | None = 0.0
        for job in self._jobs.values():
            total = self._plus(total, job)
        return total

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        counts: dict[str, int] = dict.fromkeys(("queued", "running", "paused", "done", "failed", "cancelled"), 0)
        for job in self._jobs.values():
            counts[self._state(job)] += 1
        return counts

    def _plus(self, ahead_s: float | None, job: Job) -> float | None:
        if job.state != "queued" or ahead_s is None:
            return ahead_s
        remaining_s = self._estimates.remaining_s(job)
        return None if remaining_s is None else ahead_s + remaining_s

    def _status(self, job: Job, ahead_s: float | None, with_artifacts: bool, after: int) -> JobStatus:
        after = 0 if job.relisted else max(0, after)
        artifacts = [delivery.artifact for delivery in job.artifacts.values()][after:] if with_artifacts else []
        ahead = [each.artifact for active in self._active(job) for each in active.ahead(job)] if with_artifacts else []
        return JobStatus(
            job=job.id,
            kind=job.kind,
            state=self._state(job),
            fraction=self._fraction(job),
            message=self._message(job),
            eta_s=self._plus(ahead_s, job) if job.state == "queued" else None,
            error=job.error,
            error_code=job.error_code,
            artifacts=tuple(artifacts),
            after=after,
            findings=job.findings or (),
            ahead=tuple(ahead),
        )

    def _state(self, job: Job) -> str:
        return "running" if job.state == "queued" and self._active(job) else job.state

    def _active(self, job: Job) -> list[ActiveUnit]:
        if not job.is_active:
            return []
        return [active for identity, active in self._working.items() if identity in job.identities]

    def _fraction(self, job: Job) -> float:
        if job.state == "done":
            return 1.0
        if not job.is_planned:
            return 0.0
        left = job.left()
        partly = sum(active.unit.weight * active.fraction for active in self._active(job))
        return min((left.whole - left.weight + partly) / left.whole, 1.0)

    def _message(self, job: Job) -> str:
        if job.is_active and job.waits_for:
            return "Waiting for its world"
        active = next(iter(self._active(job)), None)
        if active is None:
            return job.message
        return _place(job, active) + (f": {active.message}" if active.message else "")


def _place(job: Job, active: ActiveUnit) -> str:
    """Which unit of a job is made; of a clip, which of the job's frames."""
    unit = active.unit
    if isinstance(unit, ShootClip):
        ready = sum(name.startswith("frames/") for name in job.artifacts)
        return f"Frame {min(ready + 1 + int(active.fraction * len(unit.cameras)), job.cameras)} of {job.cameras}"
    same = [other.identity for other in job.units if other.kind == unit.kind]
    return unit.title + (f" {same.index(unit.identity) + 1} of {len(same)}" if len(same) > 1 else "")
