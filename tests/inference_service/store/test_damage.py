"""What lies on disk is believed only while it is what it was: damage is noticed, removed, and made or sent again."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from inference_service.cli import local_run, main
from inference_service.jobs.queue import JobQueue
from inference_service.server.uploads import Upload, receive, store_upload
from inference_service.store.record import RECORD, Damaged
from inference_service.store.store import Store
from inference_service.wire.files import file_sha256
from inference_service.wire.messages import Put, Stored
from inference_service.wire.requests import ShotRequest, WorldRequest
from inference_service.work.perform import perform_unit
from inference_service.work.units.plan import read_plan
from lookbeyond.errors import LookBeyondError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.transforms import write_transforms
from tests.support.damage import KINDS, damage
from tests.support.double import DoublePipeline, DoublePresets
from tests.support.service import contents, path_cameras, photo_camera, save_photo

UNIT, OTHER = "a" * 64, "b" * 64


def _commit(store, identity, text="x" * 1000):
    with store.temporary() as folder:
        (folder / "frame.png").write_text(text)
        store.commit(folder, identity, 1.5, "clip")


def _work(jobs, store):
    """Make all units as workers would, each with eyes of its own; how many were begun."""
    count = 0
    while (unit := jobs.next_unit()) is not None:
        count += 1
        assert count < 100
        jobs.started(unit)
        try:
            perform_unit(unit, Store(store.root), lambda preset: DoublePipeline(), lambda *_: None)
        except LookBeyondError as error:
            jobs.failed(unit.identity, error.code, str(error))
        else:
            jobs.finished(unit.identity)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_upload_is_not_there_and_can_be_sent_again(store, tmp_path, kind):
    photo = save_photo(tmp_path / "photo.png")
    sha256 = store.add_file(photo)
    damage(store.file(sha256), kind, random.Random(1))
    for opened in (store, Store(store.root)):  # one that has hashed it before, and one that has not
        assert not opened.has_file(sha256)
        with pytest.raises(Damaged, match="submit the job again"):
            opened.read_file(sha256)
    assert store.add_file(photo) == sha256 and store.read_file(sha256).read_bytes() == photo.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["frame.png", RECORD])
def test_a_damaged_unit_is_not_read(store, kind, name):
    _commit(store, UNIT)
    store.read_unit(UNIT)
    damage(store.unit(UNIT) / name, kind, random.Random(2))
    with pytest.raises(Damaged):
        store.read_unit(UNIT)
    assert not store.has_unit(UNIT)


def test_a_unit_under_the_name_of_another_is_not_it(store):
    _commit(store, UNIT)
    store.unit(OTHER).parent.mkdir()
    shutil.copytree(store.unit(UNIT), store.unit(OTHER))
    assert store.has_whole_unit(UNIT) and not store.has_whole_unit(OTHER)


def test_a_record_of_old_without_a_checksum_is_read(store):
    _commit(store, UNIT)
    path = store.unit(UNIT) / RECORD
    plain = json.loads(path.read_text())
    del plain["check"], plain["unit"]
    path.write_text(json.dumps(plain))
    assert store.has_whole_unit(UNIT) and store.read_unit(UNIT).exists()


def test_what_was_hashed_is_hashed_again_only_when_it_looks_different(store, tmp_path, monkeypatch):
    sha256 = store.add_file(save_photo(tmp_path / "photo.png"))
    assert store.has_file(sha256)
    monkeypatch.setattr("inference_service.store.store.file_sha256", lambda path: pytest.fail("read again"))
    store.touch_file(sha256)
    assert store.has_file(sha256)


@pytest.mark.parametrize("field", ["frame", "source"])
def test_a_plan_with_a_wrong_index_does_not_stop_a_start(store, tmp_path, field):
    jobs = JobQueue(store)
    world, _ = jobs.submit(_photo(store, tmp_path), "r")
    shot, _ = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
    for _ in range(2):
        unit = jobs.next_unit()
        jobs.started(unit)
        perform_unit(unit, store, lambda preset: DoublePipeline(), lambda *_: None)
        jobs.finished(unit.identity)
    assert unit.kind == "plan"
    jobs.close()
    plan = json.loads((store.unit(unit.identity) / "plan.json").read_text())
    (plan["anchors"] if field == "frame" else plan["clips"])[0][field] = 99
    shutil.rmtree(store.unit(unit.identity))
    with store.temporary() as folder:  # even one whose checksums are right
        (folder / "plan.json").write_text(json.dumps(plan))
        store.commit(folder, unit.identity, 1.0, "plan")
    with pytest.raises(Damaged):
        read_plan(store, unit.identity, 9)
    jobs = JobQueue(store)
    _work(jobs, store)
    assert jobs.jobs[shot.id].state == "done"
    jobs.close()


def _photo(store, tmp_path):
    photo = store.add_file(save_photo(tmp_path / "p.png"))
    return WorldRequest(photo=photo, camera=photo_camera(), width=512)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shot_whose_world_was_damaged_makes_that_again(jobs, store, tmp_path, kind):
    world, _ = jobs.submit(_photo(store, tmp_path), "r")
    shot, _ = jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras()), "r")
    first = jobs.next_unit()
    jobs.started(first)
    perform_unit(first, store, lambda preset: DoublePipeline(), lambda *_: None)
    jobs.finished(first.identity)
    damage(store.unit(first.identity) / "panorama.png", kind, random.Random(3))  # the shared file is the same one
    _work(jobs, store)
    assert (world.state, shot.state) == ("done", "done")


def test_a_job_whose_photo_was_damaged_says_so_and_is_made_once_it_is_sent_again(jobs, store, tmp_path):
    request = _photo(store, tmp_path)
    job, _ = jobs.submit(request, "r")
    damage(store.file(request.photo), "a bit", random.Random(4))
    _work(jobs, store)
    assert job.state == "failed" and "p.png was damaged and has been removed; submit the job again" in job.error
    _photo(store, tmp_path)
    again, _ = jobs.submit(request, "r")
    _work(jobs, store)
    assert again.state == "done"


def _accepted(jobs, store, tmp_path) -> list[str]:
    """A world and a shot through it, submitted; their jobs."""
    world, _ = jobs.submit(_photo(store, tmp_path), "r")
    return [world.id, jobs.submit(ShotRequest(world_job=world.id, cameras=path_cameras(12)), "r")[0].id]


def _made(jobs, store, ids) -> dict[str, bytes]:
    assert [jobs.jobs[id].state for id in ids] == ["done", "done"]
    return {
        f"{id} {name}": (store.read_unit(each.unit) / each.own_name).read_bytes()
        for id in ids
        for name, each in jobs.recall(jobs.jobs[id]).artifacts.items()
        if name != "shot.json"  # holds seconds
    }


def _power_cut(store, uploaded, rng) -> int:
    """Lose, in part or whole, some of what nobody waited for; how many files."""
    lost = 0
    for path in sorted([*store.root.glob("units/**/*"), *store.root.glob("files/**/*")]):
        if path.is_file() and path not in uploaded and rng.random() < 0.3:
            lost += 1
            kind = rng.choice(("gone", *KINDS))
            path.unlink() if kind == "gone" else damage(path, kind, rng)
    return lost


def _fetched(jobs, store, id) -> None:
    """What looks whole and is not is found out when it is fetched."""
    for each in {each.unit for each in jobs.recall(jobs.jobs[id]).artifacts.values()}:
        if store.discard_if_damaged(each, afresh=False):
            jobs.lost(each)
            jobs.reopen(jobs.jobs[id])


@pytest.mark.parametrize("seed", range(6))
def test_what_a_power_cut_takes_from_finished_units_is_made_again(store, tmp_path, seed):
    """Units have their names before their bytes are on the disk: any of these may be lost, the list of jobs and what
    was uploaded are not."""
    rng, quiet = random.Random(seed), Store(tmp_path / "quiet")
    jobs = JobQueue(quiet)
    ids = _accepted(jobs, quiet, tmp_path)
    _work(jobs, quiet)
    expected = _made(jobs, quiet, ids)
    jobs.close()

    jobs = JobQueue(store)
    assert _accepted(jobs, store, tmp_path) == ids
    uploaded = {path for path in store.root.glob("files/**/*") if path.is_file()}
    for _ in range(rng.choice((1, 2, 3, 5, 8, 100))):  # so many units, then the power goes
        if (unit := jobs.next_unit()) is not None:
            jobs.started(unit)
            perform_unit(unit, store, lambda preset: DoublePipeline(), lambda *_: None)
            jobs.finished(unit.identity)
    jobs.close()
    assert _power_cut(store, uploaded, rng)
    store = Store(store.root)
    jobs = JobQueue(store)
    for _ in range(20):
        assert _accepted(jobs, store, tmp_path) == ids
        _work(jobs, store)
        for id in ids:
            _fetched(jobs, store, id)
        if all(jobs.jobs[id].state == "done" for id in ids):
            break
    assert _made(jobs, store, ids) == expected
    jobs.close()


def test_an_upload_is_on_the_disk_before_its_client_hears_of_it(store, tmp_path, monkeypatch):
    photo, steps = save_photo(tmp_path / "photo.png"), []
    sha256, folder = file_sha256(photo), store.file(file_sha256(photo)).parent
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        steps.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def replaced(source, target):
        steps.append(("replace", Path(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    uploads: dict[str, Upload] = {}
    whole = receive(store, uploads, Put(sha256, photo.stat().st_size, 0), photo.read_bytes(), 0)
    assert isinstance(whole, Upload) and not store.has_file(sha256)
    assert store_upload(store, whole, sha256) == Stored(sha256, whole.size, True) and store.has_file(sha256)
    assert steps == [
        ("fsync", whole.path),
        ("replace", store.file(sha256)),
        ("fsync", folder),
        ("fsync", folder.parent),
    ]


def test_the_command_line_delivers_no_damage(tmp_path, monkeypatch, capsys):
    """Each file of the store in turn, and then the same commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda *_: DoublePipeline())
    monkeypatch.setattr(local_run, "Presets", DoublePresets)
    save_photo(tmp_path / "photo.png")
    cameras = [Camera.from_dict(plain) for plain in path_cameras(5)]
    write_transforms(tmp_path / "path.json", cameras, ["x"] * 5)

    def run() -> tuple[dict, dict]:
        for arguments in (
            ["world", "photo.png", "--fov-x", "60", "--width", "512", "--out", "W"],
            ["shot", "W", "--cameras", "path.json", "--out", "S"],
        ):
            with pytest.raises(SystemExit) as end:
                main([*arguments, "--store", "store"])
            assert end.value.code == 0, capsys.readouterr().err
        shot = contents(tmp_path / "S")
        shot.pop("shot.json")  # holds seconds
        return contents(tmp_path / "W"), shot

    good, rng = run(), random.Random(5)
    names = sorted(path.relative_to(tmp_path) for path in Path("store").resolve().rglob("*") if path.is_file())
    assert len(names) > 25
    for name in names:
        if (tmp_path / name).exists():
            damage(tmp_path / name, rng.choice(KINDS), rng)
            assert run() == good, name


def test_the_store_is_checked_and_repaired(tmp_path, capsys):
    store = Store(tmp_path / "store")
    _commit(store, UNIT)
    _commit(store, OTHER)
    sha256 = store.add_file(save_photo(tmp_path / "photo.png"))

    def check(*options):
        with pytest.raises(SystemExit) as end:
            main(["store", "check", "--store", str(store.root), *options])
        return end.value.code, capsys.readouterr().out

    assert check() == (0, f"{store.root}: no damaged entries.\n")
    damage(store.unit(OTHER) / "frame.png", "a bit", random.Random(6))
    damage(store.file(sha256), "zeros", random.Random(6))
    code, said = check()
    assert code == 1 and f"DAMAGED clip   {OTHER}" in said and f"DAMAGED file   {sha256}" in said and UNIT not in said
    code, said = check("--repair")
    assert code == 0 and "2 damaged entries, removed" in said
    assert check()[0] == 0 and store.has_unit(UNIT) and not store.has_unit(OTHER)
