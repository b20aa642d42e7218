"""The list of jobs on disk: yesterday's and tomorrow's, damaged, and small in memory once jobs have ended."""

import contextlib
import random
import sqlite3

import pytest

from inference_service.jobs import ended
from inference_service.jobs.queue import JobQueue
from inference_service.wire.requests import ShotRequest, WorldRequest
from inference_service.work.perform import perform_unit
from lookbeyond.errors import InputError
from tests.support.damage import KINDS, damage
from tests.support.double import DoublePipeline
from tests.support.service import path_cameras, photo_camera, save_photo


@contextlib.contextmanager
def queue(store):
    jobs = JobQueue(store)
    try:
        yield jobs
    finally:
        jobs.close()


def _request(store, tmp_path, seed=0):
    photo = store.add_file(save_photo(tmp_path / "p.png"))
    return WorldRequest(photo=photo, camera=photo_camera(), width=512, seed=seed)


def _work(jobs, store):
    while (unit := jobs.next_unit()) is not None:
        jobs.started(unit)
        perform_unit(unit, store, lambda preset: DoublePipeline(), lambda *_: None)
        jobs.finished(unit.identity)


def _filled(store, tmp_path, count=4):
    """A list of one done world, a done shot, a cancelled world, and others that wait; all ids."""
    with queue(store) as jobs:
        world, _ = jobs.submit(_request(store, tmp_path), "r")
        jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
        _work(jobs, store)
        jobs.cancel(jobs.submit(_request(store, tmp_path, 99), "r")[0])
        for seed in range(1, count):
            jobs.submit(_request(store, tmp_path, seed), "r")
        return list(jobs.jobs)


def _sql(store, *statements):
    with contextlib.closing(sqlite3.connect(store.root / "jobs.sqlite", isolation_level=None)) as connection:
        return [connection.execute(*each if isinstance(each, tuple) else (each,)).fetchall() for each in statements]


def test_a_newer_list_is_read_as_far_as_it_is_known_and_nothing_is_forgotten(store, tmp_path, caplog):
    ids = _filled(store, tmp_path)
    _sql(
        store,
        "PRAGMA user_version = 99",
        "ALTER TABLE jobs ADD COLUMN wish TEXT DEFAULT 'none'",
        ("UPDATE jobs SET state = 'dreaming' WHERE id = ?", (ids[3],)),
        ("UPDATE jobs SET kind = 'film', crc = NULL WHERE id = ?", (ids[4],)),
        ("UPDATE jobs SET wish = 'fame' WHERE id = ?", (ids[5],)),
    )
    with queue(store) as jobs:
        assert set(jobs.jobs) == set(ids) and "newer version" in caplog.text
        for id in ids[3:5]:
            job = jobs.jobs[id]
            assert job.state == "failed" and "cannot read it" in job.error and jobs.statuses.of(job).job == id
        _work(jobs, store)
        assert jobs.jobs[ids[5]].state == "done"
    states = dict(_sql(store, "SELECT id, state FROM jobs")[0])
    assert states[ids[3]] == "dreaming"  # for whoever understands it
    assert _sql(store, ("SELECT wish FROM jobs WHERE id = ?", (ids[5],)))[0] == [("fame",)]


def test_a_list_of_yesterday_is_read(store, tmp_path):
    ids = _filled(store, tmp_path)
    _sql(
        store,
        "UPDATE jobs SET request = (SELECT d.request FROM details d WHERE d.id = jobs.id)"
        " WHERE id IN (SELECT id FROM details)",
        "DROP TABLE details",
        "ALTER TABLE jobs DROP COLUMN crc",
        "PRAGMA user_version = 0",
    )
    for _ in range(2):
        with queue(store) as jobs:
            assert list(jobs.jobs) == ids
            states = [jobs.jobs[id].state for id in ids]
            assert states == ["done", "done", "cancelled", "queued", "queued", "queued"]
            assert len(jobs.statuses.of(jobs.recall(jobs.jobs[ids[1]])).artifacts) == 3 * 9 + 2
    assert _sql(store, "PRAGMA user_version")[0] == [(2,)]


def test_what_a_job_asked_for_is_believed_only_when_it_is_what_it_was(store, tmp_path):
    ids = _filled(store, tmp_path)
    _sql(store, ("UPDATE jobs SET request = replace(request, '\"seed\":1', '\"seed\":7') WHERE id = ?", (ids[3],)))
    with queue(store) as jobs:
        assert jobs.jobs[ids[3]].state == "failed" and "damaged in the job list" in jobs.jobs[ids[3]].error
        again, new = jobs.submit(_request(store, tmp_path, 1), "r")
        assert new and again.id == ids[3] and again.state == "queued"


@pytest.mark.parametrize("kind", [*KINDS, "a page"])
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_list_loses_nothing_in_silence(store, tmp_path, caplog, kind, seed):
    ids = _filled(store, tmp_path, count=30)
    path = store.root / "jobs.sqlite"
    rng = random.Random(seed)
    if kind == "a page":
        content = bytearray(path.read_bytes())
        place = 4096 * rng.randrange(1, len(content) // 4096)
        content[place : place + 4096] = bytes(4096)
        path.write_bytes(content)
    else:
        damage(path, kind, rng)
    with queue(store) as jobs:
        missing = set(ids) - set(jobs.jobs)
        assert not missing or "its jobs are lost" in caplog.text or "damaged list is kept" in caplog.text
        if kind == "a page":
            assert len(missing) < len(ids) / 2
        done, _ = jobs.submit(_request(store, tmp_path), "r")
        _work(jobs, store)
        assert done.state == "done"
    assert not missing or kind == "empty" or list(store.root.glob("jobs.damaged-*.sqlite"))


def test_a_second_service_is_refused_and_the_first_is_not_disturbed(store, tmp_path):
    with queue(store) as jobs:
        with pytest.raises(InputError, match="Another service already uses the store"):
            JobQueue(store)
        jobs.submit(_request(store, tmp_path), "r")
    with queue(store):
        pass


def test_ended_jobs_keep_no_cameras_and_no_files_in_memory(store, tmp_path, monkeypatch):
    monkeypatch.setattr(ended, "MAX_RECALLED", 30)
    with queue(store) as jobs:
        world, _ = jobs.submit(_request(store, tmp_path), "r")
        requests = [ShotRequest(world_job=world.id, cameras=path_cameras(n)) for n in range(5, 9)]
        shots = [jobs.submit(request, "r")[0] for request in requests]
        _work(jobs, store)
        jobs.cancel(jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(12)), "r")[0])
    with queue(store) as jobs:
        assert len(jobs.jobs) == 6
        assert not any(getattr(job.request, "cameras", []) or job.artifacts for job in jobs.jobs.values())
        for shot, frames in [*zip(shots, range(5, 9)), *zip(shots, range(5, 9))]:
            status = jobs.statuses.of(jobs.recall(jobs.jobs[shot.id]))
            assert len(status.artifacts) == 3 * frames + 2
            assert sum(len(job.artifacts) for job in jobs.jobs.values()) <= 30
        jobs.drop_unasked()
        assert any(job.artifacts for job in jobs.jobs.values())  # someone has asked a moment ago
        monkeypatch.setattr(ended, "RECALLED_S", 0)
        jobs.drop_unasked()
        assert not any(job.artifacts or job.done or job.identities for job in jobs.jobs.values())
        again, new = jobs.submit(requests[0], "r")
        assert again.id == shots[0].id and not new and len(again.artifacts) == 17
        jobs.reopen(again)
        assert again.state == "done" and len(again.artifacts) == 17  # with the cameras it asked for
