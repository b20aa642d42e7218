"""What all pools of workers share: slots, and how dead or silent workers are handled."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from inference_service.work.unit import Unit
from inference_service.workers import messages
from inference_service.workers.lines import Lines

log = logging.getLogger(__name__)

CANCEL_PATIENCE_S = 30.0
"""A worker that has not stopped so long after a cancel is killed."""
START_PATIENCE_S = 600.0
"""A worker that is not ready so long after its start is killed."""
MAX_UNIT_S = 6 * 3600.0
"""No unit takes longer; its worker is killed and its jobs fail."""
MAX_RESTARTS = 5
"""After this many deaths in a row over no unit, a worker is not started again until new work is submitted."""
MAX_BACK_OFF_S = 30.0


def back_off_s(deaths: int) -> float:
    """How long to wait before a worker that has died so often in a row is started again."""
    return min(0.1 * 2**deaths, MAX_BACK_OFF_S)


@dataclass
class Slot:
    """A place for one worker, and the unit that it is making."""

    device: str
    """Its description for clients."""
    ready: bool = False
    unit: Unit | None = None
    unwanted: bool = False
    """The unit was cancelled; the worker may still be making it."""
    overdue: bool = False
    kill_at: float | None = None
    deaths: int = 0
    """In a row: each makes the wait before the next start longer."""
    unprovoked: int = 0
    """How many of them happened without a unit: these make the pool give up. A unit that kills workers is itself
    stopped, and must not take the jobs of others with it."""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        return self.ready and self.unit is None

    @property
    def is_given_up(self) -> bool:
        return self.unprovoked >= MAX_RESTARTS

    @property
    def state(self) -> str:
        """'working', 'ready', 'starting' or 'stopped'."""
        if self.is_given_up:
            return "stopped"
        return "working" if self.unit else "ready" if self.ready else "starting"

    def free(self, takes_more: bool = True) -> None:
        """Its unit has ended; the worker lives."""
        self.deaths = self.unprovoked = 0
        self.unit, self.kill_at, self.unwanted = None, None, False
        self.ready = self.ready and takes_more

    def died(self, max_unit_s: float) -> messages.Report | None:
        """The worker is gone; returns what becomes of its unit, if it had one."""
        unit, unwanted, overdue = self.unit, self.unwanted, self.overdue
        self.ready, self.unit, self.kill_at, self.unwanted, self.overdue = False, None, None, False, False
        if not unwanted:
            self.deaths += 1
            self.unprovoked += unit is None
        if unit is None:
            return None
        if unwanted:
            return messages.UnitReturned(identity=unit.identity)
        if overdue:
            hours = max_unit_s / 3600
            text = f"The {unit.kind} was not done after {hours:g} hours; choose a smaller size or preset."
            return messages.UnitFailed(identity=unit.identity, code="failed", message=text)
        return messages.UnitCrashed(identity=unit.identity)

    def describe(self) -> dict[str, Any]:
        """The worker's description for clients."""
        unit = {"unit": self.unit.kind, "identity": self.unit.identity} if self.unit else {}
        return {"name": self.device, **self.about, "state": self.state, **unit}


SomeSlot = TypeVar("SomeSlot", bound=Slot)


class Pool(ABC, Generic[SomeSlot]):
    """An executor of slots; subclasses say how a worker is started and spoken to."""

    no_workers = "The worker process cannot be kept running; run `lookbeyond doctor` and see the log."

    def __init__(self, lines: Lines, cancel_patience_s: float = CANCEL_PATIENCE_S, max_unit_s: float = MAX_UNIT_S):
        self._lines, self.socket = lines, lines.socket
        self._cancel_patience_s, self._max_unit_s = cancel_patience_s, max_unit_s
        self._slots: Sequence[SomeSlot] = []

    @abstractmethod
    def _give(self, slot: SomeSlot, unit: Unit, names: dict[str, str], previews: bool) -> None:
        """Tell a worker to make a unit."""

    @abstractmethod
    def _ask_to_stop(self, slot: SomeSlot, identity: str) -> bool:
        """Tell a worker that its unit is cancelled; False if it has no worker."""

    def has_room(self) -> bool:
        return any(slot.is_idle for slot in self._slots)

    def run(self, unit: Unit, names: dict[str, str], previews: bool) -> str:
        slot = next(slot for slot in self._slots if slot.is_idle)
        slot.unit, slot.kill_at = unit, time.monotonic() + self._max_unit_s
        self._give(slot, unit, names, previews)
        return slot.device

    def cancel(self, identity: str) -> None:
        for slot in self._slots:
            makes_it = slot.unit and slot.unit.identity == identity and not slot.unwanted
            if makes_it and self._ask_to_stop(slot, identity):
                slot.unwanted, slot.kill_at = True, time.monotonic() + self._cancel_patience_s

    def devices(self) -> list[dict]:
        return [slot.describe() for slot in self._slots]

    def _hear(self, slot: SomeSlot, report: messages.Report) -> None:
        """Take in what a worker reports of itself."""
        slot.about |= report.about
        if isinstance(report, messages.WorkerFailed):
            log_worker_error(report.traceback, slot)
        elif isinstance(report, messages.UnitDone):
            slot.free()
        elif isinstance(report, messages.UnitFailed):
            slot.free(takes_more=not report.worker_ends)

    def _given_up(self, reason: str = "") -> Iterator[messages.Report]:
        if all(slot.is_given_up for slot in self._slots):
            log.error("no worker can be kept running; waiting for new work")
            yield messages.NoWorkers(reason=reason or self.no_workers)


def log_worker_error(traceback: str, slot: Slot) -> None:
    """Write what ended a worker into the service's log; an error of its unit is logged with the unit."""
    about = {"unit": slot.unit.identity, "kind": slot.unit.kind} if slot.unit else {}
    log.error("unforeseen error of a worker", extra={**about, "device": slot.device, "traceback": traceback})
