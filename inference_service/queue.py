"""The jobs: which there are, what each still needs, which unit comes next. Knows nothing of sockets or
processes.

Jobs lie in a SQLite database beside the store; their results lie in the store, so that after a restart a
job goes on with the first unit that is not there. The open database is also the lock that keeps a second
service off the store.
"""

import contextlib
import dataclasses
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from inference_service.paces import Paces
from inference_service.protocol import WORLD_FILES, WORLD_LAYERS, Artifact, JobStatus, ShotRequest, WorldRequest
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
MAX_WAITING_CAMERAS = 200_000
"""In all jobs that are to be worked on: a camera takes about a kilobyte."""
MAX_ENDED_JOBS = 1000
MAX_ENDED_ARTIFACTS = 200_000
"""Ended jobs beyond these are forgotten, the oldest first; what they made stays in the store."""
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


ENDED = {"done": "Done", "failed": "Failed", "cancelled": "Cancelled"}


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
    changed: float = field(default_factory=time.time)
    units: list[Unit] = field(default_factory=list)
    """Those that are known yet; of an ended job none."""
    identities: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    """Units that were cancelled one by one: neither they nor what needs them are made, until the service restarts."""
    artifacts: dict[str, tuple[Artifact, str]] = field(default_factory=dict)
    """Name below the job's folder -> its artifact and the path in the store's unit, as identity/name."""
    message: str = "Waiting"
    relisted: bool = False
    """Whether artifacts were taken back or stand in another order: who asks for the later ones is told all again."""
    memory_plan: str = ""
    """How its models were fitted into the device's memory, as a worker said."""

    @property
    def waits_for(self) -> str:
        """The job that makes this shot's world, until it is there."""
        request = self.request
        return request.world_job if isinstance(request, ShotRequest) and not request.world else ""

    @property
    def cameras(self) -> int:
        return len(self.request.cameras) if isinstance(self.request, ShotRequest) else 0


@dataclass
class Work:
    """A unit at work."""

    unit: Unit
    attempt: int = 1
    """How often this unit was begun since the service started."""
    fraction: float = 0.0
    message: str = ""
    begun: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    """When its fraction last grew."""


class JobQueue:
    """All jobs of a service. `changed(job)` is called whenever a job's status is another.

    Raises InputError when another service uses the same store.
    """

    def __init__(self, database: Path, store: Store, changed: Callable[[Job], None] = lambda job: None):
        self._store, self._changed = store, changed
        self.working: dict[str, Work] = {}
        """Units at work, by identity."""
        self.workers = 1
        """How many units can be at work at once: what times to come are counted with."""
        self._crashes: dict[str, int] = {}
        self._attempts: dict[str, int] = {}
        self._mended: set[str] = set()
        """Units for which damaged ones were thrown away: it helps once or never."""
        self.paces = Paces(store.root / "paces.json")
        self.jobs: dict[str, Job] = {}
        self._database = sqlite3.connect(database, timeout=0, isolation_level=None)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")  # one wait for the disk instead of four
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
        self._loading = True
        self._load()
        self._loading = False

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
                    and unit.identity not in job.skipped
                    and unit.identity not in self.working
                    and job.done.issuperset(unit.needs)
                ):
                    return unit
        return None

    def jobs_of(self, identity: str) -> list[Job]:
        """The jobs still to be worked on that need this unit."""
        return [job for job in self._knowing(identity) if identity not in job.skipped]

    def unwanted(self) -> list[str]:
        """The units at work that no job needs any more."""
        return [identity for identity in self.working if not self.jobs_of(identity)]

    def knows(self, identity: str) -> bool:
        """Whether any job has this unit among its own."""
        return any(identity in job.identities for job in self.jobs.values())

    def _knowing(self, identity: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.state in ACTIVE and identity in job.identities]

    def status(self, job: Job, with_artifacts: bool = True, after: int = 0) -> JobStatus:
        """What a client is told; without the first `after` artifacts."""
        ahead_s: float | None = 0.0
        for other in self._in_order():
            if other is job or ahead_s is None:
                break
            ahead_s = self._plus(ahead_s, other)
        return self._status(job, ahead_s, with_artifacts, after)

    def statuses(self) -> list[JobStatus]:
        """All jobs in the order they will be worked on, without their artifacts."""
        statuses, ahead_s = [], 0.0
        for job in self._in_order():
            statuses.append(self._status(job, ahead_s, False, 0))
            ahead_s = self._plus(ahead_s, job)
        return statuses

    def eta_s(self) -> float | None:
        """Seconds until every job that is not paused is done, if anything is known of it."""
        total: float | None = 0.0
        for job in self.jobs.values():
            total = self._plus(total, job)
        return total

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        counts: dict[str, int] = dict.fromkeys(("queued", "running", "paused", "done", "failed", "cancelled"), 0)
        for job in self.jobs.values():
            counts["running" if job.state == "queued" and self._work_of(job) else job.state] += 1
        return counts

    def _plus(self, ahead_s: float | None, job: Job) -> float | None:
        if job.state != "queued" or ahead_s is None:
            return ahead_s
        remaining_s = self._remaining_s(job)
        return None if remaining_s is None else ahead_s + remaining_s

    def _status(self, job: Job, ahead_s: float | None, with_artifacts: bool, after: int) -> JobStatus:
        running = self._work_of(job)
        eta_s = self._plus(ahead_s, job) if job.state == "queued" else None
        after = 0 if job.relisted else max(0, after)
        artifacts = [artifact for artifact, _ in job.artifacts.values()][after:] if with_artifacts else []
        return JobStatus(
            job=job.id,
            kind=job.kind,
            state="running" if job.state == "queued" and running else job.state,
            fraction=self._fraction(job),
            message=self._message(job, running),
            eta_s=eta_s,
            error=job.error,
            error_code=job.error_code,
            artifacts=tuple(artifacts),
            after=after,
        )

    def inputs(self) -> set[str]:
        """The hashes and identities that unfinished jobs still need."""
        needed = set()
        for job in self.jobs.values():
            if job.state in ACTIVE:
                needed |= file_inputs(job.request) | job.identities
        return needed

    # what clients want

    def submit(self, kind: str, request: WorldRequest | ShotRequest, revision: str) -> tuple[Job, bool]:
        """The job of this request, and whether there is anything new to do.

        Raises InputError for a request that cannot be worked on.
        """
        check = check_world_request if kind == "world" else check_shot_request
        request = check(request)  # type: ignore[arg-type]
        identity = job_identity(kind, request, revision)
        job = self.jobs.get(identity)
        if job and job.state in ACTIVE:
            return job, False
        if job and job.state == "done" and self._is_whole(job):
            for unit in job.done:  # its client fetches them now
                self._store.touch_unit(unit)
            return job, False
        if isinstance(request, ShotRequest) and request.world_job:
            request = self._with_world(request)
        missing = [sha256 for sha256 in file_inputs(request) if not self._store.has_file(sha256)]
        if missing:
            raise InputError(f"The service has no file {missing[0][:12]}; upload it before the job.")
        waiting = [other for other in self.jobs.values() if other.state in ACTIVE]
        if len(waiting) >= MAX_WAITING_JOBS:
            raise InputError(f"{MAX_WAITING_JOBS} jobs are waiting already; cancel some of them first.")
        position = 1 + max((other.position for other in self.jobs.values()), default=0.0)
        # a job that ended may list its artifacts in another order now: who still follows it is told all again
        job = Job(identity, kind, request, revision, position, "queued", relisted=identity in self.jobs)
        if sum(other.cameras for other in waiting) + job.cameras > MAX_WAITING_CAMERAS:
            raise InputError(f"The waiting jobs have {MAX_WAITING_CAMERAS} frames already; cancel some of them first.")
        self._save(job)
        self.jobs[identity] = job
        self._begin(job)
        for identity in job.identities:
            self._crashes.pop(identity, None)
        return job, True

    def _with_world(self, request: ShotRequest) -> ShotRequest:
        """A shot's request with the files of the world it waits for, if they are there."""
        world = self.jobs.get(request.world_job)
        if world is None or world.kind != "world":
            raise InputError("The world that this shot waits for is not known here; submit the world first.")
        if world.state == "done" and self._is_whole(world):
            self._store.share_unit(next(iter(world.done)))
            names = [name for name in (*WORLD_FILES, *WORLD_LAYERS) if name in world.artifacts]
            files = {name: world.artifacts[name][0].sha256 for name in names}
            return dataclasses.replace(request, world=files)
        if world.state not in ACTIVE:
            raise InputError("The world that this shot waits for was not made; submit the world again, then the shot.")
        return dataclasses.replace(request, world={})

    def cancel(self, job: Job) -> None:
        """Cancel a job unless it has ended."""
        if job.state in ACTIVE:
            self._end(job, "cancelled", "cancelled", "The job was cancelled; what was finished is kept.")

    def cancel_unit(self, identity: str, job: str = "") -> bool:
        """Leave a unit out of a job, or of all that still need it; whether there was one.

        The job goes on with what does not depend on it, and then ends as cancelled.
        """
        without = [j for j in self.jobs_of(identity) if identity not in j.done and job in ("", j.id)]
        for each in without:
            each.skipped.add(identity)
            self._settle(each)
        return bool(without)

    def give_up(self, job: Job, reason: str) -> None:
        """Fail a job that cannot go on, for a reason of the service's."""
        self._end(job, "failed", "lost", reason)

    def pause(self, jobs: Iterable[Job], paused: bool) -> None:
        """Begin no more units of these jobs, or go on."""
        jobs, state = [job for job in jobs if job.state in ACTIVE], "paused" if paused else "queued"
        self._update("state", [(state, job.id) for job in jobs])
        for job in jobs:
            job.state = state
            self._changed(job)

    def reorder(self, job: Job, position: int) -> None:
        """Put a job at this place (0 is first) among those still to be worked on."""
        others = [other for other in self._in_order() if other.state in ACTIVE and other is not job]
        if job.state not in ACTIVE:
            return
        others.insert(min(max(0, position), len(others)), job)
        places = sorted(other.position for other in others)
        self._update("position", [(place, other.id) for other, place in zip(others, places)])
        for other, place in zip(others, places):
            other.position = place

    # what workers tell

    def started(self, unit: Unit) -> Work:
        attempt = self._attempts[unit.identity] = self._attempts.get(unit.identity, 0) + 1
        work = self.working[unit.identity] = Work(unit, attempt)
        for job in self.jobs_of(unit.identity):
            self._changed(job)
        return work

    def progressed(self, identity: str, fraction: float, message: str) -> None:
        if work := self.working.get(identity):
            if math.isfinite(fraction) and fraction > work.fraction:
                work.fraction, work.moved = min(fraction, 1.0), time.monotonic()
            work.message = message

    def finished(self, identity: str) -> None:
        """A unit is in the store."""
        work = self.working.pop(identity, None)
        self._crashes.pop(identity, None)
        self._attempts.pop(identity, None)
        if work:
            seconds, stored = time.monotonic() - work.begun, 0
            with contextlib.suppress(OSError, LookBeyondError):
                stored = sum(artifact.size for artifact in self._store.record(identity).artifacts)
            self.paces.measured(*_pace_key(work.unit), _size(work.unit), seconds, stored)
        for job in self._knowing(identity):  # also where it was cancelled too late
            self._advance(job)

    def lost(self, identity: str) -> None:
        """A finished unit is no longer in the store: the jobs that go on make it again."""
        for job in self._knowing(identity):
            if identity in job.done:
                job.done.remove(identity)
                of_others = {n: place for n, place in job.artifacts.items() if place[1].partition("/")[0] != identity}
                job.artifacts, job.relisted = of_others, True
                self._changed(job)

    def failed(self, identity: str, code: str, message: str) -> None:
        """A unit cannot be made: nor can the jobs that need it. Unless what it reads is damaged: that is made again."""
        work = self.working.pop(identity, None)
        # a shot's unit reads no more of its clips than their records
        reads = work.unit.needs if work and work.unit.kind != "shot" and code in ("input", "storage") else ()
        if self._discard_damaged(identity, reads):
            return
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
        if job.state not in ACTIVE:
            return []
        return [work for identity, work in self.working.items() if identity in job.identities]

    def _fraction(self, job: Job) -> float:
        if job.state == "done":
            return 1.0
        if not job.units or job.units[-1].kind == "plan":  # what the shot will need is not known yet
            return 0.0
        total = sum(unit.weight for unit in job.units)
        done = sum(unit.weight for unit in job.units if unit.identity in job.done)
        partly = sum(work.unit.weight * work.fraction for work in self._work_of(job))
        return min((done + partly) / total, 1.0)

    def _remaining_s(self, job: Job) -> float | None:
        """Seconds that all workers together still need for a job, or None."""
        live = {}
        for work in self.working.values():
            if work.fraction > 0.02:
                live[_pace_key(work.unit)] = (work.moved - work.begun) / (_size(work.unit) * work.fraction)
        total_s = 0.0
        for unit in job.units:
            if unit.identity not in job.done:
                pace = self.paces.seconds(*_pace_key(unit), live)
                if pace is None:
                    return None
                work = self.working.get(unit.identity)
                left_s = pace * _size(unit) * (1 - work.fraction if work else 1.0)
                # time goes on between two steps, too, but what is late is not yet done
                total_s += max(left_s - (time.monotonic() - work.moved), left_s / 10) if work else left_s
        if job.units and job.units[-1].kind != "plan":
            return total_s / max(1, self.workers)
        pace = self.paces.seconds(job.request.preset, "clip", live)  # of a shot without a plan only its length is known
        return None if pace is None else pace * _frames_size(job) / max(1, self.workers)

    def _message(self, job: Job, at_work: list[Work]) -> str:
        if job.state in ACTIVE and job.waits_for:
            return "Waiting for its world"
        if not at_work:
            return job.message
        work = at_work[0]
        same = [unit.identity for unit in job.units if unit.kind == work.unit.kind]
        place = f" {same.index(work.unit.identity) + 1} of {len(same)}" if len(same) > 1 else ""
        titles = {"world": "World", "plan": "Plan", "anchor": "Anchor", "clip": "Clip", "shot": "Shot"}
        return f"{titles[work.unit.kind]}{place}" + (f": {work.message}" if work.message else "")

    def _begin(self, job: Job) -> None:
        """Begin with a job's first unit, unless it has to wait for its world."""
        if not job.waits_for:
            self._know(job, [first_unit(job.request, job.revision)])
            self._advance(job)

    def _know(self, job: Job, units: Iterable[Unit]) -> None:
        units = [unit for unit in units if unit.identity not in job.identities]  # a plan may be read again
        job.units += units
        job.identities |= {unit.identity for unit in units}

    def _advance(self, job: Job) -> None:
        """Take in what the store has of a job's units; after its plan it knows the rest of them."""
        for unit in job.units:  # grows when the plan is read
            if unit.identity in job.done or not self._store.has_whole_unit(unit.identity):
                continue
            try:
                record = self._store.record(unit.identity)
                if unit.kind == "plan" and isinstance(job.request, ShotRequest):
                    self._know(job, shot_units(job.request, job.revision, read_plan(self._store, unit)))
            except LookBeyondError as error:
                if self._discard_damaged(unit.identity, [unit.identity]):
                    continue
                self._end(job, "failed", error.code, str(error))
                return
            job.done.add(unit.identity)
            files = {artifact.name: artifact for artifact in record.artifacts}
            for name, own_name in unit.delivers.items():
                if name not in job.artifacts:
                    artifact = dataclasses.replace(files[own_name], name=name)
                    job.artifacts[name] = artifact, f"{unit.identity}/{own_name}"
        self._settle(job)

    def _discard_damaged(self, reader: str, units: Iterable[str]) -> bool:
        """Take back those of these units that a power cut has damaged, once for each reader; whether there were any."""
        if reader in self._mended:
            return False
        damaged = [identity for identity in units if self._store.discard_if_damaged(identity)]
        for identity in damaged:
            self._mended.add(reader)
            self.lost(identity)
        return bool(damaged)

    def _settle(self, job: Job) -> None:
        """End a job of which there is nothing more to make."""
        out_of_reach = job.skipped - job.done
        for unit in job.units:  # each after those that it needs
            if unit.identity not in job.done and not out_of_reach.isdisjoint(unit.needs):
                out_of_reach.add(unit.identity)
        settled = job.done | out_of_reach
        if not job.units or any(unit.identity not in settled for unit in job.units):
            self._changed(job)
        elif out_of_reach:
            text = "A part of the job was cancelled; what was finished is kept, submit it again for the rest."
            self._end(job, "cancelled", "cancelled", text)
        else:
            self._end(job, "done", None, None)

    def _is_whole(self, job: Job) -> bool:
        return all(self._store.has_unit(identity) for identity in job.done)

    def _end(self, job: Job, state: str, error_code: str | None, error: str | None) -> None:
        job.state, job.error_code, job.error = state, error_code, error
        job.message = ENDED[state]
        job.changed = job.changed if self._loading else time.time()
        for identity in job.identities:
            if identity not in self.working:
                self._attempts.pop(identity, None)
                self._crashes.pop(identity, None)
                self._mended.discard(identity)
        try:
            if not self._loading:
                self._save(job)
        finally:
            job.units = []  # a long path takes megabytes
            if isinstance(job.request, ShotRequest):
                job.request = dataclasses.replace(job.request, cameras=[])
            self._changed(job)
            self._worlds_ended([other for other in self.jobs.values() if other.waits_for == job.id])
            self._forget_old(job)

    def _worlds_ended(self, jobs: Iterable[Job]) -> None:
        """Each of these goes on, also when the change of another could not be written: nobody would ask again."""
        failed = None
        for job in jobs:
            if job.state in ACTIVE:
                try:
                    self._world_ended(job)
                except StorageError as error:
                    failed = error
        if failed:
            raise failed

    def _world_ended(self, job: Job) -> None:
        """The world that a shot waited for is there, or will not be."""
        try:
            assert isinstance(job.request, ShotRequest)
            request = self._with_world(job.request)
        except LookBeyondError as error:
            world = self.jobs.get(job.waits_for)
            if world and world.state == "cancelled":
                self._end(job, "cancelled", "cancelled", "The world of this shot was cancelled, and the shot with it.")
            else:
                self._end(job, "failed", "lost", str(error))
            return
        if request.world:
            job.request = request
            try:
                self._save(job)
            finally:
                self._begin(job)

    def _forget_old(self, newest: Job) -> None:
        ended = [job for job in self.jobs.values() if job.state not in ACTIVE]
        # by the clock on the wall, which may have been set back: what has just ended is the newest all the same
        ended.sort(key=lambda job: (job is newest, job.changed))
        count, artifacts = len(ended), sum(len(job.artifacts) for job in ended)
        for job in ended[:-1]:
            if count <= MAX_ENDED_JOBS and artifacts <= MAX_ENDED_ARTIFACTS:
                return
            count, artifacts = count - 1, artifacts - len(job.artifacts)
            self._forget(job)

    def _forget(self, job: Job) -> None:
        del self.jobs[job.id]
        with self._written():
            self._database.execute("DELETE FROM jobs WHERE id = ?", (job.id,))

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
            job.changed,
        )
        # what clients asked for outlives a power cut; that a job is done can be seen from the store
        durable = "NORMAL" if job.state == "done" else "FULL"
        with self._written():
            self._database.execute(f"PRAGMA synchronous = {durable}")
            self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?)", row)

    def _update(self, column: str, rows: list[tuple[object, str]]) -> None:
        """Write a value for each job, all or none, without its request: that may be long."""
        with self._written(), self._database:  # which ends the transaction
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("BEGIN")
            self._database.executemany(f"UPDATE jobs SET {column} = ? WHERE id = ?", rows)

    @contextlib.contextmanager
    def _written(self):
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"The job list in {self._store.root} could not be written ({error}); free some disk space."
            ) from error

    def _load(self) -> None:
        rows = self._database.execute("SELECT * FROM jobs ORDER BY position").fetchall()
        for id, position, kind, request, revision, state, error_code, error, changed in rows:
            with contextlib.suppress(ValueError, TypeError, KeyError):  # of another version: forgotten
                plain = REQUESTS[kind](**json.loads(request))
                self.jobs[id] = Job(id, kind, plain, revision, position, state, error_code, error, changed)
        for job in list(self.jobs.values()):
            if job.id not in self.jobs:  # there were too many
                continue
            if job.state == "done":  # it is looked at again: its files may have been pruned
                job.state = "queued"
                self._begin(job)
                if job.state == "queued":
                    self._forget(job)
            elif job.state in ENDED:
                job.message = ENDED[job.state]
        for job in list(self.jobs.values()):
            if job.state in ACTIVE and job.waits_for:
                self._world_ended(job)
            elif job.state in ACTIVE:
                self._begin(job)


def _pace_key(unit: Unit) -> tuple[str, str]:
    return unit.description["preset"], unit.kind


def _size(unit: Unit) -> float:
    """How much work a unit is, with its frames' size: what paces are counted in."""
    cameras = unit.description.get("cameras") or [unit.description.get("camera")]
    return unit.weight * (1.0 if unit.kind == "world" else _pixels(cameras[0]))


def _frames_size(job: Job) -> float:
    cameras = job.request.cameras if isinstance(job.request, ShotRequest) else []
    return len(cameras) * _pixels(cameras[0]) if cameras else 0.0


def _pixels(camera: dict | None) -> float:
    return camera["width"] * camera["height"] / 1e5 if camera else 1.0


def file_inputs(request: WorldRequest | ShotRequest) -> set[str]:
    """The hashes of the files a request reads."""
    if isinstance(request, ShotRequest):
        return set(request.world.values())
    return {request.photo or request.panorama}
