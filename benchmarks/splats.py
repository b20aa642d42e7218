"""How well splats show held-out rooms: from the photo's camera, and from 0.5 m aside of it.

    python benchmarks/splats.py [--rooms 16] [--json docs/research/splats.json]

Worlds are true panoramas, 1024 pixels around; frames have the photo's pixels, or as many as the panorama has of it.
Splats are drawn by the tests' reference rasteriser, through the quantities that the files hold.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_table
from lookbeyond.evaluation.scenes import held_out_room
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.exchange.splats import world_splats
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.geometry.warping import warp_to_view
from tests.support.splats import aside, drawn, psnr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", type=int, default=16, help="how many")
    parser.add_argument("--json", type=Path, help="put the table into this file")
    options = parser.parse_args()
    figures = []
    for seed in range(options.rooms):
        scene = held_out_room(seed)
        world = scene.sharp_panorama
        splats = world_splats(world)
        camera = as_fine(scene.camera, world.colour.shape[1])
        image, _ = drawn(splats, camera)
        inside = np.zeros(image.shape[:2], bool)
        inside[2:-2, 2:-2] = True
        photo = psnr(image, extract_perspective(world.colour, camera, world.heading_rad) / 255, inside)
        moved = aside(camera, 0.5)
        truth, warped = scene.views([moved])[0], warp_to_view(world, moved)
        visible = warped.known & (np.abs(warped.distance - truth.distance) < 0.03 * truth.distance)
        image, _ = drawn(splats, moved)
        step = psnr(image, truth.colour / 255, visible)
        figures.append((photo, step))
        print(f"{scene.name}: {len(splats)} splats, photo {photo:.1f} dB, 0.5 m aside {step:.1f} dB", flush=True)
    rows = [["seen from", "rooms", "PSNR, mean", "least"]]
    for name, each in zip(("the photo's camera", "0.5 m aside"), np.transpose(figures), strict=True):
        rows.append([name, str(len(each)), f"{each.mean():.1f} dB", f"{each.min():.1f} dB"])
    print(rows_as_markdown(rows))
    keep_table(options.json, "splats", rows)


def as_fine(camera: Camera, panorama_width: int) -> Camera:
    """The photo's camera, with no more pixels an angle, in its middle, than the panorama has."""
    share = min(1.0, panorama_width / (2 * np.pi) / camera.intrinsics[0, 0])
    return camera.resized(round(camera.width * share), round(camera.height * share))


if __name__ == "__main__":
    main()
