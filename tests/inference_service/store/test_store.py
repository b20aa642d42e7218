"""The store: a unit is there whole or not at all, and nothing else can be named."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from inference_service.store import housekeeping, marks
from inference_service.store import store as store_module
from inference_service.store.housekeeping import entries, prune, sweep
from inference_service.store.store import Store
from inference_service.wire.files import Artifact, artifact_of, file_sha256, written_whole
from inference_service.wire.leftovers import sweep_leftovers
from lookbeyond.errors import StorageError

UNIT, OTHER = "a" * 64, "b" * 64
Usage = namedtuple("Usage", "total used free")


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


def test_finished_files_are_announced_and_read_once(store, monkeypatch):
    announced, read = [], []
    store.announce = lambda folder, files: announced.append((folder, files))
    monkeypatch.setattr(store_module, "artifact_of", lambda path, name: read.append(name) or artifact_of(path, name))
    with store.temporary() as folder:
        for name in ("0001.png", "0002.png"):
            (folder / name).write_text(name)
        store.finish_files(folder, ["0001.png"])
        assert announced == [(folder.name, (artifact_of(folder / "0001.png", "0001.png"),))]
        store.commit(folder, UNIT, 1.0, "clip")
    assert read == ["0001.png", "0002.png"]
    assert [each.name for each in store.record(UNIT).artifacts] == read and not store.discard_if_damaged(UNIT)


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


def test_a_writer_is_known_to_live_whatever_its_process_id_is_called_here(store, monkeypatch):
    """As from another PID namespace, where its id names nobody."""
    with store.temporary() as folder:
        monkeypatch.setattr(marks.psutil, "Process", lambda pid: pytest.fail("asked for a process id"))
        sweep(Store(store.root))
        assert folder.exists()


def test_what_a_killed_writer_left_is_swept(store):
    code = (
        "import os, sys; from inference_service.store.store import Store; s = Store(sys.argv[1])\n"
        "with s.temporary() as folder: (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert len(list((store.root / "temporary").iterdir())) == len(list((store.root / "writers").iterdir())) == 1
    sweep(store)
    assert not [*(store.root / "temporary").iterdir(), *(store.root / "writers").iterdir()]


def test_what_killed_clients_left_beside_results_is_swept_and_no_living_ones_file(tmp_path):
    (tmp_path / ".frame.png.0123abcd").write_text("of a killed one")
    (tmp_path / ".mine.txt").write_text("the user's")
    with written_whole(tmp_path / "frame.png") as file:
        file.write(b"x")
        sweep_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
    assert {path.name for path in tmp_path.iterdir()} == {".mine.txt", "frame.png"}


def test_a_store_behind_a_link_is_a_store_and_strays_are_nobodys(tmp_path):
    (tmp_path / "disk").mkdir()
    try:
        (tmp_path / "store").symlink_to(tmp_path / "disk", target_is_directory=True)
    except OSError:
        pytest.skip("links need a privilege here")
    store = Store(tmp_path / "store")
    _commit(store, UNIT)
    for folder in (store.root, *(path for path in store.root.iterdir() if path.is_dir()), store.unit(UNIT)):
        (folder / ".DS_Store").write_bytes(b"\0")
    again = Store(tmp_path / "store")
    sweep(again)
    assert again.has_unit(UNIT) and [entry.name for entry in entries(again) if UNIT in entry.name]
    prune(again, set(), quota_bytes=0, spare_s=0)
    assert (tmp_path / "store").is_symlink() and not again.has_unit(UNIT)


def test_what_was_hashed_is_remembered_while_it_is_in_use(store, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(store_module, "file_sha256", lambda path: hashed.append(path.name) or file_sha256(path))
    monkeypatch.setattr(store_module, "MAX_HASHED", 2)
    names = []
    for text in ("a", "b", "c"):
        (tmp_path / text).write_text(text)
        names.append(store.add_file(tmp_path / text))
    hashed.clear()
    a, b, c = names
    for name in (a, b, a, c, a):  # b is the one that nobody has asked about for longest
        assert store.has_file(name)
    assert hashed == [a, b, c]
    assert store.has_file(b) and store.has_file(b) and hashed == [a, b, c, b]
