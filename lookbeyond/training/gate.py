"""Calibrates the gate of the room fit: how often fits that look like this one were right.

    lookbeyond train gate --layout weights/layout

Photos of procedural rooms that training never draws, half of them of boxes as they are drawn; a quarter of them once
more as something that no fit can be right about: cut out, turned, with another camera, noise. A fit is right where its
seen walls are within 15 % on average. A logistic regression of that on the fit's own signs is printed, with what it
says of photos that it was not fitted to; `lookbeyond/layout/gate.py` holds its numbers.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from lookbeyond.data.room_photos import HELD_OUT_SEED, RAYS, RoomPhoto, draw_photos
from lookbeyond.data.textures import dead_leaves
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import heading_pitch_roll, placed_camera
from lookbeyond.layout.fit import fit_signs
from lookbeyond.layout.gate import SIGNS
from lookbeyond.layout.prediction import built_in_network
from lookbeyond.models.layout_network import LayoutNetwork

from . import loop
from .layout import as_photographed

FIRST_SEED = HELD_OUT_SEED + 1000
RIGHT, FINER = 0.15, 6
"""Mean error of the seen walls; pixels of these photos as a multiple of those that the network learns from: lines are
looked for in them."""
SPOILED = ("cut", "pitch", "field of view", "turned", "upside down", "noise", "leaves")
_FOLDS, _PENALTY = 5, 0.01


@dataclass(frozen=True, eq=False)
class Judged:
    """Fits: their signs [n, len(SIGNS)] and whether they were right [n]."""

    signs: NDArray[np.float64]
    right: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GateFit:
    """confidence = 1 / (1 + exp(-(base + weights @ signs)))"""

    weights: NDArray[np.float64]
    base: float

    def confidence(self, signs: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-(self.base + signs @ self.weights)))


def judge(photos: list[RoomPhoto], network: LayoutNetwork, rng: np.random.Generator) -> Judged:
    """The fits of photos, and of a quarter of them spoiled."""
    signs, right = [], []
    for photo in tqdm(photos, unit="photo"):
        for spoiled in [None, *([str(rng.choice(SPOILED))] if rng.uniform() < 0.25 else [])]:
            image, fov, pitch, roll = _seen(photo, spoiled, rng)
            camera = placed_camera(image.shape[1], image.shape[0], fov, pitch_rad=pitch, roll_rad=roll)
            found = fit_signs(image, camera, network)
            if found is None:
                continue
            own, walls, seen = found
            error = float(np.abs(walls / np.exp(photo.walls) - 1)[seen].mean()) if seen.any() else math.inf
            signs.append(own)
            right.append(error < RIGHT and spoiled is None)
    return Judged(np.array(signs), np.array(right))


def _seen(
    photo: RoomPhoto, spoiled: str | None, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float, float, float]:
    """A photo as somebody would give it, and the camera that would be believed: field of view, pitch, roll."""
    image, fov = photo.photo, photo.camera.fov_x
    _, pitch, roll = heading_pitch_roll(photo.camera)
    height, width = image.shape[:2]
    if spoiled is None:
        image = as_photographed(image, rng) if rng.uniform() < 0.7 else image
        fov, pitch = fov * math.exp(rng.normal(0, 0.03)), pitch + math.radians(rng.normal(0, 0.8))
    elif spoiled == "cut":
        row, column = rng.integers(0, height // 2), rng.integers(0, width // 2)
        image = image[row : row + height // 2, column : column + width // 2]
    elif spoiled == "pitch":
        pitch += math.radians(rng.choice([-1, 1]) * rng.uniform(12, 25))
    elif spoiled == "field of view":
        fov *= rng.choice([0.5, 1.7])
    elif spoiled == "turned":
        image = np.rot90(image)
    elif spoiled == "upside down":
        image = image[::-1]
    elif spoiled == "noise":
        image = rng.integers(0, 256, image.shape, np.uint8)
    else:
        image = (dead_leaves(rng, 256, 150) * 255).astype(np.uint8)
    return np.ascontiguousarray(image), float(np.clip(fov, 0.2, 2.2)), pitch, roll


def fit_gate(judged: Judged) -> GateFit:
    """The logistic regression, its weights held small in units of the signs' own spread."""
    mean, spread = judged.signs.mean(0), judged.signs.std(0) + 1e-6
    values = torch.from_numpy((judged.signs - mean) / spread)
    right = torch.from_numpy(judged.right.astype(float))
    slopes = torch.zeros(len(mean), dtype=torch.float64, requires_grad=True)
    base = torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([slopes, base], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        cost = binary_cross_entropy_with_logits(values @ slopes + base, right) + _PENALTY * (slopes**2).sum()
        cost.backward()
        return cost

    search.step(loss)
    weights = slopes.detach().numpy() / spread
    return GateFit(weights, float(base.detach()) - float(weights @ mean))


def cross_validated(judged: Judged, rng: np.random.Generator) -> NDArray[np.float64]:
    """[n] confidence in each fit, of gates that were not fitted to it."""
    order = rng.permutation(len(judged.right))
    confidence = np.zeros(len(order))
    for fold in range(_FOLDS):
        held = order[fold::_FOLDS]
        others = np.setdiff1d(order, held)
        confidence[held] = fit_gate(Judged(judged.signs[others], judged.right[others])).confidence(judged.signs[held])
    return confidence


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("gate", __doc__)
    parser.add_argument("--layout", type=Path, help="folder of a layout network's weights; without it, the built-in's")
    parser.add_argument("--count", type=int, default=320, help="how many photos")
    options = parser.parse_args(argv)
    if options.count < 4 * _FOLDS:
        raise InputError(f"--count is {options.count}; give {4 * _FOLDS} or more.")
    if options.layout is None:
        network = built_in_network()
    elif (options.layout / "config.json").exists():
        network = LayoutNetwork.from_pretrained(options.layout, local_files_only=True, torch_dtype=torch.float32).eval()
    else:
        raise InputError(f"{options.layout} holds no layout network; give OUT/layout of `lookbeyond train layout`.")
    photos: list[RoomPhoto] = []
    for first in tqdm(range(0, options.count // 2, 4), desc="rendering"):
        seeds = range(FIRST_SEED + first, FIRST_SEED + min(first + 4, options.count // 2))
        for as_drawn in (False, True):
            photos += draw_photos(seeds, as_drawn=as_drawn, rays=FINER * RAYS)
    rng = np.random.default_rng(5)
    judged = judge([photo for photo in photos if not photo.is_open], network, rng)
    confidence, gate = cross_validated(judged, rng), fit_gate(judged)
    print(f"{len(judged.right)} fits, {judged.right.mean():.0%} of them right. Of those said to be right with")
    for low in np.arange(0, 1, 0.2):
        those = (confidence >= low) & (confidence < low + 0.2)
        share = f"{judged.right[those].mean():.0%}" if those.any() else "none"
        print(f"  {low:.1f}-{low + 0.2:.1f}: {those.sum()}, {share} right")
    print("weights", {name: round(float(value), 3) for name, value in zip(SIGNS, gate.weights, strict=True)})
    print("base", round(gate.base, 3))


if __name__ == "__main__":
    loop.command(main)
