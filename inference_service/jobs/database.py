"""The list of jobs on disk: a SQLite database beside the store, so that jobs survive a restart.

The open database is also the lock that keeps a second service off the store.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from inference_service.jobs.job import ACTIVE, Job
from inference_service.work.requests import CHECKED, Checked
from inference_service.work.unit import from_json, to_json
from lookbeyond.errors import InputError, StorageError

KEPT_S = 30 * 24 * 3600
"""How long finished jobs are remembered."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, position REAL NOT NULL, kind TEXT NOT NULL, request TEXT NOT NULL,
    revision TEXT NOT NULL, state TEXT NOT NULL, error_code TEXT, error TEXT, changed REAL NOT NULL)"""


class JobDatabase:
    """The rows of all jobs. Raises InputError when another service uses the same store."""

    def __init__(self, path: Path):
        self._path = path
        self.connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            self._lock()
        except sqlite3.OperationalError as error:
            self.close()
            if "locked" not in str(error):
                raise StorageError(
                    f"The job list {path} cannot be used ({error}); check the disk and its permissions."
                ) from error
            raise InputError(
                f"Another service already uses the store {path.parent}; stop it first, or give --store another folder."
            ) from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise StorageError(f"The job list {path} is damaged ({error}); delete that file.") from error

    def _lock(self) -> None:
        execute = self.connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")  # one wait for the disk instead of four
        execute("BEGIN EXCLUSIVE")  # the lock is kept until the process ends
        execute(_SCHEMA)
        execute("DELETE FROM jobs WHERE changed < ? AND state NOT IN (?, ?)", (time.time() - KEPT_S, *ACTIVE))
        execute("COMMIT")

    def close(self) -> None:
        self.connection.close()

    def load(self) -> Iterator[Job]:
        """All jobs, by their position; rows of another version are left out."""
        rows = self.connection.execute("SELECT * FROM jobs ORDER BY position").fetchall()
        for id, position, kind, request, revision, state, error_code, error, changed in rows:
            with contextlib.suppress(ValueError, KeyError):
                checked = from_json(request, CHECKED[kind])
                yield Job(id, checked, revision, position, state, error_code, error, changed)

    def request(self, job: Job) -> Checked:
        """What a job asked for, whole: one that has ended keeps no cameras. StorageError if that cannot be read."""
        try:
            (text,) = self.connection.execute("SELECT request FROM jobs WHERE id = ?", (job.id,)).fetchone()
            return from_json(text, CHECKED[job.kind])
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise StorageError("The job list no longer has what this job asked for; submit the job again.") from error

    def save(self, job: Job) -> None:
        """Write a job. StorageError if that is impossible."""
        request = to_json(job.request).decode()
        row = (job.id, job.position, job.kind, request, job.revision, job.state, job.error_code, job.error, job.changed)
        # what clients asked for must survive a power cut; that a job is done can be seen from the store
        durable = "NORMAL" if job.state == "done" else "FULL"
        with self._written():
            self.connection.execute(f"PRAGMA synchronous = {durable}")
            self.connection.execute("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?)", row)

    def update(self, column: str, rows: list[tuple[object, str]]) -> None:
        """Write one value (value, id) for each job, all or none, without their requests, which may be long."""
        with self._written(), self.connection:  # which ends the transaction
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("BEGIN")
            self.connection.executemany(f"UPDATE jobs SET {column} = ? WHERE id = ?", rows)

    def delete(self, id: str) -> None:
        with self._written():
            self.connection.execute("DELETE FROM jobs WHERE id = ?", (id,))

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"The job list in {self._path.parent} could not be written ({error}); free some disk space."
            ) from error
