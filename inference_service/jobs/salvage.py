"""A partly damaged job list: a copy is set aside, and everything that can be read is kept."""

import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LOST = "This job was damaged in the job list and is lost; what it had finished is kept. Submit it again."


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds nothing wrong with a database. sqlite3.DatabaseError if it cannot even look."""
    return connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)


def set_aside(path: Path) -> Path:
    """Move a damaged database, and what belongs to it, out of the way; where it is now."""
    aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    for end in ("", "-wal"):
        if Path(f"{path}{end}").exists():
            shutil.copyfile(f"{path}{end}", f"{aside}{end}")
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    return aside


def copy_readable(aside: Path, target: sqlite3.Connection, tables: Sequence[str]) -> None:
    """Put into `target`, which has the tables, every row that can still be read; the log says what was lost."""
    kept: set[str] = set()
    listed: set[str] = set()
    with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as source:
        for table in tables:
            for row in _rows(source, table):
                names = ", ".join(row)
                with contextlib.suppress(sqlite3.Error):
                    target.execute(
                        f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({','.join('?' * len(row))})",
                        list(row.values()),
                    )
                    kept |= {row["id"]} if table == "jobs" else set()
        with contextlib.suppress(sqlite3.Error):  # the ids lie in the index too
            listed = {id for (id,) in source.execute("SELECT id FROM jobs ORDER BY id") if isinstance(id, str)}
    for id in listed - kept:
        target.execute(
            "INSERT INTO jobs (id, position, kind, request, revision, state, error_code, error, changed)"
            " VALUES (?, 0, 'unknown', '', '', 'failed', 'lost', ?, ?)",
            (id, LOST, time.time()),
        )
    log.error(
        "The job list was damaged: %d jobs could be read, %d are known to be lost; the damaged list is kept as %s",
        len(kept),
        len(listed - kept),
        aside,
    )


def _rows(source: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table that can be read, one by one, for a damaged page ends every search that meets it."""
    try:
        (last,) = source.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    except sqlite3.Error:
        return
    for number in range(1, (last or 0) + 1):
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            found = source.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,))
            names = [column[0] for column in found.description]
            if (row := found.fetchone()) is not None:
                yield dict(zip(names, row))
