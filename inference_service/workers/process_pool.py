"""The executor with one worker process for each device of this machine.

A worker is started again when it dies, with back-off; it is killed when it does not stop after a cancel, or when a unit
takes longer than any should.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from inference_service.work.unit import Unit, from_json
from inference_service.workers import messages
from inference_service.workers.devices import ABOUT_DEVICE, device_environment, share_of_cores
from inference_service.workers.handle import WORKER_COMMAND, WorkerProcess
from inference_service.workers.lines import Lines
from inference_service.workers.messages import Report
from inference_service.workers.pool import CANCEL_PATIENCE_S, MAX_UNIT_S, START_PATIENCE_S, Pool, Slot, back_off_s

log = logging.getLogger(__name__)


@dataclass
class ProcessSlot(Slot):
    """A device and the process that works on it."""

    worker: WorkerProcess | None = None
    start_at: float = 0.0
    releasing: bool = False
    """It was asked to unload its models and has not answered yet: asking more often would only keep it busy."""

    @property
    def state(self) -> str:
        return super().state if self.worker else "stopped"

    def describe(self) -> dict:
        return super().describe() | ({"pid": self.worker.pid} if self.worker else {})


class ProcessPool(Pool[ProcessSlot]):
    """One worker process for each device; `auto` is one for every GPU, or one on the CPU."""

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
        for device in devices:
            device_environment(device, None, os.environ)
        super().__init__(Lines(context), cancel_patience_s, max_unit_s)
        self._store, self._command, self._idle_s, self._warm = store, command, idle_s, warm
        self._threads = threads if threads is not None else share_of_cores(devices)
        self._slots: list[ProcessSlot] = [ProcessSlot(device) for device in devices]

    def start(self) -> None:
        for slot in self._slots:
            self._start(slot)

    def messages(self) -> Iterator[Report]:
        for pid, line in self._lines.received():
            slot = next((s for s in self._slots if s.worker and s.worker.pid == pid), None)
            if slot is None:
                continue
            if not line:
                yield from self._died(slot)
                continue
            try:
                report = from_json(line, messages.AnyReport)
            except ValueError:
                continue
            self._hear(slot, report)
            if isinstance(report, messages.Ready):
                self._is_ready(slot, report.devices)
            elif isinstance(report, messages.Released):
                slot.releasing = False
            elif isinstance(report, messages.UnitFailed) and report.worker_ends:
                slot.kill_at = time.monotonic() + self._cancel_patience_s
            if isinstance(report, messages.ForService):
                yield report

    def _is_ready(self, slot: ProcessSlot, found: list[dict]) -> None:
        slot.ready, slot.kill_at = True, None
        if slot.device == "auto" and found:
            slot.device = found[0]["name"]
            for other in found[1:]:  # a machine with several GPUs: one worker for each
                self._slots.append(ProcessSlot(other["name"]))
                self._start(self._slots[-1])
        if found:
            slot.about |= {key: found[0][key] for key in ABOUT_DEVICE if key in found[0]}

    def _died(self, slot: ProcessSlot) -> Iterator[Report]:
        assert slot.worker
        slot.worker.close()
        about = {"device": slot.device, "pid": slot.worker.pid, "exit_code": slot.worker.exit_code}
        log.warning("worker ended", extra=about)
        slot.worker = None
        slot.about.pop("loaded", None)
        if report := slot.died(self._max_unit_s):
            yield report
        slot.start_at = time.monotonic() + back_off_s(slot.deaths)
        yield from self._given_up()

    def tick(self) -> Iterator[Report]:
        now = time.monotonic()
        for slot in self._slots:
            if slot.kill_at and now > slot.kill_at and slot.worker:
                log.warning("worker did not stop in time and is killed", extra={"device": slot.device})
                slot.overdue = slot.unit is not None and not slot.unwanted
                slot.kill_at = None
                slot.worker.kill()
            if slot.worker is None and not slot.is_given_up and now >= slot.start_at:
                self._start(slot)
                if slot.worker is None:
                    yield from self._given_up()

    def _give(self, slot: ProcessSlot, unit: Unit, names: dict[str, str], previews: bool) -> None:
        assert slot.worker
        slot.worker.send(messages.RunUnit(unit, names, previews))

    def _ask_to_stop(self, slot: ProcessSlot, identity: str) -> bool:
        if slot.worker:
            slot.worker.send(messages.CancelUnit(identity))
        return slot.worker is not None

    def release(self) -> None:
        for slot in self._slots:
            if slot.worker and not slot.releasing:
                slot.releasing = True
                slot.worker.send(messages.ReleaseModels())

    def revive(self) -> None:
        for slot in self._slots:
            if slot.worker is None and slot.is_given_up:
                slot.deaths, slot.unprovoked, slot.start_at = 0, 0, 0.0

    def close(self) -> None:
        workers = [slot.worker for slot in self._slots if slot.worker]
        for worker in workers:
            worker.end_input()
        for worker in workers:
            worker.close(timeout_s=1.0)
        self._lines.close()

    def _start(self, slot: ProcessSlot) -> None:
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

    def _on_line(self, worker: WorkerProcess, line: bytes) -> None:
        self._lines.send(worker.pid, line)
