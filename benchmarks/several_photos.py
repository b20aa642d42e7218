"""How well several photos of one place are aligned and joined that were not quite taken from one standpoint.

    python benchmarks/several_photos.py [--rooms 12] [--first-seed 100] [--pictures FOLDER]
                                        [--json docs/research/several_photos.json]

Three photos in each of some rendered rooms: one level, the others 30 to 45 degrees to its left and right, tilted, and
from standpoints some centimetres away in any direction, as hand-held photos are. The others are up to a stop brighter
or darker; all have the blur of a lens, noise, and JPEG's losses at quality 70. Where they look is forgotten and found
again. Printed for each distance between the standpoints: how many sets are refused, the error of their rotations, and
the step at the seams: the mean difference of what both photos show at the pixels beside a seam.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_table
from lookbeyond.data.rooms import Rooms, compile_renderer, render_panoramas, render_views
from lookbeyond.errors import InputError
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.geometry.cameras import Camera, placed_camera, rotation_angle
from lookbeyond.geometry.projection import place_photo
from lookbeyond.photo.align import align_photos
from lookbeyond.photo.join import Joined, join_photos
from lookbeyond.photo.pixels import linear_to_srgb, srgb_to_linear

APART_M = (0.0, 0.05, 0.1, 0.2, 0.3)
SIZE = (512, 384)
"""A multiple of the rays that are traced together: `--compile` then compiles once."""
JPEG_QUALITY = 70
WIDTH = 2048
NAMES = ("middle", "left", "right")


@dataclass(frozen=True, eq=False)
class Case:
    """Photos of one room, and where they were truly taken."""

    photos: list[np.ndarray]
    cameras: list[Camera]


def photographed(picture: np.ndarray, rng: np.random.Generator, stops: float) -> np.ndarray:
    """What a camera would make of a picture: exposure, a lens's blur, noise, JPEG."""
    light = srgb_to_linear(picture / 255.0) * 2.0**stops
    light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.6, 1.4))
    shown = linear_to_srgb(np.clip(light, 0, 1)) * 255 + rng.normal(0, 1.5, light.shape)
    bgr = cv2.cvtColor(np.clip(shown + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def open_room(seed: int) -> Rooms:
    """A room, turned so that +X looks where it is open."""
    room = Rooms.from_seeds([seed])
    openness = render_panoramas(room, 64, 128)[1][0, 0, 28:36].mean(0).numpy()
    azimuth = math.pi * (1 - (2 * int(np.argmax(cv2.blur(np.tile(openness, 3)[None], (31, 1))[0, 128:256])) + 1) / 128)
    return replace(room, yaw=room.yaw - azimuth)


def case(room: Rooms, seed: int, apart_m: float) -> Case:
    """The same photos for every distance but for where they stand."""
    rng = np.random.default_rng(seed)
    cameras, stops = [], []
    for name in NAMES:
        side = {"middle": 0.0, "left": 1.0, "right": -1.0}[name]
        heading = side * math.radians(rng.uniform(30, 45))
        pitch, roll = (abs(side) * math.radians(each) for each in rng.uniform(-8, 8, 2))
        way = rng.normal(size=3) * (1, 1, 0.5)  # hands go up and down less than feet go about
        at = abs(side) * apart_m * way / np.linalg.norm(way)
        cameras.append(
            placed_camera(
                *SIZE, math.radians(70), heading_rad=heading, pitch_rad=pitch, roll_rad=roll, position=tuple(at)
            )
        )
        stops.append(abs(side) * rng.uniform(-1, 1))
    views = render_views(room, cameras)
    photos = [photographed(view.colour, rng, stop) for view, stop in zip(views, stops, strict=True)]
    return Case(photos, cameras)


def aligned(photos: Case) -> list[Camera]:
    """Raises InputError where they do not agree."""
    straight = placed_camera(*SIZE, photos.cameras[0].fov_x)
    return align_photos(photos.photos, [straight] * len(photos.photos), NAMES)[0]


def step_at_seams(photos: Case, cameras: Sequence[Camera], joined: Joined) -> float:
    """Levels of 255: the mean difference of the two photos that meet, at the pixels where they do."""
    gains = 2.0 ** np.array(joined.stops)
    laid = []
    for photo, camera, gain in zip(photos.photos, cameras, gains, strict=True):
        bright = linear_to_srgb(np.clip(srgb_to_linear(photo / 255.0) * gain, 0, 1)) * 255
        laid.append(place_photo(np.clip(bright + 0.5, 0, 255).astype(np.uint8), camera, WIDTH))
    steps = []
    for down, right in ((0, 1), (1, 0)):
        one, other = joined.source[: -1 if down else None, : -1 if right else None], joined.source[down:, right:]
        for row, column in np.argwhere((one != other) & (one >= 0) & (other >= 0)):
            a, b = (laid[index] for index in (int(one[row, column]), int(other[row, column])))
            if a[1][row, column] and b[1][row, column]:
                steps.append(np.abs(a[0][row, column].astype(float) - b[0][row, column]).mean())
    return float(np.mean(steps)) if steps else math.nan


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--pictures", type=Path, help="where to write the joined photos")
    parser.add_argument("--compile", action="store_true", help="compile the renderer: minutes once, then faster")
    parser.add_argument("--json", type=Path, help="put the table into this file")
    options = parser.parse_args(argv)
    if options.compile:
        compile_renderer()
    rooms = {seed: open_room(seed) for seed in range(options.first_seed, options.first_seed + options.rooms)}
    print(f"{len(rooms)} rooms, seeds {options.first_seed} on; photos of {SIZE[0]} x {SIZE[1]}")
    rows = [["apart", "sets refused", "error of a rotation: median", "worst", "step at the seams"]]
    print(rows_as_markdown(rows), end="")
    for apart in APART_M:
        errors, steps, refused = [], [], []
        for seed, room in rooms.items():
            photos = case(room, seed, apart)
            try:
                cameras = aligned(photos)
                joined = join_photos(photos.photos, cameras, WIDTH, names=NAMES)
            except InputError as error:
                refused.append(f"{seed}: {error}")
                continue
            errors += [
                math.degrees(rotation_angle(found.rotation, true.rotation))
                for found, true in zip(cameras[1:], photos.cameras[1:], strict=True)
            ]
            steps.append(step_at_seams(photos, cameras, joined))
            if options.pictures:
                options.pictures.mkdir(parents=True, exist_ok=True)
                path = options.pictures / f"{seed}_{round(100 * apart):02d}cm.png"
                part = joined.colour[WIDTH // 8 : -WIDTH // 8, WIDTH // 4 : -WIDTH // 4]
                cv2.imwrite(str(path), cv2.cvtColor(part, cv2.COLOR_RGB2BGR))
        shown = [f"{np.median(errors):.2f}°", f"{max(errors):.2f}°"] if errors else ["–", "–"]
        step = f"{np.nanmean(steps):.1f} levels" if steps else "–"
        rows.append([f"{100 * apart:.0f} cm", f"{len(refused)} of {len(rooms)}", *shown, step])
        print("| " + " | ".join(rows[-1]) + " |", flush=True)
        for sentence in refused:
            print(f"  refused, {sentence}")
    keep_table(options.json, "photos", rows, rooms=len(rooms), first_seed=options.first_seed)


if __name__ == "__main__":
    main()
