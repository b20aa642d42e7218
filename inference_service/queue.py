"""The jobs: which there are, what each still needs, which unit comes next. Knows nothing of sockets or
processes.

Jobs lie in a SQLite database beside the store; their results lie in the store, so that after a restart a
job goes on with the first unit that is not there. The open database is also the lock that keeps a second
service off the store.
"""

import contextlib
import dataclasses
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from inference_service.protocol import Artifact, JobStatus, ShotRequest, WorldRequest
from inference_service.store import Store
from inference_service.units import (
    Unit,
    check_shot_request,
    check_world_request,
    first_unit,
    job_identity,
    read_plan,
    shot_units,
)
from lookbeyond.errors import InputError, LookBeyondError, StorageError

MAX_WAITING_JOBS = 500
MAX_CRASHES = 2
"""A unit whose worker has died this often is not tried again."""
KEPT_S = 30 * 24 * 3600
"""How long finished jobs are remembered."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, position REAL NOT NULL, kind TEXT NOT NULL, request TEXT NOT NULL,
    revision TEXT NOT NULL, state TEXT NOT NULL, error_code TEXT, error TEXT, changed REAL NOT NULL)"""

REQUESTS = {"world": WorldRequest, "shot": ShotRequest}
ACTIVE = ("queued", "paused")
"""Stored states of jobs that are to be worked on; 'running' is a queued job one of whose units is at work."""


@dataclass
class Job:
    """A job and how far it is."""

    id: str
    kind: str
    request: WorldRequest | ShotRequest
    revision: str
    position: float
    state: str
    error_code: str | None = None
    error: str | None = None
    units: list[Unit] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    artifacts: dict[str, tuple[Artifact, str]] = field(default_factory=dict)
    """Name below the job's folder -> its artifact and the path in the store's unit, as identity/name."""
    message: str = "Waiting"
    worked: float = 0.0
    """Weight of the units that were made (not found) by this process for this job."""
    worked_s: float = 0.0


@dataclass
class Work:
    """A unit at work."""

    unit: Unit
    fraction: float = 0.0
    message: str = ""
    begun: float = field(default_factory=time.monotonic)


class JobQueue:
    """All jobs of a service. `changed(job)` is called whenever a job's status is another.

    Raises InputError when another service uses the same store.
    """

    def __init__(self, database: Path, store: Store, changed: Callable[[Job], None] = lambda job: None):
        self._store, self._changed = store, changed
        self.working: dict[str, Work] = {}
        """Units at work, by identity."""
        self._crashes: dict[str, int] = {}
        self.jobs: dict[str, Job] = {}
        self._database = sqlite3.connect(database, timeout=0, isolation_level=None)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("BEGIN EXCLUSIVE")  # the lock is kept until the process ends
            self._database.execute(_SCHEMA)
            self._database.execute(
                "DELETE FROM jobs WHERE changed < ? AND state NOT IN (?, ?)", (time.time() - KEPT_S, *ACTIVE)
            )
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._database.close()
            if "locked" not in str(error):
                raise StorageError(
                    f"The job list {database} cannot be used ({error}); check the disk and its permissions."
                ) from error
            raise InputError(
                f"Another service already uses the store {store.root}; stop it first, or give --store another folder."
            ) from error
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise StorageError(f"The job list {database} is damaged ({error}); delete that file.") from error
        self._load()

    def close(self) -> None:
        self._database.close()

    # asking

    def next_unit(self) -> Unit | None:
        """The first unit of the first job that can be worked on now, or None."""
        for job in self._in_order():
            if job.state != "queued":
                continue
            for unit in job.units:
                if (
                    unit.identity not in job.done
                    and unit.identity not in self.working
                    and job.done.issuperset(unit.needs)
                ):
                    return unit
        return None

    def jobs_of(self, identity: str) -> list[Job]:
        """The jobs still to be worked on that need this unit."""
        return [
            job
            for job in self.jobs.values()
            if job.state in ACTIVE and any(unit.identity == identity for unit in job.units)
        ]

    def status(self, job: Job, with_artifacts: bool = True) -> JobStatus:
        """What a client is told."""
        fraction, remaining, pace = self._progress(job)
        running = self._work_of(job)
        state = "running" if job.state == "queued" and running else job.state
        return JobStatus(
            job=job.id,
            kind=job.kind,
            state=state,
            fraction=fraction,
            message=self._message(job, running),
            eta_s=remaining * pace if job.state == "queued" and pace is not None else None,
            error=job.error,
            error_code=job.error_code,
            artifacts=tuple(a for a, _ in job.artifacts.values()) if with_artifacts else (),
        )

    def statuses(self) -> list[JobStatus]:
        """All jobs in the order they will be worked on, without their artifacts."""
        return [self.status(job, with_artifacts=False) for job in self._in_order()]

    def inputs(self) -> set[str]:
        """The hashes and identities that unfinished jobs still need."""
        needed = set()
        for job in self.jobs.values():
            if job.state in ACTIVE:
                needed |= file_inputs(job.request) | {unit.identity for unit in job.units}
        return needed

    # what clients want

    def submit(self, kind: str, request: WorldRequest | ShotRequest, revision: str) -> tuple[Job, bool]:
        """The job of this request, and whether there is anything new to do.

        Raises InputError for a request that cannot be worked on.
        """
        check = check_world_request if kind == "world" else check_shot_request
        request = check(request)  # type: ignore[arg-type]
        missing = [sha256 for sha256 in file_inputs(request) if not self._store.has_file(sha256)]
        if missing:
            raise InputError(f"The service has no file {missing[0][:12]}; upload it before the job.")
        identity = job_identity(kind, request, revision)
        job = self.jobs.get(identity)
        if job and job.state in ACTIVE:
            return job, False
        if job and job.state == "done" and self._is_whole(job):
            return job, False
        if sum(job.state in ACTIVE for job in self.jobs.values()) >= MAX_WAITING_JOBS:
            raise InputError(f"{MAX_WAITING_JOBS} jobs are waiting already; cancel some of them first.")
        position = 1 + max((job.position for job in self.jobs.values()), default=0.0)
        units = [first_unit(request, revision)]
        job = Job(identity, kind, request, revision, position, "queued", units=units)
        self.jobs[identity] = job
        self._advance(job)
        for unit in job.units:
            self._crashes.pop(unit.identity, None)
        self._save(job)
        return job, True

    def cancel(self, job: Job) -> list[str]:
        """Cancel a job unless it has ended; the units at work that nobody needs any more."""
        if job.state in ACTIVE:
            units = {unit.identity for unit in job.units}
            self._end(job, "cancelled", "cancelled", "The job was cancelled; what was finished is kept.")
            return [i for i in self.working if i in units and not self.jobs_of(i)]
        return []

    def give_up(self, job: Job, reason: str) -> None:
        """Fail a job that cannot go on, for a reason of the service's."""
        self._end(job, "failed", "lost", reason)

    def pause(self, job: Job, paused: bool) -> None:
        """Begin no more units of a job, or go on."""
        if job.state in ACTIVE:
            job.state = "paused" if paused else "queued"
            self._save(job)
            self._changed(job)

    def reorder(self, job: Job, position: int) -> None:
        """Put a job at this place (0 is first) among those still to be worked on."""
        others = [other for other in self._in_order() if other.state in ACTIVE and other is not job]
        others.insert(max(0, position), job)
        places = sorted(other.position for other in others)
        for other, place in zip(others, places):
            other.position = place
            self._save(other)

    # what workers tell

    def started(self, unit: Unit) -> None:
        self.working[unit.identity] = Work(unit)
        for job in self.jobs_of(unit.identity):
            self._changed(job)

    def progressed(self, identity: str, fraction: float, message: str) -> None:
        if work := self.working.get(identity):
            work.fraction, work.message = min(max(fraction, work.fraction), 1.0), message

    def finished(self, identity: str) -> None:
        """A unit is in the store."""
        work = self.working.pop(identity, None)
        self._crashes.pop(identity, None)
        for job in self.jobs_of(identity):
            if work:
                job.worked += work.unit.weight
                job.worked_s += time.monotonic() - work.begun
            self._advance(job)

    def failed(self, identity: str, code: str, message: str) -> None:
        """A unit cannot be made: nor can the jobs that need it."""
        self.working.pop(identity, None)
        for job in self.jobs_of(identity):
            self._end(job, "failed", code, message)

    def interrupted(self, identity: str) -> None:
        """A unit was given back unfinished; it is still to be made."""
        self.working.pop(identity, None)

    def crashed(self, identity: str) -> None:
        """The worker died over a unit: it is tried once more, then its jobs fail."""
        work = self.working.pop(identity, None)
        self._crashes[identity] = self._crashes.get(identity, 0) + 1
        if self._crashes[identity] >= MAX_CRASHES:
            kind = work.unit.kind if work else "unit"
            self.failed(
                identity,
                "lost",
                f"The worker died {MAX_CRASHES} times while making this {kind}, probably for want of memory; "
                "close other programs or choose a smaller size, and submit again.",
            )

    # inside

    def _in_order(self) -> list[Job]:
        return sorted(self.jobs.values(), key=lambda job: job.position)

    def _work_of(self, job: Job) -> list[Work]:
        return [self.working[unit.identity] for unit in job.units if unit.identity in self.working]

    def _progress(self, job: Job) -> tuple[float, float, float | None]:
        """The fraction done, the weight that remains, and seconds per weight if anything is known of it."""
        if job.state == "done":
            return 1.0, 0.0, None
        if job.units and job.units[-1].kind == "plan":  # what the shot will need is not known yet
            return 0.0, 0.0, None
        at_work = self._work_of(job)
        total = sum(unit.weight for unit in job.units)
        done = sum(unit.weight for unit in job.units if unit.identity in job.done)
        partly = sum(work.unit.weight * work.fraction for work in at_work)
        spent_s = job.worked_s + sum(time.monotonic() - work.begun for work in at_work)
        made = job.worked + partly
        pace = spent_s / made if made > 0.02 * total else None
        return min((done + partly) / total, 1.0) if total else 0.0, total - done - partly, pace

    def _message(self, job: Job, at_work: list[Work]) -> str:
        if not at_work:
            return job.message
        work = at_work[0]
        same = [unit.identity for unit in job.units if unit.kind == work.unit.kind]
        place = f" {same.index(work.unit.identity) + 1} of {len(same)}" if len(same) > 1 else ""
        titles = {"world": "World", "plan": "Plan", "anchor": "Anchor", "clip": "Clip", "shot": "Shot"}
        return f"{titles[work.unit.kind]}{place}" + (f": {work.message}" if work.message else "")

    def _advance(self, job: Job) -> None:
        """Take in what the store has of a job's units; after its plan it knows the rest of them."""
        for unit in job.units:  # grows when the plan is read
            if unit.identity in job.done or not self._store.has_unit(unit.identity):
                continue
            try:
                record = self._store.record(unit.identity)
                if unit.kind == "plan" and isinstance(job.request, ShotRequest):
                    job.units += shot_units(job.request, job.revision, read_plan(self._store, unit))
            except LookBeyondError as error:
                self._end(job, "failed", error.code, str(error))
                return
            job.done.add(unit.identity)
            files = {artifact.name: artifact for artifact in record.artifacts}
            for name, own_name in unit.delivers.items():
                if name not in job.artifacts:
                    artifact = dataclasses.replace(files[own_name], name=name)
                    job.artifacts[name] = artifact, f"{unit.identity}/{own_name}"
        if all(unit.identity in job.done for unit in job.units):
            self._end(job, "done", None, None)
        else:
            self._changed(job)

    def _is_whole(self, job: Job) -> bool:
        return all(self._store.has_unit(unit.identity) for unit in job.units)

    def _end(self, job: Job, state: str, error_code: str | None, error: str | None) -> None:
        job.state, job.error_code, job.error = state, error_code, error
        job.message = {"done": "Done", "cancelled": "Cancelled"}.get(state, "Failed")
        self._save(job)
        self._changed(job)

    def _save(self, job: Job) -> None:
        row = (
            job.id,
            job.position,
            job.kind,
            json.dumps(vars(job.request)),
            job.revision,
            job.state,
            job.error_code,
            job.error,
            time.time(),
        )
        try:
            self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?)", row)
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"The job list in {self._store.root} could not be written ({error}); free some disk space."
            ) from error

    def _load(self) -> None:
        rows = self._database.execute("SELECT * FROM jobs ORDER BY position").fetchall()
        for id, position, kind, request, revision, state, error_code, error, _ in rows:
            with contextlib.suppress(ValueError, TypeError, KeyError):  # of another version: forgotten
                plain = REQUESTS[kind](**json.loads(request))
                unit = first_unit(plain, revision)
                job = Job(id, kind, plain, revision, position, state, error_code, error, units=[unit])
                self.jobs[id] = job
                if state in ACTIVE or state == "done":
                    job.state = "queued" if state == "done" else state
                    self._advance(job)
                if state == "done" and job.state == "queued":  # its files were pruned
                    del self.jobs[id]


def file_inputs(request: WorldRequest | ShotRequest) -> set[str]:
    """The hashes of the files a request reads."""
    if isinstance(request, ShotRequest):
        return set(request.world.values())
    return {request.photo or request.panorama}
