"""The one session object: what runs now, in a thread that never touches bpy, and what is known of the
service.

Steps are generators (see `jobs`): they run in the I/O thread and yield events; `tick`, called on Blender's
main thread, takes the events in. Nothing here is ever stored in a .blend. No bpy here.
"""

import contextlib
import queue
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lookbeyond_kit.client import FileArrived, Preview, Progress, ServiceError

TICK_S = 0.004
"""How long one tick may take in events before it lets the window go on."""

SHOW_S = 1.0
"""How long files that arrive wait to be shown together."""

UNREACHABLE = ("not_running", "timeout", "lost", "version", "wrong_key")
"""Error codes after which nothing is known of the service any more."""


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
class Submitted:
    """The service accepted the job."""

    job: str


@dataclass(frozen=True)
class Done:
    """The last event of steps that succeeded: where the files are, and a sentence for the status box."""

    message: str = ""
    folder: Path | None = None
    job: str = ""


@dataclass(frozen=True)
class Failed:
    """The last event of steps that did not: the sentence that the artist reads, word for word."""

    code: str
    message: str


Event = Welcomed | Launched | Stopped | Submitted | Progress | Preview | FileArrived | Done | Failed
Steps = Callable[[threading.Event], Iterator[Event]]
"""Given an event that is set when the artist cancels, do the work and say how it goes."""


@dataclass(frozen=True)
class Work:
    """Something to do: steps for the I/O thread, then `finish` on the main thread."""

    title: str
    steps: Steps
    finish: Callable[[Done], str] | None = None
    """Puts the result in place and gives the closing sentence; a ValueError's text becomes the error."""
    arrived: Callable[[list[Path]], None] | None = None
    """Shows files that have arrived while the work goes on, at most once in `SHOW_S`."""


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


class Session:
    """One task at a time, its thread, and the outcome of the last one.

    `queue` holds what waits for its end, `unfinished` the folders of what was begun and not ended when the open
    file was last left. `error` and `notice` are the sentences of the status box; `service` is
    what the service last said of itself, None when nothing is known; `preview` the newest preview (JPEG bytes)
    of the running task.
    """

    def __init__(self) -> None:
        self.task: Task | None = None
        self.error = ""
        self.error_code = ""
        self.notice = ""
        self.service: object | None = None
        self.process: subprocess.Popen | None = None
        self.preview = b""
        self.queue: list[Work] = []
        self.unfinished: list[Path] = []
        self._finish: Callable[[Done], str] | None = None
        self._arrived: Callable[[list[Path]], None] | None = None
        self._waiting: list[Path] = []
        self._shown = 0.0
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._leaving = threading.Event()

    @property
    def busy(self) -> bool:
        return self.task is not None

    def begin(self, work: Work) -> None:
        """Start the work's steps in the I/O thread; `tick` takes in what they say.

        Raises RuntimeError if something runs already: the operators' polls keep it from happening.
        """
        if self.task is not None:
            raise RuntimeError(f"{self.task.title} is still running: wait for it or cancel it.")
        self.clear()
        self.preview = b""
        self.task = Task(work.title)
        self._finish, self._arrived = work.finish, work.arrived
        self._waiting, self._shown = [], 0.0
        self._events = queue.SimpleQueue()
        self._leaving = threading.Event()
        self._thread = threading.Thread(
            target=_run_steps,
            args=(work.steps, self.task.cancelled, self._leaving, self._events),
            name="look_beyond",
            daemon=True,
        )
        self._thread.start()

    def enqueue(self, work: Work) -> None:
        """Start the work now, or when what runs and what waits before it has ended."""
        if self.task is None:
            self.begin(work)
        else:
            self.queue.append(work)

    def tick(self, wait_s: float = 0.0) -> bool:
        """Take in what the I/O thread has said, waiting up to `wait_s` for the first; whether anything
        changed.

        The closing event ends the task, so that `busy` is False when the results are in place.
        """
        changed = False
        ends = time.monotonic() + wait_s + TICK_S
        while self.task is not None and (wait_s > 0 or time.monotonic() < ends):
            try:
                event = self._events.get(timeout=wait_s) if wait_s > 0 else self._events.get_nowait()
            except queue.Empty:
                break
            wait_s = 0.0
            changed = True
            self._take(event, self.task)
        self._show_arrived()
        if self.task is None and self.queue:
            said, failed, code = self.notice, self.error, self.error_code
            self.begin(self.queue.pop(0))
            self.notice, self.error, self.error_code = said, failed, code
            changed = True
        return changed

    def _show_arrived(self) -> None:
        now = time.monotonic()
        if self.task is None or self._arrived is None or not self._waiting or now - self._shown < SHOW_S:
            return
        waiting, self._waiting, self._shown = self._waiting, [], now
        try:
            self._arrived(waiting)
        except Exception as error:  # what is shown on the way is a courtesy: the work goes on
            sentence(error)
            self._arrived = None

    def run(self, say: Callable[[Task], None] | None = None) -> None:
        """Tick until the task has ended (for scripts and background mode). Ctrl-C cancels it."""
        while self.busy:
            try:
                if self.tick(wait_s=0.25) and say is not None and self.task is not None:
                    say(self.task)
            except KeyboardInterrupt:
                self.cancel()

    def cancel(self) -> None:
        """Ask the running task to end; it does so within a denoising step."""
        if self.task is not None:
            self.task.cancelled.set()
            self.task.message = "Cancelling"

    def clear(self) -> None:
        """Empty the status box."""
        self.error = self.error_code = self.notice = ""

    def refuse(self, reason: str) -> None:
        """Show why something was not even begun."""
        self.clear()
        self.error_code, self.error = "input", reason

    def close(self, keep_service: bool = False) -> None:
        """Leave: join the thread, and end the service that this session started unless it is to be kept.

        A running job is left to the service, whose store keeps what is finished.
        """
        self._leaving.set()
        self.queue.clear()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
        while True:  # a service launched in the last moment is ours to end, too
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, Launched):
                self.process = event.process
        self.task = self._finish = None
        if self.process is not None and not keep_service:
            end_process(self.process)
            self.process = None

    def _take(self, event: Event, task: Task) -> None:
        match event:
            case Progress():
                task.fraction, task.eta_s = event.fraction, event.eta_s
                if not task.cancelled.is_set():
                    task.message = event.message
            case Preview():
                self.preview = event.jpeg
            case FileArrived():
                task.files += 1
                self._waiting.append(event.path)
            case Submitted():
                task.job = event.job
            case Welcomed():
                self.service = event.service
            case Launched():
                self.process = event.process
            case Stopped():
                self.service = None  # its process goes in its own time
            case Failed():
                self._end()
                self.error_code = event.code
                if event.code == "cancelled":
                    self.notice = f"{task.title} was cancelled."
                else:
                    self.error = event.message
                if event.code in UNREACHABLE:
                    self.service = None
            case Done():
                finish = self._finish
                self._end()
                try:
                    self.notice = (finish(event) if finish is not None else "") or event.message
                except Exception as error:
                    self.error_code, self.error = "failed", sentence(error)

    def _end(self) -> None:
        self.task = self._finish = None
        self.preview = b""
        if self._thread is not None:  # it has said its last word
            self._thread.join(timeout=10)
            self._thread = None


def _run_steps(
    steps: Steps, cancelled: threading.Event, leaving: threading.Event, events: "queue.SimpleQueue[Event]"
) -> None:
    try:
        running = steps(cancelled)
        try:
            for event in running:
                events.put(event)
                if leaving.is_set():
                    return
                if isinstance(event, Done):
                    return
        finally:
            running.close()
        events.put(Failed("failed", "The work ended without a result; see the system console."))
    except ServiceError as error:
        events.put(Failed(error.code, str(error)))
    except Exception as error:
        events.put(Failed("failed", sentence(error)))


def sentence(error: Exception) -> str:
    """What an exception says to the artist; the console gets the whole of one that nobody foresaw."""
    if isinstance(error, OSError) and error.strerror:
        name = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{name}: check the disk and the folder's permissions, then try again."
    if not isinstance(error, (ValueError, ServiceError)):
        traceback.print_exception(error)
    return str(error) or type(error).__name__


def end_process(process: subprocess.Popen, patience_s: float = 2.0) -> None:
    """Ask a service process to end. It stores what it has at hand and goes: Blender need not wait for that."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


session = Session()
