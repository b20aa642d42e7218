"""The frames of a shot as files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shot:
    """The frames of a shot as files."""

    folder: Path
    names: tuple[str, ...]
    """In order, the first for `first_frame`."""
    first_frame: int
    size: tuple[int, int]
    """Pixels, width and height."""
    record: Mapping[str, object]
    """What made it; written on whatever shows it."""
    there: str = ""
    """The name of a frame that exists already, while the others are being made."""
