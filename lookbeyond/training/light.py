"""Learns how bright sources of light are (`lookbeyond.light.energy`) from procedural places whose radiance is known.

Every place is photographed twice as a whole, at exposures about a camera's own, and clipped; for some, a world is built
around a photo by the built-in preset, and its invented part has to give the light that is truly there. What is to be
least is the error that an artist sees: |log2| of the irradiance of a diffuse sphere, and of what a glossy one shows.

With --real, one number is chosen on real HDR panoramas: how much brighter all sources are than was learned.
"""

import argparse
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from lookbeyond.data.lit_places import LitPlace, draw_lit_places, sphere_exposure, usual_exposure
from lookbeyond.files import write_json
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.projection import equirectangular_directions, extract_perspective
from lookbeyond.light.energy import LEARNED, REACH, Energy
from lookbeyond.light.sources import FEATURES, LUMINANCE, WIDTH, clipped_white, find_sources, small_sphere, solid_angles
from lookbeyond.photo.linear_files import read_linear
from lookbeyond.photo.pixels import LIGHT_OF_LEVEL, encoded
from lookbeyond.whole import whole_file

NORMALS = 128
GLOSS = 60
"""Exponent of a cosine lobe about as wide as the reflection of a surface of roughness 0.3."""
FIRST_SEED, FIRST_WORLD_SEED = 10_000, 20_000
HIDDEN, NETWORKS = 3, 4
SHIFTS = np.arange(0, 1.75, 0.25)
"""Of which the best on real panoramas is taken: procedural sources are duller, taken together."""
_BASIS_HEIGHT = 64


@dataclass(frozen=True, eq=False)
class Example:
    """A picture's sources, and what is to come of them. K sources; N = 2 * NORMALS values of two spheres."""

    features: np.ndarray
    """[K, len(FEATURES)]"""
    adds: np.ndarray
    """[K, N]: what each source adds as it is displayed."""
    displayed: np.ndarray
    """[N]: what the picture as displayed gives."""
    true: np.ndarray
    """[N]"""
    peaks: np.ndarray
    """[K] stops of the true peak of a source above its mean."""
    excess: np.ndarray
    """[K] its true light beyond what is displayed, times its solid angle."""


def sphere_kernel() -> np.ndarray:
    """[2 * NORMALS, pixels]: irradiance / pi, and the mean over a glossy lobe, of panoramas 2 * _BASIS_HEIGHT wide."""
    directions = equirectangular_directions(2 * _BASIS_HEIGHT, _BASIS_HEIGHT).reshape(-1, 3)
    weight = np.repeat(solid_angles(_BASIS_HEIGHT), 2 * _BASIS_HEIGHT, 1).reshape(-1)
    place = np.arange(NORMALS) + 0.5
    up, turn = 1 - 2 * place / NORMALS, np.pi * (1 + 5**0.5) * place
    flat = np.sqrt(1 - up * up)
    cosine = np.maximum(np.stack([flat * np.cos(turn), flat * np.sin(turn), up], -1) @ directions.T, 0)
    glossy = cosine**GLOSS * weight
    return np.concatenate([cosine * weight / np.pi, glossy / glossy.sum(1, keepdims=True)]).astype(np.float32)


def example_of(
    colour: np.ndarray, true: np.ndarray, kernel: np.ndarray, from_photo: np.ndarray | None = None
) -> Example:
    """colour: uint8 [H, 2H, 3] as displayed; true: float32 [h, 2h, 3] in the same exposure."""
    light = LIGHT_OF_LEVEL[colour]
    seen = None if from_photo is None else from_photo.astype(np.float32) / 255
    sources = find_sources(light, clipped_white(colour), seen)

    def values(luminance: np.ndarray) -> np.ndarray:
        return kernel @ small_sphere(luminance, 2 * _BASIS_HEIGHT).reshape(-1)

    displayed = small_sphere(light @ LUMINANCE)
    truth = small_sphere(true @ LUMINANCE)
    weight = solid_angles(WIDTH // 2)
    adds, peaks, excess = [], [], []
    for source in sources:
        adds.append(values(displayed * source.share))
        beyond = np.maximum(truth - displayed, 0) * source.mask
        mean = float((beyond * weight).sum()) / source.solid_angle_sr
        peaks.append(np.log2(max(float(beyond.max()) / max(mean, 1e-6), 1)))
        excess.append(mean * source.solid_angle_sr)
    count = len(sources)
    return Example(
        np.array([source.features for source in sources], np.float32).reshape(count, len(FEATURES)),
        np.array(adds, np.float32).reshape(count, 2 * NORMALS),
        values(displayed),
        values(truth),
        np.array(peaks, np.float32),
        np.array(excess, np.float32),
    )


def whole_example(radiance: np.ndarray, stops: float, kernel: np.ndarray, blur: float = 0.0) -> Example:
    """A panorama of true light [H, 2H, 3], photographed `stops` above a camera's own exposure.

    blur: standard deviation in pixels: procedural edges are sharper than any photograph's.
    """
    if blur > 0.3:
        wide = np.concatenate([radiance[:, -8:], radiance, radiance[:, :8]], 1)
        radiance = cv2.GaussianBlur(wide, (0, 0), blur)[:, 8:-8]
    true = radiance * np.float32(sphere_exposure(radiance) * 2**stops)
    return example_of(encoded(true), true, kernel)


def photo_of(radiance: np.ndarray, camera: Camera, stops: float) -> tuple[np.ndarray, float]:
    """A photo uint8 [h, w, 3] of a panorama of true light [H, 2H, 3], and the exposure that it has."""
    seen = np.maximum(extract_perspective(radiance, camera), 0)
    exposure = usual_exposure(seen) * 2**stops
    return encoded(seen * np.float32(exposure)), exposure


# --- places, kept in a folder -----------------------------------------------------------------------------


def kept_place(folder: Path, seed: int, height: int) -> LitPlace:
    """The place of a seed, drawn only once."""
    path = folder / f"{seed}.npz"
    if not path.is_file():
        (place,) = draw_lit_places([seed], height)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                radiance=place.radiance.clip(0, 6e4).astype(np.float16),
                kind=place.kind,
                height=place.camera_height,
            )
    with np.load(path) as kept:
        return LitPlace(str(kept["kind"]), kept["radiance"].astype(np.float32), float(kept["height"]))  # type: ignore[arg-type]


def kept_world(folder: Path, seed: int, scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour and from_photo of the world around a photo of a place, and the true light in its exposure."""
    path = folder / f"world{seed}.npz"
    if not path.is_file():
        rng = np.random.default_rng((seed, 5))
        place = kept_place(folder, seed, 256)
        radiance = np.roll(place.radiance, int(rng.integers(512)), 1)
        fov, pitch, roll = np.radians([rng.uniform(60, 90), rng.uniform(-10, 8), rng.uniform(-3, 3)])
        camera = placed_camera(320, 240, fov, pitch_rad=pitch, roll_rad=roll)
        photo, exposure = photo_of(radiance, camera, rng.normal(0, 0.5))
        world = scene.build_world(photo, camera, camera_height=place.camera_height, width=512, seed=seed)
        true = (radiance * exposure).clip(0, 6e4).astype(np.float16)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, colour=world.colour, from_photo=world.from_photo, true=true)
    with np.load(path) as kept:
        return kept["colour"], kept["from_photo"], kept["true"].astype(np.float32)


def _examples_of_seed(folder: Path, seed: int) -> list[Example]:
    place, rng = kept_place(folder, seed, WIDTH // 2), np.random.default_rng((seed, 4))
    kernel = sphere_kernel()
    return [whole_example(place.radiance, rng.normal(0, 0.6), kernel, rng.uniform(0, 1.3)) for _ in range(2)]


# --- learning ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Batch:
    """Many examples' sources in one row. S sources of E examples."""

    features: torch.Tensor  # [S, F]
    adds: torch.Tensor  # [S, N]
    example: torch.Tensor  # [S]
    displayed: torch.Tensor  # [E, N]
    true: torch.Tensor  # [E, N]
    peaks: torch.Tensor  # [S]
    excess: torch.Tensor  # [S]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Batch":
        def rows(name: str) -> torch.Tensor:
            return torch.from_numpy(np.concatenate([getattr(one, name) for one in examples]))

        counts = torch.tensor([len(one.features) for one in examples])
        displayed, true = (
            torch.from_numpy(np.stack([getattr(one, name) for one in examples])) for name in ("displayed", "true")
        )
        return cls(
            features=rows("features"),
            adds=rows("adds"),
            example=torch.arange(len(examples)).repeat_interleave(counts),
            displayed=displayed,
            true=true,
            peaks=rows("peaks"),
            excess=rows("excess"),
        )

    def errors(self, stops: torch.Tensor) -> torch.Tensor:
        """|log2| of predicted over true, [E, N], with the mean of each source so many stops [S] above display."""
        added = torch.zeros_like(self.displayed).index_add(0, self.example, (2**stops - 1)[:, None] * self.adds)
        return ((self.displayed + added).clamp_min(1e-4) / self.true.clamp_min(1e-4)).log2().abs()


def learn(examples: Sequence[Example], hidden: int = HIDDEN, steps: int = 600, decay: float = 0.3) -> Energy:
    """The networks that make the errors of these examples least: `NETWORKS` of them, whose mean counts."""
    batch = Batch.of(examples)
    mean, deviation = batch.features.mean(0), batch.features.std(0) + 1e-3
    inputs = ((batch.features - mean) / deviation).clamp(-REACH, REACH)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    parts = [_learn_one(batch, inputs, hidden, steps, decay, seed) for seed in range(NETWORKS)]
    # side by side they are one network with a wider hidden layer
    output = torch.cat([last[:, :-1] for _, last in parts] + [sum(last[:, -1:] for _, last in parts)], 1) / NETWORKS
    first = torch.cat([first for first, _ in parts])
    return Energy(mean.numpy(), deviation.numpy(), first.numpy(), output.numpy())


def _learn_one(
    batch: Batch, inputs: torch.Tensor, hidden: int, steps: int, decay: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the hidden layer and of the output, biases in their last columns."""
    generator = torch.Generator().manual_seed(seed)
    first = (0.2 * torch.randn(hidden, inputs.shape[1], generator=generator)).requires_grad_()
    last = (0.2 * torch.randn(2, hidden + 1, generator=generator)).requires_grad_()
    optimiser = torch.optim.AdamW([first, last], lr=0.01, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, total_steps=steps)
    counts = batch.excess / batch.excess.sum()
    for _ in range(steps):
        layer = torch.tanh(inputs @ first.T)
        out = F.softplus(torch.cat([layer, torch.ones(len(layer), 1)], 1) @ last.T)
        loss = batch.errors(out[:, 0]).mean() + 0.1 * (counts * (out[:, 1] - batch.peaks).abs()).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return first.detach(), last.detach()


def shifted(energy: Energy, by: float) -> Energy:
    """Brighter by about so many stops wherever it is bright at all."""
    output = energy.output.copy()
    output[0, -1] += by
    return replace(energy, output=output)


def measured(energy: Energy, examples: Iterable[Example]) -> np.ndarray:
    """[E, 4]: mean errors of diffuse and glossy spheres, as displayed and as learned."""
    rows = []
    for one in examples:
        batch, stops = Batch.of([one]), torch.zeros(0)
        if len(one.features):
            stops = torch.from_numpy(energy.of_features(one.features)[0])
        before, after = batch.errors(torch.zeros_like(stops))[0], batch.errors(stops)[0]
        rows.append([float(part.mean()) for errors in (before, after) for part in (errors[:NORMALS], errors[NORMALS:])])
    return np.array(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="lookbeyond train light", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--places", type=int, default=400)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--folder", type=Path, required=True, help="where places and worlds are kept")
    parser.add_argument("--real", type=Path, help="a folder of real HDR panoramas (.exr, .hdr)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=LEARNED)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + options.places)
    with ProcessPoolExecutor(options.workers) as pool:
        made = pool.map(_examples_of_seed, [options.folder] * len(seeds), seeds)
        places = list(tqdm(made, "Places", len(seeds)))
    worlds = [[example] for example in world_examples(options.folder, options.worlds)]
    # every fifth is kept back
    held, kept = [], []
    for group in (places, worlds):
        for number, examples in enumerate(group):
            (held if number % 5 == 4 else kept).extend(examples)
    energy = learn(kept)
    parts = {"learned from": kept, "held back": held}
    if options.real:
        parts["real"] = real_examples(options.real)
        errors = [measured(shifted(energy, by), parts["real"])[:, 2:].mean() for by in SHIFTS]
        by = float(SHIFTS[int(np.argmin(errors))])
        energy = shifted(energy, by)
        print(f"sources are {by:g} stops brighter than was learned")
    for title, part in parts.items():
        before, gloss_before, after, gloss = measured(energy, part).mean(0)
        print(f"{title}: diffuse {before:.3f} -> {after:.3f} stops, glossy {gloss_before:.3f} -> {gloss:.3f} stops")
    write_json(options.out, energy.to_json_dict())


def real_examples(folder: Path) -> list[Example]:
    """Real HDR panoramas at three exposures."""
    kernel, made = sphere_kernel(), []
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".exr", ".hdr")):
        light = np.maximum(read_linear(path), 0)
        # files of lossy compression may have lost channels where they are brightest
        brightest = light.max(-1)
        lost = (brightest > 20 * np.median(brightest)) & (light.min(-1) < 0.05 * brightest)
        light[lost] = brightest[lost, None]
        made += [whole_example(light, stops, kernel) for stops in (-0.5, 0.0, 0.5)]
    return made


def world_examples(folder: Path, count: int) -> list[Example]:
    """Worlds around photos of places, built by the built-in preset."""
    if not count:
        return []
    from lookbeyond.pipelines.scene import ScenePipeline

    scene, kernel, made = ScenePipeline.from_preset(), sphere_kernel(), []
    for seed in tqdm(range(FIRST_WORLD_SEED, FIRST_WORLD_SEED + count), "Worlds"):
        colour, from_photo, true = kept_world(folder, seed, scene)
        made.append(example_of(colour, true, kernel, from_photo))
    return made
