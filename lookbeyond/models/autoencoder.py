"""The built-in image autoencoder: 8x8 pixels to one latent vector, small enough for a CPU."""

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import nn
from torch.nn import functional as F


@dataclass
class EncoderOutput(BaseOutput):
    latents: torch.Tensor  # [B, latent_channels, H/8, W/8], unit variance per channel


@dataclass
class DecoderOutput(BaseOutput):
    sample: torch.Tensor  # [B, 3, H, W] in -1..1


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions without normalisation; the second starts at zero, so depth costs no stability."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class Autoencoder(ModelMixin, ConfigMixin):
    """A convolutional autoencoder with the calls of diffusers' autoencoders.

    Works on space-to-depth(2) images so that nothing runs at full resolution. Latents are whitened per channel by
    running statistics: a batch's own would shift every colour by the company it is in. In training the decoder sees
    them with noise, so that it tolerates small errors of a diffusion model (the part that a KL term plays in
    Stable Diffusion's autoencoder).

    Args:
        latent_channels: channels of a latent.
        block_out_channels: widths at 1/2, 1/4, 1/8, ... of the resolution; their number sets the scale factor.
        layers_per_block: residual blocks at each of these, in the encoder and in the decoder.
        scaling_factor: what latents are multiplied with before diffusion: gives those of rooms unit variance.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 8,
        block_out_channels: tuple[int, ...] = (40, 96, 160),
        layers_per_block: tuple[int, ...] = (1, 2, 2),
        scaling_factor: float = 1.0,
    ):
        super().__init__()
        widths = block_out_channels
        encoder: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
        decoder: list[nn.Module] = [nn.Conv2d(latent_channels, widths[-1], 3, padding=1)]
        for level, (width, layers) in enumerate(zip(widths, layers_per_block, strict=True)):
            encoder += [ResidualBlock(width) for _ in range(layers)]
            if level + 1 < len(widths):
                encoder += [nn.PixelUnshuffle(2), nn.Conv2d(4 * width, widths[level + 1], 1)]
        encoder += [nn.SiLU(), nn.Conv2d(widths[-1], latent_channels, 3, padding=1)]
        for level in reversed(range(len(widths))):
            decoder += [ResidualBlock(widths[level]) for _ in range(layers_per_block[level])]
            if level:
                decoder += [nn.Conv2d(widths[level], 4 * widths[level - 1], 1), nn.PixelShuffle(2)]
        decoder += [nn.SiLU(), nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2)]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
        self.whiten = nn.BatchNorm2d(latent_channels, affine=False, momentum=0.01)

    def encode(self, x: torch.Tensor) -> EncoderOutput:
        """Images [B, 3, H, W] in -1..1, sides multiples of the scale factor -> latents."""
        features = self.encoder(x)
        if self.training and features.requires_grad:  # an encoder that is kept keeps its statistics
            with torch.no_grad():
                self.whiten(features)
        mean, variance = self.whiten.running_mean, self.whiten.running_var
        assert mean is not None and variance is not None
        # copies: the statistics move on before the gradients are taken
        mean, deviation = mean.clone(), (variance + self.whiten.eps).sqrt()
        return EncoderOutput(latents=(features - mean[:, None, None]) / deviation[:, None, None])

    def decode(self, z: torch.Tensor) -> DecoderOutput:
        """Latents -> images [B, 3, H, W], about -1..1, not clamped."""
        *body, last, shuffle = self.decoder
        for layer in body:
            z = layer(z)
        # in float32 whatever the weights' type: sixteen bits would draw bands into smooth walls
        with torch.autocast(z.device.type, enabled=False):
            z = F.conv2d(z.float(), last.weight.float(), last.bias.float(), padding=1)
        return DecoderOutput(sample=shuffle(z))

    def forward(self, x: torch.Tensor, noise_level: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Reconstruction, with Gaussian noise of this deviation on the latents."""
        latents = self.encode(x).latents
        return self.decode(latents + noise_level * torch.randn_like(latents)).sample


def spatial_scale_factor(vae) -> int:
    """Pixels per latent, for ours and for diffusers' autoencoders alike."""
    if factor := getattr(vae.config, "scale_factor_spatial", None):  # Wan's
        return factor
    levels = len(vae.config.block_out_channels)
    return 2**levels if isinstance(vae, Autoencoder) else 2 ** (levels - 1)


def encode_images(vae, images: torch.Tensor) -> torch.Tensor:
    """Images [B, 3, H, W] in -1..1 -> scaled latents of any diffusers autoencoder (the mode, not a sample)."""
    output = vae.encode(images.to(vae.dtype))
    latents = output.latents if hasattr(output, "latents") else output.latent_dist.mode()
    return latents * vae.config.scaling_factor
