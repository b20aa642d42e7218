"""How long it takes to plan paths of which each frame is an anchor, in processor time.

    python benchmarks/planning.py [--frames 2500,5000,10000] [--json FILE]

Two paths: frames anywhere in a box with a side of a metre that look anywhere, and a camera that whirls by 45 degrees a
frame while it walks in a circle. Fails if 10 000 frames take more than `MOST_S`.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.kept_tables import keep_proofs
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.panorama import Panorama

MOST_S = 10.0


def anywhere(count: int) -> list[Camera]:
    rng = np.random.default_rng(3)
    return [
        placed_camera(
            96,
            64,
            1.2,
            heading_rad=rng.uniform(-3, 3),
            pitch_rad=rng.uniform(-0.5, 0.5),
            position=tuple(rng.uniform((-0.5, -0.5, 1.1), (0.5, 0.5, 2.1))),
        )
        for _ in range(count)
    ]


def whirling(count: int) -> list[Camera]:
    return [
        placed_camera(
            96,
            64,
            1.2,
            heading_rad=i * math.radians(45.001),
            position=(0.5 * math.sin(i / 1000), 0.5 * math.cos(i / 1000), 1.6),
        )
        for i in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", default="2500,5000,10000")
    parser.add_argument("--json", type=Path, help="put the result into this file, beside what is in it")
    options = parser.parse_args()
    shape = (256, 512)
    panorama = Panorama(
        np.zeros((*shape, 3), np.uint8),
        np.full((128, 256), 3.0, np.float32),
        np.zeros(shape, np.uint8),
        origin=(0, 0, 1.6),
        preset="builtin",
        seed=0,
        revision="",
    )
    most_s, kinds = 0.0, []
    for make, text in ((anywhere, "frames lie and look anywhere"), (whirling, "the camera whirls")):
        costs = []
        for count in map(int, options.frames.split(",")):
            cameras = make(count)
            begun = time.process_time()
            plan = plan_shot(cameras, panorama, frames_per_clip=2)
            seconds = time.process_time() - begun
            most_s = max(most_s, seconds if count <= 10_000 else 0.0)
            print(f"{make.__name__}: {count} frames, {len(plan.anchors)} anchors: {seconds:.2f} s of processor time")
            costs.append(f"{count} frames ({len(plan.anchors)} anchors) {seconds:.2f} s")
        kinds.append(f"where {text}: {', '.join(costs)}")
    title = "paths are planned of which each frame is an anchor, in processor time"
    keep_proofs(options.json, {title: "; ".join(kinds)})
    if most_s > MOST_S:
        sys.exit(f"a plan took {most_s:.1f} s")


if __name__ == "__main__":
    main()
