"""The queue: clients' requests about jobs, workers' reports about units, and which unit comes next."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from inference_service.jobs.database import JobDatabase
from inference_service.jobs.estimates import Estimates
from inference_service.jobs.job import ActiveUnit, Attempts, Delivery, Job, in_order
from inference_service.jobs.lifecycle import Lifecycle
from inference_service.jobs.pace import Paces, key_of
from inference_service.jobs.statuses import JobStatuses
from inference_service.jobs.submission import Submission, prepare
from inference_service.store.store import Store
from inference_service.wire.files import Artifact
from inference_service.wire.requests import Request
from inference_service.work.requests import CheckedShot
from inference_service.work.unit import Unit
from lookbeyond.errors import InputError, LookBeyondError

MAX_WAITING_JOBS = 500
MAX_WAITING_CAMERAS = 200_000
"""In all unfinished jobs: a camera takes about a kilobyte."""
MAX_CRASHES = 2
"""A unit whose worker has died this often is not tried again."""


class JobQueue:
    """All jobs of a service. `changed(job)` is called whenever a job's status changes.

    `thread`: where the units of long shots are worked out; `take_expanded` then goes on with those shots.
    Raises InputError when another service uses the same store.
    """

    def __init__(self, store: Store, changed: Callable[[Job], None] = lambda job: None, thread: Executor | None = None):
        self._store, self._changed = store, changed
        self.jobs: dict[str, Job] = {}
        self.working: dict[str, ActiveUnit] = {}
        """The units that workers are making, by identity."""
        self.paces = Paces(store.root / "paces.json")
        self.estimates = Estimates(self.paces, self.working)
        self.statuses = JobStatuses(self.jobs, self.working, self.estimates)
        self._attempts = Attempts()
        self.database = JobDatabase(store.root / "jobs.sqlite")
        self._life = Lifecycle(self.jobs, self.working, store, self.database, self._attempts, changed, thread)
        self._life.load()

    def close(self) -> None:
        self.database.close()

    # asking

    def next_unit(self) -> Unit | None:
        """The first unit of the first job that can be begun now, or None."""
        for job in in_order(self.jobs):
            if job.state == "queued" and job not in self._life.expansions and (unit := job.next_unit(self.working)):
                return unit
        return None

    def jobs_of(self, identity: str) -> list[Job]:
        """The unfinished jobs that need this unit."""
        return [job for job in self._knowing(identity) if identity not in job.skipped]

    def unwanted(self) -> list[str]:
        """The units at work that no job needs any more."""
        return [identity for identity in self.working if not self.jobs_of(identity)]

    def knows(self, identity: str) -> bool:
        """Whether any job has this unit among its own."""
        return any(identity in job.identities for job in self.jobs.values())

    def _knowing(self, identity: str) -> list[Job]:
        return [job for job in self.active() if identity in job.identities]

    def recall(self, job: Job) -> Job:
        """A job, its files at hand if it has ended."""
        self._life.recall(job)
        return job

    def drop_unasked(self) -> None:
        """Keep no files of ended jobs in memory that nobody asks for."""
        self._life.ended.drop_unasked()

    def active(self) -> list[Job]:
        """The unfinished jobs."""
        return [job for job in self.jobs.values() if job.is_active]

    def inputs(self) -> set[str]:
        """The hashes and identities that unfinished jobs still need."""
        return set().union(*(job.request.input_files | job.identities for job in self.active()))

    # what clients want

    def submit(self, request: Request, revision: str) -> tuple[Job, bool]:
        """The job of this request, and whether there is anything new to do.

        Raises InputError for a request that cannot be worked on.
        """
        return self.take(prepare(request, revision))

    def take(self, submission: Submission) -> tuple[Job, bool]:
        """`submit`, of a request that was made ready."""
        checked, identity = submission.request, submission.id
        known = self.jobs.get(identity)
        if known and known.is_active:
            return known, False
        if known and known.state == "done" and self._life.is_whole(known):
            for unit in known.done:  # its client fetches them now
                self._store.touch_unit(unit)
            return known, False
        if isinstance(checked, CheckedShot) and checked.world_job:
            checked = self._life.with_world(checked)
        missing = [sha256 for sha256 in checked.input_files if not self._store.file(sha256).is_file()]
        if missing:
            raise InputError(f"The service has no file {missing[0][:12]}; upload it before the job.")
        position = 1 + max((other.position for other in self.jobs.values()), default=0.0)
        # a job that ended may list its artifacts in another order now: clients that still follow it get all again
        job = Job(identity, checked, submission.revision, position, "queued", relisted=known is not None)
        self._require_room(job)
        self.database.save(job)
        self.jobs[identity] = job
        self._life.begin(job, submission.first)
        for unit in job.identities:
            del self._attempts.crashed[unit]  # they do not count any more
        return job, True

    def _require_room(self, job: Job) -> None:
        waiting = self.active()
        if len(waiting) >= MAX_WAITING_JOBS:
            raise InputError(f"{MAX_WAITING_JOBS} jobs are waiting already; cancel some of them first.")
        if sum(other.cameras for other in waiting) + job.cameras > MAX_WAITING_CAMERAS:
            raise InputError(f"The waiting jobs have {MAX_WAITING_CAMERAS} frames already; cancel some of them first.")

    def cancel(self, job: Job) -> None:
        """Cancel a job unless it has ended."""
        if job.is_active:
            self._life.end(job, "cancelled", "cancelled", "The job was cancelled; what was finished is kept.")

    def cancel_unit(self, identity: str, job: str = "") -> bool:
        """Leave a unit out of a job, or of all that still need it; whether there was one.

        The job continues with what does not depend on it, and then ends as cancelled.
        """
        without = [j for j in self.jobs_of(identity) if identity not in j.done and job in ("", j.id)]
        for each in without:
            each.skipped.add(identity)
            self._life.settle(each)
        return bool(without)

    def give_up(self, job: Job, reason: str) -> None:
        """Fail a job that the service cannot go on with."""
        self._life.end(job, "failed", "lost", reason)

    def pause(self, jobs: Iterable[Job], paused: bool) -> None:
        """Begin no more units of these jobs, or resume them."""
        jobs, state = [job for job in jobs if job.is_active], "paused" if paused else "queued"
        self.database.update("state", [(state, job.id) for job in jobs])
        for job in jobs:
            job.state = state
            self._changed(job)

    def reorder(self, job: Job, position: int) -> None:
        """Put a job at this place (0 is first) among the unfinished ones."""
        if not job.is_active:
            return
        others = [other for other in in_order(self.jobs) if other.is_active and other is not job]
        others.insert(min(max(0, position), len(others)), job)
        places = sorted(other.position for other in others)
        self.database.update("position", [(place, other.id) for other, place in zip(others, places)])
        for other, place in zip(others, places):
            other.position = place

    # what workers report

    def started(self, unit: Unit) -> ActiveUnit:
        """A worker begins a unit."""
        self._attempts.begun[unit.identity] += 1
        active = self.working[unit.identity] = ActiveUnit(unit, self._attempts.begun[unit.identity])
        for job in self.jobs_of(unit.identity):
            self._changed(job)
        return active

    def progressed(self, identity: str, fraction: float, message: str) -> None:
        if active := self.working.get(identity):
            if math.isfinite(fraction) and fraction > active.fraction:
                active.fraction, active.moved = min(fraction, 1.0), time.monotonic()
            active.message = message

    def finished_files(self, identity: str, folder: str, files: Iterable[Artifact]) -> None:
        """Some files of a unit are whole before it is."""
        if active := self.working.get(identity):
            if active.folder != folder:
                active.folder, active.files = folder, {}
            active.files |= {file.name: file for file in files}
            for job in self.jobs_of(identity):
                self._changed(job)

    def place(self, job: Job, name: str) -> tuple[str, Delivery] | None:
        """Where a file of a job lies: the temporary folder of its unit while that is being made, else ''."""
        if name in self.recall(job).artifacts:
            return "", job.artifacts[name]
        for active in self.working.values() if job.is_active else ():
            for delivery in active.ahead(job) if active.unit.identity in job.identities else ():
                if delivery.artifact.name == name:
                    return active.folder, delivery
        return None

    def finished(self, identity: str) -> None:
        """A unit is in the store."""
        if active := self.working.pop(identity, None):
            unit, seconds = active.unit, time.monotonic() - active.begun
            self.paces.measured(key_of(unit), unit.weight, seconds, self._stored_bytes(identity), unit.stored_size)
        self._attempts.finish(identity)
        for job in self._knowing(identity):  # also where it was cancelled too late
            self._life.advance(job, identity)

    def _stored_bytes(self, identity: str) -> int:
        with contextlib.suppress(OSError, LookBeyondError):
            return sum(artifact.size for artifact in self._store.record(identity).artifacts)
        return 0

    @property
    def expands(self) -> bool:
        """Whether the thread works out the units of a long shot."""
        return len(self._life.expansions) > 0

    def take_expanded(self) -> bool:
        """Go on with the shots whose units the thread has worked out; whether there were any."""
        return self._life.take_expanded()

    def lost(self, identity: str) -> None:
        """A finished unit is no longer in the store: unfinished jobs make it again."""
        self._life.lost(identity)

    def reopen(self, job: Job) -> None:
        """Something that a done job made is no longer in the store: it is made again."""
        if job.state == "done":
            self._life.reopen(job)

    def failed(self, identity: str, code: str, message: str) -> None:
        """A unit cannot be made, so the jobs that need it fail; unless its inputs are damaged: those are made again."""
        active = self.working.pop(identity, None)
        if active and code in ("input", "storage", "damaged") and self._life.mend(active.unit):
            return
        code = "storage" if code == "damaged" else code
        for job in self.jobs_of(identity):
            self._life.end(job, "failed", code, message)

    def interrupted(self, identity: str) -> None:
        """A unit was given back unfinished; it is still to be made."""
        self.working.pop(identity, None)

    def crashed(self, identity: str) -> None:
        """A worker died over a unit: it is tried once more, then its jobs fail."""
        active = self.working.pop(identity, None)
        self._attempts.crashed[identity] += 1
        if self._attempts.crashed[identity] >= MAX_CRASHES:
            kind = active.unit.kind if active else "unit"
            self.failed(
                identity,
                "lost",
                f"The worker died {MAX_CRASHES} times while making this {kind}, probably for lack of memory; "
                "close other programs or choose a smaller size, and submit again.",
            )
