"""Is every question answered? A million of them, over a hundred fresh starts of the service.

    python benchmarks/questions.py [--questions 1000000] [--starts 100] [--seed 0] [--json FILE]

Each start is a process of its own, in turn on an empty store and on a large one (`WORLDS` worlds, `SHOTS` shots, jobs
that ended, jobs that wait). As soon as it answers, connections ask whatever needs no work: some wait for one answer
after the other, some ask hundreds ahead and read late, and one gets hints meanwhile. Every answer must come, once, with
the id of its question.

Prints how many came; fails if any was lost, came twice, or a connection was ended.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import zmq

from benchmarks.kept_tables import keep_proofs
from benchmarks.own_service import end, start_service
from inference_service.client import Client
from inference_service.wire import codec, messages
from inference_service.wire.address import ServiceAddress
from inference_service.wire.requests import ShotRequest
from tests.support.double import service_command
from tests.support.service import SLOW, path_cameras, world_request

ROOT = Path(__file__).resolve().parents[1]
WORLDS, SHOTS, CANCELLED = 40, 30, 40
AHEAD = (1, 40, 400)
"""Questions that one connection asks ahead of the answers."""
SILENT_S = 20.0
"""An answer that has not come when none has for so long is lost."""


class Asker:
    """A connection that asks so many questions ahead and counts the answers."""

    def __init__(self, service: ServiceAddress, context: zmq.Context, ahead: int, rng: random.Random):
        keys = json.loads(Path(service.client_keys).read_text())
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = 4  # what is not read lies with the service
        self.socket.curve_publickey, self.socket.curve_secretkey = keys["public"].encode(), keys["secret"].encode()
        self.socket.curve_serverkey = service.server_key.encode()
        self.socket.connect(service.address)
        self._ahead, self._rng = ahead, rng
        self._next = 1
        self.open: set[int] = set()
        self.answered = self.twice = self.errors = self.hints = 0
        self._send(messages.Hello((codec.VERSION,), ("previews",)))

    def _send(self, message: object) -> None:
        self.socket.send_multipart(codec.encode(message, self._next))
        self.open.add(self._next)
        self._next += 1

    def subscribe(self, job: str) -> None:
        self._send(messages.Events(job))

    def ask(self, questions: list[object], most: int) -> int:
        """Ask as far ahead as it does, of so many at most; how many were asked."""
        if len(self.open) > self._ahead // 2:  # it comes in gusts
            return 0
        count = min(self._ahead - len(self.open), most)
        for _ in range(count):
            self._send(self._rng.choice(questions))
        return count

    def listen(self) -> bool:
        """Take in what is there; whether there was anything."""
        heard = False
        while self.socket.poll(0):
            header = json.loads(self.socket.recv_multipart()[1])
            heard = True
            id = header["id"]
            if not id:
                self.hints += header["type"] != "ERROR"
                self.errors += header["type"] == "ERROR"
            elif id in self.open:
                self.open.remove(id)
                self.answered += 1
                self.errors += header["type"] == "ERROR"
            else:
                self.twice += 1
        return heard


def fill(service: ServiceAddress, folder: Path) -> None:
    """Make a store large."""
    with Client(service, timeout_s=60) as client:
        for seed in range(WORLDS):
            world = client.submit(world_request(client, folder, seed=seed))
            if seed < SHOTS:
                shot = client.submit(ShotRequest(world_job=world, cameras=path_cameras(25), seed=seed))
        for seed in range(1000, 1000 + CANCELLED):
            client.cancel(client.submit(world_request(client, folder, seed=seed)))
        while client.service_status().states["done"] < WORLDS + SHOTS:
            time.sleep(0.2)
        assert client.status(shot).artifacts


def questions_about(client: Client) -> list[object]:
    """What can be asked of this store without giving it work."""
    asked: list[object] = [messages.Ping(), messages.ServiceQuestion(), messages.PriceQuestion("builtin", 96, 64, 3, 9)]
    jobs = client.jobs()
    asked += [messages.Ping()] * 5 + [messages.ListJobs()]
    done = [job for job in jobs if job.state == "done"]
    for job in done[:3] + done[-3:]:
        asked.append(messages.Status(job.job))
        for artifact in client.status(job.job).artifacts[:2]:
            asked += [messages.Get(job.job, artifact.name, 0, 200_000), messages.Get(job.job, artifact.name, 10, 100)]
    return asked


def one_start(folder: Path, store: Path, count: int, rng: random.Random) -> Counter[str]:
    """Start a service and ask so many questions; what came."""
    process, service = start_service(service_command(store), timeout_s=120)
    context = zmq.Context()
    found: Counter[str] = Counter()
    try:
        with Client(service, timeout_s=60) as client:
            questions = questions_about(client)
            job = client.submit(world_request(client, folder, steer=SLOW, seed=rng.randrange(10**9)))  # for the hints
            askers = [Asker(service, context, ahead, rng) for ahead in AHEAD]
            askers[0].subscribe(job)
            extra, left, heard_at = len(askers) + 1, count, time.monotonic()
            while left or any(asker.open for asker in askers):
                heard = False
                for asker in askers:
                    left -= asker.ask(questions, left)
                    heard = asker.listen() or heard
                now = time.monotonic()
                heard_at = now if heard else heard_at
                if now - heard_at > SILENT_S:
                    break
                if not heard:
                    time.sleep(0.001)
            client.cancel(job)
            for asker in askers:
                found["questions"] += asker.answered + len(asker.open)
                found["answers"] += asker.answered
                found["answers lost"] += len(asker.open)
                found["answers that came twice or to nobody"] += asker.twice
                found["errors"] += asker.errors
                found["hints"] += asker.hints
                asker.socket.close(0)
            found["questions"] -= extra
            found["answers"] -= extra
    finally:
        context.destroy(linger=0)
        end(process)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    rng, begun = random.Random(options.seed), time.monotonic()
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime")
        os.environ["PYTHONPATH"] = str(ROOT)
        process, service = start_service(service_command(folder / "large"), timeout_s=120)
        fill(service, folder)
        end(process)
        for number in range(options.starts):
            store = folder / ("large" if number % 2 else f"small{number}")
            each = options.questions * (number + 1) // options.starts - options.questions * number // options.starts
            got = one_start(folder, store, each, rng)
            found.update(got)
            found["starts"] += 1
            found["starts with a large store"] += number % 2
            if got["answers lost"] or got["errors"] or number % 10 == 9:
                print(f"{number + 1} starts: {dict(found)}", file=sys.stderr, flush=True)
    for text, times in found.items():
        print(f"{text}: {times}")
    print(f"seconds: {time.monotonic() - begun:.0f}")
    result = (
        f"{found['questions']:,} questions, {found['starts']} starts: {found['answers lost']} answers lost, "
        f"{found['answers that came twice or to nobody']} that came twice or to nobody, {found['errors']} errors"
    )
    keep_proofs(options.json, {"questions over fresh starts, every other one on a large store": result})
    wrong = [text for text in ("answers lost", "answers that came twice or to nobody", "errors") if found[text]]
    if wrong or found["answers"] != options.questions:
        sys.exit("; ".join(f"{found[text]} {text}" for text in wrong) or "not all were asked")


if __name__ == "__main__":
    main()
