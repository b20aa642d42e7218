"""Downloads a job's files: several pieces at once, each file checked and written atomically."""

import collections
import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from .connection import LISTEN_S, Connection, Payload
from .errors import DamagedError, ServiceError
from .events import FileArrived, Progress
from .files import CHUNK_BYTES, Artifact, Checksum, file_sha256, written_whole
from .leftovers import sweep_leftovers
from .messages import Get, JobStatus, ReportDamage
from .nearby import Wanted, copy_nearby

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


class Downloads:
    """The files of a job, on their way into a folder."""

    def __init__(self, folder: Path):
        self.files: dict[str, Path] = {}
        """Those that have arrived, by their names in the job."""
        self._folder, self._hashes, self._swept = folder, dict[str, str](), set[Path]()

    def fetch(self, connection: Connection, status: JobStatus) -> Iterator[Progress | FileArrived]:
        """Fetch the job's artifacts, except those that have arrived already or lie there undamaged.

        Yields each file, and the job's progress at least twice a second while a file is under way. DamagedError if a
        file is damaged or gone in the service's store: the service knows it then, and makes it again.
        """
        try:
            yield from self._fetch(connection, status, status.artifacts)
        except DamagedError as error:
            with contextlib.suppress(ServiceError):  # the file is lost to us either way
                connection.ask(ReportDamage(status.job, error.name))
            raise

    def fetch_ahead(self, connection: Connection, status: JobStatus) -> Iterator[Progress | FileArrived]:
        """Fetch what is whole of units that are still being made; what is gone again meanwhile is left out."""
        try:
            yield from self._fetch(connection, status, status.ahead)
        except ServiceError as error:
            if error.code not in ("lost", "protocol"):  # their unit was interrupted
                raise

    def _fetch(
        self, connection: Connection, status: JobStatus, artifacts: Sequence[Artifact]
    ) -> Iterator[Progress | FileArrived]:
        missing = [artifact for artifact in artifacts if self._hashes.get(artifact.name) != artifact.sha256]
        hashes = {artifact.name: artifact.sha256 for artifact in missing}
        for event in self._arriving(connection, status, missing):
            if isinstance(event, FileArrived):
                self.files[event.name], self._hashes[event.name] = event.path, hashes[event.name]
            yield event

    def _arriving(
        self, connection: Connection, status: JobStatus, missing: list[Artifact]
    ) -> Iterator[Progress | FileArrived]:
        wanted = []
        for artifact in missing:
            path = place_inside(self._folder, artifact.name)
            if _is_there(path, artifact):
                yield FileArrived(artifact.name, path)
            else:
                wanted.append((artifact, path))
        for parent in {path.parent for _, path in wanted} - self._swept:
            sweep_leftovers(parent)
            self._swept.add(parent)
        try:
            wanted = yield from copy_nearby(connection, status, wanted)
            if wanted:
                yield from _sent(connection, status, wanted)
        except OSError as error:
            raise ServiceError(
                "file",
                f"The results could not be written to {self._folder} ({error.strerror}); free some space or choose "
                "another folder.",
            ) from error


def _sent(connection: Connection, status: JobStatus, wanted: Wanted) -> Iterator[Progress | FileArrived]:
    """Have files of a job sent. OSError if one cannot be written, DamagedError if one is not what was made."""
    pieces = _Pieces(connection, status, [artifact for artifact, _ in wanted])
    writer = _Writer(wanted, pieces.offsets)
    try:
        for artifact, _ in wanted:
            for _ in pieces.offsets(artifact):
                piece = yield from pieces.next()
                while not writer.put(piece):
                    yield Progress(status.fraction, f"Writing {artifact.name}", status.eta_s)
                yield from writer.arrived()
        while not writer.is_done():
            yield Progress(status.fraction, "Writing the last files", status.eta_s)
        yield from writer.arrived()
    finally:
        connection.forget(pieces.under_way)
        writer.close()


def _is_there(path: Path, artifact: Artifact) -> bool:
    return path.is_file() and path.stat().st_size == artifact.size and file_sha256(path) == artifact.sha256


class _Writer:
    """Checks and writes files in a thread of its own, while the caller waits for the next pieces.

    `put` their pieces in order, all of one file after all of another. `put` and `is_done` raise what went wrong:
    OSError, or DamagedError for a file that is not what was made.
    """

    def __init__(self, files: Wanted, offsets: Callable[[Artifact], range]):
        self._thread = ThreadPoolExecutor(1, "look-beyond-download")
        self._written: collections.deque[FileArrived] = collections.deque()
        self._writing = self._write(files, offsets)
        self._steps = collections.deque([self._thread.submit(next, self._writing)])

    def put(self, piece: Payload) -> bool:
        """Write this piece after those before it; False, before long, if too many of them wait: then put it again."""
        if len(self._steps) > BEHIND:
            if not wait(list(self._steps)[:1], LISTEN_S).done:
                return False
            self._steps.popleft().result()
        self._steps.append(self._thread.submit(self._writing.send, piece))
        return True

    def arrived(self) -> Iterator[FileArrived]:
        """The files that are whole since the last call."""
        while self._written:
            yield self._written.popleft()

    def is_done(self) -> bool:
        """Whether all pieces are written; waits for it, but not for long."""
        while self._steps and wait(list(self._steps)[:1], LISTEN_S).done:
            self._steps.popleft().result()
        return not self._steps

    def close(self) -> None:
        """What is not whole by now is given up."""
        self._thread.shutdown(cancel_futures=True)
        self._writing.close()

    def _write(self, files: Wanted, offsets: Callable[[Artifact], range]) -> Generator[None, Payload, None]:
        """Each step takes one piece: a thread that waited for the next one would keep a program from ending."""
        for artifact, path in files:
            checksum = Checksum(artifact)
            with written_whole(path) as file:
                for _ in offsets(artifact):
                    piece = yield
                    checksum.update(piece)
                    file.write(piece)
                if not checksum.matches():
                    raise DamagedError(artifact.name)
            self._written.append(FileArrived(artifact.name, path))
        yield


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
            raise DamagedError(name) from error
