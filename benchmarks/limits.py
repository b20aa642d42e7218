"""What others may do to the service: messages without an end, and paths as long as are allowed.

    python benchmarks/limits.py [--frames 10000] [--json FILE]

Connections send messages that have no end, while a client pings: how much more memory the service's process has. Long
paths are submitted, one with few anchors and one of which each frame is an anchor, and followed to their first units:
how long the socket's thread is held, at once, in its own time. The service is in a thread of this process, its worker a
stand-in. `tests/inference_service/server/test_limits.py` holds both to their bounds.
"""

import argparse
import contextlib
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import psutil

from benchmarks.kept_tables import keep_proofs
from inference_service.client import ShotRequest
from inference_service.server.dispatch import Dispatcher
from inference_service.server.server import Server
from lookbeyond.geometry.cameras import placed_camera
from tests.support.double import worker_command
from tests.support.service import Service, path_cameras, running, world_request

FLOODS = ((1, 100), (12, 12))
"""Connections, and frames of each one's message."""
FRAME_BYTES = 15 << 20
HELD_BY = ((Server, "_receive"), (Server, "_answer_prepared"), (Server, "_go_on"), (Dispatcher, "take_in"))
"""What the socket's thread does."""
FLOOD = """
import json, sys, time
import zmq
address, server_key, keys = sys.argv[1:4]
keys = json.load(open(keys))
context = zmq.Context()
for _ in range(int(sys.argv[4])):
    socket = context.socket(zmq.DEALER)
    socket.curve_serverkey = server_key.encode()
    socket.curve_publickey, socket.curve_secretkey = keys["public"].encode(), keys["secret"].encode()
    socket.connect(address)
    frame = b"x" * int(sys.argv[6])
    for _ in range(int(sys.argv[5])):
        socket.send(frame, zmq.SNDMORE, copy=False)
    socket.send(b"end")
print("sent", flush=True)
sys.stdin.read()
"""


def walk(count: int) -> list[dict]:
    """A path that stays within a metre; few of its frames are anchors."""
    return path_cameras(10) * (count // 10)


def whirl(count: int) -> list[dict]:
    """A path of which each frame is an anchor."""
    return [
        placed_camera(
            96, 64, 1.2, heading_rad=i * math.radians(45.001), position=(0.3 * math.sin(i / 900), 1e-5 * i, 1.6)
        ).to_dict()
        for i in range(count)
    ]


def flood(service: Service, connections: int, frames: int) -> tuple[int, int]:
    """How many connections the service ended, and how many bytes more this process had at most (Linux)."""
    address, own, ended_before = service.address, psutil.Process(), service.server.totals["overflows"]
    arguments = (address.address, address.server_key, address.client_keys, connections, frames, FRAME_BYTES)
    command = [sys.executable, "-c", FLOOD, *map(str, arguments)]
    with service.client() as client:
        client.ping()
        before, most = own.memory_info().rss, 0
        flooding = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert flooding.stdout and flooding.stdout.readline() == "sent\n"
            deadline, ended = time.monotonic() + 120, 0
            while ended < max(1, connections - 8) and time.monotonic() < deadline:
                most = max(most, own.memory_info().rss)
                client.ping()
                time.sleep(0.005)
                ended = service.server.totals["overflows"] - ended_before
        finally:
            flooding.kill()
            flooding.wait()
        client.ping()
    return ended, most - before


def held_s(service: Service, folder: Path, cameras: list[dict]) -> tuple[dict[str, float], int, float]:
    """Seconds for which a path holds the socket's thread at most, in its own time, by what it does.

    From its submission through its plan to its first units. Beside it, how many units were planned, and what a client's
    worst ping took meanwhile, in seconds.
    """
    taken: dict[str, float] = {}

    def timed(name: str, original: Callable) -> Callable:
        def measure(self, *arguments):
            begun = time.thread_time()
            original(self, *arguments)
            taken[name] = max(taken.get(name, 0.0), time.thread_time() - begun)

        return measure

    with contextlib.ExitStack() as stack, service.client() as client:
        world = client.submit(world_request(client, folder, seed=77))
        while client.status(world).state != "done":
            time.sleep(0.05)
        for cls, name in HELD_BY:
            stack.enter_context(mock.patch.object(cls, name, timed(name, getattr(cls, name))))
        longest_s, stop = [0.0], threading.Event()

        def ping():
            with service.client() as other:
                while not stop.is_set():
                    begun = time.monotonic()
                    other.ping()
                    longest_s[0] = max(longest_s[0], time.monotonic() - begun)
                    time.sleep(0.01)

        pinging = threading.Thread(target=ping)
        pinging.start()
        try:
            client.connection._timeout_s = 60.0
            job = client.submit(ShotRequest(world_job=world, cameras=cameras))
            deadline = time.monotonic() + 120
            while not (status := client.status(job)).fraction:
                assert status.state in ("queued", "running") and time.monotonic() < deadline
                time.sleep(0.2)
            planned = len(service.server.queue.jobs[job].units)
            taken_until = dict(taken)
            assert client.cancel(job)
        finally:
            stop.set()
            pinging.join()
    return taken_until, planned, longest_s[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="put the results into this file, beside what is in it")
    options = parser.parse_args()
    floods, paths = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime")
        with running(folder, worker_command()) as service:
            for connections, frames in FLOODS:
                ended, more = flood(service, connections, frames)
                floods.append(
                    f"{connections} with {frames * FRAME_BYTES >> 20} MiB each: {ended} ended, "
                    f"{more / 1e6:.0f} MB more memory at most"
                )
            for text, path in (("where few frames are anchors", walk), ("where all are", whirl)):
                taken, units, ping_s = held_s(service, folder, path(options.frames))
                held_ms = 1000 * max(taken.values())
                paths.append(f"{text}, {units} units: {held_ms:.0f} ms, the worst ping {1000 * ping_s:.0f} ms")
    held = "the longest that a long path, up to its first units, holds the socket's thread, in that thread's own time"
    results = {
        "connections that send messages without an end": "; ".join(floods),
        held: f"{options.frames} frames, {'; '.join(paths)}",
    }
    for text, result in results.items():
        print(f"{text}: {result}")
    keep_proofs(options.json, results)


if __name__ == "__main__":
    main()
