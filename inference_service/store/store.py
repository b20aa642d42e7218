"""The store's folder: files and units go in whole, come out by hash, and are trusted only while they are intact.

A unit is a folder that is written under a temporary name and renamed whole, so that it is there or it is not;
the first to arrive wins. Several processes (service, workers, command line) may use one store at once. What a power
cut or a bad disk has damaged is removed when it is noticed: a file's name is its checksum, a unit's record has those of
its files. A file is hashed when a process first reads it, and again whenever its size or time has changed.
"""

import collections
import contextlib
import logging
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs

from inference_service.store.marks import Mark
from inference_service.store.record import RECORD, Damaged, Record, read_record
from inference_service.wire.files import CHUNK_BYTES, Artifact, Checksum, artifact_of, file_sha256
from inference_service.wire.requests import HASH_PATTERN
from lookbeyond.errors import StorageError
from lookbeyond.whole import require_space, storage_errors, sync

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())  # the command line says it in its own words

MIN_FREE_BYTES = 256 << 20
"""No unit and no upload is started with less free space than this."""
MAX_NAMES = 2_000
MAX_HASHED = 8_000
"""Files of which a process remembers that it has hashed them: half a kilobyte each."""
READERS = 4
"""Files that are read at once for their checksums."""


def default_store() -> Path:
    """The store's folder unless `--store` names another one."""
    return platformdirs.user_cache_path("lookbeyond") / "store"


class HashedFiles:
    """Which files this process has hashed, and what they looked like then."""

    def __init__(self) -> None:
        self._states: collections.OrderedDict[str, tuple[int, ...]] = collections.OrderedDict()
        """By path, as text: as an object each takes twice the memory. Those not asked about for longest come first."""

    def is_whole(self, path: Path, sha256: str, afresh: bool = False) -> bool:
        """Whether a file has this hash; `afresh`: read it though it looks as it did. OSError if it cannot be read."""
        about, key = path.stat(), str(path)
        state = (about.st_size, about.st_mtime_ns, about.st_ino)
        if not afresh and self._states.get(key) == state:
            self._states.move_to_end(key)
            return True
        self._states.pop(key, None)
        if file_sha256(path) != sha256:
            return False
        self._states[key] = state
        if len(self._states) > MAX_HASHED:
            self._states.popitem(last=False)
        return True


class Store:
    """Files and units below one folder. Raises StorageError when the folder cannot be used."""

    def __init__(self, root: Path):
        self.root = Path(root).absolute()
        with storage_errors(self.root):
            for name in ("files", "units", "temporary", "writers"):
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            if sys.platform != "win32" and self.root.stat().st_uid == os.getuid():
                self.root.chmod(0o700)  # whatever the umask and those who made it before
        self._names: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._hashed = HashedFiles()
        self._mark = Mark(self.root / "writers")
        self.announce: Callable[[str, tuple[Artifact, ...]], None] | None = None
        """Told of `finish_files`: the temporary folder's name, and the files."""
        self._finished: dict[Path, dict[str, Artifact]] = {}
        """The files that were finished, by their temporary folder."""

    # files, by SHA-256

    def has_file(self, sha256: str, afresh: bool = False) -> bool:
        """Whether a file is there, undamaged; a damaged one is removed. `afresh`: hash it in any case."""
        path = self.file(sha256)
        try:
            if self._hashed.is_whole(path, sha256, afresh):
                return True
        except FileNotFoundError:
            return False
        except OSError:
            pass  # a disk that cannot read it
        self._discard_damaged(path, self.name(sha256))
        return False

    def read_file(self, sha256: str) -> Path:
        """The path of a file that is there, undamaged. Damaged if it is not."""
        if not self.has_file(sha256):
            raise Damaged(f"The store no longer has {self.name(sha256)} as it was sent; submit the job again.")
        return self.file(sha256)

    def file(self, sha256: str) -> Path:
        """Where the file of this hash is, if it is there."""
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

    def adopt_file(self, path: Path, sha256: str, durable: bool = False) -> None:
        """Move one of the store's own files, whose hash is known, to its place; `durable`: flush it to disk."""
        place = self.file(sha256)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            if durable:
                sync(path)
            path.replace(place)
            if durable:
                for folder in (place.parent, place.parents[1]):
                    sync(folder)

    def touch_file(self, sha256: str) -> None:
        """Record that a file is in use: it is pruned last."""
        path = self.file(sha256)
        with contextlib.suppress(OSError):  # its time of change stays: that tells whether somebody has changed it
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))

    # units, by identity

    def has_unit(self, identity: str) -> bool:
        return (self.unit(identity) / RECORD).is_file()

    def unit(self, identity: str) -> Path:
        """The folder of the unit's files, if it is there."""
        return self._place("units", identity)  # as `wire.nearby.unit_folder`

    def record(self, identity: str) -> Record:
        """What is known about a unit that is there. Damaged if its record is not what it was, or gone."""
        try:
            record = read_record(self.unit(identity), identity)
        except ValueError as error:
            raise self._damaged(identity, str(error)) from error
        self.touch_unit(identity)
        return record

    def read_unit(self, identity: str) -> Path:
        """The folder of a unit whose files are all there, undamaged. Raises Damaged otherwise."""
        if self.discard_if_damaged(identity, afresh=False):
            raise Damaged("A part of the store was damaged and has been removed; it will be made again.")
        return self.unit(identity)

    def touch_unit(self, identity: str) -> None:
        """Record that a unit is in use: it is pruned last."""
        with contextlib.suppress(OSError):
            os.utime(self.unit(identity))

    def finish_files(self, folder: Path, names: Iterable[str]) -> None:
        """These files in `folder` (from `temporary`) are whole and stay as they are: who waits for them may have them
        before the rest of their unit is made. From any thread."""
        artifacts = tuple(artifact_of(folder / name, name) for name in names)
        self._finished.setdefault(folder, {}).update((artifact.name, artifact) for artifact in artifacts)
        if self.announce is not None:
            self.announce(folder.name, artifacts)

    def commit(self, folder: Path, identity: str, seconds: float, kind: str) -> None:
        """Make the finished files in `folder` (from `temporary`) the unit of this identity."""
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        known = self._finished.get(folder, {})

        def described(path: Path) -> Artifact:
            name = path.relative_to(folder).as_posix()
            return known.get(name) or artifact_of(path, name)

        with ThreadPoolExecutor(READERS) as readers:
            artifacts = tuple(readers.map(described, files))
        Record(round(seconds, 3), artifacts, kind).write(folder, identity)
        self.place_unit(folder, identity)

    def share_unit(self, identity: str) -> None:
        """Make the files of a unit files of the store too: nobody has to upload what was made here."""
        for artifact in self.record(identity).artifacts:
            if not self.has_file(artifact.sha256):
                source = self.unit(identity) / artifact.name
                with self.temporary() as folder, storage_errors(self.root):
                    self.adopt_file(_linked(source, folder / "file"), artifact.sha256)

    def has_whole_unit(self, identity: str) -> bool:
        """Whether a unit is there with all its files at full length; what is damaged is removed."""
        folder = self.unit(identity)
        if not folder.exists():
            return False
        try:
            if all((folder / file.name).stat().st_size == file.size for file in self.record(identity).artifacts):
                return True
        except (OSError, Damaged):
            pass
        self._damaged(identity, "files are cut short or gone")
        return False

    def discard_if_damaged(self, identity: str, name: str = "", afresh: bool = True) -> bool:
        """Remove a unit of which this file (or any) is damaged, so that it is made again; whether it was."""
        if not (bad := self._damaged_files(identity, name, afresh)):
            return False
        self._damaged(identity, ", ".join(bad))
        return True

    def is_whole(self, name: str, is_unit: bool) -> bool:
        """Whether a unit or file is undamaged, hashed afresh; nothing is removed."""
        if is_unit:
            return not self._damaged_files(name, "", afresh=True)
        with contextlib.suppress(OSError):
            return self._hashed.is_whole(self.file(name), name, afresh=True)
        return False

    def _damaged_files(self, identity: str, name: str, afresh: bool) -> list[str]:
        folder = self.unit(identity)
        try:
            files = [each for each in read_record(folder, identity).artifacts if name in ("", each.name)]
            bad = [each.name for each in files if not self._hashed.is_whole(folder / each.name, each.sha256, afresh)]
            return bad if files else ["it has no such file"]
        except (OSError, ValueError) as error:
            return [str(error)]

    def copy_out(self, identity: str, artifact: Artifact, target: Path) -> None:
        """Copy a unit's file to a place outside the store, checked on the way. Raises Damaged if it is damaged."""
        checksum, source = Checksum(artifact), self.unit(identity) / artifact.name
        try:
            with source.open("rb", buffering=0) as file, storage_errors(target), target.open("wb") as copy:
                while piece := file.read(CHUNK_BYTES):
                    checksum.update(piece)
                    copy.write(piece)
        except FileNotFoundError:
            pass
        if not checksum.matches():
            raise self._damaged(identity, artifact.name)

    def _damaged(self, identity: str, what: str) -> Damaged:
        """Remove a unit that is damaged; what to raise."""
        self._discard_damaged(self.unit(identity), what)
        return Damaged(f"Finished work in the store was damaged ({what}) and has been removed; it is made again.")

    def _discard_damaged(self, path: Path, what: str) -> None:
        if path.exists():
            log.warning("something damaged was removed from the store", extra={"entry": path.name, "file": what})
            self.discard(path)

    def place_unit(self, folder: Path, identity: str) -> None:
        """Move a unit's finished folder, its record included, to its place."""
        place = self.unit(identity)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.replace(place)
            except OSError:
                if not self.has_unit(identity):  # otherwise somebody else was first, with the same content
                    raise

    # places

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
            self._finished.pop(folder, None)
            shutil.rmtree(folder, ignore_errors=True)

    def new_temporary(self) -> Path:
        """A free name for something half-written; it tells `sweep` whether its writer still lives."""
        return self.root / "temporary" / f"{self._mark.name()}-{secrets.token_hex(8)}"

    def discard(self, path: Path) -> None:
        """Remove a file or unit."""
        # renamed first: a half-removed unit must never pass for a whole one
        doomed = self.new_temporary()
        with contextlib.suppress(OSError):
            path.replace(doomed)
            remove(doomed)

    def _place(self, kind: str, name: str) -> Path:
        if not HASH_PATTERN.fullmatch(name):
            raise StorageError(f"{name[:80]!r} is not the name of anything in the store; submit the work again.")
        return self.root / f"{kind}/{name[:2]}/{name}"


def _linked(source: Path, target: Path) -> Path:
    """A file that is never changed, under a second name; a copy where the disk has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that goes."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
