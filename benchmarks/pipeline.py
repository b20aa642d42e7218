"""What an artist waits for: a world and a 48-frame shot through the service, cold and warm, and their memory.

    python benchmarks/pipeline.py [--repeats 3] [--photo PHOTO] [--json docs/research/times.json] [--waiting]

Starts a service of its own with an empty store. The cold world counts the loading of the models; the warm ones (other
seeds, so nothing is in the store) are timed from submit to the last file on disk, as the client sees it.

`--waiting` measures only the warm world, 1024 wide, for each way in which threads may wait for each other (spin, as
torch does by itself; spin briefly, as a worker of ours does; sleep at once), on the machine as it is and beside a
program that takes one core, as a render in Blender would. Each figure is printed as soon as it is there: about two
minutes in all on two idle cores.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.kept_tables import keep_rows
from benchmarks.own_service import end, start_service
from benchmarks.transport import picture
from inference_service.client import Client, Finished, ServiceAddress
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, ShotRequest, WorldRequest
from lookbeyond.files import write_png
from lookbeyond.geometry.cameras import placed_camera
from tests.end_to_end.demo import Settings, hotel_room, take_photo
from tests.support.machine import PeakMemory, machine

PROGRAM = str(Path(sys.executable).with_name("lookbeyond"))
BLENDER_PYTHON = Path(__file__).resolve().parents[1] / ".venv-blender" / "bin" / "python"


def finished(client: Client, request: WorldRequest | ShotRequest, folder: Path) -> float:
    """Seconds from submit until every file is on disk."""
    started = time.perf_counter()
    job = client.submit(request)
    assert any(isinstance(event, Finished) for event in client.follow(job, folder))
    return time.perf_counter() - started


def walk(frames: int = 48) -> list[dict]:
    """A walk of 0.8 m that turns by 65 degrees, 384 x 256, from the photo's place."""
    cameras = []
    for step in np.linspace(0, 1, frames):
        turn = math.radians(65) * step
        position = (0.75 * step, -0.3 * step**2, 0)
        cameras.append(placed_camera(384, 256, math.radians(65), heading_rad=-turn, position=position).to_dict())
    return cameras


def measure(service: ServiceAddress, photo: Path, scratch: Path, repeats: int) -> dict[str, float]:
    camera = placed_camera(1024, 768, math.radians(75), pitch_rad=math.radians(-9)).to_dict()
    with Client(service) as client:
        image = client.upload(photo)
        worlds = [
            finished(client, WorldRequest(photo=image, camera=camera, seed=seed), scratch / f"world{seed}")
            for seed in range(repeats + 1)
        ]
        shots = []
        for seed in range(1, repeats + 1):
            files = {name: client.upload(scratch / f"world{seed}" / name) for name in (*WORLD_FILES, *WORLD_LAYERS)}
            request = ShotRequest(world=files, cameras=walk(), seed=seed)
            shots.append(finished(client, request, scratch / f"shot{seed}"))
    return {
        "world of 4096 x 2048 with its clean plate, from submission to the last file, models loaded": statistics.median(
            worlds[1:]
        ),
        "the same, cold": worlds[0],
        "48 frames of 384 x 256 with depth, in a drawn room, models loaded": statistics.median(shots),
    }


WAITING = {"spin": {}, "spin briefly (ours)": {"GOMP_SPINCOUNT": "1000"}, "sleep": {"OMP_WAIT_POLICY": "PASSIVE"}}


def measure_waiting(photo: Path, scratch: Path, repeats: int) -> Iterator[tuple[str, float]]:
    camera = placed_camera(1024, 768, math.radians(75), pitch_rad=math.radians(-9)).to_dict()
    for number, (name, chosen) in enumerate(WAITING.items()):
        for variable in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"):
            os.environ.pop(variable, None)
        # without any of the two the worker would choose: libgomp's own count is given instead
        os.environ.update(chosen or {"GOMP_SPINCOUNT": "300000"})
        process, service = start_service([PROGRAM, "serve", "--no-warm", "--store", str(scratch / f"store{number}")])
        try:
            with Client(service) as client:
                request = WorldRequest(photo=client.upload(photo), camera=camera, width=1024)
                finished(client, request, scratch / f"cold{number}")
                for beside in (0, 1):
                    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)]
                    try:
                        times = [
                            finished(client, replace(request, seed=1 + seed + beside * repeats), scratch / "warm")
                            for seed in range(repeats)
                        ]
                    finally:
                        for other in busy:
                            other.kill()
                            other.wait()
                    yield f"{name}, {'beside one busy core' if beside else 'alone'}", statistics.median(times)
        finally:
            end(process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--photo", type=Path, help="a 4:3 photo of 75 degrees; else one of Blender's hotel room")
    parser.add_argument("--json", type=Path, help="put the figures into the table of this file")
    parser.add_argument("--waiting", action="store_true", help="compare the ways in which threads may wait")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(scratch / "runtime")
        photo = options.photo or scratch / "photo.png"
        if options.waiting:
            print(machine(), flush=True)
            if not options.photo:
                write_png(photo, picture(1024, 768))
            for name, seconds in measure_waiting(photo, scratch, options.repeats):
                print(f"a warm world, threads {name:<42} {seconds:7.1f} s", flush=True)
            return
        if not options.photo:
            write_png(photo, take_photo(hotel_room(BLENDER_PYTHON), Settings()))
        process, service = start_service([PROGRAM, "serve", "--store", str(scratch / "store")])
        memory = PeakMemory(os.getpid())
        memory.start()
        try:
            figures = measure(service, photo, scratch, options.repeats)
        finally:
            memory.stop()
            end(process)
    print(machine())
    rows = [[name, f"{seconds:.1f} s", "`benchmarks/pipeline.py`"] for name, seconds in figures.items()]
    rows.append(["peak memory of service and worker", f"{memory.peak / 1e9:.2f} GB", "`benchmarks/pipeline.py`"])
    for name, figure, _ in rows:
        print(f"{name:<92} {figure}")
    keep_rows(options.json, "waits", [["", "measured", "printed by"], *rows], pipeline=machine())


if __name__ == "__main__":
    main()
