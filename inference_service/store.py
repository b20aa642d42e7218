"""The content-addressed store: uploaded files by their hash, finished units by their identity.

A unit is a folder that is written under a temporary name and renamed whole, so that it is there or it is not;
the first to arrive wins. Several processes (service, workers, command line) may use one store at once.
"""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import psutil

from inference_service.protocol import HASH_PATTERN, Artifact, file_sha256
from lookbeyond.errors import StorageError
from lookbeyond.files import read_json, require_space, storage_errors, write_json

RECORD = "unit.json"
QUOTA_BYTES = 20 << 30
MIN_FREE_BYTES = 256 << 20
"""Nothing is begun with less free space than this."""
_STALE_S = 7 * 24 * 3600


def default_store() -> Path:
    """Where results lie unless `--store` says otherwise."""
    return platformdirs.user_cache_path("lookbeyond") / "store"


@dataclass(frozen=True)
class Record:
    """What is known about a finished unit."""

    seconds: float
    """Wall time that making it took."""
    artifacts: tuple[Artifact, ...]


class Store:
    """Files and units below one folder. Raises StorageError when the folder cannot be used."""

    def __init__(self, root: Path):
        self.root = Path(root).absolute()
        with storage_errors(self.root):
            for name in ("files", "units", "temporary"):
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._names: dict[str, str] = {}

    # files, by SHA-256

    def has_file(self, sha256: str) -> bool:
        return self.file(sha256).is_file()

    def file(self, sha256: str) -> Path:
        """Where the file of this hash lies, if it is there."""
        return self._place("files", sha256)

    def name(self, sha256: str) -> str:
        """What messages call a file: the name its owner gave it, or its hash."""
        return self._names.get(sha256, f"file {sha256[:12]}")

    def give_name(self, sha256: str, name: str) -> None:
        """Remember what the owner calls the file (its last path component, printable, short)."""
        name = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())[:100]
        if name:
            self._names[sha256] = name

    def names(self, hashes: set[str]) -> dict[str, str]:
        """The names of those of these files that have one."""
        return {sha256: self._names[sha256] for sha256 in hashes if sha256 in self._names}

    def add_file(self, path: Path) -> str:
        """Copy a file in and return its SHA-256."""
        with storage_errors(path):
            sha256 = file_sha256(path)
        if not self.has_file(sha256):
            require_space(self.root, path.stat().st_size + MIN_FREE_BYTES)
            with self.temporary() as folder, storage_errors(self.root):
                self.adopt_file(Path(shutil.copyfile(path, folder / "file")), sha256)
        self.give_name(sha256, path.name)
        return sha256

    def share_unit(self, identity: str) -> None:
        """Make the files of a unit files of the store too: nobody has to upload what was made here."""
        for artifact in self.record(identity).artifacts:
            if not self.has_file(artifact.sha256):
                source = self.unit(identity) / artifact.name
                with self.temporary() as folder, storage_errors(self.root):
                    try:
                        os.link(source, folder / "file")  # units are never changed
                    except OSError:
                        shutil.copyfile(source, folder / "file")
                    self.adopt_file(folder / "file", artifact.sha256)

    def adopt_file(self, path: Path, sha256: str) -> None:
        """Move a file of ours, whose hash is known, to its place."""
        place = self.file(sha256)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)

    # units, by identity

    def has_unit(self, identity: str) -> bool:
        return (self.unit(identity) / RECORD).is_file()

    def unit(self, identity: str) -> Path:
        """The folder of the unit's files, if it is there."""
        return self._place("units", identity)

    def record(self, identity: str) -> Record:
        """What is known about a unit that is there."""
        folder = self.unit(identity)
        plain = read_json(folder / RECORD)
        with contextlib.suppress(OSError):
            os.utime(folder)  # what is used is pruned last
        return Record(plain["seconds"], tuple(Artifact(**artifact) for artifact in plain["artifacts"]))

    def commit(self, folder: Path, identity: str, seconds: float) -> None:
        """Make the finished files in `folder` (one of `temporary`) the unit of this identity."""
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        artifacts = [
            {"name": p.relative_to(folder).as_posix(), "size": p.stat().st_size, "sha256": file_sha256(p)}
            for p in files
        ]
        write_json(folder / RECORD, {"seconds": round(seconds, 3), "artifacts": artifacts})
        place = self.unit(identity)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(folder, place)
            except OSError:
                if not self.has_unit(identity):  # otherwise somebody else was first, with the same content
                    raise

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """A new folder that is gone after the block, unless it was committed."""
        require_space(self.root, MIN_FREE_BYTES)
        folder = self.root / "temporary" / f"{os.getpid()}-{secrets.token_hex(8)}"
        with storage_errors(folder):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # housekeeping

    def sweep(self) -> None:
        """Remove what processes that died have left half-written."""
        for folder in (self.root / "temporary").iterdir():
            if not _lives(folder.name.partition("-")[0]) or time.time() - folder.stat().st_mtime > _STALE_S:
                _remove(folder)

    def prune(self, keep: set[str], quota_bytes: int = QUOTA_BYTES) -> None:
        """Remove what was used longest ago until the rest fits the quota; never what is in `keep`."""
        entries = []
        for path in [*self.root.glob("units/*/*"), *self.root.glob("files/*/*")]:
            parts = path.rglob("*") if path.is_dir() else [path]
            with contextlib.suppress(OSError):
                entries.append((path.stat().st_mtime, sum(p.stat().st_size for p in parts if p.is_file()), path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= quota_bytes:
                return
            if path.name not in keep:
                # renamed first: a unit that is half removed must never be taken for a whole one
                doomed = self.root / "temporary" / f"{os.getpid()}-{secrets.token_hex(8)}"
                with contextlib.suppress(OSError):
                    os.replace(path, doomed)
                    _remove(doomed)
                total -= size

    def _place(self, kind: str, name: str) -> Path:
        if not HASH_PATTERN.fullmatch(name):
            raise StorageError(f"{name[:80]!r} names nothing in the store; submit the work again.")
        return self.root / kind / name[:2] / name


def _lives(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
