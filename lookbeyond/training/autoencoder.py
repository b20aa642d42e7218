"""Trains the built-in autoencoder on crops of procedural rooms and of dead-leaves images.

    lookbeyond train autoencoder --rooms pool --out weights --minutes 30

It may begin with other weights (`--begin-with weights/vae`); with `--keep-encoder` only the decoder then goes on
learning: its latents, and all that was trained on them, stay.

Dead leaves (overlapping shapes of all sizes and colours) carry it over to photographs, which it never sees. The
loss is L1 on pixels and on their differences: sharp edges, no network to judge them.
"""

import argparse
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.data.textures import dead_leaves
from lookbeyond.models.autoencoder import Autoencoder

from . import loop

CROP = 64


def crops(pool: Path, batch: int, seed: int, device: str) -> Iterator[torch.Tensor]:
    """Endless batches [batch, 3, 64, 64] in -1..1: two thirds rooms, one third dead leaves, some channels swapped."""
    rng = np.random.default_rng(seed)
    leaves = [dead_leaves(rng, 192, int(rng.integers(60, 500))) for _ in range(160)]
    leaves = [(leaf * 255).astype(np.uint8) for leaf in leaves]
    images: list[np.ndarray] = []
    turn = 0
    while True:
        if turn % 100 == 0:  # another shard, which may have been rendered since
            shards = sorted(pool.glob("*.npz"))
            images = list(np.load(shards[rng.integers(len(shards))])["colour"]) + images[:128]
        turn += 1
        chosen = []
        for _ in range(batch):
            image = images[rng.integers(len(images))] if rng.uniform() < 0.67 else leaves[rng.integers(len(leaves))]
            y, x = rng.integers(image.shape[0] - CROP + 1), rng.integers(image.shape[1] - CROP + 1)
            crop = image[y : y + CROP, x : x + CROP][:, :: rng.choice([-1, 1])]
            crop = crop[..., rng.permutation(3)] if rng.uniform() < 0.3 else crop
            chosen.append(crop.transpose(1, 0, 2) if rng.uniform() < 0.3 else crop)
        x = torch.from_numpy(np.stack(chosen)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        gain = torch.empty(batch, 3, 1, 1, device=device).uniform_(0.75, 1.15)
        yield ((x + 1) * gain - 1).clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def reconstruction_loss(model: Autoencoder, images: torch.Tensor, noise_level: float) -> dict[str, torch.Tensor]:
    noise = torch.rand(len(images), 1, 1, 1, device=images.device) * noise_level
    error = (model(images, noise) - images).float()
    pixels = error.abs().mean()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    # every scale counts: what a mean over 4x4 pixels gets wrong is a colour cast
    casts = F.avg_pool2d(error, 4).abs().mean()
    return {"loss": pixels + edges + 0.5 * casts, "pixels": pixels, "mse": (error / 2).square().mean()}


@torch.no_grad()
def settled(model: Autoencoder, batches: Iterator[torch.Tensor], rooms: torch.Tensor) -> Autoencoder:
    """A copy with the statistics of the weights as they are now.

    The running ones belong to the weights that were trained, not to their average, and would wash out every colour.
    Over crops the latents then have unit variance; `scaling_factor` gives it to those of `rooms` [B, 3, H, W], whose
    walls are smoother.
    """
    copy = deepcopy(model).eval()
    features = torch.cat([copy.encoder(next(batches)) for _ in range(64)]).float()
    copy.whiten.running_mean = features.mean((0, 2, 3))
    copy.whiten.running_var = features.var((0, 2, 3))
    copy.register_to_config(scaling_factor=round(1 / float(copy.encode(rooms).latents.std()), 2))
    return copy


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lookbeyond train autoencoder", description=__doc__)
    parser.add_argument("--rooms", type=Path, required=True, help="shards of `lookbeyond train rooms`")
    parser.add_argument("--begin-with", type=Path, help="a trained autoencoder")
    parser.add_argument("--keep-encoder", action="store_true", help="train the decoder only")
    parser.add_argument("--latent-noise", type=float, default=0.15, help="largest deviation that the decoder forgives")
    loop.add_arguments(parser, minutes=30, batch=32, learning_rate=2e-3)
    options = parser.parse_args(argv)
    torch.manual_seed(options.seed)
    model = Autoencoder.from_pretrained(options.begin_with) if options.begin_with else Autoencoder()
    model.to(options.device, memory_format=torch.channels_last).train()
    model.encoder.requires_grad_(not options.keep_encoder)
    batches = crops(options.rooms, options.batch, options.seed, options.device)
    shard = np.load(min(options.rooms.glob("*.npz")))["colour"][:16]
    rooms = torch.from_numpy(shard).to(options.device).permute(0, 3, 1, 2).float() / 127.5 - 1

    def save_settled(step: int) -> None:
        if not options.keep_encoder:
            settled(model, batches, rooms).save_pretrained(options.out / "vae")

    loop.run(
        {"vae": model},
        batches,
        lambda images: reconstruction_loss(model, images, options.latent_noise),
        options,
        on_save=save_settled,
    )


if __name__ == "__main__":
    main()
