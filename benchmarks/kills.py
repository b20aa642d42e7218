"""Kill the service, its worker and its client at random, over a batch of small jobs, and count what was lost.

    python benchmarks/kills.py [--kills 100] [--batches 3] [--jobs 6] [--frames 25] [--seed 0] [--json FILE]

Client, service and worker are processes of their own; each kill is SIGKILL at a random moment of the work, to one of
the three in turn. Whatever is dead is started again, as a supervisor would. Batches follow each other until all kills
are done; each batch's frames are compared, byte for byte, with those of the same work done undisturbed. The workers
note each unit that they begin and each that they have put into the store: none may be made that is there.

The service that is left has its memory noted when it is at rest. More batches follow, in which only workers and clients
are killed, so that it is the same process whose memory is then noted again.

Prints what was lost, doubled, corrupt and left over, and both memories. Fails if there was any of it, or if the memory
grew by more than `MEMORY_GROWTH`.
"""

import argparse
import dataclasses
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.kept_tables import keep_proofs
from benchmarks.noted_service import made_in_vain, service_command, units_file
from benchmarks.own_service import end, start_service
from inference_service.client import Client, Finished, ServiceError, find_service
from inference_service.server.server import PROBE_INTERVAL_S
from inference_service.store.housekeeping import entries, sweep
from inference_service.store.store import Store
from inference_service.wire.address import runtime_file
from inference_service.wire.files import file_sha256
from inference_service.wire.requests import ShotRequest
from tests.support.double import service_command as undisturbed_command
from tests.support.service import SLOW, path_cameras, shot_request, world_request

ROOT = Path(__file__).resolve().parents[1]
PAUSE_S = (0.0, 1.2)
"""From the first sign of work after a kill, a unit begun or finished or a file fetched, to the next kill."""
KILLS_LATER = 10
"""Of workers and clients, in each batch of those that show what the memory does."""
BATCH_S = 1800.0
"""A batch that is not done after so long never will be."""
MEMORY_GROWTH = 0.05
MEMORY, GROWTH = "memory of the last service at rest, and after each batch more, MB", "memory growth, %"
NONE_ALLOWED = (
    "frames lost",
    "frames nobody asked for",
    "units made again though finished",
    "frames corrupt",
    "shots whose client saw no end",
    "jobs not done",
    "half-written left in the store",
    "orphan processes",
)


def client(arguments: Sequence[str]) -> None:
    """The client's process: hand in all jobs of a batch, or find them again, and fetch every file."""
    folder, first, jobs, frames = Path(arguments[0]), *map(int, arguments[1:])
    journal = (folder / "seen.txt").open("a", buffering=1)
    service = find_service()
    if os.getpid() % 2:  # every other one has the results sent, the rest copy them from the store
        service = dataclasses.replace(service, store="")
    with Client(service, timeout_s=60) as connection:
        requests: list[ShotRequest] = []
        for number in range(first, first + jobs):
            world = connection.submit(world_request(connection, folder, steer=SLOW, seed=number))
            requests.append(ShotRequest(world_job=world, cameras=path_cameras(frames), seed=number))
        for number, request in enumerate(requests, first):
            job = connection.submit(request)
            for event in connection.follow(job, folder / f"shot{number}", patience_s=120.0):
                if isinstance(event, Finished):
                    journal.write(f"{number}\n")


def undisturbed(folder: Path, first: int, jobs: int, frames: int) -> dict[str, str]:
    """The hashes of the same frames, made by the same service without an accident, in another store."""
    process, address = start_service(undisturbed_command(folder / "quiet"))
    hashes = {}
    try:
        with Client(address, timeout_s=60) as connection:
            for number in range(first, first + jobs):
                world = folder / f"quiet-world{number}"
                request = world_request(connection, folder, steer=SLOW, seed=number)
                list(connection.follow(connection.submit(request), world))
                shot = folder / f"quiet-shot{number}"
                views = shot_request(connection, world, path_cameras(frames), seed=number)
                list(connection.follow(connection.submit(views), shot))
                for path in [*(shot / "frames").iterdir(), *(shot / "depth").iterdir()]:
                    hashes[f"shot{number}/{path.parent.name}/{path.name}"] = file_sha256(path)
    finally:
        end(process)
    return hashes


@dataclass
class Scene:
    """The service that is there now, and what was done and seen so far."""

    folder: Path
    jobs: int
    """In a batch."""
    frames: int
    rng: random.Random
    service: subprocess.Popen
    first: int = 1
    """The first job of the next batch."""
    killed: Counter[str] = field(default_factory=Counter)
    spawned: dict[int, psutil.Process] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def batch(self, victims: Sequence[str], kills: int) -> None:
        """Have a batch of jobs done, while one of the victims after the other is killed until so many are."""
        deadline, killed = time.monotonic() + BATCH_S, 0
        client, signs, kill_at = self._client(), self._signs_of_work(), math.inf
        while client.poll() is None or client.returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"a batch was not done: {(self.folder / 'client.log').read_text()[-2000:]}")
            if client.poll() is not None:  # killed, or it gave up: somebody starts it again
                client = self._client()
            if self.service.poll() is not None:
                self.service = _start_again(self.folder)
            self._remember()
            time.sleep(0.05)
            if kill_at == math.inf and self._signs_of_work() > signs:  # or what was killed would be what only starts
                kill_at = time.monotonic() + self.rng.uniform(*PAUSE_S)
            victim = victims[killed % len(victims)]
            if killed < kills and time.monotonic() > kill_at and client.poll() is None and self._kill(victim, client):
                killed += 1
                self.killed[victim] += 1
                signs, kill_at = self._signs_of_work(), math.inf
        if self.service.poll() is not None:  # with the last kill
            self.service = _start_again(self.folder)
        numbers = range(self.first, self.first + self.jobs)
        for path in (path for number in numbers for path in (self.folder / f"shot{number}").glob("*/*")):
            self.hashes[path.relative_to(self.folder).as_posix()] = file_sha256(path)
        self.first += self.jobs

    def memory_at_rest(self) -> float:
        """The service's resident memory when nobody asks anything, MB."""
        time.sleep(3 * PROBE_INTERVAL_S)  # at rest it gives back what it read files into
        return psutil.Process(self.service.pid).memory_info().rss / 1e6

    def _signs_of_work(self) -> int:
        noted = units_file(self.folder / "store")
        files = sum(1 for number in range(self.jobs) for _ in (self.folder / f"shot{self.first + number}").glob("*/*"))
        return files + (noted.stat().st_size if noted.exists() else 0)

    def _client(self) -> subprocess.Popen:
        arguments = [str(value) for value in (self.folder, self.first, self.jobs, self.frames)]
        with (self.folder / "client.log").open("ab") as log:
            return subprocess.Popen([sys.executable, __file__, "client", *arguments], stdout=log, stderr=log)

    def _remember(self) -> None:
        try:
            service = psutil.Process(self.service.pid)
            for process in [service, *service.children(recursive=True)]:
                self.spawned[process.pid] = process
        except psutil.Error:
            pass

    def _kill(self, victim: str, client: subprocess.Popen) -> bool:
        if victim == "worker":
            try:
                psutil.Process(self.service.pid).children()[0].kill()
                return True
            except (psutil.Error, IndexError):
                return False
        chosen = self.service if victim == "service" else client
        chosen.kill()
        chosen.wait()
        return True


def _start_again(folder: Path) -> subprocess.Popen:
    for _ in range(20):
        try:
            return start_service(service_command(folder / "store"), timeout_s=120)[0]
        except ServiceError:  # the dead one's worker may still hold on for a moment
            time.sleep(0.2)
    raise SystemExit(f"the service did not start again: {runtime_file().with_name('service.log').read_text()[-2000:]}")


def chaos(folder: Path, kills: int, batches: int, jobs: int, frames: int, rng: random.Random) -> dict[str, float | str]:
    """Work in batches until so many processes were killed, then some more; what was lost, and what it took."""
    begun = time.monotonic()
    scene = Scene(folder, jobs, frames, rng, start_service(service_command(folder / "store"), timeout_s=120)[0])
    while (left := kills - scene.killed.total()) > 0:
        turn = scene.killed.total() % 3  # a batch goes on where the last one ended
        victims = ("service", "worker", "client")
        scene.batch(victims[turn:] + victims[:turn], left)
    all_kinds, last = Counter(scene.killed), scene.service
    memory = [scene.memory_at_rest()]
    for _ in range(batches):
        scene.batch(("worker", "client"), KILLS_LATER)
        memory.append(scene.memory_at_rest())
    assert scene.service is last, "the service ended without being killed"
    with Client(find_service(), timeout_s=60) as connection:
        unfinished = [job for job in connection.jobs() if job.state != "done"]
        connection.shutdown()
    last.wait(60)
    time.sleep(1)
    orphans = [p for p in scene.spawned.values() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    shots = range(1, scene.first)
    expected = undisturbed(folder, 1, len(shots), frames)
    store = Store(folder / "store")
    sweep(store)
    damaged = sum(not store.has_whole_unit(entry.name) for entry in entries(store) if entry.kind != "file")
    seen = list(map(int, (folder / "seen.txt").read_text().split()))
    noted = units_file(store.root).read_text().splitlines()
    both = expected.keys() & scene.hashes.keys()
    return {
        "killed": all_kinds.total(),
        "of these services": all_kinds["service"],
        "of these workers": all_kinds["worker"],
        "of these clients": all_kinds["client"],
        "workers and clients killed later": scene.killed.total() - all_kinds.total(),
        "shots": len(shots),
        "shots that a client had and, killed, fetched again": len(seen) - len(set(seen)),
        "units finished": sum(line.startswith("made") for line in noted),
        "units begun": sum(line.startswith("begun") for line in noted),
        "frames and depths expected": len(expected),
        "frames lost": len(expected.keys() - scene.hashes.keys()),
        "frames nobody asked for": len(scene.hashes.keys() - expected.keys()),
        "units made again though finished": made_in_vain(noted),
        "frames corrupt": sum(scene.hashes[name] != expected[name] for name in both) + damaged,
        "shots whose client saw no end": len(set(shots).difference(seen)),
        "jobs not done": len(unfinished),
        "half-written left in the store": len(list((store.root / "temporary").iterdir())),
        "orphan processes": len(orphans),
        MEMORY: ", ".join(f"{mb:.1f}" for mb in memory),
        GROWTH: round(100 * (memory[-1] / memory[0] - 1), 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def main() -> None:
    if sys.argv[1:2] == ["client"]:
        return client(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--batches", type=int, default=3, help="after the kills, for the memory")
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(name) / "runtime")
        os.environ["PYTHONPATH"] = str(ROOT)
        rng = random.Random(options.seed)
        result = chaos(Path(name), options.kills, options.batches, options.jobs, options.frames, rng)
    for text, count in result.items():
        print(f"{text}: {count}")
    done = (
        f"{result['killed']} kills, {result['shots']} shots, {result['frames and depths expected']} frames and depths: "
        + ", ".join(f"{result[text]} {text}" for text in NONE_ALLOWED)
        + f"; memory of the last service at rest, and after each batch of {options.jobs} shots more: "
        f"{result[MEMORY]} MB, {result[GROWTH]:+} %"
    )
    keep_proofs(options.json, {"random SIGKILLs of service, workers and clients while they work": done})
    wrong = [f"{result[text]} {text}" for text in NONE_ALLOWED if result[text]]
    if result[GROWTH] > 100 * MEMORY_GROWTH:
        wrong.append(f"its memory grew by more than {MEMORY_GROWTH:.0%}")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
