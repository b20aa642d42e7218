"""The service's side of one Ray actor, in its own thread: starts it, sends it units, passes on its reports."""

import collections
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from inference_service.store.store import Store
from inference_service.store.transfer import files_of, import_unit
from inference_service.workers import messages
from inference_service.workers.devices import ABOUT_DEVICE
from inference_service.workers.pool import START_PATIENCE_S, Slot
from inference_service.workers.ray_actor import RayWorker
from inference_service.workers.unit_run import traceback_of
from lookbeyond.errors import InputError, LookBeyondError

log = logging.getLogger(__name__)

CACHED_INPUTS = 64


class NoRoom(Exception):
    """No machine of the cluster has what a worker needs; the text says what, and what to do."""


@dataclass(frozen=True)
class StartActor:
    after_s: float


@dataclass(frozen=True)
class EndActor:
    pass


@dataclass
class RaySlot(Slot):
    """A worker as the service sees it; its link talks to the actor."""

    orders: queue.SimpleQueue[StartActor | messages.RunUnit | EndActor] = field(default_factory=queue.SimpleQueue)
    actor: Any = None
    polling: Any = None
    """The question for progress that is under way; it outlives its unit, whose end must not wait for it."""
    releasing: Any = None
    """The request to unload its models that is under way: asking more often would only keep it busy."""
    used: float = 0.0
    """When its last unit ended, by the monotonic clock."""
    thread: threading.Thread | None = None


class Inputs:
    """Ray's references to the bytes of files, units and records: each is put there once for all workers."""

    def __init__(self, store: Store):
        self._store = store
        self._known: collections.OrderedDict[tuple[str, tuple[str, ...] | None], Any] = collections.OrderedDict()
        self._lock = threading.Lock()

    def of(self, order: messages.RunUnit) -> dict[str, Any]:
        """All that a unit reads. LookBeyondError if some of it is gone."""
        unit = order.unit
        inputs = {sha256: self._reference(sha256, None, self._file) for sha256 in unit.input_files}

        def files(identity: str) -> dict[str, bytes]:
            return files_of(self._store, identity, unit.reads)

        return inputs | {identity: self._reference(identity, unit.reads, files) for identity in unit.input_units}

    def _file(self, sha256: str) -> dict[str, bytes]:
        try:
            return {"": self._store.read_file(sha256).read_bytes()}
        except OSError as error:
            raise InputError("A file of this job is no longer in the store; submit the job again.") from error

    def _reference(self, name: str, wanted: tuple[str, ...] | None, read: Callable[[str], dict[str, bytes]]) -> Any:
        import ray

        key = (name, wanted)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        reference = ray.put(read(name))
        with self._lock:
            self._known[key] = reference
            if len(self._known) > CACHED_INPUTS:
                self._known.popitem(last=False)
        return reference


class RayLink:
    """Talks to the actor of one slot until it is asked to end."""

    def __init__(
        self,
        slot: RaySlot,
        arguments: tuple[str, str, str],
        store: Store,
        inputs: Inputs,
        send: Callable[[messages.Report], None],
        ended: threading.Event,
    ):
        self._slot, self._arguments = slot, arguments
        self._store, self._inputs, self._send, self._ended = store, inputs, send, ended

    def serve(self) -> None:
        """The thread."""
        import ray

        while not isinstance(order := self._slot.orders.get(), EndActor):
            try:
                if isinstance(order, messages.RunUnit):
                    self.run(order)
                elif not self._ended.wait(order.after_s):
                    self._start()
            except Exception as error:  # whatever Ray makes of a dead actor
                if self._ended.is_set():
                    break
                self._lost(error)
        with contextlib.suppress(Exception):
            if self._slot.actor is not None and ray.is_initialized():  # else the next line would start another Ray
                ray.get(self._slot.actor.end.remote(), timeout=2)
                ray.kill(self._slot.actor)

    def _lost(self, error: Exception) -> None:
        import ray

        log.warning("Ray: %s", " ".join(str(error).split())[:2000], extra={"device": self._slot.device})
        with contextlib.suppress(Exception):
            if self._slot.actor is not None:
                ray.kill(self._slot.actor)
        self._slot.actor = None
        unforeseen = isinstance(error, ray.exceptions.RayTaskError)  # in the actor, and not its death
        self._send(
            messages.WorkerDied(
                traceback=traceback_of(error) if unforeseen else "",
                no_room=str(error) if isinstance(error, NoRoom) else "",
            )
        )

    def _start(self) -> None:
        ready = self.start_actor()
        found = ready.devices[0] if ready.devices else {}
        named = {key: found[key] for key in ABOUT_DEVICE if key in found}
        self._send(msgspec.structs.replace(ready, about=ready.about | named))

    def start_actor(self) -> messages.Ready:
        """Start the slot's actor. Raises NoRoom, or whatever Ray makes of a broken one."""
        import ray

        gpus = int(self._arguments[-1] == "cuda")
        options = {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 4, "num_cpus": 1, "num_gpus": gpus}
        self._slot.actor = ray.remote(**options)(RayWorker).remote(*self._arguments)
        self._slot.polling = None
        try:
            ray.get(self._slot.actor.__ray_ready__.remote(), timeout=START_PATIENCE_S)
        except ray.exceptions.GetTimeoutError as error:
            there, free = ray.cluster_resources(), ray.available_resources()
            has = [f"{there.get(kind, 0):g} {kind}s ({free.get(kind, 0):g} free)" for kind in ("CPU", "GPU")]
            raise NoRoom(
                f"Ray found no place for a worker in {START_PATIENCE_S / 60:g} minutes: it needs 1 CPU and {gpus} GPU, "
                f"the cluster has {' and '.join(has)}; add a machine, end other work there or choose other --devices, "
                "and submit again."
            ) from error
        return ray.get(self._slot.actor.ready.remote(), timeout=START_PATIENCE_S)

    def run(self, order: messages.RunUnit) -> None:
        """Give the actor a unit, and pass on what it reports until that ends."""
        unit, slot = order.unit, self._slot
        try:
            inputs = self._inputs.of(order)
        except LookBeyondError as error:
            self._send(messages.UnitFailed(identity=unit.identity, code=error.code, message=str(error)))
            return
        if slot.unwanted:  # since its inputs were asked for
            self._send(messages.UnitFailed(identity=unit.identity, code="cancelled", message="The work was cancelled."))
            return
        result = self._result(slot.actor.run.remote(order, inputs))
        if result is None:
            return
        ended, files = result
        if isinstance(ended, messages.UnitDone):
            try:
                import_unit(self._store, unit.identity, files)
                if unit.is_shared:
                    self._store.share_unit(unit.identity)
            except LookBeyondError as error:
                ended = messages.UnitFailed(identity=unit.identity, code=error.code, message=str(error))
        self._send(ended)
        if isinstance(ended, messages.UnitFailed) and ended.worker_ends:
            raise RuntimeError("the device has failed for good; see the log of its unit")

    def _result(self, running: Any) -> tuple[messages.UnitDone | messages.UnitFailed, dict[str, bytes]] | None:
        """What the actor's `run` returns, its progress passed on meanwhile; None if the service ends."""
        import ray

        slot = self._slot
        ready: list[Any] = []
        while running not in ready:
            slot.polling = slot.polling or slot.actor.poll.remote()
            ready, _ = ray.wait([running, slot.polling], num_returns=1)
            if slot.polling in ready:
                reports, slot.polling = ray.get(slot.polling), None
                for report in reports:
                    self._send(report)
            if self._ended.is_set():
                return None
        return ray.get(running)
