"""The panorama stage's network: a diffusion transformer on the sphere's equirectangular latents.

Rolling the input around the vertical rolls the output, exactly: convolutions wrap around, attention sees longitude
only through rotary angles of whole-number frequencies, and nothing else knows a column's number. That is the
cycle consistency which the paper trains for with a loss; here the network cannot break it, so there is no seam.
With `wraps` off it is a plain DiT, which can, and needs the loss.
"""

import math
from functools import partial
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps, get_2d_sincos_pos_embed
from torch import nn
from torch.nn import functional as F

DIT_XL_2: dict[str, Any] = {
    "latent_channels": 4,
    "distance_channels": 0,
    "patch_size": 2,
    "num_layers": 24,
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "mlp_ratio": 4.0,
    "local_channels": 64,
    "local_layers": 0,
    "image_embed_dim": 1024,
    "prediction": "velocity",
}
"""`PanoramaTransformer`'s arguments at the paper's size: 24 blocks of width 1152 on 32 x 64 latents of Stable
Diffusion's autoencoder (a panorama of 256 x 512), conditioned on the photo by SVD's CLIP tower. Colour only: its preset
needs a distance stage. Its blocks share their modulation, so it has fewer parameters than DiT-XL/2 of as many."""


class WrappedConv2d(nn.Conv2d):
    """A convolution whose columns wrap around (or, `wraps` off, do not); rows are continued by their edge."""

    wraps = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = self.kernel_size[0] // 2, self.kernel_size[1] // 2
        x = F.pad(x, (columns, columns, 0, 0), mode="circular" if self.wraps else "replicate")
        x = F.pad(x, (0, 0, rows, rows), mode="replicate")
        return super().forward(x)


class LocalBlock(nn.Module):
    """A residual block of two wrapped 3x3 convolutions, scaled and shifted by the condition."""

    def __init__(self, channels: int, condition: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1, self.conv2 = WrappedConv2d(channels, channels, 3), WrappedConv2d(channels, channels, 3)
        self.film = nn.Linear(condition, 2 * channels)
        for module in (self.conv2, self.film):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x) * (1 + scale) + shift))))


class TransformerBlock(nn.Module):
    """Attention and a feed-forward that looks at its neighbours, modulated by adaLN (Peebles & Xie 2023).

    The modulation is one table per block added to one shared projection of the condition (PixArt-α).
    """

    def __init__(self, heads: int, head_dim: int, mlp_ratio: float):
        super().__init__()
        width, hidden = heads * head_dim, int(heads * head_dim * mlp_ratio)
        self.heads = heads
        self.modulation = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.query_norm, self.key_norm = nn.RMSNorm(head_dim), nn.RMSNorm(head_dim)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.neighbours = WrappedConv2d(hidden, hidden, 3, groups=hidden)

    def forward(self, x, condition, rotary, grid):  # [B, T, D], [B, 6, D], ([T, d/2], [T, d/2]), (rows, columns)
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + condition)[:, :, None].unbind(1)
        y = F.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1
        q, k, v = self.qkv(y).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(self.query_norm(q), rotary), rotate(self.key_norm(k), rotary)
        y = F.scaled_dot_product_attention(q, k, v.to(q.dtype)).transpose(1, 2).flatten(2)
        x = x + gate1 * self.out(y)
        y = self.up(F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2)
        y = y + self.neighbours(y.mT.unflatten(-1, grid)).flatten(2).mT
        return x + gate2 * self.down(F.silu(y))


def rotate(x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary embedding of [B, heads, T, d] by angles given as cosine and sine [T, d/2]."""
    cos, sin = (part.to(x.dtype) for part in rotary)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def continue_smoothly(latents: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Latents [B, C, h, w] known on a mask [B, 1, h, w], continued over the whole sphere; unchanged where known.

    Gaussian means of what is known, from the widest to the narrowest, each taking over where it sees enough of it;
    three times as wide along the horizon as across it, since things at one height are alike (walls, floor).
    Commutes with a roll around the vertical.
    """
    rows, columns = latents.shape[-2:]
    down = torch.arange(rows, device=latents.device, dtype=torch.float32)
    around = torch.arange(columns, device=latents.device, dtype=torch.float32)
    across = (down[:, None] - down).square()
    apart = (around[:, None] - around).abs()
    apart = torch.minimum(apart, columns - apart).square()
    with torch.autocast(latents.device.type, enabled=False):
        known = known.float()
        weighted = torch.cat([latents.float() * known, known], 1)
        result = weighted[:, :-1].sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp_min(1)
        for octave in range(6):
            sigma = rows / 2**octave
            vertical, horizontal = (-across / (2 * sigma**2)).exp(), (-apart / (18 * sigma**2)).exp()
            total = vertical.sum() / rows * horizontal[0].sum()
            blurred = vertical @ weighted @ horizontal / total
            result = (blurred[:, :-1] + 0.02 * result) / (blurred[:, -1:] + 0.02)
        return torch.lerp(result, latents.float(), known).to(latents.dtype)


def rolled(network: nn.Module, columns: int, hidden_states, timestep, image_embeds, known_latents, known_mask):
    """What a network makes of its input rolled by so many columns (a multiple of its patches), rolled back.

    A network that wraps makes the same of it for any number; one that does not has its seam elsewhere.
    """
    if not columns:
        return network(hidden_states, timestep, image_embeds, known_latents, known_mask)
    moved, known, mask = (part.roll(columns, -1) for part in (hidden_states, known_latents, known_mask))
    return network(moved, timestep, image_embeds, known, mask).roll(-columns, -1)


class PanoramaTransformer(ModelMixin, ConfigMixin):
    """Predicts the flow of panorama latents (colour and distance together) from the photo placed among them.

    Args:
        latent_channels: colour channels of the autoencoder.
        distance_channels: channels of log-distance beside them (0: colour only).
        patch_size: latents per token side.
        num_layers, num_attention_heads, attention_head_dim, mlp_ratio: as in DiT; DiT-XL/2 is 28, 16, 72, 4.0 with
            patch_size 2.
        local_channels, local_layers: convolutional blocks at the latents' own resolution before and after the
            transformer; they let a coarse patch draw fine structure. 0 layers: a plain DiT.
        image_embed_dim: width of the image encoder's embedding (CLIP's projection).
        prediction: what the last layer means, "sample" (clean latents, good for coarse patches) or "velocity".
        wraps: that the left and the right edge are one place is built in; else tokens know their place by DiT's fixed
            sines and cosines, and the edges are unrelated.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 8,
        distance_channels: int = 4,
        patch_size: int = 4,
        num_layers: int = 8,
        num_attention_heads: int = 6,
        attention_head_dim: int = 48,
        mlp_ratio: float = 4.0,
        local_channels: int = 56,
        local_layers: int = 2,
        image_embed_dim: int = 192,
        prediction: str = "sample",
        wraps: bool = True,
    ):
        super().__init__()
        width, channels = num_attention_heads * attention_head_dim, latent_channels + distance_channels
        # the noisy latents, the known ones continued over the sphere, and where they are known
        self.stem = WrappedConv2d(channels + latent_channels + 1, local_channels, 3)
        self.before = nn.ModuleList(LocalBlock(local_channels, width) for _ in range(local_layers // 2))
        self.patch = nn.Conv2d(local_channels, width, patch_size, stride=patch_size)
        self.time_features = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(256, width)
        self.image = nn.Linear(image_embed_dim, width)
        self.latitude = nn.Sequential(nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(
            TransformerBlock(num_attention_heads, attention_head_dim, mlp_ratio) for _ in range(num_layers)
        )
        self.unpatch = nn.Linear(width, local_channels * patch_size**2)
        self.after = nn.ModuleList(LocalBlock(local_channels, width) for _ in range(local_layers - local_layers // 2))
        self.head = WrappedConv2d(local_channels, channels, 3)
        self.gradient_checkpointing = False
        for module in self.modules():
            if isinstance(module, WrappedConv2d):
                module.wraps = wraps
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.modulation.weight, std=0.02)

    def _positions(self, rows: int, columns: int, device) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Latitude features [rows, 8] and the rotary angles' cosine and sine [rows·columns, d/2]."""
        latitude = (torch.arange(rows, device=device) + 0.5) / rows * math.pi
        octaves = latitude[:, None] * torch.arange(1, 5, device=device)
        features = torch.cat([octaves.sin(), octaves.cos()], -1)
        pairs = self.config.attention_head_dim // 2
        around = pairs // 2
        longitude = torch.arange(columns, device=device) / columns * 2 * math.pi
        # whole numbers only: the angle between two columns then depends on their distance around the sphere
        whole = torch.arange(around, device=device) % max(columns // 2, 1) + 1
        down = torch.arange(pairs - around, device=device) / 2 + 0.5
        angles = torch.cat(
            [
                (longitude[:, None] * whole).expand(rows, columns, -1),
                (latitude[:, None, None] * down).expand(rows, columns, -1),
            ],
            -1,
        ).flatten(0, 1)
        return features, (angles.cos(), angles.sin())

    def forward(
        self,
        hidden_states: torch.Tensor,  # [B, latent + distance channels, h, w], noisy: (1 - t)·clean + t·noise
        timestep: torch.Tensor,  # [B] or scalar, t·1000
        image_embeds: torch.Tensor,  # [B, image_embed_dim]
        known_latents: torch.Tensor,  # [B, latent_channels, h, w], ignored where unknown
        known_mask: torch.Tensor,  # [B, 1, h, w] 1 where known
    ) -> torch.Tensor:
        """The velocity noise - clean, [B, latent + distance channels, h, w]."""
        timestep = torch.as_tensor(timestep, device=hidden_states.device).expand(len(hidden_states))
        condition = self.time(self.time_features(timestep).to(image_embeds.dtype)) + self.image(image_embeds)
        # the photo's own colours everywhere to begin with, so that the network need not carry them there
        known_latents = continue_smoothly(known_latents, known_mask)
        x = self.stem(torch.cat([hidden_states, known_latents, known_mask], 1).to(self.stem.weight.dtype))
        for block in self.before:
            x = block(x, condition)
        patches = self.patch(x)
        rows, columns = grid = patches.shape[-2:]
        features, rotary = self._positions(rows, columns, x.device)
        tokens = patches.flatten(2).mT + self.latitude(features.to(x.dtype)).repeat_interleave(columns, 0)
        if not self.config.wraps:
            places = get_2d_sincos_pos_embed(tokens.shape[-1], grid, device=x.device, output_type="pt")
            tokens = tokens + places.to(tokens.dtype)
            rotary = torch.ones_like(rotary[0]), torch.zeros_like(rotary[1])
        modulation = self.modulation(F.silu(condition)).unflatten(-1, (6, -1))
        again = torch.is_grad_enabled() and self.gradient_checkpointing
        for block in self.blocks:  # run again for their gradients where memory is short
            run = partial(self._gradient_checkpointing_func, block) if again else block
            tokens = run(tokens, modulation, rotary, tuple(grid))
        size = self.config.patch_size
        y = self.unpatch(F.layer_norm(tokens, tokens.shape[-1:])).mT
        x = x + F.pixel_shuffle(y.unflatten(-1, grid), size)
        for block in self.after:
            x = block(x, condition)
        output = self.head(F.silu(x)).to(hidden_states.dtype)
        if self.config.prediction == "velocity":
            return output
        # from the clean latents to the velocity; the bound keeps the last steps from amplifying small errors
        return (hidden_states - output) / (timestep / 1000).clamp_min(0.05)[:, None, None, None].to(output.dtype)
