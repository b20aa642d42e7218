"""Kill the service, its worker and its client at random, over a batch of small jobs, and count what was lost.

    python benchmarks/kills.py [--kills 100] [--jobs 6] [--frames 25] [--seed 0]

Client, service and worker are processes of their own; each kill is SIGKILL at a random moment, to one of the three
in turn. Whatever is dead is started again, as a supervisor would. Batches follow each other until all kills are
done; each batch's frames are compared, byte for byte, with those of the same work done undisturbed.
Prints: frames lost, doubled and corrupt, processes left over, and the service's memory at the start and at the end.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.own_service import end, start_service
from inference_service.client import Client, Finished, ServiceError, find_service
from inference_service.protocol import ShotRequest, file_sha256, runtime_file
from inference_service.server import PROBE_INTERVAL_S
from inference_service.store import Store
from tests.inference_service.conftest import SLOW, path_cameras, shot_request, world_request
from tests.inference_service.double import service_command

ROOT = Path(__file__).resolve().parents[1]
PAUSE_S = (0.1, 1.2)
"""Between two kills."""


def work(arguments: Sequence[str]) -> None:
    """The client's process: hand in all jobs of a batch, or find them again, and fetch every file."""
    folder, first, jobs, frames = Path(arguments[0]), *map(int, arguments[1:])
    journal = (folder / "journal.txt").open("a")
    patience = {"patience_s": 120.0}
    with Client(timeout_s=60) as client:
        requests: list[ShotRequest] = []
        for number in range(first, first + jobs):
            world = client.submit(world_request(client, folder, steer=SLOW, seed=number))
            requests.append(ShotRequest(world_job=world, cameras=path_cameras(frames), seed=number))
        for number, request in enumerate(requests, first):
            job = client.submit(request)
            for event in client.follow(job, folder / f"shot{number}", **patience):
                if isinstance(event, Finished):
                    journal.write(f"{number}\n")
                    journal.flush()


def client_process(folder: Path, first: int, jobs: int, frames: int) -> subprocess.Popen:
    arguments = [str(value) for value in (folder, first, jobs, frames)]
    with open(folder / "client.log", "ab") as log:
        return subprocess.Popen([sys.executable, __file__, "client", *arguments], stdout=log, stderr=log)


def undisturbed(folder: Path, first: int, jobs: int, frames: int) -> dict[str, str]:
    """The hashes of the same frames, made by the same service without an accident, in another store."""
    process, service = start_service(service_command(folder / "quiet"))
    hashes = {}
    try:
        with Client(service, timeout_s=60) as client:
            for number in range(first, first + jobs):
                world = folder / f"quiet-world{number}"
                list(client.follow(client.submit(world_request(client, folder, steer=SLOW, seed=number)), world))
                shot = folder / f"quiet-shot{number}"
                request = shot_request(client, world, path_cameras(frames), seed=number)
                list(client.follow(client.submit(request), shot))
                for path in [*(shot / "frames").iterdir(), *(shot / "depth").iterdir()]:
                    hashes[f"shot{number}/{path.parent.name}/{path.name}"] = file_sha256(path)
    finally:
        end(process)
    return hashes


def main() -> None:
    if sys.argv[1:2] == ["client"]:
        return work(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(name) / "runtime")
        os.environ["PYTHONPATH"] = str(ROOT)
        result = chaos(Path(name), options.kills, options.jobs, options.frames, random.Random(options.seed))
    for text, count in result.items():
        print(f"{text}: {count}")
    bad = sum(result[key] for key in ("frames lost", "frames doubled", "frames corrupt", "orphan processes"))
    sys.exit(f"{bad} losses" if bad else 0)


def chaos(folder: Path, kills: int, jobs: int, frames: int, rng: random.Random) -> dict[str, float]:
    """Work in batches until so many processes were killed; what was lost, and what it took."""
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    spawned: dict[int, psutil.Process] = {}
    command = service_command(folder / "store")
    process, _ = start_service(command, timeout_s=120)
    memory_at_start = psutil.Process(process.pid).memory_info().rss
    first, hashes = 1, {}
    while counts["killed"] < kills:
        client = client_process(folder, first, jobs, frames)
        while client.poll() is None or client.returncode != 0:
            if client.poll() is not None:  # killed, or it gave up: somebody starts it again
                client = client_process(folder, first, jobs, frames)
            if process.poll() is not None:
                process, _ = _start_again(command)
            _remember(process.pid, spawned)
            time.sleep(rng.uniform(*PAUSE_S))
            if counts["killed"] < kills and client.poll() is None:
                victim = ("service", "worker", "client")[counts["killed"] % 3]
                if _kill(victim, process, client):
                    counts["killed"] += 1
                    counts[victim] += 1
        hashes |= {
            f"shot{number}/{path.parent.name}/{path.name}": file_sha256(path)
            for number in range(first, first + jobs)
            for path in (folder / f"shot{number}").glob("*/*")
        }
        first += jobs
    with Client(find_service(), timeout_s=60) as connection:
        time.sleep(3 * PROBE_INTERVAL_S)  # at rest it gives back what it read files into
        memory_at_end = psutil.Process(process.pid).memory_info().rss
        unfinished = [job for job in connection.jobs() if job.state != "done"]
        connection.shutdown()
    process.wait(60)
    time.sleep(1)
    orphans = [p for p in spawned.values() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    expected = undisturbed(folder, 1, first - 1, frames)
    store = Store(folder / "store")
    store.sweep()
    damaged = sum(not store.has_whole_unit(entry.name) for entry in store.entries() if entry.kind != "file")
    lines = (folder / "journal.txt").read_text().split()
    return {
        "killed": counts["killed"],
        "of these services": counts["service"],
        "of these workers": counts["worker"],
        "of these clients": counts["client"],
        "shots": first - 1,
        "frames and depths expected": len(expected),
        "frames lost": len(expected.keys() - hashes.keys()),
        "frames doubled": len(hashes.keys() - expected.keys()) + (first - 1 - len(set(lines))),
        "frames corrupt": sum(hashes[name] != expected[name] for name in expected.keys() & hashes.keys()) + damaged,
        "jobs not done": len(unfinished),
        "half-written left in the store": len(list((store.root / "temporary").iterdir())),
        "orphan processes": len(orphans),
        "memory of the service at the start, MB": round(memory_at_start / 1e6, 1),
        "memory of the service at the end, MB": round(memory_at_end / 1e6, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _start_again(command: Sequence[str]):
    for _ in range(20):
        try:
            return start_service(command, timeout_s=120)
        except ServiceError:  # the dead one's worker may still hold on for a moment
            time.sleep(0.2)
    raise SystemExit(f"the service did not start again: {runtime_file().with_name('service.log').read_text()[-2000:]}")


def _remember(pid: int, spawned: dict[int, psutil.Process]) -> None:
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            spawned[process.pid] = process
    except psutil.Error:
        pass


def _kill(victim: str, service: subprocess.Popen, client: subprocess.Popen) -> bool:
    if victim == "worker":
        try:
            workers = psutil.Process(service.pid).children()
            workers[0].kill()
            return True
        except (psutil.Error, IndexError):
            return False
    chosen = service if victim == "service" else client
    chosen.kill()
    chosen.wait()
    return True


if __name__ == "__main__":
    main()
