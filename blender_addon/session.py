"""The session: runs one task at a time in an I/O thread and keeps what is known of the service.

Steps (see `tasks`) are generators that run in the I/O thread and yield events; `tick`, called on Blender's main
thread, handles the events. Nothing here is stored in a .blend. No bpy here.
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
    Connected,
    Event,
    Failed,
    JobSubmitted,
    PreviewFile,
    RunningTask,
    ServiceLaunched,
    ServiceStopped,
    Steps,
    Succeeded,
    Task,
)

TICK_S = 0.001
"""Time limit of one tick; an event that is being handled is finished."""
SHOW_S = 1.0
"""Arriving files are collected for this long and shown together."""


class Session:
    """One task at a time, its thread, and the outcome of the last one.

    `queue` holds the tasks that wait for their turn, `unfinished` the folders of jobs that the open file left
    unfinished. `error` and `notice` are the sentences of the status box, `folder` holds the files that the notice is
    about. `service` is the service's last description of itself, None if it is unknown. `preview` is the newest
    preview (a JPEG file) of the running task.
    """

    def __init__(self) -> None:
        self.task: RunningTask | None = None
        self.error = ""
        self.error_code = ""
        self.notice = ""
        self.folder: Path | None = None
        self.service: object | None = None
        self.process: subprocess.Popen | None = None
        self.preview: Path | None = None
        self.queue: list[Task] = []
        self.unfinished: list[Path] = []
        self._current: Task | None = None
        self._failed: list[Task] = []
        self._result: Succeeded | None = None
        self._show_files: Callable[[list[Path]], bool] | None = None
        self._arrived_files: list[Path] = []
        self._files_to_show: list[Path] = []
        self._last_shown_s = 0.0
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    @property
    def busy(self) -> bool:
        return self.task is not None

    @property
    def has_pending_work(self) -> bool:
        """Whether the next tick has anything to do."""
        due = bool(self._arrived_files) and time.monotonic() - self._last_shown_s >= SHOW_S
        return self._result is not None or bool(self._files_to_show) or due or not self._events.empty()

    def begin(self, task: Task) -> None:
        """Start the task's steps in the I/O thread; `tick` handles their events.

        Raises RuntimeError if a task runs already; the operators' polls prevent that.
        """
        if self.task is not None:
            raise RuntimeError(f"{self.task.title} is still running: wait for it or cancel it.")
        self.clear()
        self.preview = self._result = None
        self.task = RunningTask(task.title)
        self._current, self._show_files = task, task.show_files
        self._arrived_files, self._files_to_show, self._last_shown_s = [], [], 0.0
        self._events = queue.SimpleQueue()
        self._closing = threading.Event()
        thread = threading.Thread(
            target=_run_steps,
            args=(task.steps, self.task.cancelled, self._closing, self._events),
            name="look_beyond",
            daemon=True,
        )
        # A thread that has posted its last event is not waited for: that would block the window.
        self._threads = [former for former in self._threads if former.is_alive()] + [thread]
        thread.start()

    def enqueue(self, task: Task) -> None:
        """Start the task now, or after the running and the waiting ones."""
        if self.task is None:
            self.begin(task)
        else:
            self.queue.append(task)

    def file_saved(self) -> None:
        """Tell the running, the waiting and the failed tasks (which may be resumed) that the open file was saved."""
        for task in (self._current, *self.queue, *self._failed):
            if task is not None and task.on_saved is not None:
                task.on_saved()

    def tick(self, wait_s: float = 0.0) -> bool:
        """Handle the events of the I/O thread, waiting up to `wait_s` for the first; returns whether anything changed.

        The last event ends the task, so that `busy` is False once the result is applied.
        """
        changed = False
        ends = time.monotonic() + wait_s + TICK_S
        while self.task is not None and (wait_s > 0 or time.monotonic() < ends):
            if self._result is not None:
                self._apply_result(self._result)
                changed = True
                break  # one piece per tick
            try:
                event = self._events.get(timeout=wait_s) if wait_s > 0 else self._events.get_nowait()
            except queue.Empty:
                break
            wait_s, changed = 0.0, True
            self._handle(event, self.task)
            if self._result is not None:
                break  # applying the result gets a separate tick
        self._show_arrived_files()
        if self.task is None and self.queue:
            outcome = self.notice, self.error, self.error_code, self.folder
            self.begin(self.queue.pop(0))
            self.notice, self.error, self.error_code, self.folder = outcome
            changed = True
        return changed

    def _show_arrived_files(self) -> None:
        if self.task is None or self._show_files is None or self._result is not None:
            return
        if not self._files_to_show:
            now = time.monotonic()
            if not self._arrived_files or now - self._last_shown_s < SHOW_S:
                return
            self._files_to_show, self._arrived_files, self._last_shown_s = self._arrived_files, [], now
        try:
            if self._show_files(self._files_to_show):
                self._files_to_show = []
        except Exception as error:  # showing files early is optional: the task continues without it
            message_of(error)
            self._show_files, self._files_to_show = None, []

    def run(self, report: Callable[[RunningTask], None] | None = None) -> None:
        """Tick until the task has ended (for scripts and background mode). Ctrl-C cancels it."""
        while self.busy:
            try:
                if self.tick(wait_s=0.25) and report is not None and self.task is not None:
                    report(self.task)
            except KeyboardInterrupt:
                self.cancel()

    def cancel(self) -> None:
        """Ask the running task to end; it stops within one denoising step."""
        if self.task is not None:
            self.task.cancelled.set()
            self.task.message = "Cancelling"

    def clear(self) -> None:
        """Empty the status box."""
        self.error = self.error_code = self.notice = ""
        self.folder = None

    def refuse(self, reason: str) -> None:
        """Show why a task could not start."""
        self.clear()
        self.error_code, self.error = "input", reason

    def close(self, keep_service: bool = False) -> None:
        """Join the thread and, unless `keep_service`, end the service that this session started.

        A running job is left to the service, which stores what is finished.
        """
        self._closing.set()
        self.queue.clear()
        self._failed.clear()
        for thread in self._threads:
            thread.join(timeout=10)
        self._threads = []
        while True:  # a service that was launched at the last moment is ended as well
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, ServiceLaunched):
                self.process = event.process
        self.task = self._current = self._result = None
        if self.process is not None and not keep_service:
            end_process(self.process)
            self.process = None

    def _handle(self, event: Event, task: RunningTask) -> None:
        match event:
            case Progress():
                task.fraction, task.eta_s, task.estimated_at_s = event.fraction, event.eta_s, time.monotonic()
                if not task.cancelled.is_set():
                    task.message = event.message
            case PreviewFile():
                self.preview = event.path
            case FileArrived():
                task.files += 1
                self._arrived_files.append(event.path)
            case JobSubmitted():
                task.job = event.job
            case Connected():
                self.service = event.service
            case ServiceLaunched():
                self.process = event.process
            case ServiceStopped():
                self.service = None  # its process ends by itself
            case Failed():
                self._fail(event, task)
            case Succeeded():
                self._result = event

    def _fail(self, event: Failed, task: RunningTask) -> None:
        failed = self._current
        self._end()
        if failed is not None and failed.on_failed is not None:
            self._failed.append(failed)
            failed.on_failed()
        self.error_code = event.code
        if event.code == "cancelled":
            self.notice = f"{task.title} was cancelled."
        else:
            self.error = event.message
        if event.code in UNREACHABLE:
            self.service = None

    def _apply_result(self, result: Succeeded) -> None:
        finish = self._current.finish if self._current is not None else None
        try:
            message = finish(result) if finish is not None else ""
        except Exception as error:
            self._end()
            self.error_code, self.error = "failed", message_of(error)
            return
        if message is not None:
            self._end()
            self.notice = message or result.message or self.notice
            self.folder = result.folder or self.folder

    def _end(self) -> None:
        self.task = self._current = self._result = self.preview = None


def _run_steps(
    steps: Steps, cancelled: threading.Event, closing: threading.Event, events: "queue.SimpleQueue[Event]"
) -> None:
    last: Event = Failed("failed", "The task ended without a result. See the system console.")
    try:
        # The last event is posted after everything is closed: its reader need not wait for this thread.
        with contextlib.closing(steps(cancelled)) as running, tempfile.TemporaryDirectory() as folder:
            previews = PreviewFiles(Path(folder))
            for event in running:
                if isinstance(event, Succeeded):
                    last = event
                    break
                events.put(previews.write(event) if isinstance(event, Preview) else event)
                if closing.is_set():
                    return
    except Exception as error:
        code = error.code if isinstance(error, ServiceError) else "failed"
        if not isinstance(last, Succeeded):  # an error on closing does not undo a success
            last = Failed(code, message_of(error))
    events.put(last)


class PreviewFiles:
    """Writes previews to files in the I/O thread: Blender reads icons from files only."""

    KEPT = 4
    """How many files stay: Blender may still be about to read one of the last."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def write(self, preview: Preview) -> PreviewFile:
        self._count += 1
        (self._folder / f"{self._count - self.KEPT}.jpg").unlink(missing_ok=True)
        file = self._folder / f"{self._count}.jpg"
        file.write_bytes(preview.jpeg)
        return PreviewFile(file)


def message_of(error: Exception) -> str:
    """An exception as a sentence for the artist; unforeseen ones are printed in full to the console."""
    if isinstance(error, OSError) and error.strerror:
        name = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{name}: check the disk and the folder's permissions, then try again."
    if not isinstance(error, (ValueError, ServiceError)):
        traceback.print_exception(error)
    return str(error) or type(error).__name__


def end_process(process: subprocess.Popen, patience_s: float = 2.0) -> None:
    """Ask a service process to end. It stores what it has and exits; Blender does not wait longer than `patience_s`."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


session = Session()
