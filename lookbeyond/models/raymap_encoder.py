"""Camera control for a network that has none: rays become tokens that its frames attend to.

The UNet of Stable Video Diffusion knows an image and a motion strength, no cameras. `RaymapEncoder` turns the Plücker
rays of every frame into a few tokens, and carries one cross-attention adapter for each of the UNet's own image
cross-attentions. The adapters' outputs start at zero and stand outside the UNet: its weights stay frozen, its files
stay as they were published, and without rays it computes what it always did.
"""

import itertools
import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional as F

from lookbeyond.errors import InputError

SVD_CHANNELS = (320,) * 2 + (640,) * 2 + (1280,) * 2 + (1280,) * 3 + (640,) * 3 + (320,) * 3 + (1280,)
"""Widths of Stable Video Diffusion's image cross-attentions, in `cross_attentions`' order."""


def cross_attentions(unet: nn.Module) -> list[Attention]:
    """The attentions by which each frame, on its own, looks at the image embedding, in a fixed order."""
    named = [(name, module) for name, module in unet.named_modules() if isinstance(module, Attention)]
    return [module for name, module in named if name.endswith("attn2") and "temporal" not in name]


class RayAdapter(nn.Module):
    """A frame's features [B, hw, C] attend to the frame's ray tokens [B, T, D]; zero until it is trained."""

    def __init__(self, channels: int, token_channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, token_channels, bias=False)
        self.to_k = nn.Linear(token_channels, token_channels, bias=False)
        self.to_v = nn.Linear(token_channels, token_channels, bias=False)
        self.to_out = nn.Linear(token_channels, channels)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, features: torch.Tensor, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """places: [hw, D], where in the frame each feature is."""
        parts = self.to_q(features) + places.to(features), self.to_k(tokens), self.to_v(tokens)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class RaymapEncoder(ModelMixin, ConfigMixin):
    """Plücker rays of every frame -> tokens, and the adapters that bring them into a UNet.

    Args:
        adapter_channels: widths of the UNet's image cross-attentions, in their order (`for_unet` reads them).
        token_channels: width of a token and of the adapters' attention, a multiple of 4 and of `heads`.
        block_out_channels: widths of the convolutions; each halves the raymap, so three give a token per 8x8 latents.
        heads: of the adapters.

    Example:
        >>> encoder = RaymapEncoder.for_unet(unet)
        >>> encoder.install(unet)
        >>> unet(latents, timestep, encoder_hidden_states=..., added_time_ids=..., raymap=rays)  # rays [B, N, 6, h, w]

    Trainable is `encoder` itself, adapters included. To train on several devices, wrap it and the UNet in one module.
    """

    @register_to_config
    def __init__(
        self,
        adapter_channels: tuple[int, ...] = SVD_CHANNELS,
        token_channels: int = 256,
        block_out_channels: tuple[int, ...] = (64, 128, 256),
        heads: int = 4,
    ):
        super().__init__()
        widths = (6, *block_out_channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in itertools.pairwise(widths)
        )
        self.project = nn.Conv2d(widths[-1], token_channels, 1)
        self.norm = nn.LayerNorm(token_channels)
        self.adapters = nn.ModuleList(RayAdapter(width, token_channels, heads) for width in adapter_channels)
        self._seen: tuple[torch.Tensor, tuple[int, int]] | None = None
        self._installed_in: list[nn.Module] = []

    @classmethod
    def for_unet(cls, unet: nn.Module, **options) -> "RaymapEncoder":
        """A new encoder, its adapters as wide as the UNet's cross-attentions."""
        return cls(adapter_channels=_widths(unet), **options)

    def install(self, unet: nn.Module) -> "RaymapEncoder":
        """Gives the UNet's forward one more argument, `raymap` [B, N, 6, h, w] (None: no rays); once per UNet.

        Raises InputError when the encoder was made for a UNet of other widths.
        """
        if any(known is unet for known in self._installed_in):
            return self
        widths = _widths(unet)
        if widths != tuple(self.config.adapter_channels):
            raise InputError(
                f"the raymap encoder was trained for a UNet with cross-attentions of widths"
                f" {tuple(self.config.adapter_channels)}, but this UNet has {widths}; use the encoder that was trained"
                " with it, or none"
            )
        unet.register_forward_pre_hook(self._look, with_kwargs=True)
        for adapter, attention in zip(self.adapters, cross_attentions(unet), strict=True):
            attention.register_forward_hook(_AddRays(self, adapter))
        self._installed_in.append(unet)
        return self

    def forward(self, raymap: torch.Tensor) -> torch.Tensor:
        """Rays [B, N, 6, h, w] at the latents' resolution -> tokens [B·N, T, token_channels]."""
        x = raymap.flatten(0, 1).float()
        # in float32 whatever the weights' type: sixteen bits cannot tell the rays of neighbouring pixels apart
        with torch.autocast(x.device.type, enabled=False):
            for layer in self.convolutions:
                x = F.silu(F.conv2d(x, layer.weight.float(), layer.bias.float(), stride=2, padding=1))
            x = F.conv2d(x, self.project.weight.float(), self.project.bias.float())
        places = _places(x.shape[-2], x.shape[-1], x.shape[1], x.device)
        return self.norm((x.flatten(2).mT + places).to(self.norm.weight.dtype))

    def _look(self, unet: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Before the UNet's forward: takes its raymap, for the adapters to find (also when blocks are run again
        for their gradients)."""
        raymap = kwargs.pop("raymap", None)
        self._seen = None if raymap is None else (self(raymap), (raymap.shape[-2], raymap.shape[-1]))
        return args, kwargs


class _AddRays:
    """A hook behind one cross-attention: adds its adapter's output."""

    def __init__(self, encoder: RaymapEncoder, adapter: RayAdapter):
        self.encoder, self.adapter = encoder, adapter

    def __call__(self, attention: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor:
        if self.encoder._seen is None:
            return output
        tokens, (height, width) = self.encoder._seen
        features = args[0]
        while height * width > features.shape[1]:  # the UNet's levels are half as big each
            height, width = -(-height // 2), -(-width // 2)
        places = _places(height, width, tokens.shape[-1], features.device)
        return output + self.adapter(features, tokens.to(features.dtype), places)


def _widths(unet: nn.Module) -> tuple[int, ...]:
    return tuple(attention.to_q.in_features for attention in cross_attentions(unet))


def _places(height: int, width: int, channels: int, device: torch.device) -> torch.Tensor:
    """Sines and cosines [height · width, channels] of each cell's place in the frame, whatever the grid."""
    count = channels // 4
    frequencies = torch.logspace(0, 5, count, base=2, device=device) * math.pi
    waves = []
    for size in (height, width):
        phase = (torch.arange(size, device=device) + 0.5)[:, None] / size * frequencies
        waves.append(torch.cat([phase.sin(), phase.cos()], -1))
    rows = waves[0][:, None].expand(-1, width, -1)
    columns = waves[1][None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)
