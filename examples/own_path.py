"""A camera path of one's own, as a transforms.json that `lookbeyond shot` takes.

    python examples/own_path.py path.json
    lookbeyond shot out/world --cameras path.json --out out/shot

The camera stands on an arc around a point two metres ahead and looks at it. Metres, Z up; the world's photo was taken
at the origin and, without a heading, looks along +X.
"""

import math
import sys
from pathlib import Path

import numpy as np

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.transforms import write_transforms

AHEAD_M = 2.0


def arc(frames: int = 25, turn_deg: float = 20.0) -> list[Camera]:
    """Cameras from half the turn on the left of the point to half of it on the right."""
    cameras = []
    for turn_rad in np.radians(np.linspace(turn_deg / 2, -turn_deg / 2, frames)):
        position = (AHEAD_M * (1 - math.cos(turn_rad)), -AHEAD_M * math.sin(-turn_rad), 0.0)
        cameras.append(placed_camera(384, 256, math.radians(60), heading_rad=-turn_rad, position=position))
    return cameras


def main(out: Path) -> None:
    cameras = arc()
    write_transforms(out, cameras, [f"frames/{number:04d}.png" for number in range(1, len(cameras) + 1)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
