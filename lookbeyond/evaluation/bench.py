"""What the panorama stage makes of held-out rooms, against the simplest guesses.

    lookbeyond evaluate --rooms 16 --samples 8 --out report

Rooms have seeds that training never draws. Colour is judged where the photo saw nothing: PSNR of single samples and
of the mean of several, against the seen part's mean colour. Distance: AbsRel there, against the seen part's mean.
Prints one table, writes it as JSON with a sheet of pictures (truth, what the photo saw, samples, distances).
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_panoramas
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.projection import extract_perspective, place_photo
from lookbeyond.pipelines.panorama import enlarge
from lookbeyond.pipelines.scene import ScenePipeline

WIDTH = 512


@dataclass(frozen=True, eq=False)
class HeldOutRoom:
    """A room that nobody trained on, and a photo of it."""

    truth: np.ndarray  # uint8 [256, 512, 3]
    distance: np.ndarray  # float32 [256, 512] metres
    camera: Camera
    camera_height: float

    @property
    def photo(self) -> np.ndarray:
        return extract_perspective(self.truth, self.camera)

    @classmethod
    def from_seed(cls, seed: int) -> "HeldOutRoom":
        """Room number `seed` >= 0 of those held out; the photo looks where the room is open."""
        room = Rooms.from_seeds([HELD_OUT_SEED + seed])
        colour, distance = render_panoramas(room, WIDTH // 2, WIDTH)
        truth = (colour[0].permute(1, 2, 0) * 255).round().byte().numpy()
        distance = distance[0, 0].numpy()
        rng = np.random.default_rng(seed)
        openness = distance[112:144].mean(0)
        shift = WIDTH // 2 - int(rng.choice(WIDTH, p=openness / openness.sum()))
        truth, distance = np.roll(truth, shift, 1), np.roll(distance, shift, 1)
        fov, pitch, roll = np.radians([rng.uniform(60, 100), rng.uniform(-12, 12), rng.uniform(-4, 4)])
        width = max(192, round(2 * math.tan(fov / 2) * WIDTH / (2 * math.pi)))
        camera = placed_camera(width, round(width * 0.75), fov, pitch_rad=pitch, roll_rad=roll)
        return cls(truth, distance, camera, float(room.camera_height[0]))


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Decibels over the masked pixels of two images of 0..255."""
    error = (image.astype(np.float64) - truth)[mask] / 255
    return float(-10 * np.log10(np.mean(error**2)))


def solid_angle_weights(height: int) -> np.ndarray:
    """[height, 1]: the share of the sphere of a pixel in each row, up to a factor."""
    return np.cos((np.arange(height) + 0.5) / height * np.pi - np.pi / 2)[:, None]


def evaluate_room(pipeline: ScenePipeline, room: HeldOutRoom, samples: int) -> tuple[dict[str, float], np.ndarray]:
    """The figures of one room and its row of the sheet."""
    worlds = [
        pipeline.build_world(room.photo, room.camera, camera_height=room.camera_height, width=WIDTH, seed=seed)
        for seed in range(samples)
    ]
    canvas, seen = place_photo(room.photo, room.camera, WIDTH)
    # single pixels at the poles count as little as they are seen
    rows = np.random.default_rng(0).uniform(size=seen.shape) < solid_angle_weights(seen.shape[0])
    hidden = ~cv2.dilate(seen.astype(np.uint8), np.ones((5, 5))).astype(bool) & rows
    mean_colour = np.broadcast_to(room.truth[seen].mean(0), room.truth.shape)
    distances = np.stack([enlarge(world.distance, WIDTH, cv2.INTER_LINEAR) for world in worlds])
    mean_distance = np.full_like(room.distance, room.distance[seen].mean())

    def absrel(distance: np.ndarray, mask: np.ndarray) -> float:
        return float((np.abs(distance - room.distance) / room.distance)[mask].mean())

    figures = {
        "hidden PSNR, one sample": float(np.mean([psnr(world.colour, room.truth, hidden) for world in worlds])),
        f"hidden PSNR, mean of {samples}": psnr(np.mean([w.colour for w in worlds], 0), room.truth, hidden),
        "hidden PSNR, mean colour": psnr(mean_colour, room.truth, hidden),
        "hidden AbsRel, one sample": float(np.mean([absrel(distance, hidden) for distance in distances])),
        f"hidden AbsRel, median of {samples}": absrel(np.median(distances, 0), hidden),
        "hidden AbsRel, seen mean": absrel(mean_distance, hidden),
        "seen AbsRel, one sample": float(np.mean([absrel(distance, seen & rows) for distance in distances])),
        "seam": float(np.mean([seam(world.colour) for world in worlds])),
    }
    shades = [np.repeat((255 * np.clip(0.6 / d, 0, 1))[..., None], 3, -1) for d in (room.distance, distances[0])]
    row = [room.truth, canvas, worlds[0].colour, worlds[-1].colour, *shades]
    return figures, np.concatenate([image.astype(np.uint8) for image in row], 1)


def seam(image: np.ndarray) -> float:
    """Mean jump across the wrap relative to the mean jump between neighbouring columns; 1: no seam."""
    jumps = np.abs(np.diff(image.astype(np.float64), axis=1, append=image[:, :1])).mean((0, 2))
    return float(jumps[-1] / jumps[:-1].mean())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lookbeyond evaluate", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of table.json and sheet.png")
    parser.add_argument("--rooms", type=int, default=16)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--preset", default="builtin")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    pipeline = ScenePipeline.from_preset(options.preset, options.device)
    results, rows = [], []
    for seed in tqdm(range(options.rooms), unit="room"):
        figures, row = evaluate_room(pipeline, HeldOutRoom.from_seed(seed), options.samples)
        results.append(figures)
        rows.append(row)
        cv2.imwrite(str(options.out / "sheet.png"), np.concatenate(rows)[..., ::-1])
    table = {name: float(np.mean([result[name] for result in results])) for name in results[0]}
    (options.out / "table.json").write_text(json.dumps({"mean": table, "rooms": results}, indent=2))
    for name, value in table.items():
        print(f"{name:<32} {value:8.3f}")


if __name__ == "__main__":
    main()
