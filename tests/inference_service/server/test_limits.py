"""Limits are what the documents say: a message is counted before it is kept, a long path holds nobody up."""

import sys
import time

import pytest
import zmq

from benchmarks.fuzz import Sender
from benchmarks.limits import FLOODS, flood, held_s, walk, whirl
from inference_service.server import presets as server_presets
from inference_service.server.incoming import MAX_UNFINISHED_BYTES, Incoming
from inference_service.wire import codec, messages
from lookbeyond import presets
from tests.support.service import Service

FRAMES = 10_000


@pytest.mark.parametrize("path", [walk, whirl])
def test_a_path_of_10_000_frames_does_not_hold_the_sockets_thread_up(service: Service, tmp_path, path):
    """From its submission through its plan to its first units, in the thread's own time: much less on a machine of its
    own than beside other programs; planned and counted in that thread it was more than a second."""
    taken, planned, longest_s = held_s(service, tmp_path, path(FRAMES))
    assert planned >= (2 * FRAMES if path is whirl else 3)
    print({name: round(1000 * seconds, 1) for name, seconds in taken.items()}, "ms; longest ping, s:", longest_s)
    assert max(taken.values()) < 0.4


def test_a_message_of_too_many_frames_is_refused_and_the_next_is_answered(service: Service):
    with Sender(service.address) as rude:
        rude._socket.send_multipart([codec.MAGIC, b"{}", *[b"x" * 100_000] * 200])
        deadline = time.monotonic() + 20
        while not rude.answers["protocol"] and time.monotonic() < deadline:
            rude.listen(500)
        rude.send(messages.Ping())
        while not rude.answers["PONG"] and time.monotonic() < deadline:
            rude.listen(500)
    assert rude.answers["protocol"] == 1 and rude.answers["PONG"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's counts")
@pytest.mark.parametrize(("connections", "frames"), FLOODS)
def test_messages_without_an_end_take_no_more_memory_than_is_allowed(service: Service, connections, frames):
    ended, more = flood(service, connections, frames)
    print(f"{ended} ended; {more / 2**20:.0f} MiB more at most, of {connections * frames * 15} MiB sent")
    assert ended and more < MAX_UNFINISHED_BYTES + (96 << 20)


def test_of_a_long_message_no_more_than_four_frames_are_kept_at_once():
    from inference_service.server.front import MAX_FRAMES, FrontSocket

    context = zmq.Context()
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    try:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        dealer.connect(f"tcp://127.0.0.1:{port}")
        dealer.send_multipart([b"x"] * 50)
        dealer.send_multipart([b"y", b"z"])
        assert router.poll(5000)
        front = FrontSocket.__new__(FrontSocket)
        front.router, front._incoming = router, Incoming(port)
        received: list[list] = []
        while len(received) < 2:
            received += front.received()
        assert len(received[0]) == MAX_FRAMES + 1
        assert [frame.bytes for frame in received[1][1:]] == [b"y", b"z"]
    finally:
        dealer.close(0)
        router.close(0)
        context.term()


@pytest.mark.parametrize("kind", ["world", "nothing"])
def test_a_large_message_is_refused_with_its_own_id(service: Service, kind):
    with service.client() as client, pytest.raises(Exception, match=r"not complete|world or a shot"):
        client.connection.ask(messages.Submit(kind, {"seed": "x" * 200_000}))


def test_what_is_installed_is_not_looked_up_at_every_greeting(monkeypatch):
    looked = []
    available = presets.available
    monkeypatch.setattr(presets, "available", lambda: looked.append(1) or available())
    shown = server_presets.Presets()
    for _ in range(3):
        assert "builtin" in [preset["name"] for preset in shown.available()]
    assert len(looked) == 1
    monkeypatch.setattr(server_presets, "AVAILABLE_S", 0)
    shown.available()
    assert len(looked) == 2
