"""Running the service: its commands, its logs, its metrics, its end; and clients that misbehave."""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import msgspec
import psutil
import pytest
import zmq

from benchmarks.fuzz import Sender, guest, random_connections
from benchmarks.nonsense import mutated
from benchmarks.soak import soak
from inference_service.cli import doctor
from inference_service.cli import status as status_command
from inference_service.cli.status import describe, duration, progress_bar
from inference_service.client import ALL, Client, FileArrived, Finished, ServiceError, find_service, start_service
from inference_service.security.clients import hex_key
from inference_service.security.keys import load_or_make_keys
from inference_service.server import housekeeping, pieces, sessions
from inference_service.server import server as server_module
from inference_service.server.front import SEND_QUEUE
from inference_service.server.logs import JsonFormatter, TextFormatter
from inference_service.server.metrics import start_metrics
from inference_service.server.server import Server
from inference_service.server.service import DRAIN_S, Settings
from inference_service.store.housekeeping import entries
from inference_service.store.store import Store
from inference_service.wire import connection, files, messages
from inference_service.wire.requests import WORLD_FILES, ShotRequest
from inference_service.work.units.clip import MONITORS, WatchedClip
from inference_service.workers.messages import UnitDone, UnitFailed, UnitProgress
from lookbeyond.errors import InputError, StorageError
from lookbeyond.monitors.findings import WatchedFrame
from tests.support.double import DoublePipeline, DoublePresets, service_command, worker_command
from tests.support.service import (
    ENDLESS,
    SLOW,
    contents,
    fetch,
    path_cameras,
    running,
    save_photo,
    serving,
    shot_request,
    slow_line,
    until,
    world_request,
)

FEW_DESCRIPTORS = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command that may have so many files and connections open."""

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def here(service, monkeypatch):
    """The module's service is the one that commands find."""
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(service.folder / "runtime"))
    return service


# --- keys ------------------------------------------------------------------------------------------------


def test_keys_are_shown_added_made_and_removed(lookbeyond, runtime, tmp_path):
    code, out, _ = lookbeyond("keys")
    own = load_or_make_keys(runtime / "keys/client.json")
    assert code == 0 and hex_key(own.public) in out and own.secret not in out and "this machine only" in out
    other = hex_key(load_or_make_keys(tmp_path / "other.json").public)
    assert lookbeyond("keys", "add", "desk", other)[0] == 0
    assert lookbeyond("keys", "make", "studio", tmp_path / "studio.json")[0] == 0
    made = load_or_make_keys(tmp_path / "studio.json")  # private, and a pair
    _, out, _ = lookbeyond("keys")
    assert re.search(f"desk +{other}", out) and re.search(f"studio +{hex_key(made.public)}", out)
    doctor._check_keys(findings := doctor.Findings())
    assert findings.healthy
    for arguments, words in (
        (("add", "x", "nonsense"), "not a public key"),
        (("add", "studio", other), "another key"),
        (("remove", "nobody"), "desk, studio"),
        (("make", "new", tmp_path / "studio.json"), "already"),
    ):
        code, _, err = lookbeyond("keys", *arguments)
        assert code == 2 and words in err and err.count("\n") == 1
    assert not (tmp_path / "new.json").exists()
    assert lookbeyond("keys", "remove", "desk")[0] == 0
    assert "desk" not in lookbeyond("keys")[1]


# --- store -----------------------------------------------------------------------------------------------


def test_the_store_is_listed_shown_and_pruned_beside_a_running_service(lookbeyond, tmp_path, runtime):
    with running(tmp_path, worker_command()) as service, service.client() as client:
        world = client.submit(world_request(client, tmp_path))
        fetch(client, world, tmp_path / "W")
        store = tmp_path / "store"
        code, out, _ = lookbeyond("store", "list", "--store", store)
        assert code == 0 and re.search(r"world .*7 files|world .*8 files", out) and "file" in out
        identity = next((store / "units").glob("*/*")).name
        code, out, _ = lookbeyond("store", "show", identity[:10], "--store", store)
        assert code == 0 and out.count("ok ") == 7 and "panorama.png" in out
        (store / "units" / identity[:2] / identity / "world.json").write_text("{}")
        assert "DAMAGED world.json" in lookbeyond("store", "show", identity[:10], "--store", store)[1]
        code, _, err = lookbeyond("store", "show", "zzz", "--store", store)
        assert code == 2 and "store list" in err
        # what a job that is not done needs is kept
        slow = client.submit(world_request(client, tmp_path, steer=SLOW, tint=9))
        client.pause(slow, True)
        code, out, _ = lookbeyond("store", "prune", "--quota-gb", 0, "--store", store)
        assert code == 0 and " removed" in out
        left = entries(Store(store))
        assert len(left) == 1 and left[0].kind == "file"
        client.pause(slow, False)
        assert isinstance(fetch(client, slow, tmp_path / "X")[-1], Finished)
    code, out, _ = lookbeyond("store", "prune", "--max-age-days", 0, "--quota-gb", 0, "--store", store)
    assert code == 0 and not entries(Store(store))


def test_the_service_answers_others_while_its_store_is_pruned(tmp_path, runtime, monkeypatch):
    go_on, refusals = threading.Event(), []

    def prune(*arguments):
        assert go_on.wait(30)
        raise StorageError("The disk is gone.")

    with running(tmp_path, worker_command()) as service, service.client() as steward, service.client() as other:
        service.server.housekeeper.thread.join()
        monkeypatch.setattr(housekeeping, "prune", prune)

        def ask():
            with pytest.raises(ServiceError, match="disk is gone") as error:
                steward.prune(0, 0)
            refusals.append(error.value.code)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            until(lambda: service.server.housekeeper.thread.is_alive())
            assert other.ping() is not None and not refusals
        finally:
            go_on.set()
            asking.join(30)
        assert refusals == ["storage"]


def test_another_services_store_is_left_alone(lookbeyond, tmp_path, here):
    from inference_service.jobs.queue import JobQueue

    other = Store(tmp_path / "other")
    with contextlib.closing(JobQueue(other)):
        code, _, err = lookbeyond("store", "prune", "--store", tmp_path / "other")
    assert code == 2 and "Another service already uses" in err


# --- status and queue ------------------------------------------------------------------------------------


def test_status_shows_workers_jobs_bars_and_times(lookbeyond, here, tmp_path):
    with here.client() as client:
        job = client.submit(
            world_request(client, tmp_path, steer=ENDLESS, seed=301)
        )  # several commands come before its end
        waiting = client.submit(world_request(client, tmp_path, seed=302))
        deadline = time.monotonic() + 20
        while client.status(job).fraction == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        code, out, _ = lookbeyond("status")
        assert code == 0
        for words in ("cpu: working", job[:12], waiting[:12], "█", "·", "1 running", "all done in"):
            assert words in out
        code, out, _ = lookbeyond("status", "--json")
        plain = json.loads(out)
        assert plain["service"]["pid"] == os.getpid() and waiting in [job["job"] for job in plain["jobs"]]
        at_work = re.search(r"working on world ([0-9a-f]{12})", lookbeyond("status")[1])
        assert at_work
        assert lookbeyond("queue", "first", waiting[:10])[0] == 0
        assert lookbeyond("queue", "pause", waiting[:10])[0] == 0
        assert client.status(waiting).state == "paused"
        assert lookbeyond("queue", "resume", "--all")[0] == 0
        assert lookbeyond("queue", "skip", at_work[1])[0] == 0
        assert client.status(job).state == "cancelled"
        assert lookbeyond("queue", "cancel", job[:10])[0] == 0  # again: nothing happens
        code, out, _ = lookbeyond("queue", "fetch", waiting[:10], "--out", tmp_path / "W")
        assert code == 0 and "7 files" in out and len(contents(tmp_path / "W")) == 7
        for arguments in (("cancel",), ("cancel", "--all", "x"), ("cancel", "zzz"), ("first", "zzz"), ("skip", "zzz")):
            code, _, err = lookbeyond("queue", *arguments)
            assert code == 2 and err.count("\n") == 1
        assert lookbeyond("queue", "cancel", "--all")[0] == 0


def test_status_reaches_a_service_elsewhere_by_its_key(lookbeyond, here):
    key = hex_key(here.address.server_key)
    code, out, _ = lookbeyond("status", "--address", here.address.address, "--server-key", key)
    assert code == 0 and "Look Beyond" in out
    code, _, err = lookbeyond("status", "--address", "studio:5000")
    assert code == 2 and "give both or neither" in err


def test_status_is_watched_until_ctrl_c_also_while_there_is_no_service(lookbeyond, runtime, monkeypatch):
    looks = []

    def look(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status_command.time, "sleep", look)
    code, out, _ = lookbeyond("status", "--watch")
    assert code == 0 and out.count("not running") == 3
    code, _, err = lookbeyond("status")
    assert code == 2 and "lookbeyond serve" in err


def test_bars_and_durations_read_well():
    assert [duration(s) for s in (None, 0, 12.4, 600, 7500)] == ["-", "0 s", "12 s", "10 min", "2 h 05 min"]
    assert [progress_bar(f, 4) for f in (-1, 0, 0.5, 1, 2)] == ["····", "····", "██··", "████", "████"]
    service = messages.ServiceStatus(
        "e",
        "0.1.0",
        1,
        60.0,
        "/s",
        "process",
        ({"name": "cuda:0", "state": "working", "device_gb": 7.5},),
        {},
        None,
        0,
        1,
    )
    lines = list(describe(service, []))
    assert "cuda:0: working" in lines[1] and "7.5 of" in lines[1] and lines[2] == "Jobs: none"


# --- logs and metrics ------------------------------------------------------------------------------------


def test_log_lines_are_json_keyed_by_job_unit_and_attempt(here, tmp_path, caplog):
    caplog.set_level("INFO")
    with here.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=251, seed=401))  # its worker dies once
        fetch(client, job, tmp_path / "W")
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    about = [line for line in lines if job in line.get("jobs", []) or line.get("job") == job]
    events = [(line["event"], line.get("attempt")) for line in about]
    assert events[0][0] == "job accepted"
    begun, again = [("unit begun", 1), ("memory planned", 1)], [("unit begun", 2), ("unit done", 2)]
    assert events[1:] == [*begun, ("unit lost with its worker", 1), *again]  # the same plan is told once
    assert about[2]["plan"] == "Preset builtin. All of it stays on the device."
    assert about[-1]["seconds"] > 0 and about[-1]["kind"] == "world" and about[-1]["level"] == "info"
    assert len({line["epoch"] for line in about}) == 1
    text = TextFormatter().format([r for r in caplog.records if r.getMessage() == "unit done"][-1])
    assert "\n" not in text and f"jobs={job[:12]}" in text


def test_prometheus_reads_what_the_service_counts(here, tmp_path):
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="is taken"):
            start_metrics(here.server, port)
    http = start_metrics(here.server, port)
    try:
        with here.client() as client:
            fetch(client, client.submit(world_request(client, tmp_path, seed=402)), tmp_path / "W")
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    finally:
        http.shutdown()
        http.server_close()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["lookbeyond_units_done_total"]) >= 1
    assert float(values["lookbeyond_unhandled_total"]) == 0
    assert float(values["lookbeyond_memory_bytes"]) > 1e6
    assert 'lookbeyond_jobs{state="done"}' in values


# --- the end ---------------------------------------------------------------------------------------------


def test_the_unit_at_work_is_finished_when_the_service_ends_if_there_is_time(tmp_path, runtime):
    for drain_s, units in ((60.0, 1), (0.0, 0)):
        folder = tmp_path / f"{drain_s}"
        folder.mkdir()
        with running(folder, worker_command(), settings=Settings(drain_s=drain_s)) as service:
            with service.client() as client:
                job = client.submit(world_request(client, folder, steer=SLOW))
                later = client.submit(world_request(client, folder, seed=2))
                while client.status(job).state != "running":
                    time.sleep(0.01)
                client.shutdown()
                if units:
                    with pytest.raises(ServiceError, match="is ending") as error:
                        client.submit(world_request(client, folder, seed=3))
                    assert error.value.code == "busy"
                    assert client.service_status().draining
            begun = time.monotonic()
            service.thread.join(30)
            assert not service.thread.is_alive() and time.monotonic() - begun < 20
        assert len(list((folder / "store/units").glob("*/*"))) == units
        with running(folder, worker_command()) as service, service.client() as client:
            for name, again in (("a", job), ("b", later)):  # found again by its identity
                assert isinstance(fetch(client, again, folder / name)[-1], Finished)


@posix
def test_a_second_signal_does_not_wait(tmp_path, runtime, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    process, address = start_service(service_command(tmp_path / "store"))
    try:
        with Client(address, timeout_s=20) as client:
            job = client.submit(world_request(client, tmp_path, steer=SLOW))
            while client.status(job).state != "running":
                time.sleep(0.01)
            worker = client.service_status().devices[0]["pid"]
        os.kill(worker, signal.SIGSTOP)  # its unit will never be done: one signal would wait for DRAIN_S
        process.send_signal(signal.SIGTERM)
        while '"ending"' not in (runtime / "service.log").read_text():  # two signals at once would count as one
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        lines = [json.loads(line) for line in (runtime / "service.log").read_text().splitlines() if line[0] == "{"]
        times = {line["event"]: datetime.fromisoformat(line["time"]) for line in lines}
        assert (times["ended"] - times["ending"]).total_seconds() < DRAIN_S
        assert not psutil.pid_exists(worker)
    finally:
        process.kill()
        process.wait()


# --- a disk that is full ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 320 MB, where one can be made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the space that is left."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 1_000_000):
            pass
    return filler


def test_a_disk_that_fills_up_is_said_and_the_queue_goes_on_when_there_is_space(small_disk, tmp_path, runtime):
    with running(small_disk, worker_command()) as service, service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=SLOW))
        while client.status(job).fraction == 0:
            time.sleep(0.01)
        filler = fill(small_disk)  # in the middle of the work
        with pytest.raises(ServiceError, match=r"space|full") as error:
            fetch(client, job, tmp_path / "W")
        assert error.value.code == "storage"
        with pytest.raises(ServiceError, match="free some") as error:
            client.upload(save_photo(tmp_path / "other.png", tint=3))
        assert error.value.code == "storage"
        filler.unlink()
        assert client.submit(world_request(client, tmp_path, steer=SLOW)) == job
        assert isinstance(fetch(client, job, tmp_path / "W")[-1], Finished)


# --- clients that misbehave ------------------------------------------------------------------------------


def test_mutated_messages_and_random_connections_do_no_harm(tmp_path, runtime):
    rng = random.Random(5)
    with running(tmp_path, worker_command()) as service, service.client() as good:
        with Sender(guest(service.address, tmp_path)) as sender:
            sender.send_all(mutated(rng) for _ in range(1500))
        random_connections(service.address, rng, 40)
        good.pause(ALL, False)
        job = good.submit(world_request(good, tmp_path))
        assert isinstance(fetch(good, job, tmp_path / "W")[-1], Finished)
        assert service.server.totals["messages"] > 1500 and service.server.totals["unhandled"] == 0


@posix
def test_a_short_soak_with_clients_that_are_killed_leaks_nothing(tmp_path, runtime, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    result = soak(tmp_path, 15, 2, random.Random(0), at_least=6)
    assert result["clients killed"] >= 6 and result["jobs remembered as done"] >= 6, result
    # in so short a time it may grow by pieces of files that are under way; the long one judges the share
    pieces_mb = (pieces.MAX_BUFFERS + SEND_QUEUE) * files.CHUNK_BYTES / 1e6
    assert result["memory late, MB"] - result["memory early, MB"] < pieces_mb, result
    assert result["descriptors more at the end"] <= 3 and result["threads more at the end"] == 0, result
    assert result["processes left behind"] == 0, result


def test_a_client_that_stops_reading_holds_little_and_stops_nobody(service, tmp_path):
    with service.client() as good:
        fetch(good, good.submit(world_request(good, tmp_path, seed=501)), tmp_path / "W")
        big = tmp_path / "big.bin"
        big.write_bytes(os.urandom(100))
        job = good.submit(world_request(good, tmp_path, seed=501))
        name = max(good.status(job).artifacts, key=lambda artifact: artifact.size).name
        process = psutil.Process()
        with Sender(service.address) as stalled:
            before = process.memory_info().rss
            for _ in range(300):
                stalled.send(messages.Get(job, name, 0, files.CHUNK_BYTES))
            begun = time.monotonic()
            for _ in range(20):
                good.ping()
            fetch(good, good.submit(world_request(good, tmp_path, seed=502)), tmp_path / "W2")
            assert process.memory_info().rss - before < 100e6  # 300 pieces, and HWM is 16
            assert time.monotonic() - begun < 20


class StuckAtTheThirdClip:
    """An executor: two clips of large files take no time, the third takes for ever and tells so ten times a second."""

    kind = "stuck"

    def __init__(self, context: zmq.Context, store: Path):
        self.socket = context.socket(zmq.PULL)
        self.socket.bind("inproc://stuck")
        self._store, self._unit, self._clips = Store(store), None, 0

    def run(self, unit, names, previews) -> str:
        self._unit = unit
        return "none"

    def has_room(self) -> bool:
        return self._unit is None

    def tick(self):
        unit = self._unit
        if unit is None:
            return
        self._clips += unit.kind == "clip"
        if self._clips > 2:
            yield UnitProgress(identity=unit.identity, fraction=0.1, message="Denoising")
            return
        self.make(unit)
        self._unit = None
        yield UnitDone(identity=unit.identity, seconds=1.0)

    def make(self, unit) -> None:
        with self._store.temporary() as folder:
            if unit.kind == "plan":
                clips = [{"source": i, "target": i + 1, "first": 4 * i, "last": 4 * i + 4} for i in range(3)]
                anchors = [{"frame": 4 * i, "before": []} for i in range(4)]
                (folder / "plan.json").write_text(json.dumps({"anchors": anchors, "clips": clips}))
            if unit.kind == "clip":
                (folder / MONITORS).write_bytes(
                    msgspec.json.encode(
                        WatchedClip(1.0, tuple(WatchedFrame(None, None, None, 0.0, 1.0, 0.0) for _ in unit.cameras))
                    )
                )
            for name in unit.outputs.values():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(os.urandom(1_800_000))
            self._store.commit(folder, unit.identity, 1.0, unit.kind)

    def devices(self):
        return [{"name": "none", "state": "ready"}]

    def messages(self):
        return ()

    def start(self) -> None: ...

    revive = release = start

    def cancel(self, identity: str) -> None: ...

    def close(self) -> None:
        self.socket.close(0)


class TwoAtWork(StuckAtTheThirdClip):
    """An executor of two workers that do nothing by themselves."""

    def __init__(self, context: zmq.Context, store: Path):
        super().__init__(context, store)
        self.at_work, self.cancelled = {}, []

    def run(self, unit, names, previews) -> str:
        self.at_work[unit.identity] = unit
        return "none"

    def has_room(self) -> bool:
        return len(self.at_work) < 2

    def tick(self):
        return ()

    def cancel(self, identity: str) -> None:
        self.cancelled.append(identity)


def test_what_was_made_for_a_job_that_fails_is_stopped(tmp_path, runtime):
    server = Server(tmp_path / "store", models=DoublePresets(), executor=TwoAtWork)
    try:
        store, executor = Store(tmp_path / "store"), server.executor
        world = {name: store.add_file(save_photo(tmp_path / f"{i}.png", i)) for i, name in enumerate(WORLD_FILES)}
        server.queue.submit(ShotRequest(world=world, cameras=path_cameras(13)), DoublePipeline.revision)
        server.dispatcher.take_in([])
        while {unit.kind for unit in executor.at_work.values()} != {"clip"}:
            identity = next(i for i, unit in executor.at_work.items() if unit.kind != "clip")
            executor.make(executor.at_work.pop(identity))
            server.dispatcher.take_in([UnitDone(identity=identity, seconds=1.0)])
        one, other = executor.at_work
        del executor.at_work[one]
        server.dispatcher.take_in([UnitFailed(identity=one, code="out_of_memory", message="Too little.")])
        assert executor.cancelled == [other]
    finally:
        server.stop()
        server.stop()
        server.run()


def test_hints_do_not_crowd_out_the_files_on_a_slow_line(tmp_path, runtime):
    with serving(tmp_path, StuckAtTheThirdClip) as service, service.client() as near:
        world = {name: near.upload(save_photo(tmp_path / f"{i}.png", i)) for i, name in enumerate(WORLD_FILES)}
        job = near.submit(ShotRequest(world=world, cameras=path_cameras(13)))
        while len(near.status(job).artifacts) < 2 * 9:
            time.sleep(0.05)
        with slow_line(service.address.address, 6e6) as address:
            far = dataclasses.replace(service.address, address=address)  # with its pid, pieces are the largest
            begun = time.monotonic()
            with Client(far) as client:
                arrived = (event for event in client.follow(job, tmp_path / "S") if isinstance(event, FileArrived))
                assert len(list(itertools.islice(arrived, 10))) == 10
            # 18 MB at 6 MB/s: a reply that was dropped for a hint cost a time-out of 5 s, if not of a minute
            assert time.monotonic() - begun < 7
        near.cancel(job)


@posix
def test_connections_that_take_all_descriptors_do_not_end_the_service(tmp_path, runtime):
    command = [sys.executable, "-c", FEW_DESCRIPTORS, *service_command(tmp_path / "store")]
    process, address = start_service(command)
    try:
        host, _, port = address.address.removeprefix("tcp://").rpartition(":")
        with Client(address, timeout_s=10) as good:
            (worker,) = psutil.Process(process.pid).children()
            worker.suspend()  # it is to say that it is ready when there are no descriptors left
            good._ask(messages.Events(good.submit(world_request(good, tmp_path))))  # and clients are to hear of a unit
            crowd = [socket.create_connection((host, int(port))) for _ in range(120)]
            worker.resume()
            time.sleep(2)  # meanwhile the service looks after itself several times
            assert good.ping() and psutil.Process(process.pid).num_fds() > 90
            with pytest.raises(ServiceError, match="Too many open files"):
                good.service_status()
            for one in crowd:
                one.close()
            job = good.submit(world_request(good, tmp_path))
            assert isinstance(fetch(good, job, tmp_path / "W")[-1], Finished)
            good.shutdown()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


NO_OTHER_DESCRIPTOR = """
import resource, sys
from pathlib import Path
import zmq, zmq.utils.z85
from inference_service.security.gate import ZAP_DOMAIN
from inference_service.security.gate import Gate
from inference_service.security.keys import load_or_make_keys
folder = Path(sys.argv[1])
own, other = (load_or_make_keys(folder / name).public for name in ("own.json", "other.json"))
context = zmq.Context()
gate, door = Gate(context, own, folder / "allowed.json"), context.socket(zmq.REQ)
door.connect("inproc://zeromq.zap.01")
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for key in (own, other):
    key = zmq.utils.z85.decode(key)
    door.send_multipart([b"1.0", b"7", ZAP_DOMAIN.encode(), b"127.0.0.1", b"", b"CURVE", key])
    gate.admit()
    print(door.recv_multipart()[2].decode())
"""
"""Asks to be let in, as libzmq does: in a process of its own, for whoever else opens something ends it."""


@posix
def test_clients_are_admitted_without_another_descriptor(tmp_path):
    command = [sys.executable, "-c", NO_OTHER_DESCRIPTOR, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout.split() == ["200", "400"], done.stderr


def test_memory_for_pieces_of_files_is_used_again_and_given_back(tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(files.CHUNK_BYTES + 100_000))
    read = pieces.Pieces()
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("inproc://pieces")
        other.connect("inproc://pieces")
        for _ in range(50):
            for offset in (0, files.CHUNK_BYTES):
                one.send(read.read(big, offset, files.CHUNK_BYTES), copy=False)
            assert b"".join(other.recv() for _ in range(2)) == big.read_bytes()
        stalled = [read.read(big, 0, 100_000) for _ in range(3 * pieces.MAX_BUFFERS)]  # nobody takes them
        assert all(frame.bytes == big.read_bytes()[:100_000] for frame in stalled)
        assert len(read._free) + len(read._under_way) <= 2 * pieces.MAX_BUFFERS
        read.rest()
        assert read._free or read._under_way
        read.rest()
        assert not read._free and not read._under_way
        assert stalled[0].bytes == big.read_bytes()[:100_000]  # what is still to be sent stays
        assert read.read(big, len(big.read_bytes()), 10) == b""


def test_a_client_that_leaves_or_dies_is_no_longer_counted(tmp_path, runtime):
    with running(tmp_path, worker_command()) as service, service.client() as client:
        before = client.service_status().sessions
        with service.client() as other:
            assert client.service_status().sessions == before + 1
        begun = time.monotonic()
        while client.service_status().sessions > before:
            assert time.monotonic() - begun < server_module.PROBE_INTERVAL_S / 2  # its last word is enough
            time.sleep(0.01)
        other = service.client()
        assert client.service_status().sessions == before + 1
        other.connection._welcomed = False  # as if it had been killed: no last word
        other.close()
        begun = time.monotonic()
        while client.service_status().sessions > before:
            assert time.monotonic() - begun < sessions.SESSION_SILENCE_S / 2
            time.sleep(0.1)


def test_a_client_whose_service_is_long_gone_closes_at_once(tmp_path, runtime, monkeypatch):
    monkeypatch.setattr(connection, "RECONNECT_MS", 1)
    with running(tmp_path, worker_command()) as service:
        client = service.client()
    time.sleep(5)  # its socket tries thousands of times, and tells of each
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()


@posix
def test_a_suspended_client_goes_on_when_it_wakes(tmp_path, runtime, monkeypatch):
    monkeypatch.setattr(sessions, "SESSION_SILENCE_S", 0.3)
    with running(tmp_path, worker_command()) as service, service.client() as client:
        fetch(client, client.submit(world_request(client, tmp_path, steer=SLOW)), tmp_path / "W")
        job = client.submit(shot_request(client, tmp_path / "W"))
        code = (
            "import sys; from pathlib import Path; from inference_service.client import Client\n"
            "for event in Client(timeout_s=10).follow(sys.argv[1], Path(sys.argv[2])): print(event, flush=True)"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, "-c", code, job, str(tmp_path / "S")]
        other = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert other.stdout
        other.stdout.readline()
        other.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 30
        while client.status(job).state != "done" or client.service_status().sessions > 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        other.send_signal(signal.SIGCONT)
        out, _ = other.communicate(timeout=60)
        assert other.returncode == 0 and "Finished" in out
        assert len(list((tmp_path / "S/frames").iterdir())) == 9
        assert find_service() == service.address
