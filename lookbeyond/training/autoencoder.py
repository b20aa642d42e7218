"""Trains the built-in autoencoder on crops of panoramas (procedural rooms, pictures) and of dead-leaves images.

    lookbeyond train autoencoder --rooms pool --out weights --minutes 30

It may begin with other weights (`--begin-with weights/vae`); with `--keep-encoder` only the decoder then goes on
learning: its latents, and all that was trained on them, stay.

Dead leaves (overlapping shapes of all sizes and colours) carry it over to photographs, which it never sees. The
loss is L1 on pixels and on their differences: sharp edges, no network to judge them.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.data.panoramas import read_shard, shards_in
from lookbeyond.data.textures import dead_leaves
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.whole import whole_folder

from . import loop, pictures

CROP = 64
TURN = 100
"""Steps between one shard and the next."""


class Crops:
    """Batches [batch, 3, 64, 64] in -1..1: two thirds panoramas, one third dead leaves, some channels swapped."""

    def __init__(self, folders: Sequence[Path], batch: int, seed: int, device: str):
        self.folders, self.batch, self.seed, self.device = folders, batch, seed, device
        rng = np.random.default_rng(seed)
        leaves = (dead_leaves(rng, 192, int(rng.integers(60, 500))) for _ in range(160))
        self.leaves = [(leaf * 255).astype(np.uint8) for leaf in leaves]
        self.shards: dict[int, np.ndarray] = {}
        """By turn: every turn brings a shard (which may have been rendered since), two turns before are kept."""
        self.images: list[np.ndarray] = []

    def _turn_to(self, turn: int) -> None:
        if turn in self.shards:
            return
        kept = range(max(0, turn - 2), turn + 1)
        self.shards = {k: self.shards[k] if k in self.shards else self._shard(k) for k in kept}
        self.images = [image for shard in self.shards.values() for image in shard]

    def _shard(self, turn: int) -> np.ndarray:
        paths = shards_in(self.folders)
        return read_shard(paths[np.random.default_rng([self.seed, turn]).integers(len(paths))])[0]

    def __call__(self, step: int, rng: np.random.Generator) -> torch.Tensor:
        self._turn_to(step // TURN)
        chosen = []
        for _ in range(self.batch):
            pool = self.images if rng.uniform() < 0.67 else self.leaves
            image = pool[rng.integers(len(pool))]
            y, x = rng.integers(image.shape[0] - CROP + 1), rng.integers(image.shape[1] - CROP + 1)
            crop = image[y : y + CROP, x : x + CROP][:, :: rng.choice([-1, 1])]
            crop = crop[..., rng.permutation(3)] if rng.uniform() < 0.3 else crop
            chosen.append(crop.transpose(1, 0, 2) if rng.uniform() < 0.3 else crop)
        x = torch.from_numpy(np.stack(chosen)).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        gain = torch.from_numpy(rng.uniform(0.75, 1.15, (self.batch, 3, 1, 1)).astype(np.float32)).to(self.device)
        return ((x + 1) * gain - 1).clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def reconstruction_loss(model: Autoencoder, images: torch.Tensor, noise_level: float) -> dict[str, torch.Tensor]:
    noise = torch.rand(len(images), 1, 1, 1, device=images.device) * noise_level
    error = (model(images, noise) - images).float()
    pixels = error.abs().mean()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    # every scale counts: what a mean over 4x4 pixels gets wrong is a colour cast
    casts = F.avg_pool2d(error, 4).abs().mean()
    return {"loss": pixels + edges + 0.5 * casts, "pixels": pixels, "mse": (error / 2).square().mean()}


@torch.no_grad()
def settled(model: Autoencoder, crops: Callable[[int], torch.Tensor], rooms: torch.Tensor) -> Autoencoder:
    """A copy with the statistics of the weights as they are now, over crops(0) … crops(63).

    The running ones belong to the weights that were trained, not to their average, and would wash out every colour.
    Over crops the latents then have unit variance; `scaling_factor` gives it to those of `rooms` [B, 3, H, W], whose
    walls are smoother.
    """
    copy = deepcopy(model).eval()
    features = torch.cat([copy.encoder(crops(number)) for number in range(64)]).float()
    copy.whiten.running_mean = features.mean((0, 2, 3))
    copy.whiten.running_var = features.var((0, 2, 3))
    copy.register_to_config(scaling_factor=round(1 / float(copy.encode(rooms).latents.std()), 2))
    return copy


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("autoencoder", __doc__)
    pictures.add_arguments(parser)
    parser.add_argument("--begin-with", type=Path, help="a trained autoencoder")
    parser.add_argument("--keep-encoder", action="store_true", help="train the decoder only")
    parser.add_argument("--latent-noise", type=float, default=0.15, help="largest deviation that the decoder forgives")
    loop.add_arguments(parser, minutes=30, batch=32, learning_rate=2e-3)
    options = parser.parse_args(argv)
    accelerator = loop.begin(options)
    model = Autoencoder.from_pretrained(options.begin_with) if options.begin_with else Autoencoder()
    model.to(options.device, memory_format=torch.channels_last)
    model.encoder.requires_grad_(not options.keep_encoder)
    crops = Crops(pictures.folders(accelerator, options), options.batch, options.seed, options.device)
    images, _ = read_shard(shards_in(crops.folders)[0])
    rooms = torch.from_numpy(images[:16]).to(options.device).permute(0, 3, 1, 2).float() / 127.5 - 1

    def save_settled(step: int) -> None:
        if not options.keep_encoder:
            rng = np.random.default_rng([options.seed, step])
            with whole_folder(options.out / "vae", loop.WEIGHT_FILES) as folder:
                settled(model, lambda _: crops(step, rng), rooms).save_pretrained(folder)

    loop.run(
        accelerator,
        {"vae": model},
        crops,
        lambda images: reconstruction_loss(model, images, options.latent_noise),
        options,
        on_save=save_settled,
    )


if __name__ == "__main__":
    loop.command(main)
