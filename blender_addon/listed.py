"""What lists of worlds and shots have in common: dates, sizes, and deleting a folder of results."""

import shutil
import time
from pathlib import Path

from .tasks import JobError

RESULT_FILES = ("request.json", "world.json")
"""One of these is in every folder of results."""


def date_of(folder: Path) -> str:
    """When the results in a folder were begun, local time: 28 Nov 20:41; empty if it is gone."""
    for name in RESULT_FILES:
        if (folder / name).is_file():
            return time.strftime("%d %b %H:%M", time.localtime((folder / name).stat().st_mtime)).lstrip("0")
    return ""


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; 0 if it is gone."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def delete_results(folder: Path) -> None:
    """Delete a folder of results; one that is gone already is not an error. Raises `JobError`."""
    if not folder.exists():
        return
    if folder.is_symlink() or not any((folder / name).is_file() for name in RESULT_FILES):
        raise JobError(f"{folder} is not a folder of results: delete it by hand if you want to.")
    shutil.rmtree(folder)


def shortened(name: str, length: int = 12) -> str:
    """A name that fits beside a heading."""
    return name if len(name) <= length else f"{name[: length - 1]}…"
