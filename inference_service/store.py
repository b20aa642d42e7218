"""The content-addressed store: uploaded files by their hash, finished units by their identity.

A unit is a folder that is written under a temporary name and renamed whole, so that it is there or it is not;
the first to arrive wins. Several processes (service, workers, command line) may use one store at once.
"""

import collections
import contextlib
import functools
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import psutil

from inference_service.protocol import HASH_PATTERN, Artifact, artifact_of, file_sha256
from lookbeyond.errors import LookBeyondError, StorageError
from lookbeyond.files import read_json, require_space, storage_errors, write_json

RECORD = "unit.json"
QUOTA_BYTES = 20 << 30
MAX_AGE_S = 60 * 24 * 3600.0
"""What nobody used for so long is removed."""
SPARE_S = 3600.0
"""Nothing is removed that was used so recently: its client may still be fetching it."""
MIN_FREE_BYTES = 256 << 20
"""Nothing is begun with less free space than this."""
MAX_NAMES = 10_000
READERS = 4
"""Files that are read at once for their checksums."""


def default_store() -> Path:
    """Where results lie unless `--store` says otherwise."""
    return platformdirs.user_cache_path("lookbeyond") / "store"


@dataclass(frozen=True)
class Record:
    """What is known about a finished unit."""

    seconds: float
    """Wall time that making it took."""
    artifacts: tuple[Artifact, ...]
    kind: str = ""
    """What the unit is: 'world', 'plan', 'anchor', 'clip' or 'shot'."""


@dataclass(frozen=True)
class Entry:
    """Something that lies in the store: an uploaded file or a finished unit."""

    name: str
    """Its hash or identity."""
    kind: str
    """'file', or the unit's."""
    path: Path
    bytes: int
    files: int
    used: float
    """When it was last used, seconds since 1970."""


class Store:
    """Files and units below one folder. Raises StorageError when the folder cannot be used."""

    def __init__(self, root: Path):
        self.root = Path(root).absolute()
        with storage_errors(self.root):
            for name in ("files", "units", "temporary"):
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._names: collections.OrderedDict[str, str] = collections.OrderedDict()

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
            self._names.move_to_end(sha256)
            if len(self._names) > MAX_NAMES:
                self._names.popitem(last=False)

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

    def has_whole_unit(self, identity: str) -> bool:
        """Whether a unit is there and its files are as long as they were made; what a power cut damaged is removed."""
        if not self.has_unit(identity):
            return False
        folder = self.unit(identity)
        try:
            if all((folder / file.name).stat().st_size == file.size for file in self.record(identity).artifacts):
                return True
        except (OSError, LookBeyondError, KeyError, TypeError):
            pass
        self._discard(folder)
        return False

    def discard_if_damaged(self, identity: str, name: str = "") -> bool:
        """Remove a unit of which this file (or any) is not what was made, so that it is made again; whether so."""
        folder = self.unit(identity)
        try:
            files = [artifact for artifact in self.record(identity).artifacts if name in ("", artifact.name)]
            if files and all(artifact_of(folder / made.name, made.name).sha256 == made.sha256 for made in files):
                return False
        except (OSError, LookBeyondError, ValueError, KeyError, TypeError):
            pass  # it cannot even be read
        self._discard(folder)
        return True

    def touch_file(self, sha256: str) -> None:
        """Say that a file is used: it is pruned last."""
        with contextlib.suppress(OSError):
            os.utime(self.file(sha256))

    def touch_unit(self, identity: str) -> None:
        """The same of a unit."""
        with contextlib.suppress(OSError):
            os.utime(self.unit(identity))

    def unit(self, identity: str) -> Path:
        """The folder of the unit's files, if it is there."""
        return self._place("units", identity)

    def record(self, identity: str) -> Record:
        """What is known about a unit that is there."""
        folder = self.unit(identity)
        plain = read_json(folder / RECORD)
        with contextlib.suppress(OSError):
            os.utime(folder)  # what is used is pruned last
        artifacts = tuple(Artifact(**artifact) for artifact in plain["artifacts"])
        return Record(plain["seconds"], artifacts, plain.get("kind", ""))

    def commit(self, folder: Path, identity: str, seconds: float, kind: str = "") -> None:
        """Make the finished files in `folder` (one of `temporary`) the unit of this identity."""
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        with ThreadPoolExecutor(READERS) as readers:
            artifacts = [vars(artifact) for artifact in readers.map(artifact_of, files, names)]
        write_json(folder / RECORD, {"seconds": round(seconds, 3), "kind": kind, "artifacts": artifacts})
        self._place_folder(folder, identity)

    def _place_folder(self, folder: Path, identity: str) -> None:
        place = self.unit(identity)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(folder, place)
            except OSError:
                if not self.has_unit(identity):  # otherwise somebody else was first, with the same content
                    raise

    def files_of(self, identity: str, only_record: bool = False) -> dict[str, bytes]:
        """The files of a unit that is there, its record among them, by name: what `import_unit` takes."""
        folder = self.unit(identity)
        names = [] if only_record else [artifact.name for artifact in self.record(identity).artifacts]
        with storage_errors(folder):
            return {name: (folder / name).read_bytes() for name in [*names, RECORD]}

    def import_unit(self, identity: str, files: Mapping[str, bytes]) -> None:
        """Put in a unit that was made elsewhere. StorageError if a file is not as it was made."""
        try:
            artifacts = json.loads(files[RECORD])["artifacts"]
            hashes = {artifact["name"]: artifact["sha256"] for artifact in artifacts}
            given = [name for name in files if name != RECORD]
            whole = all(hashlib.sha256(files[name]).hexdigest() == hashes[name] for name in given)
        except (KeyError, ValueError, TypeError):
            whole, given = False, []
        if not whole:
            raise StorageError("A worker's results arrived damaged; submit the job again.")
        place = self.unit(identity)
        with self.temporary() as folder, storage_errors(place):
            for name in [*given, RECORD]:
                path = folder / name
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise StorageError("A worker named a file outside its folder; update the workers.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files[name])
            self._place_folder(folder, identity)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """A new folder that is gone after the block, unless it was committed."""
        require_space(self.root, MIN_FREE_BYTES)
        folder = self.new_temporary()
        with storage_errors(folder):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # housekeeping

    def new_temporary(self) -> Path:
        """A free name for something half-written; `sweep` knows from it whether its writer still lives."""
        return self.root / "temporary" / f"{own_mark()}-{secrets.token_hex(8)}"

    def sweep(self) -> None:
        """Remove what processes that died have left half-written."""
        for path in (self.root / "temporary").iterdir():
            if not mark_lives(path.name.partition("-")[0]):
                _remove(path)

    def entries(self) -> list[Entry]:
        """What lies in the store, the longest unused first."""
        entries = []
        for path in [*self.root.glob("units/*/*"), *self.root.glob("files/*/*")]:
            with contextlib.suppress(OSError):
                kind, parts = "file", [path]
                if path.is_dir():
                    parts = [part for part in path.rglob("*") if part.is_file()]
                    with contextlib.suppress(LookBeyondError):
                        kind = read_json(path / RECORD).get("kind") or "unit"
                size = sum(part.stat().st_size for part in parts)
                entries.append(Entry(path.name, kind, path, size, len(parts), path.stat().st_mtime))
        return sorted(entries, key=lambda entry: entry.used)

    def prune(
        self,
        keep: set[str],
        quota_bytes: int = QUOTA_BYTES,
        max_age_s: float = MAX_AGE_S,
        spare_s: float = SPARE_S,
    ) -> list[Entry]:
        """Remove what was used longest ago until the rest fits the quota, and what is older than `max_age_s`.

        Never what is in `keep` or was used since `spare_s` before this began. Ages are counted from the newest
        entry's day, so that a clock that jumps ahead by years does not empty the store. What was removed.
        """
        began = time.time()
        entries = self.entries()
        now = min(time.time(), max((entry.used for entry in entries), default=0.0) + 24 * 3600)
        since = min(began, now) - spare_s
        total = sum(entry.bytes for entry in entries)
        removed = []
        for entry in entries:
            too_old = now - entry.used > max_age_s
            if (total > quota_bytes or too_old) and entry.name not in keep and not since < entry.used <= now:
                with contextlib.suppress(OSError):
                    if entry.path.stat().st_mtime > entry.used:  # somebody needs it since it was listed
                        continue
                self._discard(entry.path)
                total -= entry.bytes
                removed.append(entry)
        return removed

    def _discard(self, path: Path) -> None:
        # renamed first: a unit that is half removed must never be taken for a whole one
        doomed = self.new_temporary()
        with contextlib.suppress(OSError):
            os.replace(path, doomed)
            _remove(doomed)

    def _place(self, kind: str, name: str) -> Path:
        if not HASH_PATTERN.fullmatch(name):
            raise StorageError(f"{name[:80]!r} names nothing in the store; submit the work again.")
        return self.root / kind / name[:2] / name


@functools.cache
def own_mark() -> str:
    """Names this process among all that ever ran here: its id and when it began.

    The id alone does not do: after a restart, a container's processes have the same ones again.
    """
    return f"{os.getpid()}.{_began(os.getpid())}"


def _began(pid: int) -> int:
    if sys.platform == "linux":  # in ticks since boot: the clock on the wall may jump
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return int(psutil.Process(pid).create_time())


def mark_lives(mark: str) -> bool:
    """Whether the process of this `own_mark` still runs."""
    pid, _, began = mark.partition(".")
    try:
        alive = psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
        return alive and (not began or _began(int(pid)) == int(began))
    except (psutil.Error, OSError, ValueError, IndexError, OverflowError):
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
