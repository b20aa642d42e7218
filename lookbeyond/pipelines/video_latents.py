"""Frames as the latents of Wan's video autoencoder, and back."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class VideoLatents:
    """An autoencoder whose latents are scaled to mean 0 and deviation 1, each of several frames but the first."""

    vae: Any
    device: torch.device

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and the reciprocal of the deviation of the autoencoder's latents, [1, C, 1, 1, 1]."""
        config = self.vae.config
        mean = torch.tensor(config.latents_mean).view(1, config.z_dim, 1, 1, 1).to(latents.device, latents.dtype)
        deviation = torch.tensor(config.latents_std).view(1, config.z_dim, 1, 1, 1)
        return mean, (1.0 / deviation).to(latents.device, latents.dtype)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] in -1..1 -> [1, C, T, h, w]."""
        video = frames.permute(1, 0, 2, 3)[None].to(self.device, self.vae.dtype)
        latents = self.vae.encode(video).latent_dist.mode().float()
        mean, scale = self._statistics(latents)
        return (latents - mean) * scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """[1, C, T, h, w] -> [N, 3, H, W] in -1..1."""
        latents = latents.to(self.vae.dtype)
        mean, scale = self._statistics(latents)
        return self.vae.decode(latents / scale + mean, return_dict=False)[0][0].permute(1, 0, 2, 3).float()
