"""The torch twin of `geometry.warping`: the same relief marching, on tensors, for several targets at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..geometry.cameras import Camera
from ..geometry.panorama import Panorama, View
from ..geometry.warping import (
    AGREEMENT,
    CROSSINGS,
    HIT_TOLERANCE,
    REFINEMENTS,
    STEP_RAD,
    STEPS,
    Relief,
    frame_grid,
    relief_of,
)


@dataclass(frozen=True, eq=False)
class WarpedViews:
    """A source seen by N other cameras of one size."""

    distance: torch.Tensor
    """[N, H, W] float32 along the ray from the new camera, metres, 0 in holes."""
    known: torch.Tensor
    """[N, H, W] bool: False in holes."""
    source_coords: torch.Tensor
    """[N, H, W, 2] float32 (column, row) as shares of the source's frame, 0..1; 0 in holes."""
    sphere: bool
    """Whether the source is a panorama."""

    def __getitem__(self, frames) -> "WarpedViews":
        return WarpedViews(self.distance[frames], self.known[frames], self.source_coords[frames], self.sphere)

    def sample(self, image: torch.Tensor) -> torch.Tensor:
        """An image [C, h, w] that covers the source's frame, as they see it: [N, C, H, W], 0 in holes."""
        height, width = image.shape[-2:]
        pad = _padded_sphere if self.sphere else lambda image: F.pad(image, (1, 1, 1, 1), mode="replicate")
        size = torch.tensor([width, height], dtype=torch.float32, device=image.device)
        grid = (self.source_coords * size + 1) / (size + 2) * 2 - 1
        stacked = pad(image.float()[None]).expand(len(grid), -1, -1, -1)
        return F.grid_sample(stacked, grid, align_corners=False).to(image.dtype) * self.known[:, None]


def warp_to_views(
    source: Panorama | View, targets: Sequence[Camera], device: torch.device | str = "cpu"
) -> WarpedViews:
    """Where each target (all of one size) sees the surfaces that `source` saw; see `warp_to_view`."""
    relief = _TensorRelief(relief_of(source), torch.device(device))
    rays = np.stack([camera.rays() for camera in targets])
    cosines = np.stack([ray @ camera.forward for ray, camera in zip(rays, targets, strict=True)])
    offsets = np.stack([camera.position - relief.position for camera in targets])
    rays, cosines, offsets = (
        torch.from_numpy(values.astype(np.float32)).to(device) for values in (rays, cosines, offsets)
    )
    offsets = offsets[:, None, None].expand_as(rays)
    distance = _walk_frames(relief, offsets, rays, cosines)
    known = distance > 0
    column, row = relief.shares(*(offsets + rays * distance[..., None]).unbind(-1))
    coords = torch.where(known[..., None], torch.stack([column, row], -1), torch.zeros((), device=device))
    return WarpedViews(distance, known, coords, relief.sphere)


class _TensorRelief:
    """`Relief` on a device."""

    def __init__(self, relief: Relief, device: torch.device) -> None:
        self.near, self.far, self.sphere = relief.near, relief.far, relief.sphere
        self.width, self.height, self.position = relief.width, relief.height, relief.position
        self.quads = torch.from_numpy(relief.quads).to(device)
        self.torn = torch.from_numpy(relief.torn).to(device)
        self.heading = relief.heading_rad if relief.sphere else 0.0
        self.to_frame = () if relief.sphere else relief.to_frame.tolist()
        self.samples = 1 << 17 if device.type == "cpu" else 1 << 24

    def shares(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Column and row, as shares of the source's frame, of directions seen from the source."""
        if self.sphere:
            turn = 0.5 + self.heading / (2 * math.pi) - torch.atan2(y, x) / (2 * math.pi)
            return turn - turn.floor(), 0.5 - torch.atan2(z, (x * x + y * y).sqrt()) / math.pi
        column, row, depth = (a * x + b * y + c * z for a, b, c in self.to_frame)
        scale = 1 / torch.where(depth > 1e-6, depth, torch.nan)
        return column * scale, row * scale

    def inverse_distance(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        column, row = self.shares(x, y, z)
        inside = (column >= 0) & (column <= 1) & (row >= 0) & (row <= 1)
        column = torch.where(inside, column, 0) * self.width + 0.5
        row = torch.where(inside, row, 0) * self.height + 0.5
        left, above = column.floor(), row.floor()
        right, below = column - left, row - above
        index = above.long() * (self.width + 1) + left.long()
        torn = self.torn.index_select(0, index.reshape(-1)).view_as(index)
        right = torch.where(torn, (right >= 0.5).float(), right)
        below = torch.where(torn, (below >= 0.5).float(), below)
        corners = F.embedding(index, self.quads).unbind(-1)
        top = torch.lerp(corners[0], corners[1], right)
        bottom = torch.lerp(corners[2], corners[3], right)
        return torch.lerp(top, bottom, below) * inside


def _walk_frames(
    relief: _TensorRelief, offsets: torch.Tensor, rays: torch.Tensor, cosines: torch.Tensor
) -> torch.Tensor:
    """Distances [N, H, W] of the hits of rays [N, H, W, 3], 0 in holes; see the twin."""
    height, width = cosines.shape[1:]
    device = rays.device
    grid_rows, row, below = (torch.from_numpy(values).to(device) for values in frame_grid(height))
    grid_columns, column, right = (torch.from_numpy(values).to(device) for values in frame_grid(width))
    grid = (slice(None), grid_rows[:, None], grid_columns)
    grid_rays = rays[grid]
    hits = _walk(relief, offsets[grid].reshape(-1, 3), grid_rays.reshape(-1, 3)).reshape(grid_rays.shape[:-1])
    inverse = torch.where(hits > 0, 1 / (hits * cosines[grid]), 0)
    corners = torch.stack([inverse[:, :-1, :-1], inverse[:, :-1, 1:], inverse[:, 1:, :-1], inverse[:, 1:, 1:]])
    least, most = corners.amin(0), corners.amax(0)
    agree = most - least <= AGREEMENT * least
    lines = torch.lerp(inverse[:, :, column], inverse[:, :, column + 1], right)
    depth = torch.lerp(lines[:, row], lines[:, row + 1], below[:, None])
    met = agree[:, row][:, :, column] & (depth > 0)
    distance = torch.where(met, 1 / (depth * cosines), 0)
    distance[grid] = hits
    met[grid] = True
    distance[~met] = _walk(relief, offsets[~met], rays[~met])
    return distance


def _walk(relief: _TensorRelief, offsets: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Distances [R] from offsets [R, 3] from the source along unit rays [R, 3] to their hits, 0 for none."""
    square = (offsets**2).sum(-1)
    along = -(rays * offsets).sum(-1)
    aside = square - along**2
    inside = square < relief.near**2
    start = torch.where(inside, along + (relief.near**2 - aside).clamp(min=0).sqrt(), 0)
    end = along + (relief.far**2 - aside).clamp(min=0).sqrt()
    distance = torch.zeros_like(along)
    walked = (end > start).nonzero()[:, 0]
    path = _Path(relief, offsets[walked], rays[walked], start[walked], end[walked])
    counts = torch.tensor(STEPS, dtype=torch.float32, device=rays.device)
    steps = torch.searchsorted(counts, path.angles() / STEP_RAD).clamp(max=len(STEPS) - 1)
    for number, count in enumerate(STEPS):
        for some in (steps == number).nonzero()[:, 0].split(relief.samples // count):
            if some.numel():
                distance[walked[some]] = path.first_hits(some, count)
    return distance


class _Path:
    """Segments of rays as seen from the source; the mathematics stand in the numpy twin."""

    def __init__(
        self,
        relief: _TensorRelief,
        offsets: torch.Tensor,
        rays: torch.Tensor,
        start: torch.Tensor,
        end: torch.Tensor,
    ) -> None:
        self.relief, self.start, self.end = relief, start, end
        first, last = (offsets + rays * length[:, None] for length in (start, end))
        self.near, self.far = (1 / points.norm(dim=-1).clamp(min=1e-6) for points in (first, last))
        first, last = first * self.near[:, None], last * self.far[:, None]
        self.direction, self.turn = first.T.contiguous(), (last - first).T.contiguous()

    def angles(self) -> torch.Tensor:
        return (self.turn**2).sum(0).sqrt()

    def behind(self, share: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        x, y, z = (a[which] + t[which] * share for a, t in zip(self.direction, self.turn, strict=True))
        surface = self.relief.inverse_distance(x, y, z) * (x * x + y * y + z * z).sqrt()
        return surface - (self.near[which] + (self.far - self.near)[which] * share)

    def first_hits(self, which: torch.Tensor, steps: int) -> torch.Tensor:
        shares = torch.linspace(0, 1, steps + 1, device=self.start.device)
        behind = self.behind(shares[:, None], which)
        crossing = (behind[:-1] < 0) & (behind[1:] >= 0)
        distance = torch.zeros(len(which), device=self.start.device)
        waiting = crossing.any(0).nonzero()[:, 0]
        for _ in range(CROSSINGS):
            if not waiting.numel():
                break
            step, rays = crossing[:, waiting].int().argmax(0), which[waiting]
            low, high = behind[step, waiting], behind[step + 1, waiting]
            share, miss = self._refined(rays, shares[step], shares[step + 1], low, high)
            nearness = self.near[rays] + (self.far - self.near)[rays] * share
            weight = share * self.far[rays] / nearness
            hit = miss.abs() < HIT_TOLERANCE * nearness
            distance[waiting[hit]] = torch.lerp(self.start[rays], self.end[rays], weight)[hit]
            crossing[step, waiting] = False
            waiting = waiting[~hit]
            waiting = waiting[crossing[:, waiting].any(0)]
        return distance

    def _refined(
        self,
        rays: torch.Tensor,
        low: torch.Tensor,
        high: torch.Tensor,
        low_value: torch.Tensor,
        high_value: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        share, value = low, low_value
        for _ in range(REFINEMENTS):
            share = low + (high - low) * (low_value / (low_value - high_value))
            value = self.behind(share, rays)
            front = value < 0
            high_value = torch.where(front, high_value * 0.5, value)
            low_value = torch.where(front, value, low_value * 0.5)
            low, high = torch.where(front, share, low), torch.where(front, high, share)
        return share, value


def _padded_sphere(image: torch.Tensor) -> torch.Tensor:
    """An equirectangular image [..., H, W] with one more pixel on every side: around, and over the poles."""
    over = image.roll(image.shape[-1] // 2, -1)
    tall = torch.cat([over[..., :1, :], image, over[..., -1:, :]], -2)
    return torch.cat([tall[..., -1:], tall, tall[..., :1]], -1)
