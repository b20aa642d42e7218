"""Workers: one process for each device, ended with the service, restarted with patience, heard at every step."""

import dataclasses
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import zmq

from inference_service.client import Finished, ServiceError
from inference_service.server.logs import JsonFormatter
from inference_service.store.store import Store
from inference_service.work.units.world import BuildWorld
from inference_service.workers import process_pool as process_pool_module
from inference_service.workers.devices import (
    device_environment,
    parse_devices,
    python_path,
    share_of_cores,
    with_presets,
)
from inference_service.workers.messages import (
    MemoryPlanned,
    Report,
    RunUnit,
    UnitCrashed,
    UnitDone,
    UnitFailed,
    WorkerDied,
)
from inference_service.workers.models import CachedPipelines
from inference_service.workers.pool import MAX_BACK_OFF_S, MAX_RESTARTS, back_off_s
from inference_service.workers.process_pool import ProcessPool, ProcessSlot
from inference_service.workers.ray_actor import RayWorker
from inference_service.workers.ray_link import Inputs, RayLink, RaySlot
from inference_service.workers.ray_pool import RayPool
from inference_service.workers.unit_run import TRACEBACK_CHARS, UnitRun, traceback_of
from lookbeyond import presets
from lookbeyond.errors import InputError, StorageError
from tests.support.double import STEPS, DoublePipeline, load_nothing, worker_command
from tests.support.service import (
    DIES_ONCE,
    RAISES,
    SLOW,
    contents,
    fetch,
    path_cameras,
    running,
    serving,
    shot_request,
    until,
    world_request,
    world_unit,
)

# --- devices ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("auto", ["auto"]),
        ("cpu", ["cpu"]),
        ("cuda:0,cuda:1", ["cuda:0", "cuda:1"]),
        (" cuda:1 , cpu", ["cuda:1", "cpu"]),
        ("cpu*3", ["cpu", "cpu", "cpu"]),
        ("mps", ["mps"]),
    ],
)
def test_devices_are_named_as_torch_does(text, devices):
    assert parse_devices(text) == devices


@pytest.mark.parametrize(
    "text", ["", "gpu", "cuda", "cuda:0,cuda:0", "auto,cpu", "cpu*0", "cpu*9999", "cuda:x", "cpu*"]
)
def test_other_devices_are_refused(text):
    with pytest.raises(InputError, match="--devices"):
        parse_devices(text)


def test_a_worker_sees_its_own_device_only():
    assert device_environment("cpu", 2, {})["CUDA_VISIBLE_DEVICES"] == ""
    assert device_environment("cpu", 2, {})["OMP_NUM_THREADS"] == "2"
    assert device_environment("cuda:1", None, {})["CUDA_VISIBLE_DEVICES"] == "1"
    assert (
        device_environment("cuda:1", None, {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"})["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    )
    assert device_environment("auto", None, {}) == {}
    with pytest.raises(InputError, match="names only 1"):
        device_environment("cuda:1", None, {"CUDA_VISIBLE_DEVICES": "3"})


def test_cpu_workers_share_the_cores():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert share_of_cores(["cpu"], {}) is None
    assert share_of_cores(["cpu", "cpu"], {}) == max(1, cores // 2)
    assert share_of_cores(["cpu", "cpu"], {"OMP_NUM_THREADS": "1"}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp's own words")
def test_threads_that_wait_leave_their_core_to_others():
    program = "from inference_service.workers.devices import describe_torch_devices as d; assert d()"
    chosen = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {key: value for key, value in os.environ.items() if key not in chosen}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GOMP_SPINCOUNT = '1000'" in run.stderr  # microseconds, where it would be milliseconds


def test_back_off_doubles_and_is_bounded():
    waits = [back_off_s(deaths) for deaths in range(12)]
    assert waits == sorted(waits) and waits[1] == 2 * waits[0] and waits[-1] == MAX_BACK_OFF_S


# --- one unit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_a_cancel_is_seen_at_every_step(tmp_path, step):
    store, seen, cancelled = Store(tmp_path / "store"), [], set()
    unit = world_unit(store, tmp_path)

    class Watched(DoublePipeline):
        def _steps(self, steer, callback, message, picture):
            def counted(*arguments):
                callback(*arguments)
                seen.append(arguments[0])
                if len(seen) == step:
                    cancelled.add(unit.identity)

            if step == 0:
                cancelled.add(unit.identity)
            super()._steps(steer, counted, message, picture)

    ended = UnitRun(unit, store, lambda preset: Watched(), cancelled, lambda message: None).run()
    if step < STEPS:
        assert (ended.identity, ended.code) == (unit.identity, "cancelled")
        assert len(seen) == step and not store.has_unit(unit.identity)
    else:  # too late: it was complete
        assert isinstance(ended, UnitDone) and ended.identity == unit.identity and store.has_unit(unit.identity)
    assert not list((store.root / "temporary").iterdir())


def test_a_memory_plan_that_changes_with_the_work_is_told_again(tmp_path):
    store = Store(tmp_path / "store")

    class Replanned(DoublePipeline):
        def build_world(self, *arguments, **settings):
            self.memory_plan = "In slices"
            return super().build_world(*arguments, **settings)

    said: list[Report] = []
    ended = UnitRun(world_unit(store, tmp_path), store, lambda preset: Replanned(), set(), said.append).run()
    plans = [report.plan for report in said if isinstance(report, MemoryPlanned)]
    assert isinstance(ended, UnitDone)
    assert plans == ["Preset builtin. All of it stays on the device.", "Preset builtin. In slices."]


def test_weights_that_cannot_be_read_are_a_typed_error(tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(StorageError, match=r"weights of the preset builtin cannot be read.*install them again"):
        CachedPipelines(load_nothing, "cpu")("builtin")
    pipelines = CachedPipelines(load_nothing, "cpu")
    ended = UnitRun(world_unit(store, tmp_path), store, pipelines, set(), lambda _: None).run()
    assert ended.code == "storage" and "safetensors" in ended.message


class AcceleratorError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    "error",
    [
        AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, max allowed: 9.07 GB)"),
        InputError("inpaint: the folder cannot be loaded; put such weights there"),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_too_little_memory_for_the_weights_is_tried_once_more_and_not_called_broken_weights(tmp_path, error, times):
    loads = []

    def load(preset, device):
        loads.append(preset)
        if len(loads) > times:
            return DoublePipeline()
        if isinstance(error, InputError):  # as a loader that took it for broken weights
            raise error from RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        raise error

    store = Store(tmp_path / "store")
    ended = UnitRun(world_unit(store, tmp_path), store, CachedPipelines(load, "cpu"), set(), lambda _: None).run()
    assert len(loads) == 2
    if times == 1:
        assert isinstance(ended, UnitDone)
    else:
        assert ended.code == "out_of_memory" and "choose a smaller size or preset" in ended.message


def test_a_traceback_is_bounded_and_keeps_both_ends():
    try:
        raise RuntimeError("long" * TRACEBACK_CHARS + " the end")
    except RuntimeError as error:
        text = traceback_of(error)
    assert TRACEBACK_CHARS <= len(text) < TRACEBACK_CHARS + 20
    assert "in test_a_traceback_is_bounded" in text and text.endswith(" the end\n")


def logged(caplog, event):
    """The lines of the service's log about an event, as programs read them."""
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    return [line for line in lines if line["event"] == event]


def test_an_unforeseen_error_is_in_the_services_log(service, tmp_path, caplog):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=RAISES))
        with pytest.raises(ServiceError, match="see the log"):
            fetch(client, job, tmp_path / "W")
    (entry,) = logged(caplog, "unit failed")
    assert "in _steps" in entry["traceback"] and "RuntimeError: a model that raises" in entry["traceback"]
    assert entry["jobs"] == [job] and entry["attempt"] == 1


def test_what_ends_a_worker_is_in_the_services_log(tmp_path, caplog):
    program = "from inference_service.workers.worker import main; main(describe_devices=lambda: 1 / 0)"
    program = f"import sys; sys.argv[1:] = sys.argv[2:]; {program}"
    with zmq.Context() as context:
        pool = ProcessPool(context, tmp_path, ["cpu"], command=[sys.executable, "-c", program, "-"])
        pool.start()
        until(lambda: list(pool.messages()) or logged(caplog, "worker ended"))
        pool.close()
    (entry,) = logged(caplog, "unforeseen error of a worker")
    assert entry["device"] == "cpu" and "ZeroDivisionError" in entry["traceback"] and "unit" not in entry


def test_the_queue_goes_on_without_weights(tmp_path, runtime):
    command = [*worker_command()[:-1], "broken-weights"]
    with running(tmp_path, command) as service, service.client() as client:
        for seed in (1, 2):
            with pytest.raises(ServiceError, match="install them again") as error:
                fetch(client, client.submit(world_request(client, tmp_path, seed=seed)), tmp_path / "W")
            assert error.value.code == "storage"
        assert [device["state"] for device in client.service_status().devices] == ["ready"]


# --- several workers -------------------------------------------------------------------------------------


def test_two_workers_share_a_shot_and_a_death_costs_one_unit(tmp_path, runtime):
    with running(tmp_path, worker_command(), devices=("cpu", "cpu"), idle_s=1.0) as service, service.client() as client:
        fetch(client, client.submit(world_request(client, tmp_path, steer=SLOW)), tmp_path / "W")
        until(lambda: all(device["state"] == "ready" for device in client.service_status().devices))
        job = client.submit(shot_request(client, tmp_path / "W", path_cameras(25)))
        until(lambda: sum(device.get("unit") == "clip" for device in client.service_status().devices) == 2)
        victim = psutil.Process(client.service_status().devices[0]["pid"])
        victim.kill()
        assert isinstance(fetch(client, job, tmp_path / "S")[-1], Finished)
        assert len(list((tmp_path / "S/frames").iterdir())) == 25
        until(lambda: all(device["state"] == "ready" for device in client.service_status().devices))
        pids = {device["pid"] for device in client.service_status().devices}
        assert victim.pid not in pids and len(pids) == 2
        assert service.server.totals["worker_deaths"] == 1
        # models are unloaded when nobody needs them, and on RELEASE
        until(lambda: not any(device.get("loaded") for device in client.service_status().devices))
        assert all(device["resident_gb"] > 0 for device in client.service_status().devices)
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_models_are_unloaded_on_release(service, tmp_path):
    with service.client() as client:
        fetch(client, client.submit(world_request(client, tmp_path, seed=5)), tmp_path / "W")
        until(lambda: any(device.get("loaded") == "builtin" for device in client.service_status().devices))
        client.release()
        until(lambda: not any(device.get("loaded") for device in client.service_status().devices))


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="POSIX signals")
def test_a_worker_that_does_not_listen_is_killed_after_a_cancel(tmp_path, runtime):
    with running(tmp_path, worker_command(), cancel_patience_s=0.5) as service, service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=SLOW))
        pid = until(lambda: [d["pid"] for d in client.service_status().devices if d["state"] == "working"])[0]
        os.kill(pid, signal.SIGSTOP)
        client.cancel(job)
        other = client.submit(world_request(client, tmp_path, seed=1))
        assert isinstance(fetch(client, other, tmp_path / "W")[-1], Finished)
        assert not psutil.pid_exists(pid)
        assert client.status(job).state == "cancelled"
        assert service.server.totals["worker_deaths"] == 0


def test_a_unit_that_takes_too_long_is_stopped_and_said(tmp_path, runtime):
    with running(tmp_path, worker_command(), max_unit_s=0.3) as service, service.client() as client:
        with pytest.raises(ServiceError, match="was not done after") as error:
            fetch(client, client.submit(world_request(client, tmp_path, steer=SLOW)), tmp_path / "W")
        assert error.value.code == "failed"


def test_a_job_that_killed_its_worker_once_is_told_from_one_that_always_does(tmp_path, runtime):
    with running(tmp_path, worker_command(), devices=("cpu", "cpu")) as service, service.client() as client:
        once = client.submit(world_request(client, tmp_path, steer=DIES_ONCE))
        assert isinstance(fetch(client, once, tmp_path / "W")[-1], Finished)
        assert service.server.totals["worker_deaths"] == 1
        always = client.submit(world_request(client, tmp_path, steer=252))
        with pytest.raises(ServiceError, match="died 2 times"):
            fetch(client, always, tmp_path / "X")
        assert service.server.totals["worker_deaths"] == 3
        assert isinstance(
            fetch(client, client.submit(world_request(client, tmp_path, seed=9)), tmp_path / "Y")[-1], Finished
        )


def process_pool(context, folder):
    worker = SimpleNamespace(pid=1, exit_code=-9, close=lambda: None, send=lambda message: None)
    return ProcessPool(context, folder, ["cpu"]), ProcessSlot("cpu", worker=worker, ready=True), ()


def ray_pool(context, folder):
    return RayPool(context, folder, ["cpu"]), RaySlot("ray:0", ready=True), (WorkerDied(),)


def numbered(seed):
    """A unit that nothing else is."""
    return BuildWorld(preset="builtin", revision="r", camera=None, camera_height=1.6, width=512, seed=seed)


@pytest.mark.parametrize("make", [process_pool, ray_pool])
def test_units_that_kill_their_workers_do_not_end_the_jobs_of_others(tmp_path, make):
    """Only a worker that dies without any is given up."""
    with zmq.Context() as context:
        pool, slot, death = make(context, tmp_path)
        pool._slots = [slot]
        again = dataclasses.replace(slot)
        for number in range(2 * MAX_RESTARTS):
            unit = numbered(number)
            slot.worker, slot.ready = getattr(again, "worker", None), True
            pool.run(unit, {}, False)
            assert list(pool._died(slot, *death)) == [UnitCrashed(identity=unit.identity)]
            assert slot.deaths == number + 1 and pool.devices()[0]["state"] in ("starting", "stopped")
        for deaths in range(1, MAX_RESTARTS + 1):
            slot.worker = getattr(again, "worker", None)
            said = list(pool._died(slot, *death))
            assert len(said) == (deaths == MAX_RESTARTS)
        assert "cannot be kept running" in said[0].reason and pool.devices()[0]["state"] == "stopped"
        pool.revive()
        assert slot.deaths == slot.unprovoked == 0
        slot.worker = None
        pool.close()


def test_a_worker_that_cannot_even_be_started_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(process_pool_module, "back_off_s", lambda deaths: 0.0)
    with zmq.Context() as context:
        pool = ProcessPool(context, tmp_path, ["cpu"], command=[str(tmp_path / "nothing")])
        pool.start()
        said = [message for _ in range(2 * MAX_RESTARTS) for message in pool.tick()]
        assert len(said) == 1 and "cannot be kept running" in said[0].reason
        pool.close()


def test_a_worker_whose_device_has_failed_is_replaced_before_it_fails_the_jobs_of_others(tmp_path, runtime):
    program = (
        "from inference_service.workers.worker import main\n"
        "from tests.support.double import describe_double\n"
        "from tests.support.double import load_poisoned\n"
        "main(load=load_poisoned, describe_devices=describe_double)"
    )
    with running(tmp_path, [sys.executable, "-c", program], devices=("cpu",)) as service, service.client() as client:
        _others_are_not_failed(client, tmp_path)
        assert service.server.totals["worker_deaths"] == 0  # over a unit


def _others_are_not_failed(client, folder):
    jobs = [client.submit(world_request(client, folder, RAISES * (i % 2), tint=i)) for i in range(5)]
    until(lambda: all(client.status(job).state in ("done", "failed") for job in jobs))
    assert [client.status(job).state for job in jobs] == ["done", "failed", "done", "failed", "done"]
    assert "illegal memory access" in client.status(jobs[1]).error


# --- Ray -------------------------------------------------------------------------------------------------


def ray_executor(*devices, load="tests.support.double:load_double"):
    describe = "tests.support.double:describe_double"
    return lambda context, store: RayPool(context, store, devices, load=load, describe=describe)


def test_ray_gives_the_same_bytes_as_the_processes_though_an_actor_is_killed(tmp_path, runtime, caplog):
    pytest.importorskip("ray")
    caplog.set_level(logging.INFO)
    results = []

    def kill_one(client):
        """In the middle of a clip."""
        until(lambda: sum(device.get("unit") == "clip" for device in client.service_status().devices) == 2)
        actors = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::RayWorker")]
        assert len(actors) == 2
        actors[0].kill()

    with serving(tmp_path / "ray", ray_executor("cpu", "cpu")) as service, service.client() as client:
        results.append(_world_and_shot(client, tmp_path / "ray", kill_one))
        assert service.server.totals["worker_deaths"] == 1
        # that clip was made anew, and no other unit was
        done = {line["unit"]: line for line in logged(caplog, "unit done")}
        assert [line["kind"] for line in done.values() if line["attempt"] > 1] == ["clip"]
        assert len(done) == len(logged(caplog, "unit done"))
        status = client.service_status()
        assert status.executor == "ray" and len(status.devices) == 2
        with pytest.raises(ServiceError, match="a model that raises"):
            fetch(client, client.submit(world_request(client, tmp_path, steer=254)), tmp_path / "X")
    with running(tmp_path / "process", worker_command()) as service, service.client() as client:
        results.append(_world_and_shot(client, tmp_path / "process"))
    files = [{name: data for name, data in contents(folder).items() if name != "shot.json"} for folder in results]
    assert files[0] == files[1] and len(files[0]) == 3 * 17 + 1


def test_a_ray_worker_whose_device_has_failed_is_replaced(tmp_path, runtime):
    pytest.importorskip("ray")
    load = "tests.support.double:load_poisoned"
    with serving(tmp_path, ray_executor("cpu", load=load)) as service, service.client() as client:
        _others_are_not_failed(client, tmp_path)
        assert service.server.totals["worker_deaths"] == 0


def test_a_ray_worker_for_which_there_is_no_room_is_waited_for_and_then_said(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr("inference_service.workers.ray_link.START_PATIENCE_S", 1.0)
    with zmq.Context() as context:
        pool = ray_executor("cuda:0")(context, tmp_path)
        pool.start()
        try:
            (said,) = until(lambda: list(pool.messages()))
            assert re.search("no place.*needs 1 CPU and 1 GPU.*0 GPUs.*other --devices, and submit", said.reason)
            assert [device["state"] for device in pool.devices()] == ["stopped"]
        finally:
            pool.close()


NO_DESCRIPTOR_LEFT = """
import resource, sys, time, types
from pathlib import Path
import zmq
from inference_service.workers.messages import Ready
from inference_service.workers.ray_link import RayLink
from inference_service.workers.ray_pool import RayPool
sys.modules["ray"] = types.SimpleNamespace(init=lambda **options: None, cluster_resources=dict, shutdown=lambda: None)
RayLink.start_actor = lambda self: Ready(devices=[])
pool = RayPool(zmq.Context(), Path(sys.argv[1]), ["cpu", "cpu"])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
pool.start()
ends = time.monotonic() + 60
while [device["state"] for device in pool.devices()] != ["ready"] * 2 and time.monotonic() < ends:
    list(pool.messages())
    time.sleep(0.02)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print([device["state"] for device in pool.devices()])
pool.close()
"""
"""Two of Ray's workers, with a stand-in for Ray: in a process of its own, for whoever else opens something ends it."""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_rays_workers_are_heard_when_there_is_no_descriptor_left(tmp_path):
    command = [sys.executable, "-c", NO_DESCRIPTOR_LEFT, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": python_path()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout == "['ready', 'ready']\n", done.stderr


def test_a_cancel_that_overtakes_its_unit_on_the_way_to_ray_is_heard(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    double = "tests.support.double"
    worker = RayWorker(f"{double}:load_double", f"{double}:describe_double", "cpu")
    monkeypatch.setattr(worker, "_take", lambda inputs, unit: None)
    unit = world_unit(worker._store, tmp_path)
    worker.cancel(unit.identity)
    ended = [worker.run(RunUnit(unit, {}, False), {})[0] for _ in range(2)]
    assert ended[0].code == "cancelled" and isinstance(ended[1], UnitDone)  # only the run it was meant for
    worker.end()
    # and one that comes before the unit has been sent keeps it here
    said: list[UnitFailed] = []
    monkeypatch.setattr(Inputs, "of", lambda self, order: {})
    slot, store = RaySlot("ray:0", actor=SimpleNamespace(), unit=unit, unwanted=True), Store(tmp_path)
    RayLink(slot, ("", "", "cpu"), store, Inputs(store), said.append, threading.Event()).run(RunUnit(unit, {}, False))
    assert [(report.identity, report.code) for report in said] == [(unit.identity, "cancelled")]


def test_rays_workers_unload_once_at_a_time_and_when_they_have_nothing_to_do(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    asked, answered = [], []
    actor = SimpleNamespace(release=SimpleNamespace(remote=lambda: asked.append(len(asked)) or asked[-1]))
    monkeypatch.setattr(ray, "wait", lambda requests, timeout: ([r for r in requests if r in answered], []))
    with zmq.Context() as context:
        pool = RayPool(context, tmp_path, ["cpu"], idle_s=60)
        slot = RaySlot("ray:0", actor=actor, used=time.monotonic(), about={"loaded": "builtin"})
        pool._slots.append(slot)
        assert list(pool.tick()) == [] and not asked
        for _ in range(3):
            pool.release()
        assert asked == [0] and "loaded" not in pool.devices()[0]
        answered.append(0)
        slot.about["loaded"] = "builtin"
        slot.used -= 61
        assert list(pool.tick()) == list(pool.tick()) == [] and asked == [0, 1]
        pool.close()


def _world_and_shot(client, folder, meanwhile=lambda client: None):
    folder.mkdir(exist_ok=True)
    fetch(client, client.submit(world_request(client, folder, steer=SLOW)), folder / "W")
    job = client.submit(shot_request(client, folder / "W", path_cameras(17)))
    meanwhile(client)
    assert isinstance(list(client.follow(job, folder / "S", 60))[-1], Finished)
    return folder / "S"


def test_a_device_says_which_presets_fit_into_it():
    """By its whole memory; in words that a menu has room for."""
    small = with_presets({"name": "cuda:0", "title": "a small GPU", "memory_gb": 1.5})["presets"]
    large = with_presets({"name": "cuda:0", "title": "a large GPU", "memory_gb": 141.0})["presets"]
    assert set(small) == set(large) == {preset.name for preset in presets.available()}
    assert set(large.values()) == {"fits"} and small["builtin"] == "fits"
    needed = re.fullmatch(r"needs (\d+\.\d) GB", small["flux-fill"])
    assert needed and float(needed[1]) > 1.5
    enough = with_presets({"name": "cuda:0", "title": "", "memory_gb": 1.1 * float(needed[1]) * 1e9 / 2**30})
    assert enough["presets"]["flux-fill"] == "fits in parts, slower"
    assert with_presets({"name": "cpu"}) == {"name": "cpu", "presets": {}}
