"""Answers are never dropped: they wait for clients that read slowly, and one that does not read is told to go."""

import time

import pytest
import zmq

from benchmarks.fuzz import Sender
from inference_service.server import outbox
from inference_service.server.outbox import Outboxes, Overflow
from inference_service.wire import codec, messages
from tests.support.service import Service


class Socket:
    """A peer that takes so many messages and then no more."""

    def __init__(self, room):
        self.room, self.taken = room, []

    def send(self, peer, frames):
        if not self.room:
            raise zmq.Again
        self.room -= 1
        self.taken.append(frames)


def test_answers_wait_in_their_order():
    socket = Socket(1)
    boxes = Outboxes(socket.send)
    for number in range(4):
        boxes.put(b"a", [b"%d" % number])
    assert len(socket.taken) == 1 and b"a" in boxes
    socket.room = 2
    assert boxes.flush() == [] and len(socket.taken) == 3 and b"a" in boxes
    socket.room = 5
    boxes.put(b"a", [b"4"])  # not before those that wait
    boxes.flush()
    assert socket.taken == [[b"0"], [b"1"], [b"2"], [b"3"], [b"4"]] and b"a" not in boxes


def test_what_is_kept_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(outbox, "OUTBOX_BYTES", 100)
    socket = Socket(0)
    boxes = Outboxes(socket.send)
    boxes.put(b"a", [b"x" * 60])
    with pytest.raises(Overflow):
        boxes.put(b"a", [b"x" * 60])
    boxes.put(b"b", [b"x" * 60])  # each client has its own
    boxes.replace(b"a", [b"go"])
    socket.room = 5
    boxes.flush()
    assert sorted(socket.taken) == [[b"go"], [b"x" * 60]]
    boxes.put(b"a", [b"again"])
    assert socket.taken[-1] == [b"again"]


def test_a_client_that_asks_much_and_reads_late_gets_every_answer(service: Service):
    with Sender(service.address) as eager:
        for _ in range(5000):
            eager.send(messages.ServiceQuestion())
        time.sleep(1.0)
        name, deadline = messages.TYPE_NAMES[messages.ServiceStatus], time.monotonic() + 30
        while eager.answers[name] < 5000 and time.monotonic() < deadline:
            eager.listen(1000)
    assert eager.answers[name] == 5000


def test_a_client_that_does_not_read_is_told_why_it_is_disconnected(service: Service, monkeypatch):
    monkeypatch.setattr(outbox, "OUTBOX_BYTES", 20_000)
    with Sender(service.address) as deaf:
        for _ in range(3000):
            deaf.send(messages.ServiceQuestion())
        deadline = time.monotonic() + 60
        # on a busy machine the service has hardly begun to answer yet
        while not service.server.totals["overflows"] and time.monotonic() < deadline:
            time.sleep(0.1)
        while not deaf.answers["busy"] and time.monotonic() < deadline:
            deaf.listen(1000)
        assert deaf.answers["busy"]
        deaf.send(messages.Hello((codec.VERSION,)))
        deaf.answers["WELCOME"] = 0
        while not deaf.answers["WELCOME"] and time.monotonic() < deadline:
            deaf.listen(1000)
        assert deaf.answers["WELCOME"]
