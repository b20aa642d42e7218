"""Marks that identify a process among all that ever ran here, so that others can tell whether it still runs.

In a store, a mark is a lock file that its process holds: others see it in whatever PID namespace they run.
"""

import contextlib
import functools
import os
import secrets
import sys
import weakref
from pathlib import Path

import psutil

from lookbeyond.locks import open_locked
from lookbeyond.whole import storage_errors

LOCK = ".lock"


class Mark:
    """The mark of those who write into a folder through one `Store`."""

    def __init__(self, folder: Path):
        self._folder, self._name = folder, ""

    def name(self) -> str:
        """The mark, which is held from now on."""
        if not self._name:
            with storage_errors(self._folder):
                name = f"w{secrets.token_hex(8)}"
                descriptor = open_locked(self._folder / f"{name}{LOCK}")
            assert descriptor is not None
            self._name = name
            weakref.finalize(self, _release, descriptor, self._folder / f"{name}{LOCK}")
        return self._name


def _release(descriptor: int, path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    os.close(descriptor)


def holder_lives(lock: Path) -> bool:
    """Whether somebody holds this mark; `own_mark`s of older versions have no lock file."""
    if not lock.exists():
        return is_alive(lock.name.removesuffix(LOCK))
    descriptor = open_locked(lock)
    if descriptor is None:
        return True
    _release(descriptor, lock)
    return False


@functools.cache
def own_mark() -> str:
    """This process's mark: its id and when it began.

    The id alone is not enough: after a restart, a container's processes have the same ids again.
    """
    return f"{os.getpid()}.{_began(os.getpid())}"


def is_alive(mark: str) -> bool:
    """Whether the process of this `own_mark` still runs."""
    pid, _, began = mark.partition(".")
    try:
        alive = psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
        return alive and (not began or _began(int(pid)) == int(began))
    except (psutil.Error, OSError, ValueError, IndexError, OverflowError):
        return False


def _began(pid: int) -> int:
    if sys.platform == "linux":  # in ticks since boot: the wall clock may jump
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return int(psutil.Process(pid).create_time())
