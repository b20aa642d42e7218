"""Ended jobs: their files are in memory while someone asks for them, and only so many jobs are remembered."""

import collections
import time

from inference_service.jobs.database import JobDatabase
from inference_service.jobs.findings import findings_of
from inference_service.jobs.job import Delivery, Job
from inference_service.store.store import Store

MAX_ENDED_JOBS = 1000
"""Ended jobs beyond these are forgotten, the oldest first; what they made stays in the store."""
MAX_RECALLED = 50_000
"""Files of ended jobs that are kept in memory; those of all others lie in the database."""
RECALLED_S = 60.0
"""How long they are kept after someone has asked: a service that has worked for days is no larger than a new one."""


def units_of(files: dict[str, Delivery]) -> set[str]:
    """The units that hold these files."""
    return {each.unit for each in files.values()}


class EndedJobs:
    """Those of all `jobs` that are not active."""

    def __init__(self, jobs: dict[str, Job], store: Store, database: JobDatabase):
        self._jobs, self._store, self._database = jobs, store, database
        self._recalled: collections.OrderedDict[str, tuple[int, float]] = collections.OrderedDict()
        """Jobs whose files are in memory: how many, and when someone last asked. Those of longest ago come first."""

    def recall(self, job: Job) -> bool:
        """Load a job's files into memory, and drop those that were recalled longest ago.

        False where it is done and nothing says any more what it made.
        """
        if job.id not in self._recalled and not job.artifacts:
            files = self._database.listing(job.id)
            if files is None and job.state == "done":
                return False
            job.artifacts = files or {}
            job.done = units_of(job.artifacts)
        if job.findings is None and job.state == "done":
            job.findings = findings_of(job, self._store)
        self._recalled[job.id] = len(job.artifacts), time.monotonic()
        self._recalled.move_to_end(job.id)
        while len(self._recalled) > 1 and sum(files for files, _ in self._recalled.values()) > MAX_RECALLED:
            self._drop_oldest()
        return True

    def drop_unasked(self) -> None:
        """Drop the files of jobs that nobody has asked for of late."""
        before = time.monotonic() - RECALLED_S
        while self._recalled and next(iter(self._recalled.values()))[1] < before:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        job = self._jobs.get(self._recalled.popitem(last=False)[0])
        if job and not job.is_active:
            job.artifacts, job.done, job.identities = {}, set(), set()

    def goes_on(self, job: Job) -> None:
        """A job has not ended after all."""
        self._recalled.pop(job.id, None)

    def forget_old(self, newest: Job | None = None) -> None:
        ended = [job for job in self._jobs.values() if not job.is_active]
        # the wall clock may have been set back: what has just ended is the newest all the same
        ended.sort(key=lambda job: (job is newest, job.changed))
        for job in ended[:-1][: max(0, len(ended) - MAX_ENDED_JOBS)]:
            self.forget(job)

    def forget(self, job: Job) -> None:
        del self._jobs[job.id]
        self._recalled.pop(job.id, None)
        self._database.delete(job.id)
