"""The executor that runs the same units on Ray (the extra `ray`): on this machine, or on a cluster's.

There is one actor for each worker. A unit travels with the bytes of its inputs and comes back as the bytes of
its files, so that no machine needs the service's store. A task is never retried by Ray, which would replay it
in the middle: a unit whose actor died is given to a new one as a whole, by the service.
"""

import collections
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import logging
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import zmq

from inference_service.store import Store, mark_lives, own_mark
from inference_service.units import Unit, files_read, units_read
from inference_service.workers.pool import (
    CANCEL_PATIENCE_S,
    MAX_RESTARTS,
    MAX_UNIT_S,
    START_PATIENCE_S,
    Lines,
    back_off_s,
    log_traceback,
    share_of_cores,
)
from inference_service.workers.process import (
    ABOUT_DEVICE,
    IDLE_S,
    CachedPipelines,
    device_error,
    memory_in_use,
    python_path,
    run_order,
    traceback_of,
    with_presets,
)
from lookbeyond.errors import InputError, LookBeyondError

log = logging.getLogger(__name__)

FOLDER_PREFIX = "lookbeyond-ray-"
POLL_S = 0.2
CACHED_INPUTS = 64
ACTOR_QUOTA_BYTES = 4 << 30


def require_ray() -> None:
    """InputError unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("--executor ray needs Ray; run `pip install lookbeyond[ray]`.")


class NoRoom(Exception):
    """No machine of the cluster had what a worker needs; the text says what, and what to do."""


class RayWorker:
    """The actor: a worker with a store of its own, in a temporary folder of its machine."""

    def __init__(self, load: str, describe: str, device: str):
        folder = Path(tempfile.gettempdir())
        for left in folder.glob(f"{FOLDER_PREFIX}*"):  # by actors that were killed
            if not mark_lives(left.name.removeprefix(FOLDER_PREFIX)):
                shutil.rmtree(left, ignore_errors=True)
        self._store = Store(folder / f"{FOLDER_PREFIX}{own_mark()}")
        self._pipelines = CachedPipelines(_named(load), device)
        self._describe = _named(describe)
        self._said: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def ready(self) -> dict:
        return {"devices": [with_presets(device) for device in self._describe()], "about": self._about()}

    def run(self, plain: dict, names: dict, previews: bool, inputs: dict) -> tuple[dict, dict[str, bytes]]:
        """How the unit ended, as a worker process says it, and the files that it made."""
        unit = Unit(**plain)
        try:
            self._take(inputs, unit)
            for sha256, name in names.items():
                self._store.give_name(sha256, name)
            ended = run_order(unit, self._store, self._pipelines, self._cancelled, self._said.put, previews)
        except LookBeyondError as error:
            return {"failed": unit.identity, "code": error.code, "message": str(error)}, {}
        finally:
            # Not at the beginning: Ray keeps no order between calls, and a cancel may have come before its unit. One
            # that comes after it ends the unit's next run at once, which the service then begins again.
            self._cancelled.discard(unit.identity)
        files = self._store.files_of(unit.identity) if "done" in ended else {}
        self._store.prune({unit.identity}, ACTOR_QUOTA_BYTES, spare_s=0)
        lost = "failed" in ended and device_error()
        return ended | ({"ends": True} if lost else {"about": self._about()}), files

    def _take(self, inputs: dict[str, Any], unit: Unit) -> None:
        import ray

        self._store.has_whole_unit(unit.identity)  # a record without its files is discarded
        for name, reference in inputs.items():
            if name in units_read(unit):
                if not self._store.has_whole_unit(name):
                    self._store.import_unit(name, ray.get(reference))
            elif not self._store.has_file(name):
                with self._store.temporary() as folder:
                    (folder / "file").write_bytes(ray.get(reference)[""])
                    self._store.adopt_file(folder / "file", name)

    def poll(self) -> list[dict]:
        """What the unit at hand has told of its progress; waits a moment for something."""
        said = []
        with contextlib.suppress(queue.Empty):
            said.append(self._said.get(timeout=POLL_S))
            while True:
                said.append(self._said.get_nowait())
        return said

    def cancel(self, identity: str) -> None:
        self._cancelled.add(identity)

    def release(self) -> None:
        self._pipelines.release()

    def end(self) -> None:
        shutil.rmtree(self._store.root, ignore_errors=True)

    def _about(self) -> dict:
        return {"loaded": self._pipelines.loaded, **memory_in_use()}


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclasses.dataclass
class Slot:
    """A worker as the service sees it; its thread talks to the actor."""

    name: str
    orders: queue.SimpleQueue = dataclasses.field(default_factory=queue.SimpleQueue)
    actor: Any = None
    ready: bool = False
    unit: Unit | None = None
    unwanted: bool = False
    overdue: bool = False
    kill_at: float | None = None
    deaths: int = 0
    unprovoked: int = 0
    """As of a worker process (`pool.Slot`)."""
    polling: Any = None
    """The question for progress that is under way; it outlives a unit, whose end is not to wait for it."""
    releasing: Any = None
    """The request to unload its models that is under way: asking more often would only keep it busy."""
    used: float = 0.0
    """When its last unit ended, by the monotonic clock."""
    about: dict = dataclasses.field(default_factory=dict)
    thread: threading.Thread | None = None


class RayPool:
    """An executor whose workers are Ray actors: one for each GPU of the cluster, or for each device named."""

    kind = "ray"

    def __init__(
        self,
        context: zmq.Context,
        store: Path,
        devices: Sequence[str] = ("auto",),
        address: str | None = None,
        threads: int | None = None,
        load: str = "inference_service.workers.process:load_scene_pipeline",
        describe: str = "inference_service.workers.process:describe_torch_devices",
        idle_s: float | None = None,
    ):
        self._store = Store(store)
        self._devices, self._address = list(devices), address
        self._threads = threads if threads is not None else share_of_cores(devices)
        self._load, self._describe = load, describe
        self._idle_s = IDLE_S if idle_s is None else idle_s
        self._slots: list[Slot] = []
        self._inputs: collections.OrderedDict[tuple[str, bool], Any] = collections.OrderedDict()
        self._inputs_lock = threading.Lock()
        self._ended = threading.Event()
        self._failed_to_start = False
        self._lines = Lines(context)
        self.socket = self._lines.socket
        self._host = threading.Thread(target=self._host_ray, daemon=True)

    def start(self) -> None:
        self._host.start()  # Ray takes seconds to start

    # in the service's thread

    def messages(self) -> Iterator[dict]:
        for index, line in self._lines.told():
            message = json.loads(line)
            if "broken" in message:
                self._failed_to_start = True
                yield message
                continue
            slot = self._slots[index]
            slot.about |= message.pop("about", {})
            log_traceback(message, slot.unit, slot.name)
            if "ready" in message:
                slot.ready = True
                continue
            if "died" in message:
                yield from self._died(slot, message["died"])
                continue
            if "done" in message or "failed" in message:
                slot.deaths = slot.unprovoked = 0
                slot.unit, slot.kill_at, slot.unwanted = None, None, False
                slot.ready = "ends" not in message
                slot.used = time.monotonic()
            if message:
                yield message

    def _died(self, slot: Slot, no_room: str = "") -> Iterator[dict]:
        log.warning("worker ended", extra={"device": slot.name})
        unit, unwanted, overdue = slot.unit, slot.unwanted, slot.overdue
        slot.ready, slot.unit, slot.kill_at, slot.unwanted, slot.overdue = False, None, None, False, False
        slot.deaths += not unwanted
        slot.unprovoked += not unwanted and unit is None
        if no_room:  # it was waited for long enough
            slot.unprovoked = MAX_RESTARTS
        if unit and unwanted:
            yield {"given_back": unit.identity}
        elif unit and overdue:
            sentence = (
                f"The {unit.kind} was not done after {MAX_UNIT_S / 3600:g} hours; choose a smaller size or preset."
            )
            yield {"failed": unit.identity, "code": "failed", "message": sentence}
        elif unit:
            yield {"crashed": unit.identity}
        if slot.unprovoked < MAX_RESTARTS:
            slot.orders.put(("start", back_off_s(slot.deaths)))
        if all(other.unprovoked >= MAX_RESTARTS for other in self._slots):
            broken = "Ray's workers cannot be kept running; run `lookbeyond doctor` and see the log."
            yield {"broken": no_room or broken}

    def tick(self) -> Iterator[dict]:
        now = time.monotonic()
        for slot in list(self._slots):
            if slot.kill_at and now > slot.kill_at and slot.actor is not None:
                import ray

                slot.overdue, slot.kill_at = not slot.unwanted, None
                ray.kill(slot.actor)
            if slot.unit is None and slot.about.get("loaded") and now - slot.used > self._idle_s:
                self._release(slot)
        yield from ()

    def has_room(self) -> bool:
        return any(slot.ready and slot.unit is None for slot in self._slots)

    def run(self, unit: Unit, names: dict[str, str], previews: bool) -> str:
        slot = next(slot for slot in self._slots if slot.ready and slot.unit is None)
        slot.unit, slot.kill_at = unit, time.monotonic() + MAX_UNIT_S
        slot.orders.put(("run", unit, names, previews))
        return slot.name

    def cancel(self, identity: str) -> None:
        for slot in self._slots:
            if slot.unit and slot.unit.identity == identity and slot.actor is not None and not slot.unwanted:
                slot.unwanted = True
                slot.kill_at = time.monotonic() + CANCEL_PATIENCE_S
                slot.actor.cancel.remote(identity)

    def release(self) -> None:
        for slot in self._slots:
            self._release(slot)

    def _release(self, slot: Slot) -> None:
        import ray

        under_way = slot.releasing is not None and not ray.wait([slot.releasing], timeout=0)[0]
        if slot.actor is not None and not under_way:
            slot.releasing = slot.actor.release.remote()
            slot.about.pop("loaded", None)

    def revive(self) -> None:
        for slot in self._slots:
            if slot.unprovoked >= MAX_RESTARTS:
                slot.deaths = slot.unprovoked = 0
                slot.orders.put(("start", 0.0))
        if self._failed_to_start and not self._host.is_alive():
            self._failed_to_start = False
            self._host = threading.Thread(target=self._host_ray, daemon=True)
            self._host.start()

    def devices(self) -> list[dict]:
        if not self._slots:
            return [{"name": "ray", "title": "Ray", "state": "stopped" if self._failed_to_start else "starting"}]
        devices = []
        for slot in list(self._slots):
            state = "working" if slot.unit else "ready" if slot.ready else "starting"
            state = "stopped" if slot.unprovoked >= MAX_RESTARTS else state
            unit = {"unit": slot.unit.kind, "identity": slot.unit.identity} if slot.unit else {}
            devices.append({"name": slot.name, **slot.about, "state": state, **unit})
        return devices

    def close(self) -> None:
        self._ended.set()
        if self._host.ident:
            self._host.join(60)
        self._lines.close()

    # in the host's thread, and in one for each slot

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
            self._say(0, {"broken": f"Ray could not be started ({str(error)[:200]}); see the log."})
        for slot in self._slots:
            slot.orders.put(("end",))
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
        for index, device in enumerate(devices):
            slot = Slot(f"ray:{index} ({device.partition(':')[0]})")
            slot.orders.put(("start", 0.0))
            slot.thread = threading.Thread(
                target=self._serve, args=(index, slot, device.partition(":")[0]), daemon=True
            )
            self._slots.append(slot)
            slot.thread.start()

    def _serve(self, index: int, slot: Slot, device: str) -> None:
        """Talk to one actor: start it, give it units, tell what it says."""
        import ray

        say = functools.partial(self._say, index)
        while True:
            order = slot.orders.get()
            try:
                if order[0] == "end":
                    break
                if order[0] == "start":
                    if self._ended.wait(order[1]):
                        continue
                    about = self._start_actor(slot, device)
                    found = about["devices"][0] if about["devices"] else {}
                    named = {key: found[key] for key in ABOUT_DEVICE if key in found}
                    say({"about": about["about"] | named, "ready": True})
                else:
                    self._run(slot, order[1], order[2], order[3], say)
            except Exception as error:  # whatever Ray makes of a dead actor
                if self._ended.is_set():
                    break
                log.warning("Ray: %s", " ".join(str(error).split())[:2000], extra={"device": slot.name})
                with contextlib.suppress(Exception):
                    if slot.actor is not None:
                        ray.kill(slot.actor)
                slot.actor = None
                unforeseen = isinstance(error, ray.exceptions.RayTaskError)  # in the actor, and not its death
                trace = {"traceback": traceback_of(error)} if unforeseen else {}
                say({"died": str(error) if isinstance(error, NoRoom) else "", **trace})
        with contextlib.suppress(Exception):
            if slot.actor is not None and ray.is_initialized():  # else the next line would start another Ray
                ray.get(slot.actor.end.remote(), timeout=2)
                ray.kill(slot.actor)

    def _start_actor(self, slot: Slot, device: str) -> dict:
        """Start a slot's actor; what it says of itself. Raises NoRoom, or whatever Ray makes of a broken one."""
        import ray

        gpus = int(device == "cuda")
        options = {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 4, "num_cpus": 1, "num_gpus": gpus}
        slot.actor = ray.remote(**options)(RayWorker).remote(self._load, self._describe, device)
        slot.polling = None
        try:
            ray.get(slot.actor.__ray_ready__.remote(), timeout=START_PATIENCE_S)
        except ray.exceptions.GetTimeoutError as error:
            there, free = ray.cluster_resources(), ray.available_resources()
            has = [f"{there.get(kind, 0):g} {kind}s ({free.get(kind, 0):g} free)" for kind in ("CPU", "GPU")]
            raise NoRoom(
                f"Ray found no place for a worker in {START_PATIENCE_S / 60:g} minutes: it needs 1 CPU and {gpus} GPU, "
                f"the cluster has {' and '.join(has)}; add a machine, end other work there or choose other --devices, "
                "and submit again."
            ) from error
        return ray.get(slot.actor.ready.remote(), timeout=START_PATIENCE_S)

    def _run(self, slot: Slot, unit: Unit, names: dict[str, str], previews: bool, say: Any) -> None:
        import ray

        try:
            inputs = {sha256: self._reference(sha256, "file") for sha256 in files_read(unit)}
            part = "record" if unit.kind == "shot" else "unit"
            inputs |= {identity: self._reference(identity, part) for identity in units_read(unit)}
        except LookBeyondError as error:
            say({"failed": unit.identity, "code": error.code, "message": str(error)})
            return
        if slot.unwanted:  # since its inputs were asked for
            say({"failed": unit.identity, "code": "cancelled", "message": "The work was cancelled."})
            return
        running = slot.actor.run.remote(dataclasses.asdict(unit), names, previews, inputs)
        ready: list[Any] = []
        while running not in ready:
            slot.polling = slot.polling or slot.actor.poll.remote()
            ready, _ = ray.wait([running, slot.polling], num_returns=1)
            if slot.polling in ready:
                said, slot.polling = ray.get(slot.polling), None
                for message in said:
                    say(message)
            if self._ended.is_set():
                return
        ended, files = ray.get(running)
        if "done" in ended:
            try:
                self._store.import_unit(unit.identity, files)
                if unit.kind == "world":
                    self._store.share_unit(unit.identity)
            except LookBeyondError as error:
                ended = {"failed": unit.identity, "code": error.code, "message": str(error)}
        say(ended)
        if "ends" in ended:
            raise RuntimeError("the device has failed for good; see the log of its unit")

    def _reference(self, name: str, part: str) -> Any:
        """Ray's reference to the bytes of a file, a unit or its record; put there once for all workers."""
        import ray

        key = (name, part == "record")
        with self._inputs_lock:
            if key in self._inputs:
                self._inputs.move_to_end(key)
                return self._inputs[key]
        if part == "file":
            try:
                value = {"": self._store.file(name).read_bytes()}
            except OSError as error:
                raise InputError("A file of this job is no longer in the store; submit the job again.") from error
        else:
            value = self._store.files_of(name, only_record=part == "record")
        reference = ray.put(value)
        with self._inputs_lock:
            self._inputs[key] = reference
            if len(self._inputs) > CACHED_INPUTS:
                self._inputs.popitem(last=False)
        return reference

    def _say(self, index: int, message: dict) -> None:
        self._lines.tell(index, json.dumps(message).encode())
