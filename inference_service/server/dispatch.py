"""Sends units from the queue to the workers, and handles their reports."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from inference_service.jobs.job import Job
from inference_service.jobs.queue import JobQueue
from inference_service.server.front import FrontSocket
from inference_service.server.sessions import Sessions
from inference_service.store.store import Store
from inference_service.wire.messages import PreviewHint, ProgressHint
from inference_service.work.unit import Unit
from inference_service.work.units.clip import ShootClip, read_watched
from inference_service.workers import messages as worker
from inference_service.workers.executor import Executor
from lookbeyond.errors import LookBeyondError
from lookbeyond.monitors.findings import is_off

log = logging.getLogger(__name__)


class Dispatcher:
    """Keeps the workers busy, until `paused` is set."""

    def __init__(
        self,
        queue: JobQueue,
        executor: Executor,
        store: Store,
        sessions: Sessions,
        front: FrontSocket,
        totals: Counter[str],
        epoch: str,
    ):
        self._queue, self._executor, self._store = queue, executor, store
        self._sessions, self._front, self._totals, self._epoch = sessions, front, totals, epoch
        self.paused = False

    def dispatch(self) -> None:
        """Give units to workers, for as long as there are both."""
        while not self.paused and self._executor.has_room() and (unit := self._queue.next_unit()):
            jobs = self._queue.jobs_of(unit.identity)
            active = self._queue.started(unit)
            names: dict[str, str] = {}
            for job in jobs:
                names |= self._store.names(job.request.input_files)
            device = self._executor.run(unit, names, self._sessions.want_previews())
            about = {"attempt": active.attempt, "device": device}
            log.info("unit begun", extra=self._keys(unit.identity, jobs) | about)

    def stop_unwanted(self) -> None:
        """Cancel the units that no job needs any more."""
        for identity in self._queue.unwanted():
            self._executor.cancel(identity)

    def take_in(self, reports: Iterable[worker.Report]) -> None:
        """Act on what workers report, and give them more to do."""
        for report in reports:
            try:
                self._take_in(report)
            except LookBeyondError as error:  # a full disk must not end the service
                log.error("%s", error)
            except Exception:
                log.exception("a worker's report could not be acted on")
                self._give_up(report)
        self.stop_unwanted()  # what else was being made for a job that has failed
        working = sum(device["state"] != "stopped" for device in self._executor.devices())
        self._queue.estimates.workers = max(1, working)
        self.dispatch()

    def _take_in(self, report: worker.Report) -> None:
        match report:
            case worker.UnitProgress():
                self._progressed(report)
            case worker.MemoryPlanned():
                self._planned(report)
            case worker.FilesFinished(identity=identity, folder=folder, files=files):
                self._queue.finished_files(identity, folder, files)
            case worker.UnitDone(identity=identity, seconds=seconds):
                self._totals["units_done"] += 1
                self._log(logging.INFO, "unit done", identity, seconds=seconds)
                active = self._queue.working.get(identity)
                self._queue.finished(identity)
                if active is not None:
                    self._count_watched(active.unit)
            case worker.UnitReturned(identity=identity) | worker.UnitFailed(identity=identity, code="cancelled"):
                self._log(logging.INFO, "unit cancelled", identity)
                self._queue.interrupted(identity)
            case worker.UnitFailed(identity=identity, code=code, message=message):
                self._totals["units_failed"] += 1
                about = {"traceback": report.traceback} if report.traceback else {}
                self._log(logging.WARNING, "unit failed", identity, code=code, reason=message, **about)
                self._queue.failed(identity, code, message)
            case worker.UnitCrashed(identity=identity):
                self._totals["worker_deaths"] += 1
                self._log(logging.WARNING, "unit lost with its worker", identity)
                self._queue.crashed(identity)
            case worker.NoWorkers(reason=reason):
                for job in self._queue.active():
                    self._queue.give_up(job, reason)

    def _give_up(self, report: worker.Report) -> None:
        """After a fault of ours: the jobs of a unit that has ended fail, or it would be made again and again."""
        if isinstance(report, (worker.UnitDone, worker.UnitFailed, worker.UnitCrashed)):
            for job in self._queue.jobs_of(report.identity):
                self._queue.give_up(job, "The service has a fault; see its log, and submit the job again.")

    def _count_watched(self, unit: Unit) -> None:
        if isinstance(unit, ShootClip):
            frames = read_watched(self._store, unit.identity, len(unit.cameras)).frames
            self._totals["frames_watched"] += len(frames)
            self._totals["frames_off"] += sum(is_off(frame) for frame in frames)

    def _progressed(self, report: worker.UnitProgress) -> None:
        self._queue.progressed(report.identity, report.fraction, report.message)
        for job in self._queue.jobs_of(report.identity):
            self._hint_progress(job)
            if report.preview:
                self._front.hint(job.id, PreviewHint(job.id), report.preview)

    def hint_progress(self) -> None:
        """Tell clients how far the running jobs are, also while the workers report nothing."""
        jobs = {job.id: job for identity in self._queue.working for job in self._queue.jobs_of(identity)}
        for job in jobs.values():
            self._hint_progress(job)

    def _hint_progress(self, job: Job) -> None:
        status = self._queue.statuses.of(job, with_artifacts=False)
        self._front.hint(job.id, ProgressHint(job.id, status.fraction, status.message, status.eta_s))

    def _planned(self, report: worker.MemoryPlanned) -> None:
        jobs = self._queue.jobs_of(report.identity)
        for job in jobs:
            if job.memory_plan != report.plan:  # once, not for each of its clips
                job.memory_plan = report.plan
                about = {"jobs": [job.id], "plan": job.memory_plan}
                log.info("memory planned", extra=self._keys(report.identity, jobs) | about)

    def _log(self, level: int, event: str, identity: str, **about: Any) -> None:
        log.log(level, event, extra=self._keys(identity, self._queue.jobs_of(identity)) | about)

    def _keys(self, identity: str, jobs: Sequence[Job]) -> dict[str, Any]:
        """What every line of the log about a unit says."""
        active = self._queue.working.get(identity)
        about = {"kind": active.unit.kind, "attempt": active.attempt} if active else {}
        return {"unit": identity, "jobs": [job.id for job in jobs], "epoch": self._epoch, **about}
