"""Where results went that moved next to the file when it was saved, for code that has their old path. No bpy here."""

from collections.abc import Mapping
from pathlib import Path

_moved: dict[Path, Path] = {}


def remember_moved(moved: Mapping[Path, Path]) -> None:
    """Let `present_path` find what was moved from the keys to the values."""
    _moved.update(moved)


def moved_results() -> Mapping[Path, Path]:
    """Former and new places of what was moved since the open file was loaded."""
    return _moved


def forget_moved() -> None:
    """Another file was loaded."""
    _moved.clear()


def present_path(path: Path) -> Path:
    """Where a file or folder is now; tasks that wait know the place where it was."""
    if path.exists():
        return path
    for former, new in _moved.items():
        if path.is_relative_to(former):
            return new / path.relative_to(former)
    return path
