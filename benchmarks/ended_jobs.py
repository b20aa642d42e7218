"""What ended jobs cost a service that starts: its memory and its time, with many ended jobs of long shots in its list.

    python benchmarks/ended_jobs.py [--jobs 1000] [--frames 10000] [--json FILE]

A third of them are done, a third have failed, a third were cancelled; each has its own row with all cameras, and a list
of three files a frame, which lie in the store. The list of jobs is then opened in a fresh process, as a service does.

Prints how much more memory that process has for it, and after the state of ten of them was asked for. Fails above
`MEMORY_MB`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.kept_tables import keep_proofs
from inference_service.jobs.database import JobDatabase
from inference_service.jobs.job import Delivery, Job
from inference_service.jobs.queue import JobQueue
from inference_service.store.store import Store
from inference_service.wire.files import Artifact
from inference_service.wire.requests import WORLD_FILES, ShotRequest
from inference_service.work.requests import check
from tests.support.service import path_cameras

ROOT = Path(__file__).resolve().parents[1]
MEMORY_MB = 100.0
FRAMES_PER_UNIT = 13
STATES = ("done", "failed", "cancelled")


def fill(folder: Path, jobs: int, frames: int) -> None:
    """A store with so many ended jobs."""
    store = Store(folder)
    deliveries: dict[str, Delivery] = {}
    for number in range(-(-frames // FRAMES_PER_UNIT)):
        identity = f"{number:064x}"
        names = [f"frames/{i + 1:04d}.png" for i in range(FRAMES_PER_UNIT)]
        names += [f"depth/{i + 1:04d}.{form}" for i in range(FRAMES_PER_UNIT) for form in ("exr", "png")]
        with store.temporary() as unit:
            for name in names:
                (unit / name).parent.mkdir(exist_ok=True)
                (unit / name).write_text(f"{identity} {name}")
            store.commit(unit, identity, 1.0, "clip")
        for artifact in store.record(identity).artifacts:
            part, _, rest = artifact.name.partition("/")
            own, _, form = rest.partition(".")
            frame = number * FRAMES_PER_UNIT + int(own)
            if frame <= frames:
                name = f"{part}/{frame:04d}.{form}"
                named = Artifact(name, artifact.size, artifact.sha256, artifact.crc32)
                deliveries[name] = Delivery(named, identity, artifact.name)
    cameras = path_cameras(frames, turn=1e-4)
    for camera in cameras:
        camera["camera_to_world"][0][3] %= 0.5
    checked = check(ShotRequest(world=dict.fromkeys(WORLD_FILES, "ab" * 32), cameras=cameras))
    database = JobDatabase(folder / "jobs.sqlite")
    first = Job("0" * 64, checked, "r", 0.0, "done", artifacts=deliveries)
    database.save(first)
    database.end(first)
    execute = database.connection.execute
    execute("PRAGMA synchronous = OFF")
    for number in range(1, jobs):
        job = Job(f"{number:064x}", first.request, "r", float(number), STATES[number % 3], "failed", "It failed.")
        database.connection.execute("BEGIN")
        database._put(job, execute("SELECT request FROM jobs WHERE id = ?", (first.id,)).fetchone()[0])
        execute("INSERT INTO details SELECT ?, request, listing FROM details WHERE id = ?", (job.id, first.id))
        execute("COMMIT")
    database.close()


def opened(folder: Path) -> None:
    """In a process of its own: open the list of jobs, and look at some of them."""
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.monotonic()
    queue = JobQueue(Store(folder))
    seconds = time.monotonic() - begun
    at_start = process.memory_info().rss
    listed = len(queue.statuses.all())
    files = 0
    for job in list(queue.jobs.values())[:: max(1, listed // 10)]:
        files += len(queue.statuses.of(queue.recall(job)).artifacts)
    after = process.memory_info().rss
    queue.close()
    print(json.dumps([listed, files, seconds, *[(rss - before) / 1e6 for rss in (at_start, after)]]))


def main() -> None:
    if sys.argv[1:2] == ["opened"]:
        return opened(Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        fill(folder, options.jobs, options.frames)
        stored = (folder / "jobs.sqlite").stat().st_size
        command = [sys.executable, __file__, "opened", str(folder)]
        out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    listed, files, seconds, at_start, after = json.loads(out)
    print(f"{listed} ended jobs of {options.frames} frames, {stored / 1e6:.0f} MB on the disk; {files} files asked for")
    print(
        f"memory: {at_start:.1f} MB more after the start, {after:.1f} MB after the questions (allowed: {MEMORY_MB:.0f})"
    )
    print(f"the start took {seconds:.1f} s")
    result = (
        f"{listed} jobs of {options.frames} frames each, {stored / 1e9:.1f} GB on the disk: "
        f"{at_start:.1f} MB more memory after a start, which took {seconds:.1f} s, {after:.1f} MB after the files "
        "of ten were asked for"
    )
    keep_proofs(options.json, {"a service starts with many ended jobs of long shots in its list": result})
    if listed != options.jobs or not files or max(at_start, after) > MEMORY_MB:
        sys.exit("ended jobs take too much, or were forgotten")


if __name__ == "__main__":
    main()
