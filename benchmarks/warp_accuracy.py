"""How well frames are warped: drawn from a mesh, as workers do, and walked ray by ray, as the add-on does.

    python benchmarks/warp_accuracy.py [--rooms 100-107] [--json docs/research/speed.json]

Rooms of exact colour and distance, frames of 384 x 256 along two moves, each from the room's panorama and from the
move's first view, held against the same frames rendered. A pixel is missed where the source saw its surface but the
frame has a hole, and false where it is the other way round; the source's distance decides, to 3 % of it.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.kept_tables import keep_table
from lookbeyond.evaluation import metrics
from lookbeyond.evaluation.scenes import held_out_room
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.warping import warp_to_view
from lookbeyond.models.warping import warp_to_views

FRAMES, WIDTH, HEIGHT = 7, 384, 256
MOVES = ("walk", "there and back")
TOLERANCE = 0.03
UNITS = {"PSNR of known pixels": "dB", "of known and truly visible ones": "dB", "missed": "%", "false": "%"}


def seen_by(source: Panorama | View, frame: View) -> np.ndarray:
    """bool [H, W]: the pixels of a true frame whose surface the source truly saw."""
    points = frame.camera.position + frame.distance[..., None] * frame.camera.rays()
    offset = points - source.position if isinstance(source, Panorama) else points - source.camera.position
    far = np.linalg.norm(offset, axis=-1)
    if isinstance(source, Panorama):
        return np.abs(source.distance_at(offset / far[..., None]) / far - 1) < TOLERANCE
    pixels, depth = source.camera.project(points)
    columns, rows = np.moveaxis(pixels, -1, 0).astype(np.float32)
    found = cv2.remap(source.distance, columns - 0.5, rows - 0.5, cv2.INTER_NEAREST, borderValue=0)
    return (np.abs(found / far - 1) < TOLERANCE) & (depth > 0)


def judge(frame: View, seen: np.ndarray, colour: np.ndarray, known: np.ndarray) -> dict[str, float]:
    found = (
        metrics.psnr(colour, frame.colour, known),
        metrics.psnr(colour, frame.colour, known & seen),
        100 * float((seen & ~known).mean()),
        100 * float((known & ~seen).mean()),
    )
    return dict(zip(UNITS, found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", default="100-107", help="numbers of held-out rooms, first-last")
    parser.add_argument("--json", type=Path, help="put the table into this file")
    options = parser.parse_args()
    figures: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    first, last = map(int, options.rooms.split("-"))
    for room in range(first, last + 1):
        scene = held_out_room(room)
        for move in MOVES:
            frames = scene.views(scene.path(move, FRAMES, WIDTH, HEIGHT))
            for of, source in (("panorama", scene.sharp_panorama), ("view", frames[0])):
                drawn = warp_to_views(source, [frame.camera for frame in frames[1:]])
                colours, known = drawn.sample_bytes(source.colour), drawn.known.numpy()
                for number, frame in enumerate(frames[1:]):
                    walked, seen = warp_to_view(source, frame.camera), seen_by(source, frame)
                    ways = {"walked": (walked.colour, walked.known), "drawn": (colours[number], known[number])}
                    for way, found in ways.items():
                        for name, value in judge(frame, seen, *found).items():
                            figures[of, way][name].append(value)
    rows = [["", *UNITS]]
    for (of, way), found in figures.items():
        rows.append(
            [
                f"from a {of}, {way}",
                *(f"{metrics.mean_of_known(found[name]):.2f} {unit}" for name, unit in UNITS.items()),
            ]
        )
    for row in rows:
        print("| " + " | ".join(row) + " |")
    keep_table(options.json, "accuracy", rows, rooms=options.rooms, moves=MOVES, frames_a_move=FRAMES - 1)


if __name__ == "__main__":
    main()
