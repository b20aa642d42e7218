"""Whoever runs units for the service (`Executor`), and the one that runs them in processes of this machine.

There is one worker process for each device. It is started again when it dies, with back-off; it is killed when
it does not stop after a cancel, or when a unit takes longer than any should.
"""

import dataclasses
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import zmq

from inference_service.units import Unit
from inference_service.workers.process import ABOUT_DEVICE, WORKER_COMMAND, WorkerProcess
from lookbeyond.errors import InputError

log = logging.getLogger(__name__)

CANCEL_PATIENCE_S = 30.0
"""A worker that has not stopped so long after a cancel is killed."""
START_PATIENCE_S = 600.0
"""A worker that is not ready so long after its start is killed."""
MAX_UNIT_S = 6 * 3600.0
"""No unit takes longer; its worker is killed and its jobs fail."""
MAX_RESTARTS = 5
"""Deaths in a row over no unit after which a worker is not started again until new work is submitted."""
MAX_BACK_OFF_S = 30.0
MAX_DEVICES = 64


class Executor(Protocol):
    """Runs units. Everything is called from the service's thread, and nothing blocks."""

    kind: str
    socket: zmq.Socket
    """Can be read when `messages` has something."""

    def start(self) -> None:
        """Begin; called once."""
        ...

    def messages(self) -> Iterator[dict]:
        """What the workers have said since (see `workers.process`), and of the executor's own:

        `{"crashed": identity}`, `{"given_back": identity}` (a cancelled unit whose worker was killed) and
        `{"broken": reason}` (no worker can be kept running).
        """
        ...

    def tick(self) -> Iterator[dict]:
        """Called about ten times a second; more messages."""
        ...

    def has_room(self) -> bool:
        """Whether a unit can be given to a worker now."""
        ...

    def run(self, unit: Unit, names: dict[str, str], previews: bool) -> str:
        """Give a unit to a worker that has none; the device it runs on. `names`: what its files are called."""
        ...

    def cancel(self, identity: str) -> None:
        """Nobody needs this unit any more."""
        ...

    def release(self) -> None:
        """Unload the models."""
        ...

    def revive(self) -> None:
        """Somebody asks for work: try again to start workers that could not be kept running."""
        ...

    def devices(self) -> list[dict]:
        """One object for each worker: name, title, memory_gb, state, and what is known of its memory."""
        ...

    def close(self) -> None:
        """End all workers and wait for them."""
        ...


def parse_devices(text: str) -> list[str]:
    """The devices of `--devices`: 'auto', or a list such as 'cuda:0,cuda:1', 'cpu' or 'cpu*4'.

    InputError for anything else.
    """
    devices = []
    for part in text.split(","):
        several = re.fullmatch(r"\s*(cpu)\*([1-9]\d{0,2})\s*", part)
        devices += [several[1]] * int(several[2]) if several else [part.strip()]
    if devices == ["auto"]:
        return devices
    if not all(re.fullmatch(r"cpu|mps|cuda:\d{1,3}", device) for device in devices) or len(devices) > MAX_DEVICES:
        raise InputError(f"--devices {text} cannot be used; give auto, cpu, mps or a list such as cuda:0,cuda:1.")
    gpus = [device for device in devices if device != "cpu"]
    if len(set(gpus)) < len(gpus):
        raise InputError(f"--devices {text} names a GPU twice; give each once.")
    return devices


def device_environment(device: str, threads: int | None, environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker's environment needs so that it sees its own device and takes its own share of cores."""
    changes = {}
    if device == "cpu":
        changes["CUDA_VISIBLE_DEVICES"] = ""
    elif device.startswith("cuda:"):
        index = int(device.removeprefix("cuda:"))
        visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        if visible and index >= len(visible):
            raise InputError(
                f"There is no device {device}: CUDA_VISIBLE_DEVICES names only {len(visible)}; choose another."
            )
        changes["CUDA_VISIBLE_DEVICES"] = visible[index] if visible else str(index)
        changes["CUDA_DEVICE_ORDER"] = environment.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    if threads is not None:
        changes |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return changes


def share_of_cores(devices: Sequence[str], environment: Mapping[str, str] = os.environ) -> int | None:
    """Threads of each CPU worker where there are several, or None where nothing is to be changed."""
    workers = devices.count("cpu")
    if workers < 2 or "OMP_NUM_THREADS" in environment:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


@dataclass
class Slot:
    """A device and the process that works on it."""

    device: str
    worker: WorkerProcess | None = None
    ready: bool = False
    unit: Unit | None = None
    unwanted: bool = False
    """The unit was cancelled; the worker may still be at it."""
    kill_at: float | None = None
    overdue: bool = False
    deaths: int = 0
    """In a row: each makes the wait before the next start longer."""
    unprovoked: int = 0
    """How many of them were over no unit: what a worker is given up for. A unit that kills workers is itself stopped,
    and is not to take the jobs of others with it."""
    start_at: float = 0.0
    releasing: bool = False
    """It was asked to unload its models and has not answered yet: asking more often would only keep it busy."""
    about: dict[str, Any] = field(default_factory=dict)


class Lines:
    """What other threads tell the service's: a socket for it to poll, and one that they share.

    Both are made at the start: when a thread has something to tell, there may be no descriptor left for a socket of
    its own.
    """

    def __init__(self, context: zmq.Context):
        self.socket, self._shared, self._lock = context.socket(zmq.PULL), context.socket(zmq.PUSH), threading.Lock()
        for one in (self.socket, self._shared):
            one.set_hwm(0)
        self.socket.bind("inproc://workers")
        self._shared.connect("inproc://workers")

    def tell(self, number: int, line: bytes) -> None:
        """From any thread: a line of the worker of that number."""
        with self._lock:
            self._shared.send_multipart([str(number).encode(), line])

    def told(self) -> Iterator[tuple[int, bytes]]:
        """What has come since, in the service's thread."""
        while True:
            try:
                number, line = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield int(number), line

    def close(self) -> None:
        with self._lock:  # a thread may still have something to tell
            self._shared.close(0)
        self.socket.close(0)


class ProcessPool:
    """An executor with one worker process for each device."""

    kind = "process"

    def __init__(
        self,
        context: zmq.Context,
        store: Path,
        devices: Sequence[str] = ("auto",),
        command: Sequence[str] = WORKER_COMMAND,
        threads: int | None = None,
        idle_s: float | None = None,
        cancel_patience_s: float = CANCEL_PATIENCE_S,
        max_unit_s: float = MAX_UNIT_S,
        warm: str = "",
    ):
        self._store, self._command, self._warm = store, command, warm
        self._threads = threads if threads is not None else share_of_cores(devices)
        self._idle_s = idle_s
        self._cancel_patience_s, self._max_unit_s = cancel_patience_s, max_unit_s
        for device in devices:
            device_environment(device, None, os.environ)
        self._slots = [Slot(device) for device in devices]
        self._lines = Lines(context)
        self.socket = self._lines.socket

    def start(self) -> None:
        for slot in self._slots:
            self._start(slot)

    # what workers say

    def messages(self) -> Iterator[dict]:
        for pid, line in self._lines.told():
            slot = next((s for s in self._slots if s.worker and s.worker.pid == pid), None)
            if slot is None:
                continue
            if not line:
                yield from self._died(slot)
                continue
            try:
                message = json.loads(line)
            except ValueError:
                continue
            yield from self._said(slot, message)

    def _said(self, slot: Slot, message: dict) -> Iterator[dict]:
        slot.about |= message.pop("about", {})
        log_traceback(message, slot.unit, slot.device)
        if not message:
            slot.releasing = False
        if "ready" in message:
            slot.ready, slot.kill_at = True, None
            found = message["ready"]["devices"]
            if slot.device == "auto" and found:
                slot.device = found[0]["name"]
                for other in found[1:]:  # a machine with several GPUs: one worker for each
                    self._slots.append(Slot(other["name"]))
                    self._start(self._slots[-1])
            if found:
                slot.about |= {key: found[0][key] for key in ABOUT_DEVICE if key in found[0]}
        elif "done" in message or "failed" in message:
            slot.deaths = slot.unprovoked = 0
            slot.unit, slot.kill_at, slot.unwanted = None, None, False
            if "ends" in message:  # it is given nothing more
                slot.ready, slot.kill_at = False, time.monotonic() + self._cancel_patience_s
            yield message
        elif "progress" in message or "planned" in message:
            yield message

    def _died(self, slot: Slot) -> Iterator[dict]:
        assert slot.worker
        slot.worker.close()
        unit, unwanted, overdue = slot.unit, slot.unwanted, slot.overdue
        log.warning(
            "worker ended", extra={"device": slot.device, "pid": slot.worker.pid, "exit_code": slot.worker.exit_code}
        )
        slot.worker, slot.ready, slot.unit = None, False, None
        slot.kill_at, slot.unwanted, slot.overdue = None, False, False
        slot.about.pop("loaded", None)
        if not unwanted:
            slot.deaths += 1
            slot.unprovoked += unit is None
        slot.start_at = time.monotonic() + back_off_s(slot.deaths)
        if unit and unwanted:
            yield {"given_back": unit.identity}
        elif unit and overdue:
            hours = self._max_unit_s / 3600
            sentence = f"The {unit.kind} was not done after {hours:g} hours; choose a smaller size or preset."
            yield {"failed": unit.identity, "code": "failed", "message": sentence}
        elif unit:
            yield {"crashed": unit.identity}
        yield from self._given_up()

    def _given_up(self) -> Iterator[dict]:
        if all(s.worker is None and s.unprovoked >= MAX_RESTARTS for s in self._slots):
            log.error("no worker can be kept running; waiting for new work")
            yield {"broken": "The worker process cannot be kept running; run `lookbeyond doctor` and see the log."}

    # the service's wishes

    def tick(self) -> Iterator[dict]:
        now = time.monotonic()
        for slot in self._slots:
            if slot.kill_at and now > slot.kill_at and slot.worker:
                log.warning("worker did not stop in time and is killed", extra={"device": slot.device})
                slot.overdue = slot.unit is not None and not slot.unwanted
                slot.kill_at = None
                slot.worker.kill()
            if slot.worker is None and slot.unprovoked < MAX_RESTARTS and now >= slot.start_at:
                self._start(slot)
                if slot.worker is None:
                    yield from self._given_up()

    def has_room(self) -> bool:
        return any(slot.ready and slot.unit is None for slot in self._slots)

    def run(self, unit: Unit, names: dict[str, str], previews: bool) -> str:
        slot = next(slot for slot in self._slots if slot.ready and slot.unit is None)
        assert slot.worker
        slot.unit, slot.kill_at = unit, time.monotonic() + self._max_unit_s
        slot.worker.send({"run": dataclasses.asdict(unit), "names": names, "previews": previews})
        return slot.device

    def cancel(self, identity: str) -> None:
        for slot in self._slots:
            if slot.unit and slot.unit.identity == identity and slot.worker and not slot.unwanted:
                slot.unwanted = True
                slot.kill_at = time.monotonic() + self._cancel_patience_s
                slot.worker.send({"cancel": identity})

    def release(self) -> None:
        for slot in self._slots:
            if slot.worker and not slot.releasing:
                slot.releasing = True
                slot.worker.send({"release": True})

    def revive(self) -> None:
        for slot in self._slots:
            if slot.worker is None and slot.unprovoked >= MAX_RESTARTS:
                slot.deaths, slot.unprovoked, slot.start_at = 0, 0, 0.0

    def devices(self) -> list[dict]:
        devices = []
        for slot in self._slots:
            state = "working" if slot.unit else "ready" if slot.ready else "starting" if slot.worker else "stopped"
            unit = {"unit": slot.unit.kind, "identity": slot.unit.identity} if slot.unit else {}
            pid = {"pid": slot.worker.pid} if slot.worker else {}
            devices.append({"name": slot.device, **slot.about, "state": state, **unit, **pid})
        return devices

    def close(self) -> None:
        workers = [slot.worker for slot in self._slots if slot.worker]
        for worker in workers:
            worker.end_input()
        for worker in workers:
            worker.close(timeout_s=1.0)
        self._lines.close()

    # starting

    def _on_line(self, worker: WorkerProcess, line: bytes) -> None:
        self._lines.tell(worker.pid, line)

    def _start(self, slot: Slot) -> None:
        options = ["--device", "cuda" if slot.device.startswith("cuda:") else slot.device]
        options += [] if self._idle_s is None else ["--idle-s", str(self._idle_s)]
        options += ["--warm", self._warm] if self._warm else []
        changes = device_environment(slot.device, self._threads, os.environ)
        slot.ready = slot.releasing = False
        try:
            slot.worker = WorkerProcess([*self._command, *options], self._store, self._on_line, changes)
            slot.kill_at = time.monotonic() + START_PATIENCE_S
        except OSError as error:
            slot.deaths += 1
            slot.unprovoked += 1
            slot.start_at = time.monotonic() + back_off_s(slot.deaths)
            log.error("the worker could not be started: %s", error, extra={"device": slot.device})


def log_traceback(message: dict, unit: Unit | None, device: str) -> None:
    """Take what ended a worker out of its message and into the service's log; what failed a unit is logged with it."""
    if "traceback" in message and "failed" not in message:
        about = {"unit": unit.identity, "kind": unit.kind} if unit else {}
        log.error("unforeseen error of a worker", extra={**about, "device": device, "traceback": message["traceback"]})
        del message["traceback"]


def back_off_s(deaths: int) -> float:
    """How long to wait before a worker that has died so often in a row is started again."""
    return min(0.1 * 2**deaths, MAX_BACK_OFF_S)
