"""The life of a job, from its first unit through its plan to its end; a shot waits for its world.

Results lie in the store, so that after a restart a job goes on with the first unit that is not there.
"""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

import msgspec

from inference_service.jobs.database import JobDatabase, without_cameras
from inference_service.jobs.ended import EndedJobs, units_of
from inference_service.jobs.expansion import Expansions, deliveries
from inference_service.jobs.job import ACTIVE, ENDED, ActiveUnit, Attempts, Job
from inference_service.store.record import Damaged
from inference_service.store.store import Store
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS
from inference_service.work.requests import CheckedShot, UnknownRequest
from inference_service.work.unit import Unit
from inference_service.work.units.plan import PlanShot
from lookbeyond.errors import InputError, LookBeyondError, StorageError

log = logging.getLogger(__name__)

LOOKED_AT_BYTES = 2 << 20
"""Of the lists of what done jobs made: so much is looked for at the start, some ten thousand files. Of what is missing
of the others, those who fetch it will tell."""
DAMAGED = "What the store had of %s was damaged and has been removed; submit the job again to send it."


class Lifecycle:
    """Takes jobs forward. `changed(job)` is called whenever a job's status changes."""

    def __init__(
        self,
        jobs: dict[str, Job],
        working: dict[str, ActiveUnit],
        store: Store,
        database: JobDatabase,
        attempts: Attempts,
        changed: Callable[[Job], None],
        thread: Executor | None = None,
    ):
        self._jobs, self._working, self._store = jobs, working, store
        self._database, self._attempts, self._changed = database, attempts, changed
        self.expansions = Expansions(store, thread)
        self.ended = EndedJobs(jobs, store, database)
        self._loading = False

    def load(self) -> None:
        """Resume the jobs of the database where they were left."""
        self._loading = True
        self._jobs |= {job.id: job for job in self._database.load()}
        listed, left = self._database.listed(), LOOKED_AT_BYTES
        for job in list(self._jobs.values()):
            if job.id in self._jobs and job.state in ENDED:  # or there were too many
                size = listed.get(job.id)
                left -= size if size and job.state == "done" else 0
                self._load_ended(job, is_listed=size is not None, looks=left >= 0)
        for job in list(self._jobs.values()):
            if job.is_active:
                try:
                    self._world_ended(job) if job.waits_for else self.begin(job)
                except Exception:  # whatever it is, it must not end the service
                    log.exception("a job cannot be resumed", extra={"job": job.id})
                    self.end(job, "failed", "lost", "The service cannot resume this job; submit it again.")
        self.ended.forget_old()
        self._loading = False

    def _load_ended(self, job: Job, is_listed: bool, looks: bool) -> None:
        """`is_listed`: whether the database knows what it made; `looks`: check whether that was pruned or damaged."""
        job.message = ENDED[job.state]
        if isinstance(job.request, UnknownRequest):
            return
        if job.state != "done":
            if not is_listed:  # written by an older version
                self._database.end(job)
                job.request = without_cameras(job.request)
        elif not is_listed or (looks and (files := self._database.listing(job.id)) is None):
            job.state = "queued"
            self.begin(job)
            if job.state == "queued":
                self.ended.forget(job)
        elif looks and not all([self._store.has_whole_unit(unit) for unit in units_of(files)]):
            self.ended.forget(job)

    def recall(self, job: Job) -> None:
        """Load the file list of an ended job; what cannot be listed is made again."""
        if job.is_active or self.ended.recall(job):
            return
        try:
            self.reopen(job)
        except StorageError as error:
            self.end(job, "failed", "lost", str(error))

    def begin(self, job: Job, first: Unit | None = None) -> None:
        """Begin with a job's first unit (`first`, if it is at hand), unless it has to wait for its world."""
        if not job.waits_for:
            assert not isinstance(job.request, UnknownRequest)
            job.add_units([first or job.request.first_unit(job.revision)])
            self.advance(job)

    def advance(self, job: Job, only: str = "") -> None:
        """Take in what the store has of a job's units, or of one of them; after its plan it knows the rest of them."""
        for unit in list(job.units):
            if unit.identity in job.done or only not in ("", unit.identity):
                continue
            if not self._store.has_whole_unit(unit.identity):
                continue
            try:
                self._take_in(job, unit)
            except Damaged as error:  # it has been removed, and is made again: that helps once or never
                if unit.identity in self._attempts.mended:
                    self.end(job, "failed", "storage", str(error))
                    return
                self._attempts.mended.add(unit.identity)
        self.settle(job)

    def _take_in(self, job: Job, unit: Unit) -> None:
        found = [(unit, deliveries(self._store, unit))]
        if isinstance(unit, PlanShot) and isinstance(job.request, CheckedShot):
            expanded = self.expansions.after(job, job.request, unit, wait=self._loading)
            if expanded is None:
                return
            job.add_units(each.unit for each in expanded)
            found += [(each.unit, each.files) for each in expanded if each.files is not None]
        for made, files in found:
            job.made(made)
            for name, delivery in files.items():
                job.artifacts.setdefault(name, delivery)

    def take_expanded(self) -> bool:
        """Go on with the jobs whose units are worked out; whether there were any."""
        worked_out = self.expansions.worked_out()
        for id in worked_out:
            job = self._jobs.get(id)
            if job is None or not job.is_active:
                self.expansions.drop(id)
                continue
            try:
                self.advance(job)
            except Exception as error:
                self.expansions.drop(id)
                log.exception("the units of a job could not be worked out", extra={"job": id})
                text = str(error) if isinstance(error, LookBeyondError) else "Its plan could not be read; shoot again."
                self.end(job, "failed", getattr(error, "code", "failed"), text)
        return len(worked_out) > 0

    def settle(self, job: Job) -> None:
        """End a job of which there is nothing more to make."""
        out_of_reach = job.out_of_reach()
        settled = job.done | out_of_reach
        if not job.units or any(unit.identity not in settled for unit in job.units):
            self._changed(job)
        elif out_of_reach:
            text = "A part of the job was cancelled; what was finished is kept. Submit the job again for the rest."
            self.end(job, "cancelled", "cancelled", text)
        else:
            self.end(job, "done", None, None)

    def lost(self, identity: str) -> None:
        """A finished unit is no longer in the store: unfinished jobs make it again."""
        for job in self._jobs.values():
            if job.is_active and identity in job.done:
                job.lost(identity)
                self._changed(job)

    def reopen(self, job: Job) -> None:
        """A done job is reopened, because something it made is no longer in the store."""
        request = self._database.request(job)
        job.request, job.state = request, "queued"
        job.start_over()
        self.ended.goes_on(job)
        self._database.save(job)
        self.begin(job)

    def mend(self, unit: Unit) -> bool:
        """Make again what was damaged of what a unit reads, once for each of its readers; whether anything was."""
        if unit.identity in self._attempts.mended:
            return False
        needs = unit.input_units if unit.reads is None else ()  # who reads single files removes what it finds damaged
        units = [each for each in needs if self._store.discard_if_damaged(each)]
        units += [each for each in unit.input_units if each not in units and not self._store.has_unit(each)]
        for identity in units:
            self.lost(identity)
        files = [each for each in unit.input_files if not self._store.has_file(each, afresh=True)]
        if files:
            for job in [job for job in self._jobs.values() if job.is_active and unit.identity in job.identities]:
                self._mend_inputs(job, self._store.name(files[0]))
        self._attempts.mended.add(unit.identity)
        return bool(units or files)

    def _mend_inputs(self, job: Job, name: str) -> None:
        """A file that a job reads was damaged: its world is made again, or the client has to send it again."""
        request = job.request
        world = self._jobs.get(request.world_job) if isinstance(request, CheckedShot) else None
        if not isinstance(request, CheckedShot) or world is None or world.state not in ("done", *ACTIVE):
            return self.end(job, "failed", "lost", DAMAGED % name)
        if world.state == "done":
            self.recall(world)
            whole = not any([self._store.discard_if_damaged(identity) for identity in world.done])
            if whole:
                self._store.share_unit(next(iter(world.done)))
                self._changed(job)
                return
            self.reopen(world)
        job.request = msgspec.structs.replace(request, world={})
        job.start_over()
        self._changed(job)

    def is_whole(self, job: Job) -> bool:
        """Whether everything a finished job made is still in the store."""
        self.recall(job)
        return all(self._store.has_unit(identity) for identity in job.done)

    def with_world(self, request: CheckedShot) -> CheckedShot:
        """A shot's request with the files of the world it waits for, if they are there."""
        world = self._jobs.get(request.world_job)
        if world is None or world.kind != "world":
            raise InputError("The world that this shot waits for is not known here; submit the world first.")
        if world.state == "done" and self.is_whole(world):
            self._store.share_unit(next(iter(world.done)))
            names = [name for name in (*WORLD_FILES, *WORLD_LAYERS) if name in world.artifacts]
            files = {name: world.artifacts[name].artifact.sha256 for name in names}
            return msgspec.structs.replace(request, world=files)
        if not world.is_active:
            raise InputError("The world that this shot waits for was not made; submit the world again, then the shot.")
        return msgspec.structs.replace(request, world={})

    # the end

    def end(self, job: Job, state: str, error_code: str | None, error: str | None) -> None:
        """End a job: 'done', 'failed' or 'cancelled'. What waits for it goes on or ends too."""
        job.state, job.error_code, job.error = state, error_code, error
        job.message = ENDED[state]
        job.changed = job.changed if self._loading else time.time()
        for identity in job.identities:
            if identity not in self._working:
                self._attempts.forget(identity)
        try:
            self._database.end(job)
        finally:
            job.units = []
            self.expansions.drop(job.id)
            job.request = without_cameras(job.request)
            self.recall(job)
            self._changed(job)
            self._worlds_ended([other for other in self._jobs.values() if other.waits_for == job.id])
            self.ended.forget_old(job)

    def _worlds_ended(self, jobs: Iterable[Job]) -> None:
        """Each of these is advanced, even if the change of another could not be written: nobody would ask again."""
        failed = None
        for job in jobs:
            if job.is_active:
                try:
                    self._world_ended(job)
                except StorageError as error:
                    failed = error
        if failed:
            raise failed

    def _world_ended(self, job: Job) -> None:
        """The world that a shot waited for is there, or will not be."""
        try:
            assert isinstance(job.request, CheckedShot)
            request = self.with_world(job.request)
        except LookBeyondError as error:
            world = self._jobs.get(job.waits_for)
            if world and world.state == "cancelled":
                self.end(job, "cancelled", "cancelled", "The world of this shot was cancelled, and the shot with it.")
            else:
                self.end(job, "failed", "lost", str(error))
            return
        if request.world:
            job.request = request
            try:
                self._database.save(job)
            finally:
                self.begin(job)
