"""What `benchmarks/kills.py` and `fuzz.py` count by."""

from benchmarks.nonsense import MESSAGES, NOT_FOR_CLIENTS
from benchmarks.noted_service import made_in_vain
from inference_service.wire import messages


def test_only_what_was_finished_before_is_made_in_vain():
    assert made_in_vain(["begun u a", "begun u b", "made u b"]) == 0  # the first died over it
    assert made_in_vain(["begun u a", "begun u a", "made u a", "begun v b", "made v b"]) == 0  # tried twice for memory
    assert made_in_vain(["begun u a", "made u a", "begun u b"]) == 1
    assert made_in_vain(["begun u a", "made u a", "begun u b", "made u b", "begun u c", "made u c"]) == 2
    assert made_in_vain(["begun u a", "begun u b", "made u a", "made u b"]) == 1  # two at once


def test_nonsense_is_made_of_all_that_a_client_may_say():
    said, whole = {type(message) for message in MESSAGES}, set(messages.MESSAGES.values())
    assert said - NOT_FOR_CLIENTS == whole - NOT_FOR_CLIENTS
