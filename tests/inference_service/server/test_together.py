"""Services and keys made in the same moment; what only its user may read; a log that does not grow for ever."""

import json
import ntpath
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path, PureWindowsPath

import pytest

from inference_service.client import Client, ServiceError, find_service, start_service
from inference_service.security.keys import client_keys_file, load_or_make_keys, server_keys_file
from inference_service.server import logs
from inference_service.store.store import Store
from inference_service.wire import launch
from inference_service.wire.download import place_inside
from inference_service.wire.files import written_whole
from tests.support.double import service_command

ROOT = Path(__file__).parents[3]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_processes_that_make_a_key_at_once_have_the_same(runtime):
    code = (
        "import sys, time; from pathlib import Path; from inference_service.security.keys import load_or_make_keys\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "print(load_or_make_keys(Path(sys.argv[1])).public)"
    )
    path, begin = runtime / "keys" / "server.json", str(time.time() + 4)
    command = [sys.executable, "-c", code, str(path), begin]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]
    keys = {process.communicate(timeout=60)[0] for process in processes}
    assert keys == {load_or_make_keys(path).public + "\n"} and not [*path.parent.glob("server.json.*")]


def test_of_two_services_started_at_once_one_wins_and_the_other_client_joins_it(tmp_path, runtime):
    ended: list = []

    def start():
        try:
            ended.append(start_service(service_command(tmp_path / "store"), timeout_s=60))
        except ServiceError as error:
            ended.append(error)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    try:
        assert [each for each in ended if isinstance(each, ServiceError)] == []
        assert len({address.pid for _, address in ended}) == 1 and find_service().pid == ended[0][1].pid
    finally:
        with Client(timeout_s=10) as client:
            client.shutdown()
        for process, _ in ended:
            process.wait(30)


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_store_job_list_and_configuration_are_the_users_only(tmp_path, monkeypatch, umask):
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(tmp_path / "config" / "lookbeyond"))
    from inference_service.jobs.queue import JobQueue

    before = os.umask(umask)
    try:
        (tmp_path / "old").mkdir()
        for root in (tmp_path / "new" / "store", tmp_path / "old"):
            jobs = JobQueue(Store(root))
            assert _mode(root) == 0o700 and _mode(root / "jobs.sqlite") == 0o600
            jobs.close()
        load_or_make_keys(server_keys_file())
        assert {_mode(server_keys_file().parents[depth]) for depth in range(2)} == {0o700}
        assert _mode(server_keys_file()) == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_a_key_that_others_may_read_is_noticed_while_the_service_runs(service, caplog):
    client_keys_file().chmod(0o644)
    deadline = time.monotonic() + 20
    while _mode(client_keys_file()) != 0o600 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _mode(client_keys_file()) == 0o600 and "could be read by others" in caplog.text


def test_what_a_service_prints_is_kept_within_bounds(runtime, monkeypatch):
    monkeypatch.setattr(logs, "LOG_BYTES", 1000)
    runtime.mkdir()
    with (runtime / "service.log").open("ab") as log:
        log.write(b"x" * 999)
        log.flush()
        logs.rotate_screen(log.fileno())
        assert (runtime / "service.log").stat().st_size == 999
        log.write(b"y" * 100)
        log.flush()
        logs.rotate_screen(log.fileno())
        log.write(b"new")
        log.flush()
    assert (runtime / "service.log").read_bytes() == b"new"
    assert (runtime / "service.log.1").stat().st_size == 1099


# --- as on Windows ----------------------------------------------------------------------------------------


def test_the_program_is_never_looked_for_in_the_current_folder(tmp_path, monkeypatch):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lookbeyond.EXE").touch(mode=0o755)
    monkeypatch.chdir(tmp_path / "here")
    path = os.pathsep.join(["", ".", "here", str(tmp_path / "none"), str(tmp_path / "there")])
    assert launch.find_program("lookbeyond", path, (".COM", ".EXE")) == tmp_path / "there" / "lookbeyond.EXE"
    assert launch.find_program("lookbeyond", ".", (".EXE",)) is None


@pytest.mark.parametrize("name", ["C:evil", "..\\evil", "a\\b", "\\\\host\\share\\x", "frames/../../x", "x:stream", ""])
def test_no_name_of_a_file_leads_out_of_a_windows_folder(name):
    with pytest.raises(ServiceError):
        place_inside(PureWindowsPath("C:/results"), name)


def test_good_names_stay_inside_a_windows_folder():
    placed = place_inside(PureWindowsPath("C:/results"), "frames/0001.png")
    assert str(placed) == "C:\\results\\frames\\0001.png"
    assert ntpath.commonpath([str(placed), "C:\\results"]) == "C:\\results"


def test_a_temporary_file_is_closed_before_it_is_renamed(tmp_path, monkeypatch):
    """Windows renames no open file."""
    replaced = []
    original = os.replace

    def replace(source, target):
        replaced.append(file.closed)
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with written_whole(tmp_path / "x.json") as file:
        file.write(json.dumps({}).encode())
    assert replaced == [True]
