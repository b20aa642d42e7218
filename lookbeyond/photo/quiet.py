"""Libraries that print their errors as well as raising them."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """OpenEXR and OpenCV print their errors to file descriptor 2 as well as telling them: once is enough."""
    with _Stderr.turning:
        if not _Stderr.silent:
            _Stderr.saved = os.dup(2)
            with Path(os.devnull).open("wb") as null:
                os.dup2(null.fileno(), 2)
        _Stderr.silent += 1
    try:
        yield
    finally:
        with _Stderr.turning:
            _Stderr.silent -= 1
            if not _Stderr.silent:
                os.dup2(_Stderr.saved, 2)
                os.close(_Stderr.saved)


class _Stderr:
    """There is one such descriptor: the first to want it quiet turns it off, the last turns it on again."""

    turning = threading.Lock()
    silent = 0
    saved = -1
