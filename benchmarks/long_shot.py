"""One long shot through the whole service: is every frame there as it was made, and what does the service hold?

    python benchmarks/long_shot.py [--frames 3000] [--json FILE]

Stand-ins draw the pictures. The client follows the shot to its end; every file is then held against its checksum, and
the frames of which the path has the same camera twice against each other. Prints how many files came, and the most
memory that the service's process held. Fails if a file is missing or wrong.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.hd import PeakWatch
from benchmarks.kept_tables import keep_proofs
from benchmarks.own_service import end, start_service
from inference_service.client import Client, Finished
from inference_service.wire.files import artifact_of
from inference_service.wire.requests import ShotRequest
from lookbeyond.geometry.cameras import placed_camera
from tests.support.double import service_command
from tests.support.service import world_request

ROOT = Path(__file__).resolve().parents[1]
LAP = 1000
"""Frames after which the path goes the same way again."""


def path(frames: int) -> list[dict]:
    """A walk of a metre that turns, the same way again and again."""
    steps = [i % LAP for i in range(frames)]
    return [
        placed_camera(96, 64, 1.2, heading_rad=0.02 * step, position=(0.001 * step, 0, 1.6)).to_dict() for step in steps
    ]


def shoot(folder: Path, frames: int) -> tuple[list[str], str]:
    """What was wrong; and what was found, in words."""
    process, service = start_service(service_command(folder / "store"), timeout_s=120)
    service_process = psutil.Process(process.pid)
    at_first, peak = service_process.memory_info().rss, PeakWatch(service_process)
    begun = time.monotonic()
    try:
        with Client(service, timeout_s=120) as client:
            world = client.submit(world_request(client, folder))
            job = client.submit(ShotRequest(world_job=world, cameras=path(frames)))
            files = next(event.files for event in client.follow(job, folder / "S") if isinstance(event, Finished))
            artifacts = client.status(job).artifacts
    finally:
        most_gib = peak.stop()
        end(process)
    wrong = [file.name for file in artifacts if artifact_of(folder / "S" / file.name, file.name) != file]
    hashes = {file.name: file.sha256 for file in artifacts}
    repeated = [f"frames/{i + 1:04d}.png" for i in range(LAP, frames)]
    before = [f"frames/{i + 1 - LAP:04d}.png" for i in range(LAP, frames)]
    other = sum(hashes[one] != hashes[two] for one, two in zip(repeated, before))
    print(
        f"{frames} frames: {len(files)} files, {len(wrong)} not as they were made, in {time.monotonic() - begun:.0f} s"
    )
    print(f"{len(repeated)} frames with the camera of an earlier one, {other} of them other pictures")
    first_mb, most_mb = at_first / 1e6, most_gib * 2**30 / 1e6
    print(f"memory of the service: {first_mb:.1f} MB at first, at most {most_mb:.1f} MB")
    missing = [f"{name} is missing" for name in _expected(frames) if name not in files]
    result = (
        f"{frames} frames: {len(files)} files, {len(missing)} missing, {len(wrong)} not as they were made, of "
        f"{len(repeated)} frames with the camera of an earlier one {other} other pictures; the service's process had "
        f"{first_mb:.1f} MB at first, at most {most_mb:.1f} MB"
    )
    return missing + [f"{name} is wrong" for name in wrong], result


def _expected(frames: int) -> list[str]:
    numbers = range(1, frames + 1)
    each = [f"{part}/{i:04d}.{form}" for i in numbers for part, form in (("frames", "png"), ("depth", "exr"))]
    return [*each, *(f"depth/{i:04d}.png" for i in numbers), "shot.json", "transforms.json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(name) / "runtime")
        os.environ["PYTHONPATH"] = str(ROOT)
        wrong, result = shoot(Path(name), options.frames)
    keep_proofs(options.json, {f"a shot through the whole service, the path the same way every {LAP} frames": result})
    if wrong:
        sys.exit("; ".join(wrong[:5]))


if __name__ == "__main__":
    main()
