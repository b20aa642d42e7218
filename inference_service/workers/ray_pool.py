"""The executor that runs the same units on Ray (the extra `ray`): on this machine, or on a cluster's.

There is one actor for each worker. Ray never retries a task, for it would replay it in the middle: the service gives a
unit whose actor died to a new one as a whole.
"""

import contextlib
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import zmq

from inference_service.store.store import Store
from inference_service.work.unit import Unit, from_json, to_json
from inference_service.workers import messages
from inference_service.workers.devices import python_path, share_of_cores
from inference_service.workers.lines import Lines
from inference_service.workers.messages import Report, WorkerDied
from inference_service.workers.pool import MAX_RESTARTS, Pool, back_off_s, log_worker_error
from inference_service.workers.ray_link import EndActor, Inputs, RayLink, RaySlot, StartActor
from inference_service.workers.worker import IDLE_S
from lookbeyond.errors import InputError

log = logging.getLogger(__name__)


def require_ray() -> None:
    """InputError unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("--executor ray needs Ray; run `pip install lookbeyond[ray]`.")


class RayPool(Pool[RaySlot]):
    """Workers that are Ray actors: one for each GPU of the cluster, or for each device named."""

    kind = "ray"
    no_workers = "Ray's workers cannot be kept running; run `lookbeyond doctor` and see the log."

    def __init__(
        self,
        context: zmq.Context,
        store: Path,
        devices: Sequence[str] = ("auto",),
        address: str | None = None,
        threads: int | None = None,
        load: str = "inference_service.workers.models:load_scene_pipeline",
        describe: str = "inference_service.workers.devices:describe_torch_devices",
        idle_s: float | None = None,
    ):
        super().__init__(Lines(context))
        self._store = Store(store)
        self._devices, self._address = list(devices), address
        self._threads = threads if threads is not None else share_of_cores(devices)
        self._load, self._describe = load, describe
        self._idle_s = IDLE_S if idle_s is None else idle_s
        self._slots: list[RaySlot] = []
        self._ended = threading.Event()
        self._failed_to_start = False
        self._host = threading.Thread(target=self._host_ray, daemon=True)

    def start(self) -> None:
        self._host.start()  # Ray takes seconds to start

    # in the service's thread

    def messages(self) -> Iterator[Report]:
        for index, line in self._lines.received():
            report = from_json(line, messages.AnyReport)
            if isinstance(report, messages.NoWorkers):
                self._failed_to_start = True
                yield report
                continue
            slot = self._slots[index]
            self._hear(slot, report)
            if isinstance(report, messages.Ready):
                slot.ready = True
            elif isinstance(report, WorkerDied):
                yield from self._died(slot, report)
            elif isinstance(report, (messages.UnitDone, messages.UnitFailed)):
                slot.used = time.monotonic()
            if isinstance(report, messages.ForService):
                yield report

    def _died(self, slot: RaySlot, death: WorkerDied) -> Iterator[Report]:
        log.warning("worker ended", extra={"device": slot.device})
        if death.traceback:
            log_worker_error(death.traceback, slot)
        if report := slot.died(self._max_unit_s):
            yield report
        if death.no_room:  # it was waited for long enough
            slot.unprovoked = MAX_RESTARTS
        if not slot.is_given_up:
            slot.orders.put(StartActor(back_off_s(slot.deaths)))
        yield from self._given_up(death.no_room)

    def tick(self) -> Iterator[Report]:
        now = time.monotonic()
        for slot in list(self._slots):
            if slot.kill_at and now > slot.kill_at and slot.actor is not None:
                import ray

                slot.overdue, slot.kill_at = not slot.unwanted, None
                ray.kill(slot.actor)
            if slot.unit is None and slot.about.get("loaded") and now - slot.used > self._idle_s:
                self._release(slot)
        yield from ()

    def _give(self, slot: RaySlot, unit: Unit, names: dict[str, str], previews: bool) -> None:
        slot.orders.put(messages.RunUnit(unit, names, previews))

    def _ask_to_stop(self, slot: RaySlot, identity: str) -> bool:
        if slot.actor is not None:
            slot.actor.cancel.remote(identity)
        return slot.actor is not None

    def release(self) -> None:
        for slot in self._slots:
            self._release(slot)

    def _release(self, slot: RaySlot) -> None:
        import ray

        under_way = slot.releasing is not None and not ray.wait([slot.releasing], timeout=0)[0]
        if slot.actor is not None and not under_way:
            slot.releasing = slot.actor.release.remote()
            slot.about.pop("loaded", None)

    def revive(self) -> None:
        for slot in self._slots:
            if slot.is_given_up:
                slot.deaths = slot.unprovoked = 0
                slot.orders.put(StartActor(0.0))
        if self._failed_to_start and not self._host.is_alive():
            self._failed_to_start = False
            self._host = threading.Thread(target=self._host_ray, daemon=True)
            self._host.start()

    def devices(self) -> list[dict]:
        if not self._slots:
            return [{"name": "ray", "title": "Ray", "state": "stopped" if self._failed_to_start else "starting"}]
        return super().devices()

    def close(self) -> None:
        self._ended.set()
        if self._host.ident:
            self._host.join(60)
        self._lines.close()

    # in the host's thread

    def _host_ray(self) -> None:
        """Start Ray, and end it when the service ends.

        One thread does both: Ray's processes end with the thread that started them (PR_SET_PDEATHSIG), which
        is what leaves no orphans when the service is killed.
        """
        try:
            self._start_ray()
            self._ended.wait()
        except Exception as error:
            log.error("Ray could not be started: %s", error)
            self._send(0, messages.NoWorkers(reason=f"Ray could not be started ({str(error)[:200]}); see the log."))
        for slot in self._slots:
            slot.orders.put(EndActor())
        for slot in self._slots:
            if slot.thread:
                slot.thread.join(5)
        with contextlib.suppress(Exception):
            import ray

            ray.shutdown()

    def _start_ray(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a call after its end would start another Ray
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # a busy machine takes longer than Ray's 30
        import ray

        variables = {"PYTHONPATH": python_path()}
        if threads := self._threads or os.environ.get("OMP_NUM_THREADS"):
            variables["OMP_NUM_THREADS"] = str(threads)  # Ray would set it to 1
        own = {} if self._address else {"include_dashboard": False, "num_cpus": max(8, len(self._devices))}
        ray.init(
            address=self._address,
            runtime_env={"env_vars": variables},
            logging_level=logging.ERROR,
            log_to_driver=False,
            namespace="lookbeyond",
            **own,
        )
        gpus = int(ray.cluster_resources().get("GPU", 0))
        devices = self._devices
        if devices == ["auto"]:
            devices = ["cuda"] * gpus or ["cpu"]
        inputs = Inputs(self._store)
        for index, device in enumerate(device.partition(":")[0] for device in devices):
            slot = RaySlot(f"ray:{index} ({device})")
            slot.orders.put(StartActor(0.0))
            self._slots.append(slot)
            self._serve(index, slot, device, inputs)

    def _serve(self, index: int, slot: RaySlot, device: str, inputs: Inputs) -> None:
        def send(report: Report) -> None:
            self._send(index, report)

        link = RayLink(slot, (self._load, self._describe, device), self._store, inputs, send, self._ended)
        slot.thread = threading.Thread(target=link.serve, daemon=True)
        slot.thread.start()

    def _send(self, index: int, report: Report) -> None:
        self._lines.send(index, to_json(report))
