"""How fast a perspective view is taken out of a 360-degree panorama, beside py360convert.

    python benchmarks/extraction.py [--json docs/research/times.json]

The same 384 x 256 view of a 4096 x 2048 panorama, turning from one to the next as along a camera path. Both run
in turn, so that whatever else the machine does meets both; the ratio is of the medians.
"""

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import py360convert

from benchmarks.kept_tables import keep_rows
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.projection import extract_perspective
from tests.support.machine import machine

WIDTH, HEIGHT, FOV_X = 384, 256, math.radians(75)
REPEATS = 40
WANTED = 5.0


def measured() -> dict[str, float]:
    """Milliseconds a view: ours, py360convert's, and their ratio."""
    panorama = np.random.default_rng(0).integers(0, 256, (2048, 4096, 3), np.uint8)
    fov = (math.degrees(FOV_X), 2 * math.degrees(math.atan(math.tan(FOV_X / 2) * HEIGHT / WIDTH)))
    ours, theirs = [], []
    for turn in np.linspace(-170, 170, REPEATS):
        camera = placed_camera(WIDTH, HEIGHT, FOV_X, heading_rad=-math.radians(turn), pitch_rad=0.1)
        ours.append(_milliseconds(extract_perspective, panorama, camera))
        theirs.append(_milliseconds(py360convert.e2p, panorama, fov, turn, math.degrees(0.1), (HEIGHT, WIDTH)))
    ours_ms, theirs_ms = statistics.median(ours), statistics.median(theirs)
    return {"ours_ms": ours_ms, "py360convert_ms": theirs_ms, "ratio": theirs_ms / ours_ms}


def _milliseconds(function: Callable, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="put the ratio into the table of this file")
    options = parser.parse_args()
    figures = measured()
    print(f"extraction {WIDTH}x{HEIGHT} from 4096x2048 on {platform.processor() or platform.machine()}")
    print(f"  ours          {figures['ours_ms']:7.2f} ms")
    print(f"  py360convert  {figures['py360convert_ms']:7.2f} ms")
    print(f"  ratio         {figures['ratio']:7.1f} (wanted: at least {WANTED:.0f})")
    row = [
        "extracting a view from a panorama, as fast as py360convert",
        f"{figures['ratio']:.1f} times",
        "`benchmarks/extraction.py`",
    ]
    keep_rows(options.json, "waits", [["", "measured", "printed by"], row], extraction=machine())


if __name__ == "__main__":
    main()
