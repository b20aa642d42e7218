"""The layout network: walls around, ceiling, distance and kind of what is seen, from one photo.

After HorizonNet (Sun et al. 2019), which describes a room by one wall boundary a column, but from a photo instead of a
panorama: columns that the photo does not show are guessed from those it does, with a deviation that says how far.
"""

import math
from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import nn
from torch.nn import functional as F

from lookbeyond.layout.canvas import ALL_COLUMNS, CELL_COLUMNS, CELL_ROWS, COLUMNS, ROWS

from .autoencoder import ResidualBlock

FLOOR, CEILING, WALL, THING = range(4)
"""Kinds of what a cell of the canvas shows."""
_TOKENS = ALL_COLUMNS // 2
_SEEN_TOKENS = COLUMNS // 4
_USUAL_WALL, _USUAL_CEILING, _USUAL_DISTANCE = 0.7, 0.0, 0.7


@dataclass
class LayoutPrediction(BaseOutput):
    """All lengths are logs of metres over the camera's height; scales are of Laplace distributions, logs too."""

    walls: torch.Tensor  # [B, 256] level distance of the wall, columns as an equirectangular panorama's
    wall_scales: torch.Tensor  # [B, 256]
    corners: torch.Tensor  # [B, 256] logit of another wall beginning in this column or right of it
    normals: torch.Tensor  # [B, 256, 2] unit, level inward normal of the wall, x ahead and y left
    ceiling: torch.Tensor  # [B] height above the camera
    ceiling_scale: torch.Tensor  # [B]
    open_place: torch.Tensor  # [B] logit
    distance: torch.Tensor  # [B, 72, 96] along the ray, on the canvas
    distance_scales: torch.Tensor  # [B, 72, 96]
    kinds: torch.Tensor  # [B, 4, 72, 96] logits of FLOOR, CEILING, WALL, THING


class _Layer(nn.Module):
    """Attention and a perceptron, normalised before (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, count, width = x.shape
        qkv = self.to_qkv(self.norm1(x)).view(batch, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        # written out: torch's fused one takes four times as long to learn from on a processor
        weights = (q @ k.mT / math.sqrt(width // self.heads)).softmax(-1).to(v.dtype)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, count, width)
        x = x + self.to_out(mixed)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class LayoutNetwork(ModelMixin, ConfigMixin):
    """One forward pass: the canvas of a photo (`lookbeyond.layout.canvas`) -> `LayoutPrediction`.

    Args:
        width: of the tokens, one for every 2.8 degrees around.
        num_layers, num_attention_heads: of the transformer over them.
        block_out_channels: of the convolutions at 1/2, 1/4 and 1/8 of the canvas's height.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 192,
        num_layers: int = 5,
        num_attention_heads: int = 6,
        block_out_channels: tuple[int, int, int] = (32, 32, 96),
    ):
        super().__init__()
        fine, middle, coarse = block_out_channels
        self.stem = nn.Conv2d(5, fine, 5, stride=2, padding=2)
        self.middle = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle_blocks = nn.Sequential(ResidualBlock(middle), ResidualBlock(middle))
        self.coarse = nn.Conv2d(middle, coarse, 3, stride=(2, 1), padding=1)
        self.coarse_blocks = nn.Sequential(ResidualBlock(coarse), ResidualBlock(coarse))
        self.narrow = nn.Conv2d(coarse, 32, 1)
        self.to_token = nn.Linear(32 * ROWS // 8, width)
        self.places = nn.Parameter(torch.randn(_TOKENS + 1, width) * 0.1)
        self.layers = nn.ModuleList(_Layer(width, num_attention_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.to_columns = nn.Linear(width, 2 * 5)
        self.to_room = nn.Linear(width, 3)
        self.to_rows = nn.Linear(width, middle)
        self.row_places = nn.Parameter(torch.randn(middle, CELL_ROWS // 2, 1) * 0.1)
        self.from_coarse = nn.Conv2d(coarse, middle, 1)
        self.cells = ResidualBlock(middle)
        self.finer = nn.Conv2d(middle, 4 * fine, 1)
        self.to_cells = nn.Sequential(nn.SiLU(), nn.Conv2d(fine, fine, 3, padding=1), nn.SiLU(), nn.Conv2d(fine, 6, 1))

    def forward(self, colour: torch.Tensor, known: torch.Tensor) -> LayoutPrediction:
        """colour: [B, 3, 144, 192] in -1..1; known: [B, 1, 144, 192], 1 where the photo saw something."""
        elevation = torch.linspace(1, -1, ROWS, device=colour.device, dtype=colour.dtype).view(1, 1, ROWS, 1)
        picture = torch.cat([colour * known, known, elevation.expand_as(known)], 1)
        fine = self.stem(picture)
        middle = self.middle_blocks(self.middle(F.silu(fine)))
        coarse = self.coarse_blocks(self.coarse(F.silu(middle)))
        narrow = self.narrow(F.silu(coarse))
        seen = self.to_token(narrow.permute(0, 3, 1, 2).flatten(2))
        side = (_TOKENS - _SEEN_TOKENS) // 2
        tokens = F.pad(seen, (0, 0, side, side + 1)) + self.places
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = self.norm(tokens)
        columns = self.to_columns(tokens[:, :-1]).float().view(-1, ALL_COLUMNS, 5)
        room = self.to_room(tokens[:, -1]).float()
        rows = self.to_rows(tokens[:, side : side + _SEEN_TOKENS]).mT[:, :, None] + self.row_places
        up = F.interpolate(self.from_coarse(F.silu(coarse)), scale_factor=(2, 1), mode="nearest")
        cells = self.cells(middle + up + rows)
        cells = self.to_cells(F.pixel_shuffle(self.finer(F.silu(cells)), 2) + fine).float()
        return LayoutPrediction(
            walls=columns[..., 0] + _USUAL_WALL,
            wall_scales=_bounded(columns[..., 1]),
            corners=columns[..., 2],
            normals=F.normalize(columns[..., 3:], dim=-1, eps=1e-3),
            ceiling=room[:, 0] + _USUAL_CEILING,
            ceiling_scale=_bounded(room[:, 1]),
            open_place=room[:, 2],
            distance=cells[:, 0] + _USUAL_DISTANCE,
            distance_scales=_bounded(cells[:, 1]),
            kinds=cells[:, 2:],
        )


def _bounded(scale: torch.Tensor) -> torch.Tensor:
    """A log of scales, smoothly within 0.01 and 2."""
    low, high = math.log(0.01), math.log(2.0)
    return low + (high - low) * torch.sigmoid(scale + 0.4)


assert CELL_COLUMNS == 2 * _SEEN_TOKENS
