"""The one session object: what runs now, in a thread that never touches bpy, and what is known of the
service.

Steps are generators (see `tasks`): they run in the I/O thread and yield events; `tick`, called on Blender's
main thread, takes the events in. Nothing here is ever stored in a .blend. No bpy here.
"""

import contextlib
import queue
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from .kit import FileArrived, Preview, Progress, ServiceError
from .tasks import (
    UNREACHABLE,
    Done,
    Event,
    Failed,
    Launched,
    PreviewFile,
    Steps,
    Stopped,
    Submitted,
    Task,
    Welcomed,
    Work,
)

TICK_S = 0.001
"""How long one tick may work before it lets the window go on; what it has begun, it ends."""
SHOW_S = 1.0
"""How long files that arrive wait to be shown together."""


class Session:
    """One task at a time, its thread, and the outcome of the last one.

    `queue` holds what waits for its end, `unfinished` the folders of what was begun and not ended when the open
    file was last left. `error` and `notice` are the sentences of the status box, `folder` is where that
    lies of which the notice tells; `service` is what the service last said of itself, None when nothing is known;
    `preview` the newest preview (a JPEG file) of the running task.
    """

    def __init__(self) -> None:
        self.task: Task | None = None
        self.error = ""
        self.error_code = ""
        self.notice = ""
        self.folder: Path | None = None
        self.service: object | None = None
        self.process: subprocess.Popen | None = None
        self.preview: Path | None = None
        self.queue: list[Work] = []
        self.unfinished: list[Path] = []
        self._work: Work | None = None
        self._failed: list[Work] = []
        self._finish: Callable[[Done], str | None] | None = None
        self._done: Done | None = None
        self._arrived: Callable[[list[Path]], bool] | None = None
        self._waiting: list[Path] = []
        self._showing: list[Path] = []
        self._shown = 0.0
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._leaving = threading.Event()

    @property
    def busy(self) -> bool:
        return self.task is not None

    @property
    def has_news(self) -> bool:
        """Whether the next tick has anything to do."""
        due = bool(self._waiting) and time.monotonic() - self._shown >= SHOW_S
        return self._done is not None or bool(self._showing) or due or not self._events.empty()

    def begin(self, work: Work) -> None:
        """Start the work's steps in the I/O thread; `tick` takes in what they say.

        Raises RuntimeError if something runs already: the operators' polls keep it from happening.
        """
        if self.task is not None:
            raise RuntimeError(f"{self.task.title} is still running: wait for it or cancel it.")
        self.clear()
        self.preview = self._done = None
        self.task = Task(work.title)
        self._work, self._finish, self._arrived = work, work.finish, work.arrived
        self._waiting, self._showing, self._shown = [], [], 0.0
        self._events = queue.SimpleQueue()
        self._leaving = threading.Event()
        thread = threading.Thread(
            target=_run_steps,
            args=(work.steps, self.task.cancelled, self._leaving, self._events),
            name="look_beyond",
            daemon=True,
        )
        # Of one that has said its last word nobody waits for the end: the window would.
        self._threads = [former for former in self._threads if former.is_alive()] + [thread]
        thread.start()

    def enqueue(self, work: Work) -> None:
        """Start the work now, or when what runs and what waits before it has ended."""
        if self.task is None:
            self.begin(work)
        else:
            self.queue.append(work)

    def saved(self) -> None:
        """Tell what runs, what waits and what has failed, and may be gone on with, that the open file was saved."""
        for work in (self._work, *self.queue, *self._failed):
            if work is not None and work.saved is not None:
                work.saved()

    def tick(self, wait_s: float = 0.0) -> bool:
        """Take in what the I/O thread has said, waiting up to `wait_s` for the first; whether anything
        changed.

        The closing event ends the task, so that `busy` is False when the results are in place.
        """
        changed = False
        ends = time.monotonic() + wait_s + TICK_S
        while self.task is not None and (wait_s > 0 or time.monotonic() < ends):
            if self._done is not None:
                self._put_in_place(self._done)
                changed = True
                break  # one piece is enough for one tick
            try:
                event = self._events.get(timeout=wait_s) if wait_s > 0 else self._events.get_nowait()
            except queue.Empty:
                break
            wait_s, changed = 0.0, True
            self._take(event, self.task)
            if self._done is not None:
                break  # what comes of it has the next tick for itself
        self._show_arrived()
        if self.task is None and self.queue:
            said, failed, code, folder = self.notice, self.error, self.error_code, self.folder
            self.begin(self.queue.pop(0))
            self.notice, self.error, self.error_code, self.folder = said, failed, code, folder
            changed = True
        return changed

    def _show_arrived(self) -> None:
        if self.task is None or self._arrived is None or self._done is not None:
            return
        if not self._showing:
            now = time.monotonic()
            if not self._waiting or now - self._shown < SHOW_S:
                return
            self._showing, self._waiting, self._shown = self._waiting, [], now
        try:
            if self._arrived(self._showing):
                self._showing = []
        except Exception as error:  # what is shown on the way is a courtesy: the work goes on
            sentence(error)
            self._arrived, self._showing = None, []

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
        self.folder = None

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
        self._failed.clear()
        for thread in self._threads:
            thread.join(timeout=10)
        self._threads = []
        while True:  # a service launched in the last moment is ours to end, too
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, Launched):
                self.process = event.process
        self.task = self._work = self._finish = self._done = None
        if self.process is not None and not keep_service:
            end_process(self.process)
            self.process = None

    def _take(self, event: Event, task: Task) -> None:
        match event:
            case Progress():
                task.fraction, task.eta_s = event.fraction, event.eta_s
                if not task.cancelled.is_set():
                    task.message = event.message
            case PreviewFile():
                self.preview = event.path
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
                work = self._work
                self._end()
                if work is not None and work.failed is not None:
                    self._failed.append(work)
                    work.failed()
                self.error_code = event.code
                if event.code == "cancelled":
                    self.notice = f"{task.title} was cancelled."
                else:
                    self.error = event.message
                if event.code in UNREACHABLE:
                    self.service = None
            case Done():
                self._done = event

    def _put_in_place(self, done: Done) -> None:
        try:
            said = self._finish(done) if self._finish is not None else ""
        except Exception as error:
            self._end()
            self.error_code, self.error = "failed", sentence(error)
            return
        if said is not None:
            self._end()
            self.notice = said or done.message or self.notice
            self.folder = done.folder or self.folder

    def _end(self) -> None:
        self.task = self._work = self._finish = self._done = self.preview = None


def _run_steps(
    steps: Steps, cancelled: threading.Event, leaving: threading.Event, events: "queue.SimpleQueue[Event]"
) -> None:
    last: Event = Failed("failed", "The work ended without a result; see the system console.")
    try:
        # The last word is said when everything is closed: whoever hears it need not wait for this thread.
        with contextlib.closing(steps(cancelled)) as running, tempfile.TemporaryDirectory() as folder:
            previews = Previews(Path(folder))
            for event in running:
                if isinstance(event, Done):
                    last = event
                    break
                events.put(previews.written(event) if isinstance(event, Preview) else event)
                if leaving.is_set():
                    return
    except Exception as error:
        code = error.code if isinstance(error, ServiceError) else "failed"
        if not isinstance(last, Done):  # what is done is not undone by what would not close
            last = Failed(code, sentence(error))
    events.put(last)


class Previews:
    """Previews as files: Blender reads icons from files only, and the window is not to wait for the disk."""

    KEPT = 4
    """How many stay: the window may be about to read one of the last."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def written(self, preview: Preview) -> PreviewFile:
        self._count += 1
        (self._folder / f"{self._count - self.KEPT}.jpg").unlink(missing_ok=True)
        file = self._folder / f"{self._count}.jpg"
        file.write_bytes(preview.jpeg)
        return PreviewFile(file)


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
