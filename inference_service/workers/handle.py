"""The service's handle on a worker process."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inference_service.work.unit import to_json
from inference_service.workers.devices import python_path
from inference_service.workers.messages import Order

WORKER_COMMAND = (sys.executable, "-P", "-m", "inference_service.workers.worker")


class WorkerProcess:
    """A worker process as the service sees it.

    Its lines reach `on_line(worker, line)` in a thread of their own; an empty line says that it has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        store: Path,
        on_line: Callable[["WorkerProcess", bytes], None],
        changes: Mapping[str, str] | None = None,
    ):
        self._process = subprocess.Popen(
            [*command, "--store", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(changes or {}), "PYTHONPATH": python_path()},
        )
        # written in a thread: a stopped worker does not read, and the service must not wait for it
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def send(self, order: Order) -> None:
        """Send an order; a worker that has ended says so through `on_line`."""
        self._orders.put(order)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def end_input(self) -> None:
        """Ask the process to end, by ending its input."""
        self._orders.put(None)

    def close(self, timeout_s: float = 2.0) -> None:
        """End the process by ending its input, by force if it does not react, and wait for it."""
        self.end_input()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._writer.join()

    def _write(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError), self._process.stdin as stdin:
            while (order := self._orders.get()) is not None:
                stdin.write(to_json(order) + b"\n")  # here: of a long path it takes a while
                stdin.flush()

    def _read(self, on_line: Callable[["WorkerProcess", bytes], None]) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            on_line(self, line)
        self._process.wait()
        on_line(self, b"")
