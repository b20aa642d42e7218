"""Trains the layout network on photos of procedural rooms, made to look as if taken by a real camera.

    lookbeyond train photos --out photos --count 24000
    lookbeyond train layout --photos photos --out weights --minutes 25

Each time a photo is drawn it gets another light, lens and file: exposure, white balance, contrast, vignetting, noise,
blur, JPEG; its camera is a little wrong, as one found from lines or guessed is; half of all photos are mirrored.

The loss: Laplace likelihoods of the log distances (seen columns count three times the hidden ones) and of the ceiling,
likelihoods of corners, kinds and open places, and the angle of the walls.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.data.panoramas import shards_in
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.layout.canvas import (
    ALL_COLUMNS,
    CELL_COLUMNS,
    CELL_ROWS,
    canvas_directions,
    grid_on_canvas,
    place_on_canvas,
)
from lookbeyond.models.layout_network import CEILING, FLOOR, THING, WALL, LayoutNetwork

from . import loop
from .photos import StoredPhoto, read_photos

FIRST_SHARDS, STEPS_PER_SHARD = 24, 6
FARTHEST = math.log(40.0)
"""Log distance beyond which nothing is learned: sky, and what windows show."""
_SIDE = (ALL_COLUMNS - CELL_COLUMNS) // 2


def as_photographed(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rendered photo [h, w, 3] uint8 with another light, lens, sensor and file."""
    image = photo.astype(np.float32) / 255
    image = image ** math.exp(rng.normal(0, 0.22)) * np.exp(rng.normal(0, 0.07, 3) + rng.normal(0, 0.18))
    if rng.uniform() < 0.5:  # a curve with toe and shoulder, from flat to hard
        middle, gain = rng.uniform(0.35, 0.65), rng.uniform(1.0, 1.9)
        image = middle + np.tanh((image - middle) * gain) / (2 * np.tanh(0.5 * gain))
    grey = image.mean(-1, keepdims=True)
    image = grey + (image - grey) * rng.choice([rng.uniform(0.4, 1.5), 1.0, 0.0], p=[0.6, 0.36, 0.04])
    height, width = photo.shape[:2]
    if rng.uniform() < 0.4:
        x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
        image *= (1 - rng.uniform(0, 0.45) * (x * x + y * y) / 2)[..., None]
    if rng.uniform() < 0.3:  # light that falls in from one side
        slope = rng.normal(0, 0.35, 2)
        image *= np.exp(slope[0] * np.linspace(-1, 1, width)[None] + slope[1] * np.linspace(-1, 1, height)[:, None])[
            ..., None
        ]
    if rng.uniform() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    if rng.uniform() < 0.6:
        image = image + rng.normal(0, rng.uniform(0, 0.04), image.shape)
    image = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    if rng.uniform() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR))
    return image


def _with_clutter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Thin and round things that the rooms do not have: lamps, plants, chair legs, people's shoulders."""
    image = image.copy()
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 6))):
        colour = [int(v) for v in rng.integers(0, 256, 3)] if rng.uniform() < 0.3 else [int(rng.integers(0, 256))] * 3
        x, y = int(rng.integers(width)), int(height * (1 - abs(rng.normal(0, 0.35))))
        kind = rng.uniform()
        if kind < 0.4:
            angle, length = rng.uniform(0, math.pi), rng.uniform(0.05, 0.35) * height
            end = int(x + length * math.cos(angle)), int(y + length * math.sin(angle))
            cv2.line(image, (x, y), end, colour, int(rng.integers(1, 4)), cv2.LINE_AA)
        elif kind < 0.7:
            axes = int(rng.uniform(0.02, 0.12) * width), int(rng.uniform(0.02, 0.2) * height)
            cv2.ellipse(image, (x, y), axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:  # leaves
            for _ in range(int(rng.integers(5, 25))):
                place = int(x + rng.normal(0, 0.06) * width), int(y + rng.normal(0, 0.1) * height)
                shade = [int(np.clip(v * rng.uniform(0.5, 1.3), 0, 255)) for v in colour]
                axes = int(rng.integers(1, 9)), int(rng.integers(1, 4))
                cv2.ellipse(image, place, axes, rng.uniform(0, 180), 0, 360, shade, -1, cv2.LINE_AA)
    return image


def sample_of(stored: StoredPhoto, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
    """One row of a batch; without a generator, the photo as it was rendered and its camera as it was."""
    height, width = stored.photo.shape[:2]
    photo, fov, pitch, roll, bend = stored.photo, stored.fov_x_rad, stored.pitch_rad, stored.roll_rad, 0.0
    if rng is not None:
        if rng.uniform() < 0.25 and not stored.is_open:
            photo = _with_clutter(photo, rng)
        photo = as_photographed(photo, rng)
        if rng.uniform() < 0.6:
            fov = float(np.clip(fov * math.exp(rng.normal(0, 0.04)), 0.2, 2.2))
            pitch, roll = pitch + math.radians(rng.normal(0, 1.0)), roll + math.radians(rng.normal(0, 0.4))
            bend = rng.normal(0, 0.02)
    camera = placed_camera(width, height, fov, pitch_rad=pitch, roll_rad=roll)
    canvas = place_on_canvas(photo, camera, bend)
    logs = grid_on_canvas(stored.logs, camera)
    known = canvas.known_cells
    walls, normals = stored.walls.astype(np.float32), stored.normals.astype(np.float32)
    another = stored.wall != np.roll(stored.wall, -1)
    sides = walls[_SIDE : _SIDE + CELL_COLUMNS]
    rays = canvas_directions(CELL_COLUMNS, CELL_ROWS)
    level, up = np.hypot(rays[..., 0], rays[..., 1]), rays[..., 2]
    with np.errstate(divide="ignore"):
        wall = sides[None] - np.log(level)
        flat = np.where(up < 0, 0.0, stored.ceiling) - np.log(np.maximum(np.abs(up), 1e-6))
    room = np.minimum(wall, flat)
    kinds = np.where(logs < room - 0.06, THING, np.where(wall < flat, WALL, np.where(up < 0, FLOOR, CEILING)))
    normal = np.stack([np.cos(normals), np.sin(normals)], -1)
    colour, mask = canvas.colour, canvas.known
    if rng is not None and rng.uniform() < 0.5:
        colour, mask, logs, known, kinds = (part[:, ::-1] for part in (colour, mask, logs, known, kinds))
        walls, normal, another = walls[::-1], normal[::-1] * (1, -1), np.roll(another, 1)[::-1]
    return {
        "colour": np.ascontiguousarray(colour.transpose(2, 0, 1)),
        "known": np.ascontiguousarray(mask[None]),
        "walls": walls.copy(),
        "corners": another.copy(),
        "normals": normal.astype(np.float32),
        "ceiling": np.array(stored.ceiling, np.float32),
        "is_open": np.array(stored.is_open, np.float32),
        "logs": np.ascontiguousarray(logs),
        "known_cells": np.ascontiguousarray(known),
        "kinds": np.ascontiguousarray(kinds).astype(np.int64),
    }


class LayoutPhotos:
    """Batches of photos; a shard joins every few steps, since rendering may still be going on."""

    def __init__(self, folders: Sequence[Path], batch: int, device: str):
        self.folders, self.batch, self.device = folders, batch, device
        self.seen: set[Path] = set()
        self.photos: list[StoredPhoto] = []
        shards_in(folders)  # there are some

    def _grow_to(self, shards: int) -> None:
        if len(self.seen) < shards:
            fresh = [path for path in shards_in(self.folders) if path not in self.seen]
            for path in fresh[: shards - len(self.seen)]:
                self.photos += read_photos(path)
                self.seen.add(path)

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        self._grow_to(FIRST_SHARDS + step // STEPS_PER_SHARD)
        chosen = rng.integers(len(self.photos), size=self.batch)
        return batch_of([sample_of(self.photos[k], rng) for k in chosen], self.device)


def batch_of(samples: Sequence[dict[str, np.ndarray]], device: str) -> dict[str, torch.Tensor]:
    """Rows of `sample_of` together; colour -1..1."""
    batch = {name: torch.from_numpy(np.stack([row[name] for row in samples])).to(device) for name in samples[0]}
    colour = batch["colour"].float() / 127.5 - 1
    batch["colour"] = colour.contiguous(memory_format=torch.channels_last)
    return batch | {name: batch[name].float() for name in ("known", "corners", "known_cells")}


def layout_loss(network: LayoutNetwork, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`batch` as `batch_of` makes it."""
    predicted = network(batch["colour"], batch["known"])
    inside = 1 - batch["is_open"]
    seen = F.pad(batch["known"].amax((1, 2)).view(-1, CELL_COLUMNS, 2).amax(-1), (_SIDE, _SIDE))
    weight = (0.5 + seen) * inside[:, None]

    def mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (values * weights).sum() / weights.sum().clamp_min(1e-6)

    off = (predicted.walls - batch["walls"]).abs()
    walls = mean(off * torch.exp(-predicted.wall_scales) + predicted.wall_scales + 0.7 * off, weight)
    off_above = (predicted.ceiling - batch["ceiling"]).abs()
    ceiling = mean(off_above * torch.exp(-predicted.ceiling_scale) + predicted.ceiling_scale, inside)
    corners = mean(
        F.binary_cross_entropy_with_logits(predicted.corners, batch["corners"], reduction="none"),
        weight + 2 * seen * weight,
    )
    normals = mean(1 - (predicted.normals * batch["normals"]).sum(-1), weight)
    open_place = F.binary_cross_entropy_with_logits(predicted.open_place, batch["is_open"])
    here = batch["known_cells"] * (batch["logs"] < FARTHEST)
    apart = (predicted.distance - batch["logs"]).abs().clamp_max(3)
    distance = mean(apart * torch.exp(-predicted.distance_scales) + predicted.distance_scales + 0.7 * apart, here)
    in_rooms = batch["known_cells"] * inside[:, None, None]
    kinds = mean(F.cross_entropy(predicted.kinds, batch["kinds"], reduction="none"), in_rooms)
    loss = walls + distance + 0.3 * ceiling + 3 * corners + normals + 0.3 * open_place + 0.5 * kinds
    with torch.no_grad():
        figures = {
            "seen_walls": mean(off, seen * inside[:, None]),
            "hidden_walls": mean(off, (1 - seen) * inside[:, None]),
            "inside": mean(apart, here),
            "above": mean(off_above, inside),
        }
    return {"loss": loss, **figures, "corners": corners, "normals": normals, "kinds": kinds, "open_place": open_place}


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("layout", __doc__)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="shards of `lookbeyond train photos`")
    loop.add_arguments(parser, minutes=25, batch=32, learning_rate=1.2e-3)
    options = parser.parse_args(argv)
    accelerator = loop.begin(options)
    network = LayoutNetwork().to(options.device, memory_format=torch.channels_last)
    loop.run(
        accelerator,
        {"layout": network},
        LayoutPhotos(options.photos, options.batch, options.device),
        lambda batch: layout_loss(network, batch),
        options,
        ahead=True,
        ema_decay=0.998,
    )


if __name__ == "__main__":
    loop.command(main)
