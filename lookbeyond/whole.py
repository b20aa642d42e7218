"""Files and folders that are written completely or not at all, and errors when they cannot be."""

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from lookbeyond.errors import InputError, StorageError, one_line
from lookbeyond.locks import open_locked, try_lock

STRAY = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in folders."""
REPLACED = ".replaced"
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn OSError into StorageError with a sentence that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise StorageError(
                f"There is no space left for {path}; free some disk space or choose another folder."
            ) from error
        raise StorageError(
            f"{path} could not be written ({error.strerror or one_line(error)}); "
            "check the folder and its permissions, or choose another one."
        ) from error


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raise StorageError if the disk that holds `folder` (which need not exist yet) has less free space."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    with storage_errors(folder):
        free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise StorageError(
            f"The disk of {folder} has {free / 1e6:.0f} MB free but {needed_bytes / 1e6:.0f} MB are needed; "
            "free some space or choose another folder."
        )


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, safe from a power cut. OSError if that fails."""
    if path.is_dir() and sys.platform == "win32":  # which syncs no folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` (same suffix) that replaces it when the block succeeds."""
    path = Path(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in _leftovers(path, rf"\.{re.escape(path.stem)}\.[0-9a-f]{{8}}{re.escape(path.suffix)}"):
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
        lock = open_locked(temporary)
        temporary.chmod(0o666 & ~_umask())
    try:
        yield temporary
        with storage_errors(path):
            temporary.replace(path)
    finally:
        if lock is not None:
            os.close(lock)
        temporary.unlink(missing_ok=True)


def check_output_folder(path: Path, owned: tuple[str, ...]) -> None:
    """Raise InputError unless `path` is free, or a folder of nothing but the entries named in `owned`."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; choose another folder for the output.")
    with storage_errors(path):
        others = sorted(p.name for p in path.iterdir() if p.name not in {*owned, *STRAY}) if path.exists() else []
    if others:
        raise InputError(f"The folder {path} holds other files ({others[0]}); choose a new or empty one.")


@contextlib.contextmanager
def whole_folder(path: Path, owned: tuple[str, ...]) -> Iterator[Path]:
    """Give a temporary folder beside `path` that replaces it when the block succeeds.

    A folder that is already there is replaced only if it holds nothing but the entries named in `owned` (an earlier
    output of the same kind) and what file managers leave; otherwise InputError, so that nothing of the user's is ever
    lost. A link to a folder stays a link. What a killed run left beside it is put back or removed.
    """
    path = Path(os.path.realpath(path))
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _recover(path)
    check_output_folder(path, owned)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with storage_errors(path):
        temporary.mkdir()
    lock = _lock_folder(temporary)
    try:
        yield temporary
        with storage_errors(path):
            _take_place(temporary, path)
    finally:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(new: Path, path: Path) -> None:
    """Put the folder `new` at `path`; what was there is then where `new` was, or gone."""
    if not path.exists():
        new.replace(path)
    elif not exchange(new, path):
        replaced = new.with_name(new.name + REPLACED)
        path.replace(replaced)  # killed from here on, `_recover` puts it back
        try:
            new.replace(path)
        except BaseException:
            replaced.replace(path)
            raise
        shutil.rmtree(replaced, ignore_errors=True)


def _recover(path: Path) -> None:
    """Put back the folder that a killed run had moved out of the way, and remove what it left."""
    pattern = rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}(\{REPLACED})?"
    left = list(_leftovers(path, pattern))
    for each in left:
        if each.name.endswith(REPLACED) and not path.exists():
            each.replace(path)
    for each in left:
        shutil.rmtree(each, ignore_errors=True)


def _leftovers(path: Path, pattern: str) -> Iterator[Path]:
    """What lies beside `path` under a temporary name and has no writer any more."""
    if sys.platform == "win32":  # which locks no folders
        return
    for other in sorted(path.parent.iterdir()):
        if re.fullmatch(pattern, other.name):
            with contextlib.suppress(OSError):
                descriptor = os.open(other, os.O_RDONLY)
                dead = try_lock(descriptor)
                os.close(descriptor)
                if dead:
                    yield other


def _lock_folder(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try_lock(descriptor)
    return descriptor


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, so that neither name is ever without one; False where the system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    with contextlib.suppress(AttributeError, OSError):
        if sys.platform == "linux":
            library = ctypes.CDLL(None, use_errno=True)
            return library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0
        if sys.platform == "darwin":
            return ctypes.CDLL(None, use_errno=True).renamex_np(*names, _RENAME_SWAP) == 0
    return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
