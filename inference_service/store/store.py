"""The store's folder: files and units go in whole, and come out by hash.

A unit is a folder that is written under a temporary name and renamed whole, so that it is there or it is not;
the first to arrive wins. Several processes (service, workers, command line) may use one store at once.
"""

import collections
import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from inference_service.store.marks import own_mark
from inference_service.wire.files import Artifact, artifact_of, file_sha256
from inference_service.wire.requests import HASH_PATTERN
from lookbeyond.errors import LookBeyondError, StorageError
from lookbeyond.files import read_json, require_space, storage_errors, write_json

RECORD = "unit.json"
MIN_FREE_BYTES = 256 << 20
"""No unit and no upload is started with less free space than this."""
MAX_NAMES = 10_000
READERS = 4
"""Files that are read at once for their checksums."""


def default_store() -> Path:
    """The store's folder unless `--store` names another one."""
    return platformdirs.user_cache_path("lookbeyond") / "store"


@dataclass(frozen=True)
class Record:
    """What is known about a finished unit."""

    seconds: float
    """Wall time that making it took."""
    artifacts: tuple[Artifact, ...]
    kind: str


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

    def adopt_file(self, path: Path, sha256: str) -> None:
        """Move a file of the store's own, whose hash is known, to its place."""
        place = self.file(sha256)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)

    def touch_file(self, sha256: str) -> None:
        """Record that a file is in use: it is pruned last."""
        with contextlib.suppress(OSError):
            os.utime(self.file(sha256))

    # units, by identity

    def has_unit(self, identity: str) -> bool:
        return (self.unit(identity) / RECORD).is_file()

    def unit(self, identity: str) -> Path:
        """The folder of the unit's files, if it is there."""
        return self._place("units", identity)

    def record(self, identity: str) -> Record:
        """What is known about a unit that is there. InputError if its record cannot be read."""
        plain = read_json(self.unit(identity) / RECORD)
        self.touch_unit(identity)
        artifacts = tuple(Artifact(**artifact) for artifact in plain["artifacts"])
        return Record(plain["seconds"], artifacts, plain["kind"])

    def touch_unit(self, identity: str) -> None:
        """Record that a unit is in use: it is pruned last."""
        with contextlib.suppress(OSError):
            os.utime(self.unit(identity))

    def commit(self, folder: Path, identity: str, seconds: float, kind: str) -> None:
        """Make the finished files in `folder` (one of `temporary`) the unit of this identity."""
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        with ThreadPoolExecutor(READERS) as readers:
            artifacts = [vars(artifact) for artifact in readers.map(artifact_of, files, names)]
        write_json(folder / RECORD, {"seconds": round(seconds, 3), "kind": kind, "artifacts": artifacts})
        self._place_folder(folder, identity)

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

    def has_whole_unit(self, identity: str) -> bool:
        """Whether a unit is there with all its files at full length; what a power cut damaged is removed."""
        if not self.has_unit(identity):
            return False
        folder = self.unit(identity)
        try:
            if all((folder / file.name).stat().st_size == file.size for file in self.record(identity).artifacts):
                return True
        except (OSError, LookBeyondError, KeyError, TypeError):
            pass
        self.discard(folder)
        return False

    def discard_if_damaged(self, identity: str, name: str = "") -> bool:
        """Remove a unit of which this file (or any) is damaged, so that it is made again; whether it was."""
        folder = self.unit(identity)
        try:
            files = [artifact for artifact in self.record(identity).artifacts if name in ("", artifact.name)]
            if files and all(artifact_of(folder / made.name, made.name).sha256 == made.sha256 for made in files):
                return False
        except (OSError, LookBeyondError, ValueError, KeyError, TypeError):
            pass  # it cannot even be read
        self.discard(folder)
        return True

    def files_of(self, identity: str, only_record: bool = False) -> dict[str, bytes]:
        """The files of a unit that is there, its record among them, by name: what `import_unit` takes."""
        folder = self.unit(identity)
        names = [] if only_record else [artifact.name for artifact in self.record(identity).artifacts]
        with storage_errors(folder):
            return {name: (folder / name).read_bytes() for name in [*names, RECORD]}

    def import_unit(self, identity: str, files: Mapping[str, bytes]) -> None:
        """Put in a unit that was made elsewhere. StorageError if a file is damaged."""
        try:
            artifacts = json.loads(files[RECORD])["artifacts"]
            hashes = {artifact["name"]: artifact["sha256"] for artifact in artifacts}
            given = [name for name in files if name != RECORD]
            whole = all(hashlib.sha256(files[name]).hexdigest() == hashes[name] for name in given)
        except (KeyError, ValueError, TypeError):
            whole, given = False, []
        if not whole:
            raise StorageError("A worker's results arrived damaged; submit the job again.")
        with self.temporary() as folder, storage_errors(self.unit(identity)):
            for name in [*given, RECORD]:
                path = folder / name
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise StorageError("A worker named a file outside its folder; update the workers.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files[name])
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
            shutil.rmtree(folder, ignore_errors=True)

    def new_temporary(self) -> Path:
        """A free name for something half-written; it tells `sweep` whether its writer still lives."""
        return self.root / "temporary" / f"{own_mark()}-{secrets.token_hex(8)}"

    def discard(self, path: Path) -> None:
        """Remove a file or unit."""
        # renamed first: a unit that is half removed must never pass for a whole one
        doomed = self.new_temporary()
        with contextlib.suppress(OSError):
            os.replace(path, doomed)
            remove(doomed)

    def _place(self, kind: str, name: str) -> Path:
        if not HASH_PATTERN.fullmatch(name):
            raise StorageError(f"{name[:80]!r} is not the name of anything in the store; submit the work again.")
        return self.root / kind / name[:2] / name


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that goes."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
