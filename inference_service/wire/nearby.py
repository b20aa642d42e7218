"""Results of a service on this machine are copied from its store: to send them, encrypted, takes several times as long.

The store's folder is named by a file that only this user can write (`find_service`), never by a peer. What cannot be
copied, or is not what was made, is asked for as from any other machine.
"""

import re
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from io import FileIO
from pathlib import Path

from .connection import LISTEN_S, Connection
from .errors import ServiceError
from .events import FileArrived, Progress
from .files import Artifact, Checksum, written_whole
from .messages import LOCATED_AT_ONCE, JobStatus, Locate, Located

COPIED_AT_ONCE = 2
COPY_BYTES = 1 << 20
"""Read, checked and written at a time."""
Wanted = list[tuple[Artifact, Path]]
"""Files of a job, and where each is to go."""
_IDENTITY = re.compile("[0-9a-f]{64}")
_TEMPORARY = re.compile("w[0-9a-f]{16}-[0-9a-f]{16}")
"""A folder of files whose unit is still being made."""
_OWN_NAME = re.compile(r"(?!.*\.\.)[\w.-]+(/[\w.-]+)*", re.ASCII)


def unit_folder(store: Path, identity: str) -> Path:
    """Where a store keeps the files of a unit, or of a temporary folder of this name."""
    if _TEMPORARY.fullmatch(identity):
        return store / "temporary" / identity
    return store / f"units/{identity[:2]}/{identity}"


def copy_nearby(
    connection: Connection, status: JobStatus, wanted: Wanted
) -> Generator[Progress | FileArrived, None, Wanted]:
    """Copy files of a job whose service runs here; those that are left are the generator's value."""
    if not (connection.service.pid and connection.service.store):
        return wanted
    store, left = Path(connection.service.store), list[tuple[Artifact, Path]]()
    with ThreadPoolExecutor(COPIED_AT_ONCE, "look-beyond-copy") as threads:
        try:
            for first in range(0, len(wanted), LOCATED_AT_ONCE):
                some, failed = wanted[first : first + LOCATED_AT_ONCE], len(left)
                sources = _sources(connection, status.job, store, [artifact.name for artifact, _ in some])
                copies = [threads.submit(copied, source, *each) for source, each in zip(sources, some)]
                for (artifact, path), copy in zip(some, copies):
                    while not wait([copy], LISTEN_S).done:
                        yield Progress(status.fraction, f"Copying {artifact.name}", status.eta_s)
                    if copy.result():
                        yield FileArrived(artifact.name, path)
                    else:
                        left.append((artifact, path))
                if not sources or len(left) - failed == len(some):  # the folder is not seen from here
                    return left + wanted[first + len(copies) :]
        finally:
            threads.shutdown(cancel_futures=True)
    return left


def _sources(connection: Connection, job: str, store: Path, names: Sequence[str]) -> list[Path]:
    """Where files of a job lie; none if the service does not say, or says what cannot be."""
    try:
        located = connection.ask(Locate(job, tuple(names)))
    except ServiceError as error:
        if error.code in ("lost", "timeout", "not_running"):
            raise
        return []
    if not isinstance(located, Located) or not len(names) == len(located.units) == len(located.names):
        return []
    if not all(_IDENTITY.fullmatch(unit) or _TEMPORARY.fullmatch(unit) for unit in located.units):
        return []
    if not all(map(_OWN_NAME.fullmatch, located.names)):
        return []
    return [unit_folder(store, unit) / name for unit, name in zip(located.units, located.names)]


def copied(source: Path, artifact: Artifact, path: Path) -> bool:
    """Copy a file if it is the one that was made, checked on the way; it appears whole. OSError if it cannot be
    written."""
    checksum, buffer = Checksum(artifact), memoryview(bytearray(COPY_BYTES))
    try:
        file = source.open("rb", buffering=0)
    except OSError:
        return False
    try:
        with file, written_whole(path) as copy:
            while piece := _read(file, buffer):
                checksum.update(piece)
                copy.write(piece)
            if not checksum.matches():
                raise _NotThatFile
    except _NotThatFile:
        return False
    return True


class _NotThatFile(Exception):
    """What lies there cannot be read, or is something else."""


def _read(file: FileIO, buffer: memoryview) -> memoryview:
    try:
        return buffer[: file.readinto(buffer)]
    except OSError as error:
        raise _NotThatFile from error
