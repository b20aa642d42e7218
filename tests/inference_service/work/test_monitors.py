"""What the monitors find reaches shot.json, the status of the job and, after a restart, the next service's."""

import json
from dataclasses import replace

import pytest

from inference_service.jobs.queue import JobQueue
from inference_service.store.record import Damaged
from inference_service.wire.requests import ShotRequest, WorldRequest
from inference_service.work.perform import perform_unit
from inference_service.work.units.clip import MONITORS, ShootClip, read_watched
from tests.support.double import DoublePipeline
from tests.support.service import path_cameras, photo_camera, save_photo


class Drifting(DoublePipeline):
    """Its frames are another place's from the third of a clip to the last but one."""

    def shoot_clip(self, *arguments, **settings):
        views = super().shoot_clip(*arguments, **settings)
        return [replace(v, colour=255 - v.colour) if 2 <= i < len(views) - 1 else v for i, v in enumerate(views)]


def shoot(store, tmp_path, pipeline, queue):
    photo = store.add_file(save_photo(tmp_path / "p.png"))
    world, _ = queue.submit(WorldRequest(photo=photo, camera=photo_camera(), width=512), "r")
    shot, _ = queue.submit(ShotRequest(world_job=world.id, cameras=path_cameras(9), first_frame=101), "r")
    made = []
    while (unit := queue.next_unit()) is not None:
        queue.started(unit)
        perform_unit(unit, store, lambda preset: pipeline, lambda *_: None)
        queue.finished(unit.identity)
        made.append(unit)
    return shot, made


def summary(store, made):
    return json.loads((store.unit(made[-1].identity) / "shot.json").read_text())["monitors"]


def test_a_clean_shot_says_so(store, tmp_path):
    queue = JobQueue(store)
    shot, made = shoot(store, tmp_path, DoublePipeline(), queue)
    monitors = summary(store, made)
    assert monitors["findings"] == [] and queue.statuses.of(shot).findings == ()
    assert {len(column) for column in monitors["frames"].values()} == {9}
    queue.close()


def test_what_is_wrong_is_told_by_the_jobs_own_frame_numbers(store, tmp_path):
    queue = JobQueue(store)
    shot, made = shoot(store, tmp_path, Drifting(), queue)
    texts = ["Frames 103–104 show what the panorama does not", "Frames 107–108 show what the panorama does not"]
    assert [found["text"] for found in summary(store, made)["findings"]] == texts
    assert queue.statuses.of(shot).findings == tuple(texts)
    queue.close()
    again = JobQueue(store)
    assert again.statuses.of(again.recall(again.jobs[shot.id])).findings == tuple(texts)
    again.close()


def test_a_damaged_note_of_a_clip_removes_the_clip(store, tmp_path):
    queue = JobQueue(store)
    _, made = shoot(store, tmp_path, DoublePipeline(), queue)
    queue.close()
    clip = next(unit for unit in made if isinstance(unit, ShootClip))
    assert len(read_watched(store, clip.identity, len(clip.cameras)).frames) == len(clip.cameras)
    path = store.unit(clip.identity) / MONITORS
    path.write_text(path.read_text().replace("1", "2"))
    with pytest.raises(Damaged):
        read_watched(store, clip.identity, len(clip.cameras))
    assert not store.has_unit(clip.identity)
