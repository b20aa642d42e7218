"""What all data set readers share: a bad file is named and skipped; if all files are bad, that is an error."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from lookbeyond.errors import InputError, sentence
from lookbeyond.geometry.cameras import CameraError, PathError

log = logging.getLogger("lookbeyond.data")
"""Warnings go here; they reach stderr unless somebody else wants them."""

Item = TypeVar("Item")
Value = TypeVar("Value")


def read_each(items: Iterable[Item], read: Callable[[Item], Value]) -> Iterator[Value]:
    """`read` of every item; those that raise InputError, CameraError or PathError are left out with a warning."""
    for item in items:
        try:
            yield read(item)
        except (InputError, CameraError, PathError) as error:
            log.warning("Left out: %s", sentence(str(error)))


def entries(folder: Path, what: str) -> list[Path]:
    """Everything in a folder and below, in a fixed order. Raises InputError when it is not a folder."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give one that holds {what}.")
    return sorted(folder.rglob("*"))
