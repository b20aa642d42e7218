"""Tasks for the session, the events their steps yield, and the state of the running task. No bpy here."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .kit import FileArrived, Preview, Progress

UNREACHABLE = ("not_running", "timeout", "lost", "version", "wrong_key")
"""Error codes that leave the state of the service unknown."""


class JobError(ValueError):
    """Why a job cannot be sent; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Connected:
    """The service answered and described itself (`Client.welcome`)."""

    service: object


@dataclass(frozen=True)
class ServiceLaunched:
    """This Blender started a service process."""

    process: subprocess.Popen


@dataclass(frozen=True)
class ServiceStopped:
    """The service was told to stop."""


@dataclass(frozen=True)
class PreviewFile:
    """A preview arrived; its file exists until the task ends."""

    path: Path


@dataclass(frozen=True)
class JobSubmitted:
    """The service accepted the job."""

    job: str


@dataclass(frozen=True)
class Succeeded:
    """Last event of a task that succeeded: the result folder and a sentence for the status box."""

    message: str = ""
    folder: Path | None = None
    job: str = ""
    cameras: str = ""
    """The requested cameras, as JSON."""
    steps: int = 0
    """Requested denoising steps; 0: the preset's own number."""


@dataclass(frozen=True)
class Failed:
    """Last event of a task that failed: the sentence that the artist reads, word for word."""

    code: str
    message: str


ServiceEvent = Connected | ServiceLaunched | ServiceStopped
JobEvent = JobSubmitted | Progress | Preview | PreviewFile | FileArrived
Event = ServiceEvent | JobEvent | Succeeded | Failed
Steps = Callable[[threading.Event], Iterator[Event]]
"""Does the work and yields events; the argument is set when the artist cancels."""


@dataclass(frozen=True)
class Task:
    """Something to do: steps for the I/O thread, then `finish` on the main thread."""

    title: str
    steps: Steps
    finish: Callable[[Succeeded], str | None] | None = None
    """Applies the result to the scene and returns the closing sentence; a ValueError's text becomes the error. Long
    work is done in pieces: while it returns None, the next tick calls it again."""
    show_files: Callable[[list[Path]], bool] | None = None
    """Shows files that arrived while the task runs, at most once in `SHOW_S`; returns whether it is done. If not, the
    next tick calls it again with the same files."""
    on_saved: Callable[[], None] | None = None
    """Called after the open file was saved, perhaps under another name."""
    on_failed: Callable[[], None] | None = None
    """Called after the steps failed or were cancelled."""


@dataclass
class RunningTask:
    """The running task, as the panel shows it."""

    title: str
    fraction: float = 0.0
    message: str = ""
    eta_s: float | None = None
    """Remaining time as of `estimated_at_s`, seconds."""
    estimated_at_s: float = field(default_factory=time.monotonic)
    job: str = ""
    files: int = 0
    started: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def left_s(self) -> float | None:
        """Remaining time now, seconds: it runs down between what the service tells; None if it is unknown."""
        return None if self.eta_s is None else max(0.0, self.eta_s - (time.monotonic() - self.estimated_at_s))
