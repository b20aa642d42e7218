"""The service as its clients see it: results, resuming, cancelling, and every failure a sentence."""

import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from inference_service.client import (
    Client,
    FileArrived,
    Finished,
    Preview,
    Progress,
    ServiceError,
    find_service,
    runtime_file,
    start_service,
)
from inference_service.server import uploads
from inference_service.server.server import Server
from inference_service.store.housekeeping import sweep
from inference_service.store.store import Store
from inference_service.wire import connection
from inference_service.wire.files import file_sha256
from inference_service.wire.messages import PriceQuestion, Put
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, ShotRequest, WorldRequest
from inference_service.work.perform import perform_unit
from inference_service.work.requests import check
from inference_service.work.units.plan import read_plan
from inference_service.workers.process_pool import ProcessPool
from lookbeyond.errors import InputError, StorageError
from tests.support.double import DoublePipeline, DoublePresets, worker_command
from tests.support.service import (
    DIES,
    DIES_ONCE,
    NO_MEMORY,
    RAISES,
    SLOW,
    contents,
    fetch,
    path_cameras,
    running,
    save_photo,
    shot_request,
    until,
    world_request,
)

ROOT = Path(__file__).parents[3]
POOL = functools.partial(ProcessPool, command=worker_command())


def make_world(client, folder, **settings):
    """A world's folder, made by the service."""
    name = "W" + "-".join(map(str, settings.values()))
    fetch(client, client.submit(world_request(client, folder, **settings)), folder / name)
    return folder / name


# --- what is known before a job ---------------------------------------------------------------------------


def test_a_price_is_known_once_something_was_made(tmp_path):
    asked = PriceQuestion("builtin", 96, 64, 2, 9)
    world = PriceQuestion("builtin", 512, 256, 0, 0, worlds=1)
    with running(tmp_path, worker_command()) as service, service.client() as client:
        assert client.price(asked).seconds is None and client.price(world).seconds is None
        folder = make_world(client, tmp_path)
        assert client.price(world).seconds > 0 and client.price(asked).seconds is None
        fetch(client, client.submit(shot_request(client, folder)), tmp_path / "S")
        price = client.price(asked)
        # as large as what was made: nine frames between two anchors
        stored = sum(len(data) for data in contents(tmp_path / "S").values())
        assert price.seconds > 0 and stored / 3 < price.stored_bytes < 3 * stored
        # the built-in networks work at a size of their own
        assert client.price(PriceQuestion("builtin", 192, 128, 2, 9)).seconds == pytest.approx(2 * price.seconds)
        for wrong in (PriceQuestion("builtin", 0, 64, 2, 9), PriceQuestion("builtin", 96, 64, -1, 9)):
            with pytest.raises(ServiceError, match="from 1 and counts from 0"):
                client.price(wrong)
        with pytest.raises(ServiceError, match="nonsense"):
            client.price(PriceQuestion("nonsense", 96, 64, 2, 9))


def test_a_warmed_worker_has_loaded_its_models_before_the_first_job(tmp_path):
    with running(tmp_path, worker_command(), warm="builtin") as service, service.client() as client:
        until(lambda: [device.get("loaded") for device in client.service_status().devices] == ["builtin"])


# --- results ---------------------------------------------------------------------------------------------


def test_a_world_and_a_shot_arrive_whole(service, tmp_path):
    with service.client() as client:
        assert client.welcome.presets[0]["name"] == "builtin"
        world = make_world(client, tmp_path)
        assert set(contents(world)) == {*WORLD_FILES, *WORLD_LAYERS}
        job = client.submit(shot_request(client, world, first_frame=101))
        events = fetch(client, job, tmp_path / "S")
        status = client.status(job)
    files = contents(tmp_path / "S")
    numbers = range(101, 110)
    assert set(files) == {
        *(f"frames/{n:04d}.png" for n in numbers),
        *(f"depth/{n:04d}.{form}" for n in numbers for form in ("exr", "png")),
        "transforms.json",
        "shot.json",
    }
    assert events[-1] == Finished({name: tmp_path / "S" / name for name in files})
    assert {event.name for event in events if isinstance(event, FileArrived)} == set(files)
    assert status.state == "done" and status.fraction == 1
    assert {a.name: a.sha256 for a in status.artifacts} == {name: file_sha256(tmp_path / "S" / name) for name in files}
    shot = json.loads(files["shot.json"])
    assert [(clip["first"], clip["last"]) for clip in shot["clips"]] == [(101, 105), (105, 109)]
    assert [anchor["frame"] for anchor in shot["anchors"]] == [101, 105, 109]
    assert json.loads(files["transforms.json"])["frames"][0]["file_path"] == "frames/0101.png"


def test_the_service_and_a_direct_call_give_the_same_bytes(service, tmp_path):
    with service.client() as client:
        photo = world_request(client, tmp_path)
        world = make_world(client, tmp_path)
        shot = shot_request(client, world)
        fetch(client, client.submit(shot), tmp_path / "S")
    store = Store(tmp_path / "store")
    store.add_file(tmp_path / "photo-0-100.png")
    for path in world.iterdir():
        store.add_file(path)

    def run(unit):
        perform_unit(unit, store, lambda preset: DoublePipeline(), lambda *_: None)
        return {name: store.unit(unit.identity) / own for name, own in unit.outputs.items()}

    direct = run(check(photo).first_unit(DoublePipeline.revision))
    assert {name: path.read_bytes() for name, path in direct.items()} == contents(world)
    request = check(shot)
    plan = request.first_unit(DoublePipeline.revision)
    run(plan)
    files = {}
    for unit in request.units(DoublePipeline.revision, read_plan(store, plan.identity, len(request.cameras))):
        files |= run(unit)
    served = contents(tmp_path / "S")
    served.pop("shot.json")  # says how long it took
    files.pop("shot.json")
    assert {name: path.read_bytes() for name, path in files.items()} == served


def test_the_same_request_again_costs_nothing(service, tmp_path):
    with service.client() as client:
        request = world_request(client, tmp_path, seed=11)
        job = client.submit(request)
        fetch(client, job, tmp_path / "W")
        before = contents(service.folder / "store" / "units")
        assert client.submit(request) == job
        assert client.status(job).state == "done"
        events = fetch(client, job, tmp_path / "W")
        assert isinstance(events[-1], Finished)
        assert contents(service.folder / "store" / "units") == before


def test_what_is_fetched_is_not_the_next_to_be_pruned(service, tmp_path):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, seed=16))
        fetch(client, job, tmp_path / "W")
        unit = service.server.store.unit(next(iter(service.server.queue.jobs[job].done)))
        os.utime(unit, (1000, 1000))
        fetch(client, job, tmp_path / "again")
        assert time.time() - unit.stat().st_mtime < 60


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(service, tmp_path):
    with service.client() as client:
        world = make_world(client, tmp_path)
        good = contents(world)
        kept = (world / "world.json").stat().st_ino
        (world / "panorama.png").write_bytes(b"damaged")
        (world / "from_photo.png").unlink()
        job = client.submit(world_request(client, tmp_path))
        fetch(client, job, world)
    assert contents(world) == good
    assert (world / "world.json").stat().st_ino == kept


@pytest.mark.parametrize("damage", ["a bit", "cut short"])
def test_what_the_stores_disk_has_damaged_is_not_taken_for_a_result(service, tmp_path, damage):
    with service.client() as client:
        request = world_request(client, tmp_path, seed=900 + len(damage))
        job = client.submit(request)
        fetch(client, job, tmp_path / "good")
        (folder,) = (p.parent for p in (service.folder / "store/units").rglob("panorama.png") if same(p, tmp_path))
        rotten = bytearray((folder / "panorama.png").read_bytes())
        rotten[len(rotten) // 2] ^= 4
        if damage == "cut short":
            del rotten[len(rotten) // 2 :]
        (folder / "panorama.png").write_bytes(rotten)
        events = fetch(client, job, tmp_path / "again")
        said = [event.message for event in events if isinstance(event, Progress)]
        assert "Making panorama.png again, which was damaged in the store" in said
        assert contents(tmp_path / "again") == contents(tmp_path / "good")
        assert not [p for p in (tmp_path / "again").iterdir() if p.name.startswith(".")]


def test_work_begins_when_it_is_handed_in_not_at_the_next_tick(service, tmp_path, monkeypatch):
    with service.client() as client:
        fetch(client, client.submit(world_request(client, tmp_path, seed=951)), tmp_path / "W")  # the worker is ready
        request = world_request(client, tmp_path, seed=950)
        for _ in range(2):  # the loop may be about to set its next tick
            monkeypatch.setattr(service.server, "tick_at", math.inf)
            time.sleep(0.2)
        job = client.submit(request)
        deadline = time.monotonic() + 60
        while client.status(job).state != "done":
            assert time.monotonic() < deadline, "nothing begins without a tick"
            time.sleep(0.05)
        assert service.server.tick_at == math.inf


def same(path, folder):
    return path.read_bytes() == (folder / "good/panorama.png").read_bytes()


def test_two_clients_see_the_same_truth(service, tmp_path):
    with service.client() as one, service.client() as two:
        job = one.submit(world_request(one, tmp_path, seed=12))
        fetch(two, job, tmp_path / "W2")
        fetch(one, job, tmp_path / "W1")
        assert contents(tmp_path / "W1") == contents(tmp_path / "W2")
        assert [j.job for j in one.jobs()] == [j.job for j in two.jobs()]


def test_progress_previews_and_an_eta_come_while_it_runs(service, tmp_path):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=SLOW))
        events = fetch(client, job, tmp_path / "W")
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and any(0 < f < 1 for f in fractions)
    assert any(isinstance(event, Progress) and event.eta_s is not None for event in events)
    previews = [event.jpeg for event in events if isinstance(event, Preview)]
    assert previews and all(jpeg.startswith(b"\xff\xd8") for jpeg in previews)


def test_hints_that_came_while_the_caller_was_busy_are_not_waited_for_again(service, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "LISTEN_S", 60.0)
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=SLOW, seed=15))
        begun = time.monotonic()
        for _ in client.follow(job, tmp_path / "W"):
            while client.status(job).state != "done":  # takes in every hint that there will be
                time.sleep(0.02)
        assert time.monotonic() - begun < 30


# --- queue -----------------------------------------------------------------------------------------------


def test_a_cancelled_job_stops_and_the_queue_goes_on(service, tmp_path):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=SLOW, seed=1))
        with pytest.raises(ServiceError) as error:
            for event in client.follow(job, tmp_path / "W"):
                if isinstance(event, Progress) and event.fraction > 0:
                    client.cancel(job)
        assert error.value.code == "cancelled"
        assert client.status(job).state == "cancelled"
        assert not (tmp_path / "W").exists()
        client.cancel(job)  # again: nothing happens
        make_world(client, tmp_path, seed=13)
        assert client.submit(world_request(client, tmp_path, steer=SLOW, seed=1)) == job  # and it can be had again
        assert isinstance(fetch(client, job, tmp_path / "W")[-1], Finished)


def test_paused_jobs_wait_and_order_can_be_changed(service, tmp_path):
    with service.client() as client:
        running = client.submit(world_request(client, tmp_path, steer=SLOW, seed=2))
        first = client.submit(world_request(client, tmp_path, seed=21))
        second = client.submit(world_request(client, tmp_path, seed=22))
        client.pause(first, True)
        assert client.status(first).state == "paused"
        fetch(client, running, tmp_path / "R")
        fetch(client, second, tmp_path / "W22")
        assert client.status(first).state == "paused"
        third = client.submit(world_request(client, tmp_path, seed=23))
        client.reorder(first, 0)
        order = [status.job for status in client.jobs()]
        assert order.index(first) < order.index(third) or client.status(third).state == "done"
        client.pause(first, False)
        fetch(client, first, tmp_path / "W21")
        client.release()
        fetch(client, third, tmp_path / "W23")


# --- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steer", "code", "words"),
    [
        (NO_MEMORY, "out_of_memory", "too little memory.*smaller"),
        (RAISES, "failed", "a model that raises"),
        (DIES, "lost", "died 2 times"),
    ],
)
def test_a_failure_is_a_sentence_and_the_queue_goes_on(service, tmp_path, steer, code, words):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=steer))
        with pytest.raises(ServiceError, match=words) as error:
            fetch(client, job, tmp_path / "W")
        assert error.value.code == code
        status = client.status(job)
        assert (status.state, status.error_code, status.error) == ("failed", code, str(error.value))
        assert not (tmp_path / "W").exists()
        make_world(client, tmp_path, seed=steer)


def test_a_fault_of_the_services_own_ends_the_job_instead_of_repeating_it(service, tmp_path, monkeypatch, caplog):
    """A unit whose end cannot be acted on stayed in the queue, and was made for ever."""

    def faulty(identity, code, message):
        service.server.queue.working.pop(identity)
        raise AttributeError("a mistake in the service")

    monkeypatch.setattr(service.server.queue, "failed", faulty)
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=254))  # a model that raises
        with pytest.raises(ServiceError, match="The service has a fault; see its log"):
            fetch(client, job, tmp_path / "W")
        monkeypatch.undo()
        assert len([line for line in caplog.records if "could not be acted on" in line.message]) == 1
        make_world(client, tmp_path)


def test_a_worker_that_dies_once_is_replaced(service, tmp_path):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, steer=DIES_ONCE))
        assert isinstance(fetch(client, job, tmp_path / "W")[-1], Finished)


def test_bad_requests_are_refused_with_a_sentence(service, tmp_path):
    note, empty = tmp_path / "note.jpg", tmp_path / "empty.jpg"
    note.write_text("no image")
    empty.touch()
    with service.client() as client:
        world = make_world(client, tmp_path)
        good = shot_request(client, world)
        moved = path_cameras(3)
        moved[1]["camera_to_world"][2][3] = float("nan")
        far = path_cameras(3)
        far[2]["camera_to_world"][0][3] = 99.0
        for request, words in (
            (WorldRequest(photo="a" * 64), "upload"),
            (WorldRequest(photo=client.upload(note)), "note.jpg is not an image"),
            (WorldRequest(photo=client.upload(empty)), "empty.jpg is not an image"),
            (WorldRequest(photo=client.upload(save_photo(tmp_path / "p.png")), preset="none"), "no preset"),
            (ShotRequest(world=good.world, cameras=path_cameras(1)), "at least two"),
            (ShotRequest(world=good.world, cameras=moved), "not finite"),
            (ShotRequest(world=good.world, cameras=far), "(?i)frame 3.*within"),
            (
                ShotRequest(world=dict(good.world, **{"world.json": good.world["panorama.png"]})),
                "at least two",
            ),
            (
                ShotRequest(
                    world=dict(good.world, **{"world.json": good.world["panorama.png"]}),
                    cameras=path_cameras(2),
                ),
                "cannot be read",
            ),
        ):
            with pytest.raises(ServiceError, match=words) as error:
                fetch(client, client.submit(request), tmp_path / "X")
            assert error.value.code == "input"
        for name in ("missing.png", "."):
            with pytest.raises(ServiceError, match="cannot be read") as error:
                client.upload(tmp_path / name)
            assert error.value.code == "file"
        with pytest.raises(ServiceError, match="submit it again"):
            client.status("e" * 64)
        assert not (tmp_path / "X").exists()


def test_a_full_disk_is_said_at_the_upload(service, tmp_path, monkeypatch):
    def full(folder, needed_bytes):
        raise StorageError(f"The disk of {folder} is full; free some space.")

    monkeypatch.setattr(uploads, "require_space", full)
    with service.client() as client:
        with pytest.raises(ServiceError, match="free some space") as error:
            client.upload(save_photo(tmp_path / "new.png", tint=77))
        assert error.value.code == "storage"
        client.ping()


def test_a_full_disk_at_the_client_leaves_nothing_half_written(service, tmp_path, monkeypatch):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, seed=14))

        def full(*arguments):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(ServiceError, match="free some space") as error:
                while client.status(job).state != "done":
                    time.sleep(0.02)
                fetch(client, job, tmp_path / "W")
        assert error.value.code == "file"
        assert contents(tmp_path / "W") == {}
        assert isinstance(fetch(client, job, tmp_path / "W")[-1], Finished)


def test_a_large_file_goes_up_in_pieces_and_a_second_time_not_at_all(service, tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(3_500_000))
    with service.client() as client:
        sha256 = client.upload(path)
        assert (service.folder / "store" / "files" / sha256[:2] / sha256).read_bytes() == path.read_bytes()
        assert client.upload(path) == sha256


def test_an_upload_that_another_client_overtakes_is_let_go(service, tmp_path):
    path = tmp_path / "same.bin"
    path.write_bytes(os.urandom(1000))
    sha256 = file_sha256(path)
    with service.client() as slow, service.client() as quick:
        slow._ask(Put(sha256, 1000, 0, "same.bin"), path.read_bytes()[:500])
        quick.upload(path)
        assert slow._ask(Put(sha256, 1000, 500, "same.bin"), path.read_bytes()[500:]).complete
        assert not any(session.uploads for session in service.server.sessions)


# --- life and death --------------------------------------------------------------------------------------


@pytest.fixture
def service_command(tmp_path, runtime, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    double = ROOT / "tests/support/double.py"
    return [sys.executable, str(double), "service", str(tmp_path / "store")]


def test_no_service_is_a_sentence(runtime):
    for prepare in (
        lambda: None,
        lambda: runtime_file().write_text("{}"),
        lambda: runtime_file().write_text("nonsense"),
        lambda: runtime_file().write_text(
            json.dumps({"address": "tcp://127.0.0.1:1", "server_key": "", "client_keys": "", "pid": 4194304})
        ),
    ):
        runtime.mkdir(exist_ok=True)
        prepare()
        with pytest.raises(ServiceError, match="lookbeyond serve") as error:
            find_service()
        assert error.value.code == "not_running"


def test_a_service_that_does_not_start_says_why(runtime, monkeypatch):
    with pytest.raises(ServiceError, match="could not be started"):
        start_service(["/does/not/exist"])
    with pytest.raises(ServiceError, match="did not start: my last words"):
        start_service([sys.executable, "-c", "import sys; sys.exit('my last words')"], timeout_s=20)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServiceError, match="not on the PATH"):
        start_service()


def test_only_one_service_uses_a_store(tmp_path, runtime):
    one = Server(tmp_path / "store", models=DoublePresets(), executor=POOL)
    try:
        with pytest.raises(InputError, match="Another service"):
            Server(tmp_path / "store", models=DoublePresets(), executor=POOL)
    finally:
        one.stop()
        one.run()
    with pytest.raises(ServiceError):
        find_service()


def test_a_service_killed_half_way_loses_the_unit_at_hand_and_no_more(tmp_path, service_command):
    process, address = start_service(service_command)
    workers: list[psutil.Process] = []
    try:
        with Client(address, timeout_s=10) as client:
            world = make_world(client, tmp_path, steer=SLOW)
            job = client.submit(shot_request(client, world, path_cameras(13)))
            folder, killed, arrived = tmp_path / "S", False, []
            for event in client.follow(job, folder, patience_s=30):
                if isinstance(event, FileArrived):
                    arrived.append(event.name)
                clips = sum(1 for name in arrived if name.startswith("frames/"))
                if not killed and clips >= 5:
                    killed = True
                    units = set((tmp_path / "store/units").glob("*/*"))
                    workers = psutil.Process(process.pid).children(recursive=True)
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    process, address = start_service(service_command)
            assert killed and len(units) > 5
            # every unit that was finished is still the same one, every file came once and whole
            for unit in units:
                assert (unit / "unit.json").exists()
            assert len(arrived) == len(set(arrived)) == 3 * 13 + 2
            assert len(list((folder / "frames").iterdir())) == 13
            log = runtime_file().with_name("service.log").read_text()
            lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
            begun = {line["unit"] for line in lines if line["event"] == "unit begun"}
            assert begun and not begun & {unit.name for unit in units}
            # the same without an accident
            again = client.submit(shot_request(client, world, path_cameras(13)))
            assert again == job
            client.shutdown()
        process.wait(10)
        assert workers and not psutil.wait_procs(workers, timeout=5)[1]  # no orphans
        sweep(Store(tmp_path / "store"))
        assert not list((tmp_path / "store/temporary").iterdir())
    finally:
        process.kill()
        process.wait()


def test_a_service_told_to_end_goes_and_takes_its_worker_along(tmp_path, service_command):
    process, address = start_service(service_command)
    try:
        worker = psutil.Process(process.pid).children()
        assert worker
        process.terminate()
        assert process.wait(10) == 0
        assert not psutil.wait_procs(worker, timeout=5)[1]
        assert not runtime_file().exists()
        with pytest.raises(ServiceError) as error:
            Client(address, timeout_s=2)
        assert error.value.code == "not_running"
    finally:
        process.kill()
        process.wait()


def test_a_client_gives_up_on_a_service_that_stays_away(tmp_path, service_command):
    process, address = start_service(service_command)
    try:
        with Client(address, timeout_s=2) as client:
            job = client.submit(world_request(client, tmp_path, steer=SLOW))
            with pytest.raises(ServiceError, match="had finished is kept") as error:
                for _ in client.follow(job, tmp_path / "W", patience_s=0.5):
                    if process.poll() is None:
                        process.kill()
                        process.wait()
            assert error.value.code == "lost"
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_cannot_be_started_ends_jobs_with_a_sentence(tmp_path, runtime):
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with running(tmp_path, command) as broken, broken.client() as client:
        job = client.submit(world_request(client, tmp_path))
        with pytest.raises(ServiceError, match="lookbeyond doctor"):
            fetch(client, job, tmp_path / "W")


def test_a_worker_ends_with_its_service(tmp_path):
    worker = subprocess.Popen(
        [*worker_command(), "--store", str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert worker.stdin and worker.stdout
    assert json.loads(worker.stdout.readline())["report"] == "ready"
    worker.stdin.close()
    assert worker.wait(5) == 0
