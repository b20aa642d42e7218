"""Trains the panorama transformer and the image encoder together, on latents of procedural panoramas.

    lookbeyond train panorama --rooms pool --vae weights/vae --out weights --minutes 60

Flow matching (Lipman et al. 2023): latents x = (1 - t)·clean + t·noise, the network predicts noise - clean. Every
sample is a room rolled so that a photo of random field of view, pitch, roll and aspect stands at its centre; the
network sees the photo's latents, where they are, and the photo's embedding.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.data.rooms import equirectangular_rays
from lookbeyond.distance import log_distance_to_latents
from lookbeyond.models.autoencoder import Autoencoder, encode_images, spatial_scale_factor
from lookbeyond.models.image_encoder import built_in_encoder, embed_images
from lookbeyond.models.panorama_transformer import PanoramaTransformer

from . import loop

SCALE = 8
SHIFT = 4.0
"""Of the noise levels, in training and in the sampler's steps."""


@dataclass(frozen=True)
class Photos:
    """Photo cameras at the panorama's centre. fov and aspect as tangents of half angles."""

    tan_x: torch.Tensor  # [B]
    tan_y: torch.Tensor  # [B]
    rotation: torch.Tensor  # [B, 3, 3] camera (x right, y down, z forward) to world (X forward, Z up)

    @classmethod
    def draw(cls, count: int, generator: torch.Generator) -> "Photos":
        def uniform(low, high):
            return torch.rand(count, generator=generator) * (high - low) + low

        fov = torch.deg2rad(uniform(50, 100))
        aspects = torch.tensor([4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4])
        aspect = aspects[torch.randint(len(aspects), (count,), generator=generator)]
        pitch, roll = torch.deg2rad(uniform(-15, 15)), torch.deg2rad(uniform(-5, 5))
        zero, one = torch.zeros(count), torch.ones(count)
        cp, sp, cr, sr = pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
        forward = torch.stack([cp, zero, sp], -1)
        level_right, level_down = torch.stack([zero, -one, zero], -1), torch.stack([sp, zero, -cp], -1)
        right = cr[:, None] * level_right + sr[:, None] * level_down
        down = cr[:, None] * level_down - sr[:, None] * level_right
        tan_x = (fov / 2).tan().clamp_max(1.3)
        return cls(tan_x, tan_x / aspect, torch.stack([right, down, forward], -1))

    def mask(self, height: int, width: int) -> torch.Tensor:
        """[B, 1, height, width] 1 where a cell of the panorama lies wholly inside the photo."""
        fine = 4
        rays = equirectangular_rays(height * fine, width * fine)
        x, y, z = (rays @ self.rotation).unbind(-1)
        inside = (z > 1e-3) & (x.abs() < z * self.tan_x[:, None]) & (y.abs() < z * self.tan_y[:, None])
        return -F.max_pool2d(-inside.float().view(-1, 1, height * fine, width * fine), fine)

    def images(self, panoramas: torch.Tensor, size: int) -> torch.Tensor:
        """Panoramas [B, 3, H, W] -> the photos squeezed to size x size, bilinear."""
        step = (torch.arange(size) + 0.5) / size * 2 - 1
        x = step[None, None] * self.tan_x[:, None, None]
        y = step[None, :, None] * self.tan_y[:, None, None]
        rays = torch.stack(torch.broadcast_tensors(x, y, torch.ones(1)), -1) @ self.rotation.mT[:, None]
        rays = F.normalize(rays, dim=-1)
        grid = torch.stack([
            -torch.atan2(rays[..., 1], rays[..., 0]) / math.pi,
            -2 * torch.asin(rays[..., 2].clamp(-1, 1)) / math.pi,
        ], -1)  # fmt: skip
        return F.grid_sample(panoramas, grid.to(panoramas.device), align_corners=False, padding_mode="border")


class LatentRooms:
    """Shards of rooms, encoded once: grows by a shard when asked, since rendering may still be going on."""

    def __init__(self, pool: Path, vae: Autoencoder, device: str):
        self.pool, self.vae, self.device, self.seen = pool, vae, device, set()
        self.images: list[np.ndarray] = []
        self.latents: list[torch.Tensor] = []
        self.openness: list[np.ndarray] = []

    @torch.no_grad()
    def add_shard(self) -> bool:
        fresh = sorted(set(self.pool.glob("*.npz")) - self.seen)
        if not fresh:
            return False
        self.seen.add(fresh[0])
        shard = np.load(fresh[0])
        colour, logs = shard["colour"], torch.from_numpy(shard["distance"]).float()[:, None]
        distance = log_distance_to_latents(logs.to(self.device))
        for k in range(0, len(colour), 8):
            image = torch.from_numpy(colour[k : k + 8]).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            # the seam is inside a room like any other place: encode across it
            wide = torch.cat([image[..., -64:], image, image[..., :64]], -1)
            with torch.autocast(self.device.split(":")[0], torch.bfloat16):
                latents = encode_images(self.vae, wide)[..., 64 // SCALE : -64 // SCALE].float()
            self.latents += torch.cat([latents, distance[k : k + 8]], 1).half().unbind(0)
        self.images += list(colour)
        horizon = logs[:, 0, 28:36].mean(1).exp().numpy()
        self.openness += list(horizon / horizon.sum(1, keepdims=True))
        return True

    def batches(self, count: int, seed: int) -> Iterator[dict[str, torch.Tensor]]:
        generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
        for _ in range(4):
            self.add_shard()
        turn = 0
        while True:
            turn += 1
            if turn % 25 == 0:
                self.add_shard()
            chosen = rng.integers(len(self.images), size=count)
            photos = Photos.draw(count, generator)
            latents, images = [], []
            for k in chosen:  # people photograph where there is something to see
                column = rng.choice(len(self.openness[k]), p=self.openness[k]) // 2
                shift = self.latents[k].shape[-1] // 2 - column
                latents.append(self.latents[k].roll(shift, -1))
                images.append(np.roll(self.images[k], shift * SCALE, 1))
            panoramas = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
            clean = torch.stack(latents).float()
            yield {
                "clean": clean,
                "known": photos.mask(*clean.shape[-2:]).to(self.device),
                "photos": photos.images(panoramas, 96).to(self.device),
            }


def shifted(t: torch.Tensor) -> torch.Tensor:
    """Noise levels moved towards 1 (Esser et al. 2024, eq. 23).

    A floor's colour is the mean of hundreds of latents, so it is decided while single latents are still all noise: at
    levels that would otherwise hardly be trained or sampled, and the noise would choose the palette, not the photo.
    """
    return SHIFT * t / (1 + (SHIFT - 1) * t)


def flow_loss(transformer, encoder, batch, generator=None) -> dict[str, torch.Tensor]:
    """Squared error of the velocity; hidden colour and all distance count in full, known colour a little."""
    clean, known = batch["clean"], batch["known"]
    channels = transformer.config.latent_channels
    t = shifted(torch.sigmoid(torch.randn(len(clean), device=clean.device) + 0.3)).clamp(0.02, 0.9995)
    noise = torch.randn_like(clean)
    level = t[:, None, None, None]
    noisy = (1 - level) * clean + level * noise
    colour = clean[:, :channels] * known
    velocity = transformer(noisy, t * 1000, embed_images(encoder, batch["photos"]), colour, known)
    error = (velocity.float() - (noise - clean)).square()
    # in units of the clean latents' error, bounded: late steps must not drown the early ones
    error = error * level.clamp_min(0.05)
    hidden = (1 - known) * 0.9 + 0.1
    colour_loss = (error[:, :channels] * hidden).mean() / hidden.mean()
    distance_loss = error[:, channels:].mean()
    return {"loss": colour_loss + distance_loss, "colour": colour_loss, "distance": distance_loss}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lookbeyond train panorama", description=__doc__)
    parser.add_argument("--rooms", type=Path, required=True, help="shards of `lookbeyond train rooms`")
    parser.add_argument("--vae", type=Path, required=True, help="the trained autoencoder")
    loop.add_arguments(parser, minutes=60, batch=16, learning_rate=8e-4)
    options = parser.parse_args(argv)
    torch.manual_seed(options.seed)
    vae = Autoencoder.from_pretrained(options.vae).to(options.device).eval().requires_grad_(False)
    if spatial_scale_factor(vae) != SCALE:
        raise SystemExit(f"{options.vae}: panoramas are trained on autoencoders of 8 pixels a latent")
    encoder = built_in_encoder().to(options.device)
    transformer = PanoramaTransformer(latent_channels=vae.config.latent_channels).to(options.device)
    rooms = LatentRooms(options.rooms, vae, options.device)
    loop.run(
        {"transformer": transformer, "image_encoder": encoder},
        rooms.batches(options.batch, options.seed),
        lambda batch: flow_loss(transformer, encoder, batch),
        options,
    )


if __name__ == "__main__":
    main()
