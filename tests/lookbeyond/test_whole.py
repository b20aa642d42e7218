"""Output that is there whole or not at all, also when whoever writes it is interrupted or killed at any step."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lookbeyond import whole
from lookbeyond.errors import InputError
from lookbeyond.whole import check_output_folder, exchange, whole_file, whole_folder

OWNED = ("a.txt",)


def _write(path: Path, text: str) -> None:
    with whole_folder(path, OWNED) as folder:
        (folder / "a.txt").write_text(text)


def _hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture(params=["exchanged", "renamed"])
def way(request, monkeypatch):
    """With and without a system that exchanges two names in one step."""
    if request.param == "renamed":
        monkeypatch.setattr(whole, "exchange", lambda one, other: False)
    return request.param


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2")
def test_two_folders_are_exchanged_in_one_step(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one/other").exists() and (tmp_path / "other/one").exists()
    assert not exchange(tmp_path / "one", tmp_path / "missing")


def test_output_replaces_output_and_leaves_nothing(tmp_path, way):
    _write(tmp_path / "out", "first")
    _write(tmp_path / "out", "second")
    assert (tmp_path / "out/a.txt").read_text() == "second" and _hidden(tmp_path) == []


KILLED = """
import os, sys
from pathlib import Path
from lookbeyond import whole
way, step = sys.argv[2], int(sys.argv[3])
if way == "renamed":
    whole.exchange = lambda one, other: False
steps = 0
def counted(original):
    def call(*arguments, **settings):
        global steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), 9)
        return original(*arguments, **settings)
    return call
os.replace, whole.shutil.rmtree = counted(os.replace), counted(whole.shutil.rmtree)  # Path.replace calls it
if way == "exchanged":
    whole.exchange = counted(whole.exchange)
with whole.whole_folder(Path(sys.argv[1]), ("a.txt",)) as folder:
    (folder / "a.txt").write_text("new")
print(steps)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
@pytest.mark.parametrize("step", range(1, 5))
def test_killed_at_any_step_the_next_run_has_the_old_or_the_new_output(tmp_path, way, step):
    _write(tmp_path / "out", "old")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out"), way, str(step)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, timeout=60)
    assert ended.returncode in (0, -signal.SIGKILL)
    if way == "exchanged":
        assert (tmp_path / "out/a.txt").read_text() in ("old", "new")  # at once, not only after the next run
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "out", OWNED):
        raise RuntimeError
    assert (tmp_path / "out/a.txt").read_text() in ("old", "new") and _hidden(tmp_path) == []
    _write(tmp_path / "out", "next")
    assert (tmp_path / "out/a.txt").read_text() == "next"


def test_an_interrupt_while_the_old_output_is_removed_does_not_stop_later_runs(tmp_path, way, monkeypatch):
    _write(tmp_path / "out", "old")
    rmtree = whole.shutil.rmtree

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(whole.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "out", "new")
    monkeypatch.setattr(whole.shutil, "rmtree", rmtree)
    assert (tmp_path / "out/a.txt").read_text() == "new"
    for text in ("third", "fourth"):
        _write(tmp_path / "out", text)
    assert (tmp_path / "out/a.txt").read_text() == "fourth" and _hidden(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked")
def test_what_the_living_write_is_left_alone(tmp_path):
    with whole_folder(tmp_path / "out", OWNED) as folder:
        (folder / "a.txt").write_text("slow")
        _write(tmp_path / "out", "quick")
        assert (folder / "a.txt").exists()
    assert (tmp_path / "out/a.txt").read_text() == "slow"
    with whole_file(tmp_path / "v.mp4") as slow:
        slow.write_text("slow")
        with whole_file(tmp_path / "v.mp4") as quick:
            quick.write_text("quick")
        assert slow.exists()
    (tmp_path / ".v.0123abcd.mp4").write_text("of a killed one")
    with whole_file(tmp_path / "v.mp4") as again:
        again.write_text("again")
    assert _hidden(tmp_path) == [] and (tmp_path / "v.mp4").read_text() == "again"


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big")
    for text in ("first", "second"):
        _write(tmp_path / "out", text)
    assert (tmp_path / "out").is_symlink() and (tmp_path / "big/a.txt").read_text() == "second"


def test_what_file_managers_leave_is_no_reason_to_refuse(tmp_path):
    _write(tmp_path / "out", "first")
    (tmp_path / "out/.DS_Store").touch()
    _write(tmp_path / "out", "second")
    assert (tmp_path / "out/a.txt").read_text() == "second"
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(InputError, match=r"mine.txt"):
        check_output_folder(tmp_path / "out", OWNED)
