"""The frames of a shot as files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ShotFrames:
    """The frames of a shot as files."""

    folder: Path
    names: tuple[str, ...]
    """File names in order; the first is frame `first_frame`."""
    first_frame: int
    size: tuple[int, int]
    """Width and height, pixels."""
    record: Mapping[str, object]
    """What made them; written to the datablocks that show them."""
    first_available: str = ""
    """Name of a frame that exists while the others are still missing; empty once all exist."""
