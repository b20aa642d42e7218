"""Photos that are too dark, too bright, shaken or noisy: how much worse does their world become, and from where on?

    python benchmarks/degraded.py [--rooms 0-7] [--width 512] [--as-is] [--json docs/research/degraded.json]

The photo of each held-out room is degraded in steps; its world is held to the room's truth, which for exposures is
exposed alike. PSNR of the colour that nobody saw, weighted by area, and AbsRel of the distance that the photo shows,
medians and means over rooms. Dark photos are painted in usual light and darkened again (`photo/exposure.py`), noisy
ones are drawn from what is left without noise (`photo/grain.py`; the noise that is put around the photo again is left
out here); `--as-is` leaves both out, and degrades no photo where that is the same.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_rows
from lookbeyond.evaluation.scenes import Scene, held_out_room
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.photo.exposure import exposed
from lookbeyond.pipelines.scene import ScenePipeline

Degrade = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
STOPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
SHAKEN_PX = (2, 5, 10, 20)
NOISE = (5, 10, 20, 40)
HEAD = ["photo", "unseen colour, dB: median", "mean", "seen distance, AbsRel: median", "rooms found"]


def shaken(photo: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Blurred along a diagonal of so many pixels."""
    kernel = np.eye(length, dtype=np.float32) / length
    return cv2.filter2D(photo, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def noisy(photo: NDArray[np.uint8], deviation: float) -> NDArray[np.uint8]:
    grain = np.random.default_rng(0).normal(0, deviation, photo.shape)
    return (photo + grain).round().clip(0, 255).astype(np.uint8)


def steps() -> Iterator[tuple[str, float, Degrade]]:
    """What is done to a photo, and by how many stops its truth is exposed otherwise."""
    for stops in STOPS:
        yield f"{stops:+.0f} stops", stops, lambda photo, stops=stops: exposed(photo, stops)
    for length in SHAKEN_PX:
        yield f"shaken by {length} px", 0.0, lambda photo, length=length: shaken(photo, length)
    for deviation in NOISE:
        yield f"noise of {deviation} levels", 0.0, lambda photo, deviation=deviation: noisy(photo, deviation)


def hidden_psnr(world: Panorama, scene: Scene, stops: float) -> float:
    """dB of what nobody saw, by area."""
    height, width = world.from_photo.shape
    truth = exposed(cv2.resize(scene.sharp_panorama.colour, (width, height), interpolation=cv2.INTER_AREA), stops)
    rows = np.cos((0.5 - (np.arange(height) + 0.5) / height) * np.pi)[:, None]
    weight = rows * (world.from_photo == 0)
    error = ((world.colour.astype(np.float32) - truth) ** 2).mean(-1)
    return float(10 * np.log10(255**2 * weight.sum() / (error * weight).sum()))


def seen_error(world: Panorama, scene: Scene) -> float:
    """AbsRel of the distance where the photo saw it."""
    truth = cv2.resize(scene.sharp_panorama.distance, world.distance.shape[::-1], interpolation=cv2.INTER_NEAREST)
    seen = cv2.resize(world.from_photo, world.distance.shape[::-1], interpolation=cv2.INTER_NEAREST) == 255
    return float((np.abs(world.distance - truth) / truth)[seen].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", default="0-7", help="numbers of held-out rooms, first-last")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--as-is", action="store_true", help="dark photos as dark as they are, noise as it is")
    parser.add_argument("--only", default="", help="only what begins with this, such as noise")
    parser.add_argument("--json", type=Path, help="put each row into the table of this file")
    options = parser.parse_args()
    first, _, last = options.rooms.partition("-")
    scenes = [held_out_room(number) for number in range(int(first), int(last or first) + 1)]
    pipeline = ScenePipeline.from_preset("builtin")
    print(rows_as_markdown([HEAD]), end="")
    settings = {"rooms": len(scenes), "first_room": int(first), "width": options.width}
    settings |= {"preset": pipeline.preset, "revision": pipeline.revision}
    for name, stops, degrade in steps():
        if not name.startswith(options.only) or (options.as_is and stops >= 0 and not name.startswith("noise")):
            continue
        psnr, error, rooms = [], [], 0
        for scene in scenes:
            photo = degrade(scene.photo)
            given = {"camera_height": scene.camera_height, "width": options.width, "seed": 1}
            world = pipeline.build_world(photo, scene.camera, **given)
            psnr.append(hidden_psnr(world, scene, stops))
            error.append(seen_error(world, scene))
            rooms += world.place.kind == "room"
        title = f"{name}, taken as it is" if options.as_is else name
        figures = [f"{np.median(psnr):.2f}", f"{np.mean(psnr):.2f}", f"{np.median(error):.3f}"]
        row = [title, *figures, f"{rooms} of {len(scenes)}"]
        print("| " + " | ".join(row) + " |", flush=True)
        keep_rows(options.json, "degraded", [HEAD, row], **settings)


if __name__ == "__main__":
    with (
        contextlib.ExitStack() as as_is,
        patch("lookbeyond.layout.world.with_grain", lambda colour, deviation, seed: colour),
    ):
        if "--as-is" in sys.argv:
            for module in ("panorama", "scene"):
                as_is.enter_context(patch(f"lookbeyond.pipelines.{module}.missing_stops", lambda photo: 0.0))
            as_is.enter_context(patch("lookbeyond.pipelines.scene.denoised", lambda photo: photo))
        main()
