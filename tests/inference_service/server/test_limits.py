"""Limits are what the documents say: a message is counted before it is kept, a long path holds nobody up."""

import threading
import time

import pytest
import zmq

from benchmarks.fuzz import Sender
from inference_service.client import ShotRequest
from inference_service.server.server import Server
from inference_service.wire import codec, messages
from tests.support.service import Service, path_cameras, world_request

FRAMES = 10_000


def test_a_path_of_10_000_frames_holds_the_sockets_thread_up_for_50_ms_at_most(service: Service, tmp_path, monkeypatch):
    taken: dict[str, float] = {}

    def timed(name):
        original = getattr(Server, name)

        def measure(self, *arguments):
            begun = time.thread_time()
            original(self, *arguments)
            taken[name] = max(taken.get(name, 0.0), time.thread_time() - begun)

        monkeypatch.setattr(Server, name, measure)

    with service.client() as client:
        world = client.submit(world_request(client, tmp_path, seed=77))
        while client.status(world).state != "done":
            time.sleep(0.05)
        cameras = path_cameras(10) * (FRAMES // 10)
        for name in ("_receive", "_answer_prepared"):
            timed(name)
        longest, stop = [0.0], threading.Event()

        def ping():
            with service.client() as other:
                while not stop.is_set():
                    begun = time.monotonic()
                    other.ping()
                    longest[0] = max(longest[0], time.monotonic() - begun)

        pinging = threading.Thread(target=ping)
        pinging.start()
        client.connection._timeout_s = 60.0
        job = client.submit(ShotRequest(world_job=world, cameras=cameras))
        client.cancel(job)
        stop.set()
        pinging.join()
    print({name: round(1000 * seconds, 1) for name, seconds in taken.items()}, "ms; longest ping, s:", longest[0])
    assert taken["_answer_prepared"] < 0.05 and taken["_receive"] < 0.05


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
        front.router = router
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
