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

from inference_service.client import DESCRIPTORS, HANDSHAKE_S, Client, ServiceError
from inference_service.security import Gate

EVERY_LIMIT = """
import resource, sys
from inference_service.client import Client, ServiceAddress, ServiceError, zmq
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
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    assert len(said) == limits - 3 and "raise its limit" in said[0] and "No service answers" in said[-1]
    assert all(re.match("not_running .*(raise its limit|No service answers)", line) for line in said)


def test_a_service_too_busy_to_open_its_door_is_not_taken_for_a_stranger(service, monkeypatch):
    free, admit = threading.Event(), Gate.admit
    monkeypatch.setattr(Gate, "admit", lambda gate: (free.wait(30), admit(gate)))
    elsewhere = dataclasses.replace(service.address, pid=0)  # there, it may be a stranger for all that can be known
    with pytest.raises(ServiceError, match="or is a service too busy .* try again, then check"):
        Client(elsewhere, timeout_s=10)
    threading.Timer(1.5 * HANDSHAKE_S, free.set).start()
    with service.client() as client:  # its own user's client waits for it, beyond the first handshake
        assert client.ping()
