"""What `Client.follow` yields."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    fraction: float
    message: str
    eta_s: float | None = None


@dataclass(frozen=True)
class Preview:
    """A small picture of what is being made."""

    jpeg: bytes


@dataclass(frozen=True)
class FileArrived:
    """A result lies on disk, whole."""

    name: str
    path: Path


@dataclass(frozen=True)
class Finished:
    """All results lie on disk, by name."""

    files: dict[str, Path]


Event = Progress | Preview | FileArrived | Finished
