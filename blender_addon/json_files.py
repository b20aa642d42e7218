"""JSON files that a .blend file refers to, which may come from anywhere: read with caution. No bpy here."""

import json
import os
import stat
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

MOST_BYTES = 64 * 2**20
"""More than any record of ours: a request of 10 000 cameras has a few megabytes."""


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises OSError or ValueError, also for what is not a regular file (a pipe would never
    end), is too large, or is nested too deeply."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError(f"{path.name} is not a file")
    if about.st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has {about.st_size // 2**20} MiB")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None


def is_foreign_share(folder: str, blend_file: str) -> bool:
    r"""Whether a Windows path lies on a network share (\\server\share) that the open .blend file does not lie on.

    Merely looking there would tell that server who is logged in.
    """
    share = PureWindowsPath(folder).drive
    return share.startswith("\\\\") and share.lower() != PureWindowsPath(blend_file).drive.lower()


def may_look_at(folder: PurePath, name: str, blend_file: str, on_windows: bool = os.name == "nt") -> bool:
    """Whether a file that strangers' data names, from a folder on, may be looked at: no foreign share on Windows."""
    return not on_windows or not is_foreign_share(str(PureWindowsPath(folder) / name), blend_file)
