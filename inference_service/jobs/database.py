"""The list of jobs on disk: a SQLite database beside the store, so that jobs survive a restart.

A lock file keeps a second service off the store. `SCHEMA` numbers what is written; what a newer version has added is
left as it is, and what cannot be understood becomes a job that has failed, with a sentence: nothing is forgotten.

An ended job is small in `jobs`; what it asked for and what it made lie in `details`.
"""

import contextlib
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from inference_service.jobs.job import ACTIVE, ENDED, Delivery, Job
from inference_service.jobs.salvage import copy_readable, is_whole, set_aside
from inference_service.wire.files import Artifact
from inference_service.work.requests import CHECKED, Checked, CheckedShot, UnknownRequest
from inference_service.work.unit import from_json, request_json
from lookbeyond.errors import InputError, StorageError
from lookbeyond.locks import open_locked
from lookbeyond.whole import storage_errors

log = logging.getLogger(__name__)

SCHEMA = 2
KEPT_S = 30 * 24 * 3600
"""How long finished jobs are remembered."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, position REAL NOT NULL, kind TEXT NOT NULL, request TEXT NOT NULL,
    revision TEXT NOT NULL, state TEXT NOT NULL, error_code TEXT, error TEXT, changed REAL NOT NULL, crc INTEGER)""",
    "CREATE TABLE IF NOT EXISTS details (id TEXT PRIMARY KEY, request TEXT NOT NULL, listing BLOB NOT NULL)",
)
_COLUMNS = "id, position, kind, request, revision, state, error_code, error, changed, crc"
_DAMAGED = "What this job asked for was damaged in the job list; what it had finished is kept. Submit it again."
_NEWER = "A newer version of the service wrote this job, and this one cannot read it; update, or submit it again."


class _Listed(NamedTuple):
    """A file that an ended job made."""

    name: str
    size: int
    sha256: str
    crc32: int
    unit: str
    own_name: str


class JobDatabase:
    """The rows of all jobs. Raises InputError when another service uses the same store."""

    def __init__(self, path: Path):
        self._path = path
        with storage_errors(path):
            self._lock = open_locked(path.with_name("service.lock"))
        if self._lock is None:
            raise InputError(
                f"Another service already uses the store {path.parent}; stop it first, or give --store another folder."
            )
        try:
            with storage_errors(path):
                if os.fstat(self._lock).st_size and not (path.exists() and path.stat().st_size):
                    log.error("The job list %s is empty or gone: its jobs are lost; submit them again", path)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                path.chmod(0o600)
            self.connection = self._open()
            os.write(self._lock, b"There is a job list.\n")
        except BaseException:
            self._unlock()
            raise

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            try:
                self._prepare(connection)
                whole = is_whole(connection)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                whole = False
            if not whole:
                connection.close()
                aside = set_aside(self._path)
                connection = self._connect()
                self._prepare(connection)
                copy_readable(aside, connection, ("jobs", "details"))
            return connection
        except sqlite3.Error as error:
            connection.close()
            if "locked" in str(error):  # by a program that knows no lock file
                text = f"Another service already uses the store {self._path.parent}; stop it first."
                raise InputError(text) from error
            raise StorageError(
                f"The job list {self._path} cannot be used ({error}); check the disk and its permissions."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=0, isolation_level=None)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        execute = connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")  # one wait for the disk instead of four
        execute("BEGIN EXCLUSIVE")
        for table in _TABLES:
            execute(table)
        if "crc" not in [column[1] for column in execute("PRAGMA table_info(jobs)")]:
            execute("ALTER TABLE jobs ADD COLUMN crc INTEGER")
        (schema,) = execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            log.warning("The job list was written by a newer version; this one uses what it knows of it. Update soon.")
        else:
            execute(f"PRAGMA user_version = {SCHEMA}")
            old = (time.time() - KEPT_S, *ACTIVE)
            execute("DELETE FROM jobs WHERE changed < ? AND state NOT IN (?, ?)", old)
            execute("DELETE FROM details WHERE id NOT IN (SELECT id FROM jobs)")
        execute("COMMIT")

    def close(self) -> None:
        self.connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # reading

    def load(self) -> Iterator[Job]:
        """All jobs, by their position; of ended ones neither cameras nor files."""
        for (id,) in self.connection.execute("SELECT id FROM jobs ORDER BY position").fetchall():
            try:
                row = self.connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
            except sqlite3.Error as error:
                log.error("a job cannot be read: %s", error, extra={"job": str(id)})
                continue
            yield self._job(*row)

    def _job(self, id, position, kind, text, revision, state, error_code, error, changed, crc) -> Job:
        reason = ""
        request: Checked = UnknownRequest(str(kind))
        if kind == "unknown":
            pass  # said already
        elif crc is not None and crc != _crc(id, kind, text, revision):
            reason = _DAMAGED
        elif kind not in CHECKED or state not in (*ACTIVE, *ENDED):
            reason = _NEWER
        else:
            try:
                request = from_json(text, CHECKED[kind])
            except (ValueError, TypeError):
                reason = _NEWER if crc is not None else _DAMAGED
        if reason:  # only here: the row stays as it is, for a version that understands it
            log.error("%s", reason, extra={"job": id})
            return Job(str(id), request, str(revision), float(position), "failed", "lost", reason, float(changed))
        return Job(id, request, revision, position, state, error_code, error, changed)

    def request(self, job: Job) -> Checked:
        """What a job asked for, with its cameras. StorageError if that cannot be read."""
        try:
            found = self.connection.execute("SELECT request FROM details WHERE id = ?", (job.id,)).fetchone()
            found = found or self.connection.execute("SELECT request FROM jobs WHERE id = ?", (job.id,)).fetchone()
            return from_json(found[0], CHECKED[job.kind])
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise StorageError("The job list no longer has what this job asked for; submit the job again.") from error

    def listed(self) -> dict[str, int]:
        """The ended jobs whose files are listed, and the size of each list in bytes."""
        return dict(self.connection.execute("SELECT id, length(listing) FROM details"))

    def listing(self, id: str) -> dict[str, Delivery] | None:
        """The files that an ended job made; None if that is not known."""
        try:
            (packed,) = self.connection.execute("SELECT listing FROM details WHERE id = ?", (id,)).fetchone()
            files = msgspec.json.decode(zlib.decompress(packed), type=list[_Listed])
        except (sqlite3.Error, TypeError, ValueError, zlib.error):
            return None
        return {
            file.name: Delivery(Artifact(file.name, file.size, file.sha256, file.crc32), file.unit, file.own_name)
            for file in files
        }

    # writing

    def save(self, job: Job) -> None:
        """Write an unfinished job. StorageError if that is impossible."""
        with self._written(), self.connection:  # which ends the transaction
            self.connection.execute("PRAGMA synchronous = FULL")  # it must survive a power cut
            self.connection.execute("BEGIN")
            self._put(job, request_json(job.request))
            self.connection.execute("DELETE FROM details WHERE id = ?", (job.id,))

    def end(self, job: Job) -> None:
        """Write a job that has ended, with what it made. StorageError if that is impossible."""
        files = [
            _Listed(name, each.artifact.size, each.artifact.sha256, each.artifact.crc32, each.unit, each.own_name)
            for name, each in job.artifacts.items()
        ]
        listing = zlib.compress(msgspec.json.encode(files), 1)
        # that a job is done can be seen from the store
        durable = "NORMAL" if job.state == "done" else "FULL"
        with self._written(), self.connection:
            self.connection.execute(f"PRAGMA synchronous = {durable}")
            self.connection.execute("BEGIN")
            moved = "INSERT OR REPLACE INTO details SELECT id, request, ? FROM jobs WHERE id = ?"
            self.connection.execute(moved, (listing, job.id))
            self._put(job, request_json(without_cameras(job.request)))

    def _put(self, job: Job, request: str) -> None:
        crc = _crc(job.id, job.kind, request, job.revision)
        row = (
            job.id,
            job.position,
            job.kind,
            request,
            job.revision,
            job.state,
            job.error_code,
            job.error,
            job.changed,
            crc,
        )
        others = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
        self.connection.execute(  # columns of a newer version stay
            f"INSERT INTO jobs ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET {others}", row
        )

    def update(self, column: str, rows: list[tuple[object, str]]) -> None:
        """Write one value (value, id) for each job, all or none, without their requests, which may be long."""
        with self._written(), self.connection:
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("BEGIN")
            self.connection.executemany(f"UPDATE jobs SET {column} = ? WHERE id = ?", rows)

    def delete(self, id: str) -> None:
        with self._written():
            self.connection.execute("DELETE FROM jobs WHERE id = ?", (id,))
            self.connection.execute("DELETE FROM details WHERE id = ?", (id,))

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"The job list in {self._path.parent} could not be written ({error}); free some disk space."
            ) from error


def without_cameras(request: Checked) -> Checked:
    """A request as an ended job keeps it: a long path takes megabytes."""
    return msgspec.structs.replace(request, cameras=[]) if isinstance(request, CheckedShot) else request


def _crc(*values: object) -> int:
    return zlib.crc32("\n".join(map(str, values)).encode())
