"""Files in transit: hashes, checksums, and atomic writing."""

import contextlib
import hashlib
import os
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .leftovers import lock

CHUNK_BYTES = 2 << 20
"""Largest piece of a file in one message."""
MAX_FILE_BYTES = 512 << 20


@dataclass(frozen=True)
class Artifact:
    """A finished file of a job. `name` is its path below the job's folder, with forward slashes."""

    name: str
    size: int
    sha256: str
    crc32: int
    """Enough to detect damage on a disk; in transit every piece is authenticated."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artifact_of(path: Path, name: str) -> Artifact:
    """Read a finished file and describe it."""
    sha256, crc32, size = hashlib.sha256(), 0, 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(CHUNK_BYTES):
            sha256.update(piece)
            crc32, size = zlib.crc32(piece, crc32), size + len(piece)
    return Artifact(name, size, sha256.hexdigest(), crc32)


class Checksum:
    """Whether a file that arrives in pieces is the one that was made, by its size and CRC-32.

    A CRC takes a fraction of the time of SHA-256, most of all on processors without SHA instructions.
    """

    def __init__(self, artifact: Artifact):
        self._artifact = artifact
        self._crc32 = self._size = 0

    def update(self, piece: bytes | memoryview) -> None:
        self._size += len(piece)
        self._crc32 = zlib.crc32(piece, self._crc32)

    def matches(self) -> bool:
        """Whether the pieces so far are the whole file, undamaged."""
        return (self._size, self._crc32) == (self._artifact.size, self._artifact.crc32)


@contextlib.contextmanager
def written_whole(path: Path, mode: int = 0o666, durable: bool = False) -> Iterator[BinaryIO]:
    """A new file beside `path`, open for writing, that replaces `path` when the block ends without an error.

    Missing folders are created. `mode`: its permissions where the system has such, before the umask. `durable`: it is
    on the disk before it has its name.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")

    def create() -> BinaryIO:
        while True:
            file = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
            lock(file.fileno())  # until it is whole: `sweep_leftovers` then sees that its writer lives
            if temporary.exists():  # it was not swept just before
                return file
            file.close()

    try:
        file = create()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = create()
    try:
        with file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
