"""What was asked for, as a file beside the results: found again when Blender was quit meanwhile. No bpy here."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ..kit import KIT_VERSION, Client, ShotRequest, WorldRequest

WRITING = threading.Lock()
"""Held while a job's request.json changes: the job's thread and the main thread both write it."""


def write_request(
    file: Path,
    client: Client,
    request: WorldRequest | ShotRequest,
    job: str,
    about: Mapping[str, object],
    ended: bool,
) -> None:
    """What makes the files beside it: everything that was asked for, who answered, and whether it has ended."""
    content = {"job": job, "ended": ended, "kit": KIT_VERSION, "service": getattr(client.welcome, "service", "")}
    with WRITING:
        replace_json(file, content | {"about": dict(about), "request": asdict(request)})


def keep_for_later(folder: Path) -> None:
    """Have what was finished in a folder be found again as if it had not ended: nobody has seen it yet."""
    rewrite_request(folder / "request.json", lambda begun: begun.update(ended=False))


def belongs_to(folder: Path, files: Sequence[str]) -> None:
    """Have what was begun in a folder belong to these .blend files."""
    rewrite_request(folder / "request.json", lambda begun: begun["about"].update(files=list(files)))


def rewrite_request(file: Path, change: Callable[[dict], None]) -> None:
    with WRITING:
        begun = json.loads(file.read_text(encoding="utf-8"))
        change(begun)
        replace_json(file, begun)


def replace_json(file: Path, content: Mapping[str, object]) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(file)
