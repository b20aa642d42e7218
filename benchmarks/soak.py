"""Hours of work with clients that crash: does the service keep its memory and its descriptors?

    python benchmarks/soak.py [--minutes 30] [--clients 3] [--seed 0] [--json FILE]

Clients (processes of their own) hand in worlds and shots, follow them, cancel some, upload files and stop in the
middle, and every few seconds one of them is killed and another begins. Every other client copies results from the
store, as on the service's own machine, and the rest have them sent. The service's memory, open files and threads are
noted every second once some jobs are done; growth is the mean of the last tenth over the mean of the tenth after the
first. A short one, with the same checks, is among the tests.
"""

import argparse
import dataclasses
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kept_tables import keep_proofs
from benchmarks.own_service import end, start_service
from inference_service.client import Client, ServiceError, find_service
from inference_service.wire.requests import ShotRequest
from tests.support.double import service_command
from tests.support.service import path_cameras, world_request

ROOT = Path(__file__).resolve().parents[1]
WARM = 30
"""Jobs after which the service has its workers, threads and buffers, and what it holds is noted."""
WORLDS = 40
"""Different worlds that are asked for; the store is pruned now and then, so that they are made again."""


def misbehave(folder: Path, seed: int) -> None:
    """A client's process: work until killed."""
    rng = random.Random(seed)
    while True:
        try:
            service = find_service()
            if rng.random() < 0.5:
                service = dataclasses.replace(service, store="")
            with Client(service, timeout_s=60, previews=rng.random() < 0.5) as client:
                for _ in range(rng.randint(1, 5)):
                    _one_wish(client, folder, rng)
        except ServiceError as error:
            print(error, flush=True)


def _one_wish(client: Client, folder: Path, rng: random.Random) -> None:
    number = rng.randrange(WORLDS)
    world = client.submit(world_request(client, folder, seed=number))
    job = client.submit(ShotRequest(world_job=world, cameras=path_cameras(rng.choice((5, 9, 17))), seed=number))
    out = folder / f"out{os.getpid()}"
    wish = rng.random()
    if wish < 0.2:
        client.cancel(job)
    elif wish < 0.3:
        noise = folder / f"noise{os.getpid()}"
        noise.write_bytes(os.urandom(3_000_000))
        client.upload(noise)
    elif wish < 0.4:
        client.jobs()
        client.service_status()
        client.ping()
    elif wish < 0.5:
        next(iter(client.follow(job, out)))  # and away
    else:
        for _ in client.follow(job, out, patience_s=60):
            pass


def main() -> None:
    if sys.argv[1:2] == ["client"]:
        return misbehave(Path(sys.argv[2]), int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(name) / "runtime")
        os.environ["PYTHONPATH"] = str(ROOT)
        result = soak(Path(name), 60 * options.minutes, options.clients, random.Random(options.seed))
    for text, value in result.items():
        print(f"{text}: {value}")
    done = (
        f"{result['minutes']:g} minutes, {result['clients killed']} clients killed: "
        f"memory {result['memory early, MB']} MB early, {result['memory late, MB']} MB late, "
        f"{result['memory growth, %']:+} %; its tenths {result['memory by tenths, MB']} MB; "
        f"descriptors {result['descriptors, fewest early']} early, "
        f"{result['descriptors when the clients are gone']} when the clients are gone; "
        f"{result['threads more at the end']} threads more, {result['processes left behind']} processes left behind"
    )
    title = f"worlds and shots for {options.clients} clients, of which one after another is killed"
    keep_proofs(options.json, {title: done})
    if (
        result["memory growth, %"] >= 5
        or result["descriptors more at the end"] > 5
        or result["threads more at the end"]
    ):
        sys.exit("it leaks")


def soak(folder: Path, seconds: float, count: int, rng: random.Random, at_least: int = 0) -> dict[str, Any]:
    """Run so long, and until `at_least` clients were killed and as many jobs done, but at most ten minutes more.

    Returns how memory, descriptors and threads developed, and what was done.
    """
    process, _ = start_service(service_command(folder / "store"), timeout_s=120)
    service = psutil.Process(process.pid)
    clients = [_client(folder, rng) for _ in range(count)]
    memory, descriptors, threads, kills = [], [], [], 0
    done = 0
    try:
        with Client(timeout_s=60) as steward:
            while steward.service_status().states["done"] < WARM:
                time.sleep(0.1)
            until = time.monotonic() + seconds
            tidy_at = kill_at = time.monotonic()
            while (now := time.monotonic()) < until or (min(done, kills) < at_least and now < until + 600):
                memory.append(service.memory_info().rss)
                descriptors.append(service.num_fds())
                threads.append(service.num_threads())
                done = steward.service_status().states["done"]
                if now > kill_at:
                    kill_at = now + rng.uniform(1, 4)
                    victim = clients.pop(rng.randrange(len(clients)))
                    victim.kill()
                    victim.wait()
                    kills += 1
                    clients.append(_client(folder, rng))
                if now > tidy_at:
                    tidy_at = now + 20
                    steward.prune(0, 0)
                time.sleep(min(1.0, seconds / 30))
    finally:
        for client in clients:
            client.kill()
            client.wait()
    time.sleep(2)
    descriptors_at_end, threads_at_end = service.num_fds(), service.num_threads()
    workers = service.children(recursive=True)
    end(process)
    _, left = psutil.wait_procs(workers, timeout=10)
    tenth = max(1, len(memory) // 10)
    tenths = range(0, len(memory) - tenth + 1, tenth)
    early, late = memory[tenth : 2 * tenth], memory[-tenth:]
    growth = (sum(late) / len(late)) / (sum(early) / len(early)) - 1
    return {
        "minutes": round(seconds / 60, 1),
        "clients killed": kills,
        "jobs remembered as done": done,
        "memory early, MB": round(sum(early) / len(early) / 1e6, 1),
        "memory late, MB": round(sum(late) / len(late) / 1e6, 1),
        "memory growth, %": round(100 * growth, 1),
        "memory by tenths, MB": " ".join(f"{statistics.mean(memory[i : i + tenth]) / 1e6:.1f}" for i in tenths),
        "descriptors, fewest early": min(descriptors[tenth : 2 * tenth]),
        "descriptors when the clients are gone": descriptors_at_end,
        "descriptors more at the end": max(0, descriptors_at_end - min(descriptors[tenth : 2 * tenth])),
        "threads more at the end": max(0, threads_at_end - min(threads[tenth : 2 * tenth])),
        "processes left behind": len(left),
    }


def _client(folder: Path, rng: random.Random) -> subprocess.Popen:
    arguments = [sys.executable, __file__, "client", str(folder), str(rng.randrange(10**9))]
    with (folder / "clients.log").open("ab") as log:
        return subprocess.Popen(arguments, stdout=log, stderr=log)


if __name__ == "__main__":
    main()
