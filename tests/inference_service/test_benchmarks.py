"""What `benchmarks/kills.py` and `fuzz.py` count by."""

import sys

from benchmarks import noted_service
from benchmarks.nonsense import MESSAGES, NOT_FOR_CLIENTS
from benchmarks.noted_service import made_in_vain, units_file
from inference_service.wire import messages
from tests.support.service import fetch, running, world_request


def test_only_what_was_finished_before_is_made_in_vain():
    assert made_in_vain(["begun u a", "begun u b", "made u b"]) == 0  # the first died over it
    assert made_in_vain(["begun u a", "begun u a", "made u a", "begun v b", "made v b"]) == 0  # tried twice for memory
    assert made_in_vain(["begun u a", "made u a", "begun u b"]) == 1
    assert made_in_vain(["begun u a", "made u a", "begun u b", "made u b", "begun u c", "made u c"]) == 2
    assert made_in_vain(["begun u a", "begun u b", "made u a", "made u b"]) == 1  # two at once


def test_nonsense_is_made_of_all_that_a_client_may_say():
    said, whole = {type(message) for message in MESSAGES}, set(messages.MESSAGES.values())
    assert said - NOT_FOR_CLIENTS == whole - NOT_FOR_CLIENTS


def test_workers_note_what_they_begin_and_what_they_have_made(tmp_path, runtime):
    with running(tmp_path, [sys.executable, noted_service.__file__, "worker"]) as service, service.client() as client:
        for folder in ("first", "again"):  # what is there is not begun again
            fetch(client, client.submit(world_request(client, tmp_path)), tmp_path / folder)
    begun, made = (line.split() for line in units_file(tmp_path / "store").read_text().splitlines())
    assert (begun[0], made[0]) == ("begun", "made") and begun[1:] == made[1:]
