"""The store: a unit is there whole or not at all, and nothing else can be named."""

import os
import shutil
import time
from collections import namedtuple

import pytest

from inference_service.store import housekeeping, marks
from inference_service.store.housekeeping import entries, prune, sweep
from inference_service.store.store import Store
from inference_service.wire.files import Artifact
from lookbeyond.errors import StorageError

UNIT, OTHER = "a" * 64, "b" * 64
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def _commit(store, identity, text="x"):
    with store.temporary() as folder:
        (folder / "frames").mkdir()
        (folder / "frames/0001.png").write_text(text)
        store.commit(folder, identity, 1.5, "clip")


def test_a_unit_is_there_after_its_commit_and_survives_the_process(store):
    assert not store.has_unit(UNIT)
    _commit(store, UNIT)
    again = Store(store.root)
    assert again.has_unit(UNIT)
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert again.record(UNIT).artifacts == (Artifact("frames/0001.png", 1, sha256, crc32=2363233923),)
    assert again.record(UNIT).seconds == 1.5
    assert not list((store.root / "temporary").iterdir())


def test_the_first_to_arrive_wins(store):
    _commit(store, UNIT, "first")
    _commit(store, UNIT, "second")
    assert (store.unit(UNIT) / "frames/0001.png").read_text() == "first"
    assert not list((store.root / "temporary").iterdir())


def test_an_error_leaves_nothing_half_written(store):
    with pytest.raises(RuntimeError), store.temporary() as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not list((store.root / "temporary").iterdir())
    assert not store.has_unit(UNIT)


def test_what_the_dead_left_is_swept_and_what_the_living_write_is_not(store):
    dead, alive = store.root / "temporary" / "4194304-ab", store.root / "temporary" / f"{os.getpid()}-ab"
    dead.mkdir()
    alive.mkdir()
    (store.root / "temporary" / "4194304-cd").write_text("an upload")
    sweep(store)
    assert list((store.root / "temporary").iterdir()) == [alive]


def test_what_another_machine_is_writing_stays_for_a_day(tmp_path, monkeypatch):
    """Farms share a store: a process of another machine cannot be asked whether it lives."""
    store = Store(tmp_path)
    monkeypatch.setattr(marks.platform, "node", lambda: "other")
    marks.own_mark.cache_clear()
    half = store.new_temporary()
    monkeypatch.undo()
    marks.own_mark.cache_clear()
    half.mkdir()
    sweep(store)
    assert half.exists()
    day_before = time.time() - 1.5 * housekeeping.DAY_S
    os.utime(half, (day_before, day_before))
    sweep(store)
    assert not half.exists()


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "/" + "a" * 63, "a" * 64 + "\n"]
)
def test_only_hashes_name_something(store, name):
    for find in (store.file, store.unit):
        with pytest.raises(StorageError):
            find(name)


def test_a_file_is_found_by_its_content_and_called_by_its_name(store, tmp_path):
    photo = tmp_path / "kitchen.jpg"
    photo.write_bytes(b"photo")
    sha256 = store.add_file(photo)
    photo.write_bytes(b"changed later")
    assert store.file(sha256).read_bytes() == b"photo"
    assert store.name(sha256) == "kitchen.jpg"
    store.give_name(sha256, "..\\..\\evil\n.png")
    assert store.name(sha256) == "evil.png"


def test_the_files_of_a_unit_need_no_upload(store):
    _commit(store, UNIT)
    store.share_unit(UNIT)
    assert store.file(store.record(UNIT).artifacts[0].sha256).read_text() == "x"


def test_pruning_takes_what_was_used_longest_ago_and_spares_what_is_needed(store):
    for age, identity in enumerate([UNIT, OTHER, "c" * 64]):
        _commit(store, identity)
        os.utime(store.unit(identity), (1000 + age, 1000 + age))
    each = sum(p.stat().st_size for p in store.unit(UNIT).rglob("*") if p.is_file())
    prune(store, {UNIT}, quota_bytes=2 * each)
    assert [store.has_unit(identity) for identity in (UNIT, OTHER, "c" * 64)] == [True, False, True]


def test_what_is_used_while_the_store_is_pruned_is_spared(store, monkeypatch):
    for identity in (UNIT, OTHER):
        _commit(store, identity)
        os.utime(store.unit(identity), (1000, 1000))
    found = entries(store)
    monkeypatch.setattr(housekeeping, "entries", lambda store: found)
    store.record(OTHER)  # a job needs it now
    prune(store, set(), quota_bytes=0)
    assert not store.has_unit(UNIT) and store.has_unit(OTHER)


def test_a_full_disk_is_said_before_work_begins(store, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 99, 1))
    with pytest.raises(StorageError, match="free some space"), store.temporary():
        pytest.fail("work began")
