"""request.json, stored beside a job's results: what was requested, by which file, and whether it ended. No bpy here."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from ..json_files import read_json
from ..kit import KIT_VERSION, EditRequest, ShotRequest, WorldRequest

FILE_NAME = "request.json"
Request = WorldRequest | ShotRequest | EditRequest
"""What leaves results in a folder."""
_lock = threading.Lock()
"""Held while a request.json is written: the I/O thread and the main thread both do."""


class RequestError(ValueError):
    """A request.json that cannot be read; the message names it."""


@dataclass
class JobOrigin:
    """Where a job comes from: enough to apply its result after Blender was closed meanwhile."""

    title: str
    files: list[str]
    """The .blend files that the job belongs to, relative to the results folder; `JobScene` extends the list."""
    scene: str
    """Name of the scene."""
    source: str = ""
    """World: the picture's path."""
    world: str = ""
    """Shot: the world's folder. Changed world: the former one's."""
    camera: str = ""
    """Shot: name of the scene's camera."""
    cameras: list[str] = field(default_factory=list)
    """Shot: names of all cameras that render its frames: markers may switch them."""
    places: list[str] = field(default_factory=list)
    """Shot: where the frames are shown."""


@dataclass(frozen=True)
class StoredRequest:
    """The content of a request.json."""

    job: str
    ended: bool
    kit: str
    """Version of the add-on."""
    service: str
    """Version of the service."""
    origin: JobOrigin
    request: Request


def write_request(folder: Path, stored: StoredRequest) -> None:
    """Write the request.json of a folder."""
    origin = {name: value for name, value in asdict(stored.origin).items() if value}
    content = {
        "job": stored.job,
        "ended": stored.ended,
        "kit": stored.kit,
        "service": stored.service,
        "about": origin,
        "request": asdict(stored.request),
    }
    with _lock:
        _replace_json(folder / FILE_NAME, content)


def stored_request(job: str, service: str, origin: JobOrigin, request: Request) -> StoredRequest:
    """The record of a job that was just submitted to a service of this version."""
    return StoredRequest(job, False, KIT_VERSION, service, origin, request)


def read_request(folder: Path) -> StoredRequest:
    """The request.json of a folder. Raises `RequestError`."""
    try:
        content = read_json(folder / FILE_NAME)
        values = content["request"]
        kind = ShotRequest if "cameras" in values else EditRequest if "mask" in values else WorldRequest
        request = kind(**values)
        origin = JobOrigin(**content["about"])
        return StoredRequest(content["job"], content["ended"], content["kit"], content["service"], origin, request)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"The request in {folder} cannot be read ({error}): start the job again.") from None


def known_request(folder: Path) -> StoredRequest | None:
    """The request.json of a folder, read again only when it has changed; None without a readable one."""
    try:
        return _read_once((folder / FILE_NAME).stat().st_mtime_ns, folder)
    except (OSError, RequestError):
        return None


@lru_cache(maxsize=64)
def _read_once(modified_ns: int, folder: Path) -> StoredRequest:
    return read_request(folder)


def mark_unfinished(folder: Path) -> None:
    """Mark a finished job as unfinished, so that it is offered again: its result was not applied yet."""
    _update_request(folder, lambda content: content.update(ended=False))


def set_owners(folder: Path, files: Sequence[str]) -> None:
    """Set the .blend files that the job in a folder belongs to."""
    _update_request(folder, lambda content: content["about"].update(files=list(files)))


def _update_request(folder: Path, change: Callable[[dict], None]) -> None:
    file = folder / FILE_NAME
    with _lock:
        content = read_json(file)
        change(content)
        _replace_json(file, content)


def _replace_json(file: Path, content: Mapping[str, object]) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(file)
