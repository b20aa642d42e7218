"""Files left half-written by killed clients: a file is locked while it is written, and the system releases the lock.

As `lookbeyond.locks`, which the extension does not carry.
"""

import contextlib
import os
import re
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


def lock(descriptor: int) -> bool:
    """Lock an open file; False if another holds it. Closing it, or dying, unlocks it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep_leftovers(folder: Path) -> None:
    """Remove the temporary files of `written_whole` whose writers are dead."""
    with contextlib.suppress(OSError):
        for path in [Path(entry.path) for entry in os.scandir(folder) if TEMPORARY.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                with path.open("rb+") as file:
                    dead = lock(file.fileno())
                if dead:
                    path.unlink()
