"""Keeps a store within its size: lists what it holds, removes what it can, and sweeps what dead processes left."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inference_service.store.marks import LOCK, holder_lives
from inference_service.store.record import RECORD
from inference_service.store.store import Store, remove
from lookbeyond.errors import LookBeyondError
from lookbeyond.files import read_json

QUOTA_BYTES = 20 << 30
MAX_AGE_S = 60 * 24 * 3600.0
"""Entries that nobody used for this long are removed."""
SPARE_S = 3600.0
"""Entries used this recently are kept: their client may still be fetching them."""
DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Entry:
    """Something in the store: an uploaded file or a finished unit."""

    name: str
    """Its hash or identity."""
    kind: str
    """'file', the kind of the unit, or 'unit' if its record cannot be read."""
    path: Path
    bytes: int
    files: int
    used: float
    """When it was last used, seconds since 1970."""


def sweep(store: Store) -> None:
    """Remove what processes that died have left half-written."""
    paths, locks = list((store.root / "temporary").iterdir()), store.root / "writers"
    marks = {path.name.partition("-")[0] for path in paths} | {lock.stem for lock in locks.glob(f"*{LOCK}")}
    dead = {mark for mark in marks if not holder_lives(locks / f"{mark}{LOCK}")}
    for path in paths:
        if path.name.partition("-")[0] in dead:
            remove(path)


def entries(store: Store) -> list[Entry]:
    """What the store holds, the least recently used first."""
    found = []
    for path in [*store.root.glob("units/*/*"), *store.root.glob("files/*/*")]:
        with contextlib.suppress(OSError):
            kind, parts = "file", [path]
            if path.is_dir():
                kind, parts = "unit", [part for part in path.rglob("*") if part.is_file()]
                with contextlib.suppress(LookBeyondError, KeyError):
                    kind = read_json(path / RECORD)["kind"]
            size = sum(part.stat().st_size for part in parts)
            found.append(Entry(path.name, kind, path, size, len(parts), _used(path)))
    return sorted(found, key=lambda entry: entry.used)


def _used(path: Path) -> float:
    about = path.stat()  # a file's time of change stays as it is: it tells whether somebody has changed it
    return about.st_mtime if path.is_dir() else max(about.st_atime, about.st_mtime)


def damaged(store: Store, repair: bool) -> Iterator[Entry]:
    """Hash everything in the store; returns the damaged entries, which `repair` removes."""
    for entry in entries(store):
        if not store.is_whole(entry.name, is_unit=entry.path.is_dir()):
            if repair:
                store.discard(entry.path)
            yield entry


def prune(
    store: Store,
    needed: set[str],
    quota_bytes: int = QUOTA_BYTES,
    max_age_s: float = MAX_AGE_S,
    spare_s: float = SPARE_S,
) -> list[Entry]:
    """Remove the least recently used entries until the rest fits the quota, and those older than `max_age_s`.

    Never what is `needed` or was used since `spare_s` before this began. Ages are counted from a day after the newest
    entry at most, so that a clock that jumps ahead by years does not empty the store. Returns what was removed.
    """
    began = time.time()
    found = entries(store)
    now = min(time.time(), max((entry.used for entry in found), default=0.0) + DAY_S)
    since = min(began, now) - spare_s
    total = sum(entry.bytes for entry in found)
    removed = []
    for entry in found:
        too_old = now - entry.used > max_age_s
        if (total > quota_bytes or too_old) and entry.name not in needed and not since < entry.used <= now:
            with contextlib.suppress(OSError):
                if _used(entry.path) > entry.used:  # somebody has used it since it was listed
                    continue
            store.discard(entry.path)
            total -= entry.bytes
            removed.append(entry)
    return removed
