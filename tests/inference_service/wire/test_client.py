"""The client where descriptors, the service's time or the line's speed are short."""

import dataclasses
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import zmq

from inference_service.client import Client, FileArrived, Finished, ServiceError
from inference_service.security.gate import Gate
from inference_service.wire.connection import DESCRIPTORS, HANDSHAKE_S, LISTEN_S
from tests.support.service import contents, slow_line, until, world_request

EVERY_LIMIT = """
import resource, sys
from inference_service.client import Client, ServiceAddress, ServiceError
import encodings.ascii, linecache

for limit in range(3, int(sys.argv[3])):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 1024))
    try:
        Client(ServiceAddress("tcp://127.0.0.1:9", sys.argv[1], sys.argv[2]), timeout_s=1)
    except ServiceError as error:
        print(error.code, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_program_without_descriptors_is_told_so_and_lives(tmp_path):
    public, secret = (key.decode() for key in zmq.curve_keypair())
    (tmp_path / "keys.json").write_text(json.dumps({"public": public, "secret": secret}))
    limits = 3 + 2 * DESCRIPTORS
    command = [sys.executable, "-c", EVERY_LIMIT, public, str(tmp_path / "keys.json"), str(limits)]
    run = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    assert len(said) == limits - 3 and "raise its limit" in said[0] and "No service answers" in said[-1]
    assert all(re.match("not_running .*(raise its limit|No service answers)", line) for line in said)


def test_a_service_too_busy_to_open_its_door_is_not_taken_for_a_stranger(service, monkeypatch):
    free, admit = threading.Event(), Gate.admit
    monkeypatch.setattr(Gate, "admit", lambda gate: (free.wait(30), admit(gate)))
    elsewhere = dataclasses.replace(service.address, pid=0)  # there, it may be a stranger for all that can be known
    with pytest.raises(ServiceError, match=r"or the service is too busy .* try again, then check"):
        Client(elsewhere, timeout_s=10)
    threading.Timer(1.5 * HANDSHAKE_S, free.set).start()
    with service.client() as client:  # its own user's client waits for it, beyond the first handshake
        assert client.ping()


def test_who_follows_a_job_is_asked_twice_a_second_also_while_a_file_comes_slowly(service, tmp_path):
    with service.client() as near:
        job = near.submit(world_request(near, tmp_path, tint=33))
        until(lambda: near.status(job).state == "done")
        largest = max(near.status(job).artifacts, key=lambda artifact: artifact.size)
    bytes_per_s = largest.size / 4
    with (
        slow_line(service.address.address, bytes_per_s) as address,
        Client(dataclasses.replace(service.address, address=address, pid=0)) as client,
    ):
        events = client.follow(job, tmp_path / "left")
        while "Fetching" not in getattr(next(events), "message", ""):
            pass
        events.close()  # in the middle of a file: nothing of it stays
        assert not [name for name in contents(tmp_path / "left") if Path(name).name.startswith(".")]
        events = list(client.follow(job, tmp_path / "whole"))
        client.ping()
    reports = [event for event in events if f"Fetching {largest.name}" == getattr(event, "message", "")]
    assert len(reports) >= 2 / LISTEN_S and isinstance(events[-1], Finished)
    assert {e.name for e in events if isinstance(e, FileArrived)} == set(contents(tmp_path / "whole"))
