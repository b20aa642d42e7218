"""The views stage's built-in network: a small spatio-temporal UNet over the frames of a clip.

It is called as SVD's UNet is (`UNetSpatioTemporalConditionModel`): latents with their conditions concatenated by
channel, a timestep, the anchor's embedding. The config says which conditions the channels hold.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionOutput
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CONDITIONS = ("warped", "warped_distance", "known", "anchor", "raymap")


class FrameBlock(nn.Module):
    """Two 3x3 convolutions within each frame, modulated by the condition, then one along time."""

    def __init__(self, channels: int, condition: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(condition, 2 * channels)
        self.along = nn.Conv1d(channels, channels, 3, padding=1, groups=channels)
        for module in (self.conv2, self.film, self.along):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor, frames: int) -> torch.Tensor:
        """x: [B·N, C, h, w], condition: [B·N, D]."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        x = x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x) * (1 + scale) + shift))))
        if frames == 1:
            return x
        size = x.shape[-2:]
        lines = x.unflatten(0, (-1, frames)).flatten(3).permute(0, 3, 2, 1)  # [B, hw, C, N]
        along = self.along(lines.flatten(0, 1)).view_as(lines)
        return x + along.permute(0, 3, 2, 1).flatten(0, 1).unflatten(-1, size)


class Attention(nn.Module):
    """Self-attention over the middle axis of [B, T, C], with a feed-forward behind it."""

    def __init__(self, channels: int, heads: int, mlp_ratio: float):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv, self.out = (
            nn.LayerNorm(channels),
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
        )
        self.mlp_norm = nn.LayerNorm(channels)
        self.up, self.down = (
            nn.Linear(channels, int(channels * mlp_ratio)),
            nn.Linear(int(channels * mlp_ratio), channels),
        )
        for module in (self.out, self.down):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.silu(self.up(self.mlp_norm(x))))


class ViewsUNet(ModelMixin, ConfigMixin):
    """Predicts the flow of a clip's latents (colour and distance) from what is known of every frame.

    Args:
        latent_channels: colour channels of the autoencoder.
        distance_channels: channels of log-distance beside them (0: colour only).
        conditioning: what is concatenated behind the noisy latents, in this order, out of
            "warped" (latents of the frame as warped from panorama and anchors), "warped_distance", "known" (1 channel:
            where the warp saw something), "anchor" (the anchor's latents, the same for every frame, as in SVD) and
            "raymap" (6 channels: Plücker rays relative to the anchor).
        patch_size: latents per side folded into one position.
        block_out_channels: widths of the two levels.
        layers_per_block: frame blocks at the outer level (each side) and at the inner level.
        attention_heads, mlp_ratio: of the inner level's spatial and temporal attention.
        image_embed_dim: width of the image encoder's embedding.
        prediction: "sample" (clean latents) or "velocity".
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 8,
        distance_channels: int = 4,
        conditioning: tuple[str, ...] = CONDITIONS,
        patch_size: int = 2,
        block_out_channels: tuple[int, int] = (144, 304),
        layers_per_block: tuple[int, int] = (2, 3),
        attention_heads: int = 8,
        mlp_ratio: float = 2.0,
        image_embed_dim: int = 192,
        prediction: str = "sample",
    ):
        super().__init__()
        outer, inner = block_out_channels
        channels = latent_channels + distance_channels
        sizes = {
            "warped": latent_channels,
            "warped_distance": distance_channels,
            "known": 1,
            "anchor": latent_channels,
            "raymap": 6,
        }
        total = channels + sum(sizes[name] for name in conditioning)
        self.time_features = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(256, inner)
        self.image = nn.Linear(image_embed_dim, inner)
        self.conv_in = nn.Conv2d(total * patch_size**2, outer, 3, padding=1)
        self.down = nn.ModuleList(FrameBlock(outer, inner) for _ in range(layers_per_block[0]))
        self.shrink = nn.Conv2d(outer, inner, 2, stride=2)
        self.middle = nn.ModuleList(FrameBlock(inner, inner) for _ in range(layers_per_block[1]))
        self.spatial = nn.ModuleList(Attention(inner, attention_heads, mlp_ratio) for _ in range(layers_per_block[1]))
        self.temporal = nn.ModuleList(Attention(inner, attention_heads, mlp_ratio) for _ in range(layers_per_block[1]))
        self.order = nn.Linear(16, inner)
        self.grow = nn.Conv2d(inner, outer * 4, 1)
        self.up = nn.ModuleList(FrameBlock(outer, inner) for _ in range(layers_per_block[0]))
        self.conv_out = nn.Conv2d(outer, channels * patch_size**2, 3, padding=1)
        self.gradient_checkpointing = False
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(
        self,
        sample: torch.Tensor,  # [B, N, noisy latents then conditions, h, w], h and w multiples of 2·patch_size
        timestep: torch.Tensor,  # scalar or [B], t·1000
        encoder_hidden_states: torch.Tensor,  # [B, 1, image_embed_dim]
        added_time_ids: torch.Tensor | None = None,  # SVD's; not used here
        return_dict: bool = True,
    ):
        """The velocity noise - clean [B, N, latent + distance channels, h, w]."""
        batch, frames = sample.shape[:2]
        channels, patch = self.config.latent_channels + self.config.distance_channels, self.config.patch_size
        noisy = sample[:, :, :channels]
        timestep = torch.as_tensor(timestep, device=sample.device).expand(batch)
        condition = self.time(self.time_features(timestep).to(encoder_hidden_states.dtype))
        condition = (condition + self.image(encoder_hidden_states[:, 0])).repeat_interleave(frames, 0)

        x = sample.flatten(0, 1).to(self.conv_in.weight.dtype).contiguous(memory_format=torch.channels_last)
        x = self.conv_in(F.pixel_unshuffle(x, patch))
        for block in self.down:
            x = self._run(block, x, condition, frames)
        outer, x = x, self.shrink(x)
        size = x.shape[-2:]
        # frames know their place between the pass's anchor, the first frame, and the other end
        steps = torch.linspace(0, 3, frames, device=x.device)[:, None] * torch.arange(1, 9, device=x.device)
        order = self.order(torch.cat([steps.sin(), steps.cos()], -1).to(x.dtype))
        for block, spatial, temporal in zip(self.middle, self.spatial, self.temporal, strict=True):
            x = self._run(block, x, condition, frames)
            tokens = self._run(spatial, x.flatten(2).mT).unflatten(0, (batch, frames))
            if frames > 1:
                lines = tokens.transpose(1, 2).flatten(0, 1)
                lines = lines + (self._run(temporal, lines + order) - lines - order)
                tokens = lines.unflatten(0, (batch, -1)).transpose(1, 2)
            x = tokens.flatten(0, 1).mT.unflatten(-1, size)
        x = outer + F.pixel_shuffle(self.grow(x), 2)
        for block in self.up:
            x = self._run(block, x, condition, frames)
        output = F.pixel_shuffle(self.conv_out(F.silu(x)), patch).unflatten(0, (batch, frames)).to(sample.dtype)
        if self.config.prediction == "sample":
            level = (timestep / 1000).clamp_min(0.05).view(-1, 1, 1, 1, 1).to(output.dtype)
            output = (noisy - output) / level
        return UNetSpatioTemporalConditionOutput(sample=output) if return_dict else (output,)

    def _run(self, block: nn.Module, *arguments):
        """A block, which will be run again for its gradients where memory is short."""
        again = torch.is_grad_enabled() and self.gradient_checkpointing
        return checkpoint(block, *arguments, use_reentrant=False) if again else block(*arguments)
