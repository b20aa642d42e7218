"""Several jobs: order, pausing, cancelling, times to come; a shot waits for its world; two clients, one truth."""

import dataclasses
import os
import shutil
import time

import pytest

from inference_service.client import ALL, FileArrived, Finished, ServiceError
from inference_service.jobs import ended
from inference_service.jobs import queue as queue_module
from inference_service.jobs.queue import JobQueue
from inference_service.server import replies
from inference_service.store.housekeeping import prune, sweep
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, ShotRequest, WorldRequest
from inference_service.work.perform import perform_unit
from lookbeyond.errors import InputError, LookBeyondError, StorageError
from tests.support.double import DoublePipeline, worker_command
from tests.support.service import (
    RAISES,
    SLOW,
    contents,
    fetch,
    path_cameras,
    photo_camera,
    running,
    save_photo,
    shot_request,
    world_request,
)


def photo_request(store, tmp_path, seed=0):
    return WorldRequest(
        photo=store.add_file(save_photo(tmp_path / "p.png")), camera=photo_camera(), width=512, seed=seed
    )


def work(jobs, store, count=1000):
    """Perform up to `count` units as a worker would; how many there were."""
    for done in range(count):
        if (unit := jobs.next_unit()) is None:
            return done
        jobs.started(unit)
        perform_unit(unit, store, lambda preset: DoublePipeline(), lambda *_: None)
        jobs.finished(unit.identity)
    return count


# --- the queue itself ------------------------------------------------------------------------------------


def test_a_shot_waits_for_its_world_and_goes_on_without_its_client(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    shot, new = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
    assert new and jobs.statuses.of(shot).message == "Waiting for its world"
    assert jobs.next_unit().kind == "world"
    work(jobs, store, 1)
    assert world.state == "done" and jobs.statuses.of(shot).message == "Waiting"
    work(jobs, store)
    assert jobs.statuses.of(shot).state == "done"
    assert len(shot.artifacts) == 3 * 9 + 2
    again, new = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
    assert again is shot and not new
    files = {name: world.artifacts[name][0].sha256 for name in (*WORLD_FILES, *WORLD_LAYERS)}
    plain, _ = jobs.submit(ShotRequest(world=files, cameras=path_cameras()), "r")
    assert jobs.statuses.of(plain).state == "done"  # the same units: nothing was to be made


def test_a_waiting_shot_survives_a_restart_and_falls_with_its_world(store, tmp_path):
    jobs = JobQueue(store)
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    shot, _ = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
    jobs.close()
    jobs = JobQueue(store)
    assert jobs.statuses.of(jobs.jobs[shot.id]).message == "Waiting for its world"
    jobs.cancel(jobs.jobs[world.id])
    status = jobs.statuses.of(jobs.jobs[shot.id])
    assert status.state == "cancelled" and "The world of this shot was cancelled" in status.error
    with pytest.raises(InputError, match="was not made"):
        jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(5)), "r")
    with pytest.raises(InputError, match="not known here"):
        jobs.submit(ShotRequest(world_job="f" * 64, cameras=path_cameras(5)), "r")
    with pytest.raises(InputError, match="by the id of its job"):
        jobs.submit(ShotRequest(world_job="../x", cameras=path_cameras(5)), "r")
    jobs.close()


def test_a_cancelled_unit_takes_along_only_what_needs_it(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    shot, _ = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(13)), "r")
    work(jobs, store, 2)  # the world and the plan
    anchors, clips = ([unit for unit in shot.units if unit.kind == kind] for kind in ("anchor", "clip"))
    assert len(anchors) == 4 and len(clips) == 3
    doomed = anchors[-1]
    jobs.started(doomed)
    assert not jobs.cancel_unit("f" * 64) and not jobs.cancel_unit(doomed.identity, world.id)
    assert jobs.cancel_unit(doomed.identity) and not jobs.cancel_unit(doomed.identity)
    assert jobs.jobs_of(doomed.identity) == [] and jobs.statuses.of(shot).state == "running"
    jobs.interrupted(doomed.identity)
    assert work(jobs, store) == 3 + 2  # the other anchors, and the clips between them
    status = jobs.statuses.of(shot)
    assert status.state == "cancelled" and "A part of the job" in status.error
    assert {a.name for a in status.artifacts if a.name.startswith("frames")} == {
        f"frames/{n:04d}.png" for n in range(1, 10)
    }
    again, new = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(13)), "r")
    assert new and again.id == shot.id
    assert work(jobs, store) == 3  # the anchor, its clip, and the shot
    assert jobs.statuses.of(again).state == "done"


def test_a_unit_that_is_done_before_its_cancel_arrives_counts(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    shot, _ = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
    work(jobs, store, 2 + 3)  # the world, the plan and the anchors: two clips are left
    late = jobs.next_unit()
    jobs.started(late)
    perform_unit(late, store, lambda preset: DoublePipeline(), lambda *_: None)
    assert jobs.cancel_unit(late.identity)
    jobs.finished(late.identity)
    assert late.identity in shot.done
    work(jobs, store)
    assert jobs.statuses.of(shot).state == "done"


def test_times_to_come_add_up_over_the_queue_and_the_workers(jobs, store, tmp_path):
    first, second = (jobs.submit(photo_request(store, tmp_path, seed), "r")[0] for seed in (1, 2))
    assert jobs.statuses.of(first).eta_s is None and jobs.statuses.eta_s() is None
    unit = jobs.next_unit()
    jobs.started(unit).begun -= 10.0  # ten seconds ago
    jobs.progressed(unit.identity, 0.5, "half way")
    assert jobs.statuses.of(first).eta_s == pytest.approx(10, rel=0.05)
    assert jobs.statuses.of(second).eta_s == pytest.approx(30, rel=0.05)  # after the first
    assert jobs.statuses.eta_s() == pytest.approx(30, rel=0.05)
    assert [status.eta_s for status in jobs.statuses.all()] == pytest.approx([10, 30], rel=0.05)
    jobs.estimates.workers = 2
    assert jobs.statuses.eta_s() == pytest.approx(15, rel=0.05)
    jobs.pause([second], True)
    assert jobs.statuses.of(second).eta_s is None and jobs.statuses.eta_s() == pytest.approx(5, rel=0.05)


def test_order_pauses_and_ends_survive_a_restart(store, tmp_path):
    jobs = JobQueue(store)
    names = [jobs.submit(photo_request(store, tmp_path, seed), "r")[0].id for seed in range(4)]
    jobs.reorder(jobs.jobs[names[3]], 0)
    jobs.pause([jobs.jobs[names[0]]], True)
    jobs.cancel(jobs.jobs[names[1]])
    before = jobs.statuses.all()
    jobs.close()
    jobs = JobQueue(store)
    assert jobs.statuses.all() == before
    assert [status.job for status in before] == [names[3], names[0], names[1], names[2]]
    assert work(jobs, store) == 2  # not the paused, not the cancelled
    jobs.close()


def test_order_and_pauses_are_written_at_once_or_not_at_all(jobs, store, tmp_path):
    made = [jobs.submit(photo_request(store, tmp_path, seed), "r")[0] for seed in range(4)]
    before = jobs.statuses.all()
    jobs.database.connection.execute("PRAGMA query_only = ON")
    for change in (lambda: jobs.reorder(made[3], 0), lambda: jobs.pause(made, True)):
        with pytest.raises(StorageError, match="free some disk space"):
            change()
        assert jobs.statuses.all() == before
    jobs.database.connection.execute("PRAGMA query_only = OFF")
    written = []
    jobs.database.connection.set_trace_callback(written.append)
    jobs.reorder(made[3], 0)
    jobs.pause(made, True)
    assert written.count("COMMIT") == 2 and not any(made[0].request.photo in line for line in written)
    assert [status.job for status in jobs.statuses.all()] == [made[i].id for i in (3, 0, 1, 2)]


def test_limits_are_told_before_anything_is_kept(jobs, store, tmp_path, monkeypatch):
    request = photo_request(store, tmp_path)
    monkeypatch.setattr(queue_module, "MAX_WAITING_CAMERAS", 20)
    world, _ = jobs.submit(request, "r")
    jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(15)), "r")
    with pytest.raises(InputError, match="20 frames already"):
        jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(9)), "r")
    monkeypatch.setattr(queue_module, "MAX_WAITING_JOBS", 2)
    with pytest.raises(InputError, match="2 jobs are waiting"):
        jobs.submit(dataclasses.replace(request, seed=5), "r")
    assert len(jobs.jobs) == 2


def test_ended_jobs_take_little_memory_and_the_oldest_are_forgotten(jobs, store, tmp_path, monkeypatch):
    monkeypatch.setattr(ended, "MAX_ENDED_JOBS", 3)
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    made = [jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(n)), "r")[0] for n in range(5, 10)]
    work(jobs, store)
    assert all(job.state == "done" and not job.units and not job.request.cameras for job in made)
    assert set(jobs.jobs) == {job.id for job in made[-3:]}
    assert len(jobs.statuses.all()) == 3


def test_a_unit_that_a_power_cut_damaged_is_made_again(store, tmp_path):
    jobs = JobQueue(store)
    job, _ = jobs.submit(photo_request(store, tmp_path), "r")
    work(jobs, store)
    identity = next(iter(job.done))
    (store.unit(identity) / "panorama.png").write_bytes(b"")
    jobs.close()
    jobs = JobQueue(store)
    assert not store.has_unit(identity) and job.id not in jobs.jobs
    again, new = jobs.submit(photo_request(store, tmp_path), "r")
    assert new and work(jobs, store) == 1 and again.state == "done"
    jobs.close()


def test_a_finished_unit_that_is_lost_is_made_again_and_told_again(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    shot, _ = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(13)), "r")
    work(jobs, store, 2 + 4 + 2)  # the world, the plan, the anchors, and all clips but one
    known = len(jobs.statuses.of(shot).artifacts)
    lost = next(unit.identity for unit in shot.units if unit.kind == "clip")
    shutil.rmtree(store.unit(lost))
    jobs.lost(lost)
    assert 0 < len(jobs.statuses.of(shot).artifacts) < known and jobs.next_unit().identity == lost
    assert work(jobs, store) == 2 + 1  # it, the last clip and the shot
    status = jobs.statuses.of(shot, after=known)
    assert status.state == "done" and status.after == 0 and len(status.artifacts) == 3 * 13 + 2
    assert all((store.unit(each.unit) / each.own_name).is_file() for each in shot.artifacts.values())


def test_who_follows_a_job_that_is_handed_in_again_misses_nothing_of_it(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    request = ShotRequest(world_job=world.id, cameras=path_cameras(13))
    shot, _ = jobs.submit(request, "r")
    work(jobs, store, 2 + 4)  # the world, the plan, the anchors
    slow = jobs.next_unit()
    jobs.started(slow)
    work(jobs, store, 1)  # the second clip is there before the first
    known = [artifact.name for artifact in jobs.statuses.of(shot).artifacts]
    jobs.cancel(shot)
    perform_unit(slow, store, lambda preset: DoublePipeline(), lambda *_: None)
    jobs.finished(slow.identity)
    again, _ = jobs.submit(request, "r")
    work(jobs, store)
    status = jobs.statuses.of(again, after=len(known))
    assert status.state == "done" and {*known, *(a.name for a in status.artifacts)} == set(again.artifacts)


def test_a_job_list_that_cannot_be_written_is_said_and_nothing_is_promised(jobs, store, tmp_path):
    request = photo_request(store, tmp_path)
    jobs.database.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="free some disk space"):
        jobs.submit(request, "r")
    assert not jobs.jobs
    jobs.database.connection.execute("PRAGMA query_only = OFF")
    assert jobs.submit(request, "r")[1]


def test_shots_go_on_with_their_world_though_the_job_list_cannot_be_written(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    requests = [ShotRequest(world_job=world.id, cameras=path_cameras(), seed=seed) for seed in range(3)]
    shots = [jobs.submit(request, "r")[0] for request in requests]
    jobs.database.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="free some disk space"):
        work(jobs, store, 1)
    jobs.database.connection.execute("PRAGMA query_only = OFF")
    work(jobs, store)
    assert [shot.state for shot in shots] == ["done"] * 3


def test_a_cancelled_jobs_unit_is_unwanted_though_the_job_list_cannot_be_written(jobs, store, tmp_path):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    unit = jobs.next_unit()
    jobs.started(unit)
    assert jobs.unwanted() == []
    jobs.database.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="free some disk space"):
        jobs.cancel(world)
    assert jobs.unwanted() == [unit.identity]


@pytest.mark.parametrize("kind, file", [("plan", "plan.json"), ("anchor", "distance.exr")])
def test_what_a_power_cut_filled_with_zeros_is_made_again_once(jobs, store, tmp_path, kind, file):
    world, _ = jobs.submit(photo_request(store, tmp_path), "r")
    request = ShotRequest(world_job=world.id, cameras=path_cameras(13))
    shot, _ = jobs.submit(request, "r")
    work(jobs, store, 2 if kind == "plan" else 3)
    damaged = next(unit.identity for unit in shot.units if unit.kind == kind)
    jobs.cancel(shot)
    path = store.unit(damaged) / file

    def damage():
        path.write_bytes(bytes(path.stat().st_size))

    def work_on(job):
        """The units that are made for it."""
        while job.state == "queued" and (unit := jobs.next_unit()):
            jobs.started(unit)
            try:
                perform_unit(unit, store, lambda preset: DoublePipeline(), lambda *_: None)
            except LookBeyondError as error:
                jobs.failed(unit.identity, error.code, str(error))
            else:
                yield unit
                jobs.finished(unit.identity)

    damage()
    again, _ = jobs.submit(request, "r")
    for unit in work_on(again):
        if unit.identity == damaged:
            damage()  # this disk does it again
    assert again.state == "failed"
    third, _ = jobs.submit(request, "r")
    assert damaged in [unit.identity for unit in work_on(third)] and third.state == "done"


def test_a_done_job_whose_files_are_gone_is_forgotten_for_good(store, tmp_path, monkeypatch):
    monkeypatch.setattr(ended, "MAX_ENDED_JOBS", 5)
    jobs = JobQueue(store)
    made = [jobs.submit(photo_request(store, tmp_path, seed), "r")[0] for seed in range(5)]
    work(jobs, store)
    jobs.close()
    for job in made[1:4]:
        shutil.rmtree(store.unit(next(iter(job.done))))
    for seeds in (range(5, 8), range(0)):
        jobs = JobQueue(store)
        made += [jobs.submit(photo_request(store, tmp_path, seed), "r")[0] for seed in seeds]
        work(jobs, store)
        jobs.close()
    assert set(jobs.jobs) == {made[i].id for i in (0, 4, 5, 6, 7)}


def test_more_done_jobs_than_are_remembered_do_not_stop_a_start(store, tmp_path, monkeypatch):
    jobs = JobQueue(store)
    made = [jobs.submit(photo_request(store, tmp_path, seed), "r")[0] for seed in range(4)]
    work(jobs, store)
    jobs.close()
    shutil.rmtree(store.unit(next(iter(made[1].done))))  # of one that is forgotten before it is looked at
    monkeypatch.setattr(ended, "MAX_ENDED_JOBS", 2)
    jobs = JobQueue(store)
    assert len(jobs.jobs) == 2 and jobs.jobs.keys() < {job.id for job in made}
    jobs.close()


def test_what_is_asked_for_again_is_not_the_next_to_be_pruned(jobs, store, tmp_path):
    request = photo_request(store, tmp_path)
    job, _ = jobs.submit(request, "r")
    work(jobs, store)
    unit = store.unit(next(iter(job.done)))
    os.utime(unit, (time.time() - 7200,) * 2)
    assert jobs.submit(request, "r") == (job, False)
    prune(store, jobs.inputs(), quota_bytes=0)
    assert unit.exists()


@pytest.mark.parametrize("jump_s", [-20 * 365 * 86400, 20 * 365 * 86400])
def test_a_clock_that_jumps_loses_nothing(jobs, store, tmp_path, monkeypatch, jump_s):
    job, _ = jobs.submit(photo_request(store, tmp_path), "r")
    other, _ = jobs.submit(photo_request(store, tmp_path, 7), "r")
    work(jobs, store, 1)
    unit = jobs.next_unit()
    jobs.started(unit)
    clock = time.time
    with store.temporary() as half_written:
        monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
        jobs.progressed(unit.identity, 0.5, "")
        assert 0 <= jobs.statuses.of(other).eta_s < 60
        sweep(store)
        assert half_written.exists()
        assert prune(store, jobs.inputs(), spare_s=0) == []
    assert store.has_unit(next(iter(job.done)))


def test_what_ends_after_the_clock_was_set_back_is_not_forgotten(jobs, store, tmp_path, monkeypatch):
    monkeypatch.setattr(ended, "MAX_ENDED_JOBS", 2)
    made = [jobs.submit(photo_request(store, tmp_path, seed), "r")[0] for seed in range(3)]
    work(jobs, store, 2)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 365 * 86400)
    work(jobs, store)
    assert set(jobs.jobs) == {made[1].id, made[2].id} and made[2].state == "done"


# --- through the service ---------------------------------------------------------------------------------


def test_two_clients_see_and_steer_the_same_queue(service, tmp_path):
    with service.client() as one, service.client() as two:
        one.pause(ALL, False)
        slow = one.submit(world_request(one, tmp_path, steer=SLOW, seed=31))
        waiting = [one.submit(world_request(one, tmp_path, seed=seed)) for seed in (32, 33, 34)]
        two.reorder(waiting[2], 0)
        order = [status.job for status in one.jobs() if status.job in waiting]
        assert order[0] == waiting[2] and order == [s.job for s in two.jobs() if s.job in waiting]
        two.pause(waiting[0], True)
        assert one.status(waiting[0]).state == two.status(waiting[0]).state == "paused"
        two.cancel(ALL)
        for client in (one, two):
            states = {status.job: status.state for status in client.jobs()}
            assert {states[job] for job in waiting} == {"cancelled"} and states[slow] in ("cancelled", "done")
        counts = two.service_status().states
        assert counts["queued"] == counts["running"] == counts["paused"] == 0
        with pytest.raises(ServiceError) as error:
            fetch(one, waiting[1], tmp_path / "W")
        assert error.value.code == "cancelled"


def test_all_jobs_are_paused_and_go_on(service, tmp_path):
    with service.client() as client:
        running = client.submit(world_request(client, tmp_path, steer=SLOW, seed=41))
        job = client.submit(world_request(client, tmp_path, seed=42))
        client.pause(ALL, True)
        assert {client.status(j).state for j in (running, job)} == {"paused"}
        assert client.service_status().states["paused"] == 2
        client.pause(ALL, False)
        for j in (job, running):
            assert isinstance(fetch(client, j, tmp_path / j[:6])[-1], Finished)


def test_world_and_shot_are_handed_in_together(service, tmp_path):
    with service.client() as client:
        world = client.submit(world_request(client, tmp_path, seed=51))
        shot = client.submit(ShotRequest(world_job=world, cameras=path_cameras()))
        assert isinstance(fetch(client, shot, tmp_path / "S")[-1], Finished)
        fetch(client, world, tmp_path / "W")
        fetch(client, client.submit(shot_request(client, tmp_path / "W")), tmp_path / "S2")
    one, two = contents(tmp_path / "S"), contents(tmp_path / "S2")
    assert len(one) == 3 * 9 + 2 and {**one, "shot.json": b""} == {**two, "shot.json": b""}


def test_a_world_that_fails_takes_its_shot_along(service, tmp_path):
    with service.client() as client:
        client.submit(world_request(client, tmp_path, steer=SLOW, seed=53))  # it keeps the worker busy meanwhile
        world = client.submit(world_request(client, tmp_path, steer=RAISES, seed=52))
        shot = client.submit(ShotRequest(world_job=world, cameras=path_cameras()))
        with pytest.raises(ServiceError, match="submit the world again"):
            fetch(client, shot, tmp_path / "S")


def test_a_status_tells_only_what_is_new(service, tmp_path):
    with service.client() as client:
        job = client.submit(world_request(client, tmp_path, seed=61))
        fetch(client, job, tmp_path / "W")
        names = [artifact.name for artifact in client.status(job).artifacts]
        later = client.status(job, after=3)
        assert len(names) == 7 and [a.name for a in later.artifacts] == names[3:] and later.after == 3
        assert client.status(job, after=10**9).artifacts == ()
        assert client.status(job, after=-5).artifacts == client.status(job).artifacts


def test_one_connection_cannot_fill_the_queue(service, tmp_path, monkeypatch):
    monkeypatch.setattr(replies, "MAX_JOBS_PER_SESSION", 3)
    with service.client() as client, service.client() as other:
        slow = [client.submit(world_request(client, tmp_path, steer=SLOW, seed=70 + i)) for i in range(3)]
        with pytest.raises(ServiceError, match="3 jobs of this client") as error:
            client.submit(world_request(client, tmp_path, seed=75))
        assert error.value.code == "input"
        other.submit(world_request(other, tmp_path, seed=76))
        for job in slow:
            client.cancel(job)
        client.submit(world_request(client, tmp_path, seed=75))
        client.cancel(ALL)


def test_an_edited_end_of_a_path_is_all_that_is_made_again(tmp_path, runtime):
    cameras = path_cameras(96, turn=0.01)
    edited = cameras[:72] + path_cameras(96, turn=0.0101)[72:]
    with running(tmp_path, worker_command()) as service, service.client() as client:
        fetch(client, client.submit(world_request(client, tmp_path)), tmp_path / "W")
        fetch(client, client.submit(shot_request(client, tmp_path / "W", cameras)), tmp_path / "S")
        made = service.server.totals["units_done"]
        job = client.submit(shot_request(client, tmp_path / "W", edited))
        events = fetch(client, job, tmp_path / "S2")
        again = service.server.totals["units_done"] - made
    assert again / (made - 1) <= 0.35
    assert len([event for event in events if isinstance(event, FileArrived)]) == 3 * 96 + 2
    one, two = contents(tmp_path / "S"), contents(tmp_path / "S2")
    same = [name for name in one if name.startswith("frames/") and one[name] == two[name]]
    assert set(same) >= {f"frames/{i:04d}.png" for i in range(1, 70)}  # the clip of frame 73 begins at frame 69
