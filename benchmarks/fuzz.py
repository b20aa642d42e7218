"""Nonsense against a running service: mutated messages and connections of random bytes, while a good client works.

    python benchmarks/fuzz.py [--messages 200000] [--connections 400] [--seed 0] [--json FILE]

The messages come from a guest with a good key, so that they reach the decoder and what lies behind it; half of them
name jobs, files and units that are there. Last, more connections are held open than the service has descriptors for
when it starts, and then more than it may ever have, while a client that was there before them goes on.

Prints what the service answered, what it could not handle, its memory before, meanwhile and after, and how long a good
client waited. Fails if anything was not handled, if a question that the guest may ask was never answered, if the good
client got no work done, or beyond `MEMORY_MB`, `DESCRIPTORS_MORE` or `WAIT_S`.
"""

import argparse
import contextlib
import errno
import json
import math
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import zmq

from benchmarks.kept_tables import keep_proofs
from benchmarks.nonsense import ANSWERS, LAST_PING, MESSAGES, Known, messages_about, nonsense
from benchmarks.own_service import end, start_service
from inference_service.client import ALL, Client, Finished, ServiceError
from inference_service.security.clients import allow_client
from inference_service.security.keys import load_or_make_keys
from inference_service.server.front import SEND_QUEUE
from inference_service.server.pieces import MAX_BUFFERS
from inference_service.server.server import PROBE_INTERVAL_S
from inference_service.wire import codec, files, messages
from inference_service.wire.address import ServiceAddress
from inference_service.wire.requests import ShotRequest
from tests.support.double import serve_double
from tests.support.service import SLOW, path_cameras, world_request

MEMORY_MB = (SEND_QUEUE + MAX_BUFFERS) * files.CHUNK_BYTES / 1e6
"""What the service may hold more than before at any time: pieces of files for a guest who does not read them."""
DESCRIPTORS_MORE = 5
WAIT_S = 3.0
"""A client that pings once a second and misses three answers gives its connection up."""
DESCRIPTORS, HELD = 256, 400
"""What the service may open unless it asks for more, and how many connections are held open at once."""
HELD_S = 15.0


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
            self.send(messages.Hello((codec.VERSION,)))
            self.listen(1000)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(0)
        self._context.destroy(linger=0)

    def send(self, message: object, id: int = 1) -> None:
        self._socket.send_multipart(codec.encode(message, id))

    def send_all(self, sequence: Iterable[list[bytes]]) -> None:
        """Send them, listening in between; returns when the service has answered a last PING."""
        for number, frames in enumerate(sequence):
            self._socket.send_multipart(frames)
            if number % 20 == 0 and self.listen(0):
                self.send(messages.Hello((codec.VERSION,)))
        self.answers["last PING"] = 0
        deadline = time.monotonic() + 120
        while not self.answers["last PING"]:  # an answer is dropped if too many lie unread
            self.send(messages.Hello((codec.VERSION,)))
            self.send(messages.Ping(), LAST_PING)
            self.listen(1000)
            assert time.monotonic() < deadline, "the service does not answer any more"

    def listen(self, timeout_ms: int) -> bool:
        """Take in what was answered; whether the service has forgotten this connection, as LEAVE asks it to."""
        before = self.answers["hello"]
        if self._socket.poll(timeout_ms):
            with contextlib.suppress(zmq.Again):
                while True:
                    header = json.loads(self._socket.recv_multipart(zmq.NOBLOCK)[1])
                    self.answers[header.get("code") or header["type"]] += 1
                    self.answers["last PING"] += header["id"] == LAST_PING
        return self.answers["hello"] > before


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


def held_connections(service: ServiceAddress, count: int, seconds: float) -> int:
    """Hold so many silent connections open for so long, opening again what is closed; how many were opened."""
    host, port = service.address.removeprefix("tcp://").split(":")
    held: list[socket.socket] = []
    opened, until = 0, time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            for _ in range(count - len(held)):
                held.append(socket.socket())
                held[-1].setblocking(False)  # one that is not accepted waits, and does not make us wait
                held[-1].connect_ex((host, int(port)))
                opened += 1
            time.sleep(0.2)
            closed = [raw for raw in held if _is_closed(raw)]
            for raw in closed:
                raw.close()
            held = [raw for raw in held if raw not in closed]
    finally:
        for raw in held:
            raw.close()
    return opened


def _is_closed(raw: socket.socket) -> bool:
    try:
        while raw.recv(1000):  # the service's greeting
            pass
        return True
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno != errno.ENOTCONN  # not yet


class GoodClient(threading.Thread):
    """Pings, and now and then wants a world, until it is stopped; what it got, and what the service held meanwhile."""

    def __init__(
        self, service: ServiceAddress, process: psutil.Process, folder: Path, seed: int, forgives: Sequence[str] = ()
    ):
        super().__init__(daemon=True)
        self._service, self._process, self._folder, self._seed = service, process, folder, seed
        self._forgives = forgives
        """Codes of errors after which it hands its world in again."""
        self._over = threading.Event()
        self.waits: list[float] = []
        self.worlds = self.most_bytes = self.most_descriptors = 0
        self.failure: Exception | None = None
        self.start()

    def stop(self) -> None:
        self._over.set()
        self.join(120)

    def run(self) -> None:
        try:
            with Client(self._service, timeout_s=60) as client:
                while not self._over.is_set():
                    self._ping(client)
                    if len(self.waits) % 50 == 1:
                        self._world(client)
                    self._over.wait(0.05)
        except (ServiceError, psutil.Error) as error:
            self.failure = error

    def _ping(self, client: Client) -> None:
        begun = time.perf_counter()
        client.ping()
        self.waits.append(time.perf_counter() - begun)
        self.most_bytes = max(self.most_bytes, self._process.memory_info().rss)
        self.most_descriptors = max(self.most_descriptors, self._process.num_fds())

    def _world(self, client: Client) -> None:
        self._seed, before = self._seed + 1, self.worlds
        while self.worlds == before and not self._over.is_set():
            try:
                job = client.submit(world_request(client, self._folder, seed=self._seed))
                for event in client.follow(job, self._folder / f"W{self._seed}"):
                    self._ping(client)
                    client.pause(job, False)  # the nonsense may well have paused it
                    self.worlds += isinstance(event, Finished)
                    if self._over.is_set():
                        return
            except ServiceError as error:
                if error.code not in self._forgives:
                    raise
                self._over.wait(0.1)

    def report(self) -> tuple[list[str], str]:
        """Print how it fared; what was wrong; and what it got, in words."""
        self.waits = sorted(self.waits) or [math.inf]
        middle, worst = self.waits[len(self.waits) // 2], self.waits[-1]
        print(
            f"a good client meanwhile: {self.worlds} worlds; {len(self.waits)} pings of {1000 * middle:.1f} ms, "
            f"at most {1000 * worst:.0f} ms (allowed: {1000 * WAIT_S:.0f} ms)"
        )
        wrong = [f"a good client met: {self.failure}"] if self.failure else []
        wrong += ["a good client was never done"] if self.is_alive() else []
        wrong += [f"a good client waited {worst:.1f} s"] if worst > WAIT_S else []
        got = f"a good client got {self.worlds} worlds meanwhile, its worst ping took {worst:.2f} s"
        return wrong + ([] if self.worlds else ["a good client got no world"]), got


def service(store: Path) -> None:
    """The service's process, which begins with few descriptors."""
    import resource  # POSIX

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
    serve_double(store)


def main() -> None:
    if sys.argv[1:2] == ["service"]:
        return service(Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="put the results into this file, beside what is in it")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime")
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
        started, address = start_service([sys.executable, __file__, "service", str(folder / "store")])
        process = psutil.Process(started.pid)
        log = folder / "runtime/service.log"
        try:
            wrong, done = _nonsense(process, address, rng, options.messages, options.connections, folder)
            bad = [line for line in log.read_text().splitlines() if _is_bad(line)]
            print(f"unhandled exceptions and errors in its log: {len(bad)}")
            crowds = [_crowd(process, address, folder, seed=2000)]
            if started.poll() is None:
                process.rlimit(psutil.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
                crowds.append(_crowd(process, address, folder, seed=3000, short=True))
            alive = "" if started.poll() is None else "; then it had ended"
        finally:
            end(started)
            print(f"the service ended with {started.returncode}")
        wrong += [f"the service ended with {started.returncode}"] if started.returncode else []
        # that it is short of descriptors it says as an error: only what was not handled counts here
        bad += [line for line in log.read_text().splitlines() if _is_bad(line, levels=())]
        wrong += [f"in its log: {bad[0]}"] if bad else []
    wrong += [text for found, _ in crowds for text in found]
    crowded = f"{HELD} connections held open by strangers, where {DESCRIPTORS} descriptors are allowed"
    keep_proofs(
        options.json,
        {
            "mutated messages, then connections of random bytes": f"{len(bad)} unhandled; {done}",
            f"{crowded}, first softly, then hard": "; ".join(text for _, text in crowds) + alive,
        },
    )
    if wrong:
        sys.exit("; ".join(wrong))


def _is_bad(line: str, levels: Sequence[str] = ("error",)) -> bool:
    """Whether a line of the service's log is of such a level, or tells of what it or its worker did not handle."""
    if not line.startswith("{"):
        return line.startswith("Traceback")
    said = json.loads(line)
    return "traceback" in said or said["level"] in levels


def _known(service: ServiceAddress, folder: Path) -> Known:
    """A world and a shot that are done, and a world that is begun and cancelled."""
    with Client(service, timeout_s=60) as client:
        request = world_request(client, folder)
        world = client.submit(request)
        list(client.follow(world, folder / "W"))
        shot = client.submit(ShotRequest(world_job=world, cameras=path_cameras(5)))
        list(client.follow(shot, folder / "S"))
        begun = world_request(client, folder, steer=SLOW)
        job = client.submit(begun)
        while not (unit := client.service_status().devices[0].get("identity")):
            time.sleep(0.01)
        client.cancel(job)
        files = tuple((file.name, file.sha256) for file in client.status(world).artifacts)
        return Known(request.photo, world, shot, files, "frames/0001.png", begun, job, unit)


def _nonsense(
    process: psutil.Process, service: ServiceAddress, rng: random.Random, count: int, connections: int, folder: Path
) -> tuple[list[str], str]:
    """Mutated messages, then connections of random bytes; what was wrong; and what was found, in words."""
    said = MESSAGES + messages_about(_known(service, folder))
    with Sender(guest(service, folder)) as sender:
        sender.send_all(nonsense(rng, min(count // 10, 5000), said))  # warm: caches are full
        before = process.memory_info().rss, process.num_fds()
        good = GoodClient(service, process, folder, 1000, forgives=("cancelled", "unknown_job"))  # as nonsense can do
        begun = time.monotonic()
        sender.send_all(nonsense(rng, count, said))
        elapsed = time.monotonic() - begun
        random_connections(service, rng, connections)
    with Client(service, timeout_s=60) as client:
        client.pause(ALL, False)
        client.cancel(ALL)
        good.stop()
        client.ping()
    time.sleep(3 * PROBE_INTERVAL_S)  # at rest the service gives back what it read files into
    after = process.memory_info().rss, process.num_fds()
    print(f"{count} mutated messages in {elapsed:.0f} s, {connections} connections of random bytes")
    print("answers:", ", ".join(f"{count} {name}" for name, count in sender.answers.most_common()))
    most = max(good.most_bytes, after[0])
    memory = f"{before[0] / 1e6:.1f} MB before, at most {most / 1e6:.1f} MB, {after[0] / 1e6:.1f} MB after"
    print(f"memory of the service: {memory} (allowed: {MEMORY_MB:.0f} MB more)")
    print(f"descriptors: {before[1]} before, at most {good.most_descriptors}, {after[1]} after")
    wrong, got = good.report()
    wrong += ["its memory grew"] if most - before[0] > 1e6 * MEMORY_MB else []
    wrong += ["it keeps descriptors"] if after[1] - before[1] > DESCRIPTORS_MORE else []
    missing = {messages.TYPE_NAMES[each] for each in ANSWERS} - set(sender.answers)
    wrong += [f"never answered: {', '.join(sorted(missing))}"] if missing else []
    return wrong, f"{count:,} messages, {connections} connections; memory of the service {memory}; {got}"


def _crowd(
    process: psutil.Process, service: ServiceAddress, folder: Path, seed: int, short: bool = False
) -> tuple[list[str], str]:
    """More connections than the service was given descriptors for, or may have (`short`).

    What was wrong; and what was found, in words.
    """
    before = process.num_fds()
    good = GoodClient(service, process, folder, seed, forgives=("storage",) if short else ())
    while good.is_alive() and not good.worlds:  # it is there first
        time.sleep(0.05)
    first = good.worlds
    opened = held_connections(service, HELD, HELD_S)
    got = good.worlds - first
    text = f"{HELD} connections held open for {HELD_S:.0f} s, {opened} in all"
    try:
        with Client(service, timeout_s=30) as late:
            list(late.follow(late.submit(world_request(late, folder, seed=seed - 1)), folder / f"late{seed}"))
    except ServiceError as error:
        wrong, found = good.report()
        return [*wrong, f"after {text}: {error}"], f"{found}, a new one none afterwards"
    good.stop()
    time.sleep(PROBE_INTERVAL_S)
    after, (most, _) = process.num_fds(), process.rlimit(psutil.RLIMIT_NOFILE)
    print(f"{text}, of {most} descriptors: {before} before, at most {good.most_descriptors}, {after} after")
    print(f"  worlds meanwhile: {got}")
    wrong, found = good.report()
    wrong += ["no world while connections were held open"] if not got and not short else []
    wrong += ["it keeps descriptors"] if after - before > DESCRIPTORS_MORE else []
    return wrong, f"with a limit of {most}: {found}, a new one its world afterwards"


if __name__ == "__main__":
    main()
