"""Marks that name a process among all that ever used a store, so that others can tell whether it still runs."""

import functools
import hashlib
import os
import platform
import sys
from pathlib import Path

import psutil


@functools.cache
def own_mark() -> str:
    """This process's mark: its id, when it began, and on which machine: farms share a store.

    The id alone is not enough: after a restart, a container's processes have the same ids again.
    """
    return f"{os.getpid()}.{_began(os.getpid())}.{_own_machine()}"


def is_of_this_machine(mark: str) -> bool:
    """Whether this machine can tell if the process still runs."""
    machine = mark.split(".")[2:]
    return not machine or machine == [_own_machine()]


def is_alive(mark: str) -> bool:
    """Whether the process of this `own_mark` still runs; of another machine's it is taken that it does."""
    if not is_of_this_machine(mark):
        return True
    pid, began = [*mark.split("."), ""][:2]
    try:
        alive = psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
        return alive and (not began or _began(int(pid)) == int(began))
    except (psutil.Error, OSError, ValueError, IndexError, OverflowError):
        return False


def _own_machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _began(pid: int) -> int:
    if sys.platform == "linux":  # in ticks since boot: the wall clock may jump
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return int(psutil.Process(pid).create_time())
