"""What the session runs: tasks, the events that their steps yield, and the state of the one that runs. No bpy
here."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .kit import FileArrived, Preview, Progress

UNREACHABLE = ("not_running", "timeout", "lost", "version", "wrong_key")
"""Error codes after which nothing is known of the service any more."""


class JobError(ValueError):
    """Something that keeps a job from being sent: the message names it and the remedy."""


@dataclass(frozen=True)
class Welcomed:
    """The service answered: what it says of itself (`Client.welcome`)."""

    service: object


@dataclass(frozen=True)
class Launched:
    """A service process was started by this Blender."""

    process: subprocess.Popen


@dataclass(frozen=True)
class Stopped:
    """The service was told to end."""


@dataclass(frozen=True)
class PreviewFile:
    """A preview has arrived and lies in a file, until the work ends."""

    path: Path


@dataclass(frozen=True)
class Submitted:
    """The service accepted the job."""

    job: str


@dataclass(frozen=True)
class Done:
    """The last event of steps that succeeded: where the files are, and a sentence for the status box."""

    message: str = ""
    folder: Path | None = None
    job: str = ""
    cameras: str = ""
    """The cameras that were asked for, as JSON."""
    steps: int = 0
    """The denoising steps that were asked for; 0: the preset's own."""


@dataclass(frozen=True)
class Failed:
    """The last event of steps that did not: the sentence that the artist reads, word for word."""

    code: str
    message: str


Event = Welcomed | Launched | Stopped | Submitted | Progress | Preview | PreviewFile | FileArrived | Done | Failed
Steps = Callable[[threading.Event], Iterator[Event]]
"""Given an event that is set when the artist cancels, do the work and say how it goes."""


@dataclass(frozen=True)
class Work:
    """Something to do: steps for the I/O thread, then `finish` on the main thread."""

    title: str
    steps: Steps
    finish: Callable[[Done], str | None] | None = None
    """Puts the result in place and gives the closing sentence; a ValueError's text becomes the error. As long as
    it gives None it is called again in a later tick: whatever takes long is done in pieces."""
    arrived: Callable[[list[Path]], bool] | None = None
    """Shows files that have arrived while the work goes on, once in `SHOW_S`, and says whether all is shown; if
    not, it is called again with the same files in the next tick."""
    saved: Callable[[], None] | None = None
    """Called when the open file was saved, perhaps under another name."""
    failed: Callable[[], None] | None = None
    """Called when the steps have failed or were cancelled."""


@dataclass
class Task:
    """What runs now, as the panel shows it."""

    title: str
    fraction: float = 0.0
    message: str = ""
    eta_s: float | None = None
    job: str = ""
    files: int = 0
    started: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
