"""The client where things are short: it is to say so in a sentence, and never to end the program it is part of."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from inference_service.client import DESCRIPTORS

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
