"""Downloads a job's files: several pieces at once, each file checked and written atomically."""

import collections
import contextlib
import time
from collections.abc import Callable, Container, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from .connection import LISTEN_S, Connection, Payload
from .errors import DamagedError, ServiceError
from .events import FileArrived, Progress
from .files import CHUNK_BYTES, Artifact, Checksum, file_sha256, written_whole
from .leftovers import sweep_leftovers
from .messages import Get, JobStatus, ReportDamage

PULL_WINDOW = 4
"""Pieces asked for ahead of their arrival."""
BEHIND = 4
"""Pieces that have arrived and wait to be checked and written."""
REMOTE_CHUNK_BYTES = 512 << 10
"""Pieces of files to and from another machine: over a slow line, each must arrive within the time-out."""


def chunk_bytes(connection: Connection) -> int:
    """Largest piece of a file that both sides take."""
    own = CHUNK_BYTES if connection.service.pid else REMOTE_CHUNK_BYTES
    return min(own, connection.welcome.limits["chunk_bytes"])


def place_inside(folder: Path, name: str) -> Path:
    """Where the service's file of this name goes in `folder`; judged by its name alone, links are the user's own."""
    if not name or "\\" in name or ":" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ServiceError("lost", "The service named a file outside the job's folder; update the service.")
    return folder / name


def download(
    connection: Connection, status: JobStatus, arrived: Container[str], folder: Path
) -> Iterator[Progress | FileArrived]:
    """Fetch a job's files into `folder`, except those that have `arrived` already or lie there undamaged.

    Yields each file, and the job's progress at least twice a second while a file is under way. DamagedError if a file
    is damaged or gone in the service's store: the service knows it then, and makes it again.
    """
    wanted = []
    for artifact in [artifact for artifact in status.artifacts if artifact.name not in arrived]:
        path = place_inside(folder, artifact.name)
        if _is_there(path, artifact):
            yield FileArrived(artifact.name, path)
        else:
            wanted.append((artifact, path))
    for parent in {path.parent for _, path in wanted}:
        sweep_leftovers(parent)
    pieces = _Pieces(connection, status, [artifact for artifact, _ in wanted])
    behind = _Behind()
    try:
        for artifact, path in wanted:
            checksum = Checksum(artifact)
            with written_whole(path) as file:
                for _ in pieces.offsets(artifact):
                    payload = yield from pieces.next()
                    behind.run(_write, file, checksum, payload)
                behind.finish()
                if not checksum.matches():
                    raise _reported(connection, status.job, artifact.name)
            yield FileArrived(artifact.name, path)
    except OSError as error:
        raise ServiceError(
            "file",
            f"The results could not be written to {folder} ({error.strerror}); free some space or choose "
            "another folder.",
        ) from error
    finally:
        connection.forget(pieces.under_way)
        behind.close()


def _write(file: BinaryIO, checksum: Checksum, payload: Payload) -> None:
    checksum.update(payload)
    file.write(payload)


def _reported(connection: Connection, job: str, name: str) -> DamagedError:
    """Report to the service a file that is no longer intact there; returns what to raise."""
    with contextlib.suppress(ServiceError):  # the file is lost to us either way
        connection.ask(ReportDamage(job, name))
    return DamagedError(name)


def _is_there(path: Path, artifact: Artifact) -> bool:
    return path.is_file() and path.stat().st_size == artifact.size and file_sha256(path) == artifact.sha256


class _Behind:
    """Makes calls in order in a thread of its own, while the caller waits for what comes next."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "look-beyond-download")
        self._open: collections.deque[Future[None]] = collections.deque()

    def run(self, call: Callable[..., None], *arguments: object) -> None:
        """Make this call after those before it. Raises what an earlier one raised."""
        if len(self._open) >= BEHIND:
            self._open.popleft().result()
        self._open.append(self._thread.submit(call, *arguments))

    def finish(self) -> None:
        """Wait for all calls. Raises what one of them raised."""
        while self._open:
            self._open.popleft().result()

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)


class _Pieces:
    """The pieces of some files in order, a few of them asked for ahead."""

    def __init__(self, connection: Connection, status: JobStatus, artifacts: list[Artifact]):
        self._connection, self._status = connection, status
        self._chunk = chunk_bytes(connection)
        self._to_ask = iter([(artifact.name, offset) for artifact in artifacts for offset in self.offsets(artifact)])
        self._names: collections.deque[str] = collections.deque()
        self.under_way: collections.deque[int] = collections.deque()
        """Ids of the questions that are not answered yet."""
        self._reported = time.monotonic()

    def offsets(self, artifact: Artifact) -> range:
        """Where the pieces of a file begin; an empty file is one piece."""
        return range(0, max(artifact.size, 1), self._chunk)

    def next(self) -> Generator[Progress, None, bytes | memoryview]:
        """Wait for the next piece, which is the generator's value."""
        while len(self.under_way) < PULL_WINDOW and (piece := next(self._to_ask, None)):
            self.under_way.append(self._connection.send(Get(self._status.job, *piece, self._chunk)))
            self._names.append(piece[0])
        for _ in self._connection.wait(self.under_way[0]):
            if time.monotonic() - self._reported >= LISTEN_S:
                yield Progress(self._status.fraction, f"Fetching {self._names[0]}", self._status.eta_s)
                self._reported = time.monotonic()
        name = self._names.popleft()
        try:
            return self._connection.answer(self.under_way.popleft())[1]
        except ServiceError as error:
            if error.code not in ("lost", "storage"):
                raise
            raise _reported(self._connection, self._status.job, name) from error
