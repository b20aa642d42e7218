"""Marks that name a process among all that ever ran here, so that others can tell whether it still runs."""

import functools
import os
import sys
from pathlib import Path

import psutil


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
