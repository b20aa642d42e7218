"""A panorama or a view seen by other cameras: its surface drawn into their frames, with a depth buffer.

`geometry.warping` answers the same by walking every ray, in NumPy alone; this is held to it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..geometry.cameras import Camera
from ..geometry.panorama import Panorama, View
from ..geometry.surface import surface_of


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

    def sample_bytes(self, image: np.ndarray, threads: int | None = None) -> np.ndarray:
        """uint8 [h, w] or [h, w, C] that covers the source's frame, as they see it: [N, H, W(, C)], 0 in holes.

        threads: as in `warp_to_views`.
        """
        layers = np.ascontiguousarray(image.reshape(*image.shape[:2], -1))
        if self.known.device.type != "cpu":
            planes = torch.from_numpy(layers).to(self.known.device).permute(2, 0, 1).float()
            sampled = self.sample(planes).round().byte().permute(0, 2, 3, 1).cpu().numpy()
            return sampled.reshape(*self.known.shape, *image.shape[2:])
        from .rasterizing_cpu import sample_bytes

        coords, known = self.source_coords.numpy(), self.known.numpy()
        sampled = np.empty((*self.known.shape, layers.shape[2]), np.uint8)
        _in_bands(
            len(known),
            known.shape[1],
            lambda frame, top, bottom: sample_bytes(
                layers, coords[frame], known[frame], top, bottom, self.sphere, sampled[frame]
            ),
            threads,
        )
        return sampled.reshape(*self.known.shape, *image.shape[2:])


def warp_to_views(
    source: Panorama | View,
    targets: Sequence[Camera],
    device: torch.device | str = "cpu",
    threads: int | None = None,
) -> WarpedViews:
    """Where each target (all of one size) sees the surfaces that `source` saw; see `warp_to_view`.

    The source's mesh is made once and kept as long as the source lives. threads: on a processor, as many as torch uses
    if it is None; small frames take less of the processor on one.
    """
    device = torch.device(device)
    is_sphere = isinstance(source, Panorama)
    if device.type == "cpu":
        distance, coords = _warp_on_cpu(source, targets, threads)
        # in NumPy: torch would wake its threads, which wait busily for more
        return WarpedViews(distance, torch.from_numpy(distance.numpy() > 0), coords, is_sphere)
    distance, coords = _warp_in_torch(source, targets, device)
    return WarpedViews(distance, distance > 0, coords, is_sphere)


def _warp_on_cpu(
    source: Panorama | View, targets: Sequence[Camera], threads: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    from .rasterizing_cpu import draw, resolve  # slow to import

    surface, frame = surface_of(source), _SourceFrame(source)
    height, width = targets[0].height, targets[0].width
    distance = np.zeros((len(targets), height, width), np.float32)
    coords = np.empty((len(targets), height, width, 2), np.float32)

    def warp(number: int, top: int, bottom: int) -> None:
        to_pixels, to_world, offset = frame.relation(targets[number])
        inverse = distance[number]  # 1 / depth becomes distance in its place
        draw(
            surface.points,
            surface.whole,
            surface.loose,
            surface.loose_from,
            surface.boxes,
            to_pixels,
            top,
            bottom,
            inverse,
        )
        resolve(
            inverse,
            top,
            bottom,
            to_world,
            offset,
            frame.sphere,
            frame.heading_rad,
            frame.to_shares,
            inverse,
            coords[number],
        )

    _in_bands(len(targets), height, warp, threads)
    return torch.from_numpy(distance), torch.from_numpy(coords)


def _in_bands(frames: int, height: int, work: Callable[[int, int, int], None], threads: int | None) -> None:
    """Calls work(frame, top, bottom) for bands of rows that cover all frames, on so many threads, or as many as torch
    uses."""
    threads = threads or torch.get_num_threads()
    each = 1 if threads == 1 else min(height, -(-2 * threads // frames))
    edges = np.linspace(0, height, each + 1).astype(int).tolist()
    bands = [(number, *rows) for number in range(frames) for rows in itertools.pairwise(edges)]
    if threads == 1:
        for band in bands:
            work(*band)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda band: work(*band), bands))


def _warp_in_torch(
    source: Panorama | View, targets: Sequence[Camera], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    from .rasterizing_gpu import draw, surface_tensors

    surface, frame = surface_tensors(surface_of(source), device), _SourceFrame(source)
    height, width = targets[0].height, targets[0].width
    pixels = torch.ones(height, width, 3, device=device)
    pixels[..., 0] = torch.arange(width, device=device) + 0.5
    pixels[..., 1] = torch.arange(height, device=device)[:, None] + 0.5
    distance = torch.empty(len(targets), height, width, device=device)
    coords = torch.empty(len(targets), height, width, 2, device=device)
    for number, target in enumerate(targets):
        to_pixels, to_world, offset = frame.relation(target)
        inverse = draw(surface, torch.from_numpy(to_pixels), width, height)
        known = inverse > 0
        depth = torch.where(known, 1 / inverse, 0)
        rays = pixels @ torch.from_numpy(to_world.T.copy()).to(device)
        distance[number] = depth * rays.norm(dim=-1)
        shares = frame.shares(torch.from_numpy(offset).to(device) + rays * depth[..., None])
        coords[number] = torch.where(known[..., None], shares, 0)
    return distance, coords


class _SourceFrame:
    """Where a source's directions lie in its frame, and how cameras stand to it."""

    def __init__(self, source: Panorama | View) -> None:
        self.sphere = isinstance(source, Panorama)
        self.heading_rad = source.heading_rad if isinstance(source, Panorama) else 0.0
        self.position = source.position if isinstance(source, Panorama) else source.camera.position
        self.to_shares = np.eye(3, dtype=np.float32)
        if isinstance(source, View):
            camera = source.camera
            to_shares = np.diag([1 / camera.width, 1 / camera.height, 1.0]) @ camera.intrinsics @ camera.rotation.T
            self.to_shares = to_shares.astype(np.float32)

    def relation(self, target: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """From points beside the source to a target's pixels (times depth) and depth: [3, 4]; from its pixels to rays
        one metre deep: [3, 3]; and how far it stands from the source: [3], metres."""
        to_pixels, offset = target.intrinsics @ target.rotation.T, target.position - self.position
        to_world = target.rotation @ np.linalg.inv(target.intrinsics)
        matrix = np.column_stack([to_pixels, -to_pixels @ offset])
        return np.ascontiguousarray(matrix), np.ascontiguousarray(to_world, np.float32), offset.astype(np.float32)

    def shares(self, points: torch.Tensor) -> torch.Tensor:
        """Column and row, as shares of the source's frame, of directions [..., 3]: [..., 2]."""
        if self.sphere:
            x, y, z = points.unbind(-1)
            turn = 0.5 + self.heading_rad / (2 * math.pi) - torch.atan2(y, x) / (2 * math.pi)
            return torch.stack([turn - turn.floor(), 0.5 - torch.atan2(z, torch.hypot(x, y)) / math.pi], -1)
        across = points @ torch.from_numpy(self.to_shares.T.copy()).to(points.device)
        return (across[..., :2] / across[..., 2:]).clamp(0, 1)


def _padded_sphere(image: torch.Tensor) -> torch.Tensor:
    """An equirectangular image [..., H, W] with one more pixel on every side: around, and over the poles."""
    over = image.roll(image.shape[-1] // 2, -1)
    tall = torch.cat([over[..., :1, :], image, over[..., -1:, :]], -2)
    return torch.cat([tall[..., -1:], tall, tall[..., :1]], -1)
