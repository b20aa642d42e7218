"""Nonsense against a running service: mutated messages and connections of random bytes, while a good client works.

    python benchmarks/fuzz.py [--messages 200000] [--connections 400] [--seed 0]

The messages come from a guest with a good key, so that they reach the decoder and what lies behind it.
Prints what the service answered, what it could not handle (nothing, or the script fails), its memory before and
after, and how long a good client waited meanwhile.
"""

import argparse
import contextlib
import copy
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import zmq

from benchmarks.own_service import end, start_service
from inference_service import protocol
from inference_service.client import Client, Finished, ServiceError
from inference_service.protocol import ServiceAddress, ShotRequest, WorldRequest
from inference_service.security import allow_client, load_or_make_keys
from inference_service.server import PROBE_INTERVAL_S
from lookbeyond.geometry.cameras import placed_camera
from tests.inference_service.conftest import path_cameras, world_request
from tests.inference_service.double import service_command

HASH = "ab" * 32
CAMERA = placed_camera(96, 64, 1.2).to_dict()
SUBMITS = [
    protocol.Submit("world", vars(WorldRequest(photo=HASH, camera=CAMERA, width=512))),
    protocol.Submit("shot", vars(ShotRequest(dict.fromkeys(protocol.WORLD_FILES, HASH), cameras=path_cameras(3)))),
    protocol.Submit("shot", vars(ShotRequest(world_job=HASH, cameras=path_cameras(2)))),
]
MESSAGES = [
    protocol.Hello((protocol.VERSION,), ("previews",)),
    protocol.Ping(),
    protocol.Put(HASH, 10, 0, "photo.jpg"),
    *SUBMITS,
    protocol.Status(HASH),
    protocol.ListJobs(),
    protocol.Events(HASH),
    protocol.Get(HASH, "frames/0001.png", 0, 100),
    protocol.Doubt(HASH, "frames/0001.png"),
    protocol.Cancel(HASH),
    protocol.Pause(HASH, True),
    protocol.Reorder(HASH, 3),
    protocol.ServiceQuestion(),
    protocol.Prune(10**12, 1e9),
    protocol.Release(),
    protocol.Bye(),
    protocol.Done(),
]
"""All that a client may say."""
LAST_PING = 987_654_321
STRANGE: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0, 0.1, "", "*", "..", "../../etc/passwd",
    "a" * 10_000, "\x00", "\ud7ff\U0010ffff", HASH, HASH.upper(), [], [[]], [None] * 50, {}, {"": {}}, {"width": -1},
    [[1e30] * 4] * 4, "CON", "world", "NaN",
]  # fmt: skip


def mutated(rng: random.Random) -> list[bytes]:
    """A message that was good once: its bytes, its fields or its frames are others now."""
    message = rng.choice(MESSAGES)
    payload = rng.randbytes(rng.choice((0, 0, 10, 1000)))
    frames = protocol.encode(message, rng.randrange(1, 1000), payload)
    way = rng.random()
    if way < 0.45:
        header = json.loads(frames[1])
        for _ in range(rng.randint(1, 3)):
            _change(header, rng)
        frames[1] = json.dumps(header).encode("utf-8", "surrogatepass")
    elif way < 0.9:
        frame = bytearray(rng.choice(frames[:2]))
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(frame) + 1)
            cut = rng.choice((0, 1, 1, 1, 5))
            frame[place : place + cut] = rng.choice((b"", rng.randbytes(1), rng.randbytes(1), b"[" * 50, b'"', b"\xff"))
            frame = frame or bytearray(b"{")
        frames[rng.randrange(2)] = bytes(frame)
    else:
        rng.shuffle(frames)
        frames = frames[: rng.randint(0, 3)] + [rng.randbytes(rng.choice((0, 5, 300)))] * rng.randint(0, 3)
    return frames or [b""]


def _change(value: Any, rng: random.Random) -> None:
    """Change something somewhere in a JSON value, in place."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.7:
            value = value[key]
            continue
        if rng.random() < 0.2:
            del value[key]
        else:
            value[key] = copy.deepcopy(rng.choice(STRANGE))
        return


def guest(service: ServiceAddress, folder: Path) -> ServiceAddress:
    """The service as a guest reaches it, whose new key is put on its list."""
    keys = load_or_make_keys(folder / "guest" / "keys.json")
    allow_client(Path(service.client_keys).with_name("allowed_clients.json"), "guest", keys.public)
    return replace(service, client_keys=str(folder / "guest" / "keys.json"))


class Sender:
    """A connection that says whatever it is given and need not listen."""

    def __init__(self, service: ServiceAddress):
        keys = json.loads(Path(service.client_keys).read_text())
        self._context = zmq.Context()
        self.answers: Counter[str] = Counter()
        deadline = time.monotonic() + 20
        while not self.answers["WELCOME"]:  # the list of guests is read twice a second
            assert time.monotonic() < deadline, "the service does not let the guest in"
            self._socket = self._context.socket(zmq.DEALER)
            self._socket.linger = 0
            self._socket.sndtimeo = 30_000
            self._socket.rcvhwm = 20  # what is not read is to lie with the service, not here
            self._socket.curve_publickey, self._socket.curve_secretkey = (
                keys["public"].encode(),
                keys["secret"].encode(),
            )
            self._socket.curve_serverkey = service.server_key.encode()
            self._socket.connect(service.address)
            self.send(protocol.Hello((protocol.VERSION,)))
            self.listen(1000)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(0)
        self._context.destroy(linger=0)

    def send(self, message: object, id: int = 1) -> None:
        self._socket.send_multipart(protocol.encode(message, id))

    def send_all(self, messages: Iterable[list[bytes]]) -> None:
        """Send them, listening in between; returns when the service has answered a last PING."""
        for number, frames in enumerate(messages):
            self._socket.send_multipart(frames)
            if number % 20 == 0:
                self.listen(0)
        self.answers["last PING"] = 0
        deadline = time.monotonic() + 120
        while not self.answers["last PING"]:  # an answer is dropped if too many lie unread
            self.send(protocol.Hello((protocol.VERSION,)))
            self.send(protocol.Ping(), LAST_PING)
            self.listen(1000)
            assert time.monotonic() < deadline, "the service does not answer any more"

    def listen(self, timeout_ms: int) -> None:
        if self._socket.poll(timeout_ms):
            with contextlib.suppress(zmq.Again):
                while True:
                    header = json.loads(self._socket.recv_multipart(zmq.NOBLOCK)[1])
                    self.answers[header.get("code") or header["type"]] += 1
                    self.answers["last PING"] += header["id"] == LAST_PING


def random_connections(service: ServiceAddress, rng: random.Random, count: int) -> None:
    """Connections of random bytes: nothing but noise, a good greeting and then noise, or silence."""
    host, port = service.address.removeprefix("tcp://").split(":")
    greeting = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00CURVE".ljust(64, b"\x00")
    held = []
    for number in range(count):
        raw = socket.create_connection((host, int(port)), timeout=10)
        with contextlib.suppress(OSError):
            noise = rng.randbytes(rng.choice((0, 1, 64, 200, 5000)))
            raw.sendall((greeting if number % 2 else b"") + noise)
        held.append(raw)
        if len(held) > 50:
            held.pop(rng.randrange(len(held))).close()
    for raw in held:
        raw.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime")
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
        process, service = start_service(service_command(folder / "store"))
        try:
            _attack(psutil.Process(process.pid), service, rng, options.messages, options.connections, folder)
        finally:
            end(process)
            print(f"the service ended with {process.returncode}")
        log = [json.loads(line) for line in (folder / "runtime/service.log").read_text().splitlines() if line[0] == "{"]
        bad = [line for line in log if "traceback" in line or line["level"] == "error"]
        print(f"unhandled exceptions and errors in its log: {len(bad)}")
        assert not bad, bad[0]


def _attack(
    process: psutil.Process, service: ServiceAddress, rng: random.Random, messages: int, connections: int, folder: Path
) -> None:
    waits: list[float] = []
    finished = 0
    over = threading.Event()

    def good_client() -> None:
        nonlocal finished
        with Client(service, timeout_s=60) as client:
            seed = 0
            while not over.is_set():
                begun = time.perf_counter()
                client.ping()
                waits.append(time.perf_counter() - begun)
                if len(waits) % 50 == 1:
                    seed += 1
                    before = finished
                    while finished == before and not over.is_set():
                        with contextlib.suppress(ServiceError):  # the nonsense may well cancel it
                            job = client.submit(world_request(client, folder, seed=seed))
                            for event in client.follow(job, folder / f"W{seed}"):
                                client.pause(job, False)  # or have paused it
                                finished += isinstance(event, Finished)
                over.wait(0.05)

    with Sender(guest(service, folder)) as sender:
        sender.send_all(mutated(rng) for _ in range(min(messages // 10, 5000)))  # warm: caches are full
        before = process.memory_info().rss, process.num_fds()
        good = threading.Thread(target=good_client, daemon=True)
        good.start()
        begun = time.monotonic()
        sender.send_all(mutated(rng) for _ in range(messages))
        elapsed = time.monotonic() - begun
        random_connections(service, rng, connections)
    with Client(service, timeout_s=60) as client:
        client.pause_all(False)
        client.cancel_all()
        over.set()
        good.join(120)
        client.ping()
    time.sleep(3 * PROBE_INTERVAL_S)  # at rest the service gives back what it read files into
    after = process.memory_info().rss, process.num_fds()
    print(f"{messages} mutated messages in {elapsed:.0f} s, {connections} connections of random bytes")
    print("answers:", ", ".join(f"{count} {name}" for name, count in sender.answers.most_common()))
    print(f"memory of the service: {before[0] / 1e6:.1f} MB before, {after[0] / 1e6:.1f} MB after")
    print(f"descriptors: {before[1]} before, {after[1]} after")
    waits.sort()
    middle, worst = 1000 * waits[len(waits) // 2], 1000 * waits[-1]
    print(f"a good client meanwhile: {finished} worlds; {len(waits)} pings of {middle:.1f} ms, at most {worst:.0f} ms")
    assert not good.is_alive() and process.is_running()


if __name__ == "__main__":
    main()
