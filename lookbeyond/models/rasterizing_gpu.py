"""`rasterizing_cpu` in torch, for any device: triangles of about one size are drawn all at once.

Every triangle is laid over a square of pixels, and each pixel keeps the largest 1 / depth that reaches it.
"""

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch

from ..geometry.surface import Surface

NEAR, SUBPIXELS = 1e-3, 256.0
"""As in `rasterizing_cpu`."""
SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Squares of so many pixels; what is larger is cut into squares of the largest."""
TRIANGLES_AT_ONCE, PIXELS_AT_ONCE = 1 << 19, 1 << 21
"""So that the temporaries stay within some 300 MB."""


class SurfaceTensors:
    """A surface on a device: [P, 3] points and [T, 3] the triangles between them, the loose ones last."""

    def __init__(self, surface: Surface, device: torch.device) -> None:
        points = torch.from_numpy(surface.points).to(device)
        number = torch.arange(points[..., 0].numel(), device=device).view(points.shape[:2])
        whole = torch.from_numpy(surface.whole).to(device)
        a, b, c, d = (part[whole] for part in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
        loose = torch.from_numpy(surface.loose).to(device).view(-1, 3)
        corners = torch.arange(len(loose), device=device).view(-1, 3) + number.numel()
        self.points = torch.cat([points.view(-1, 3), loose])
        self.triangles = torch.cat([torch.stack([a, b, d], 1), torch.stack([b, c, d], 1), corners])


_on_devices: "WeakKeyDictionary[Surface, dict[torch.device, SurfaceTensors]]" = WeakKeyDictionary()


def surface_tensors(surface: Surface, device: torch.device) -> SurfaceTensors:
    """The surface on a device, brought there once and kept as long as the surface lives."""
    here = _on_devices.setdefault(surface, {})
    if device not in here:
        here[device] = SurfaceTensors(surface, device)
    return here[device]


def draw(surface: SurfaceTensors, matrix: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """1 / depth [H, W] float32 of the nearest surface that shows its front, 0 where there is none.

    matrix: [3, 4] float64, from points (and 1) to pixels times depth, and depth.
    """
    device = surface.points.device
    # edges are exact in double precision, which Apple's devices lack: there a pixel may fall between two triangles
    dtype = torch.float32 if device.type == "mps" else torch.float64
    matrix = matrix.to(dtype).to(device)
    seen = surface.points.to(dtype) @ matrix[:, :3].T + matrix[:, 3]
    inverse = torch.zeros(height * width, device=device)
    for corners in surface.triangles.split(TRIANGLES_AT_ONCE):
        near = (seen[:, 2] < NEAR)[corners].sum(1)
        cut = _clipped(seen[corners[(near == 1) | (near == 2)]])
        points = torch.cat([seen[corners[near == 0]], *cut])
        w = 1 / points[..., 2]
        xy = (points[..., :2] * w[..., None] * SUBPIXELS).round() / SUBPIXELS
        for square in _squares(xy, w, width, height):
            _fill(inverse, *square, width, height)
    return inverse.view(height, width)


def _fill(
    inverse: torch.Tensor,
    xy: torch.Tensor,
    w: torch.Tensor,
    left: torch.Tensor,
    top: torch.Tensor,
    side: int,
    width: int,
    height: int,
) -> None:
    """Triangles [S, 3, 2] with 1 / depth [S, 3] into `inverse` [H * W], each within one square of pixels."""
    step = torch.arange(side, device=xy.device)
    column, row = left[:, None, None] + step, top[:, None, None] + step[:, None]
    (x0, y0), (x1, y1), (x2, y2) = (point.T[..., None, None] for point in xy.unbind(1))
    x, y = column.to(xy.dtype) + 0.5, row.to(xy.dtype) + 0.5
    side0 = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    side1 = (x0 - x2) * (y - y2) - (y0 - y2) * (x - x2)
    side2 = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
    inside = (side0 >= 0) & (side1 >= 0) & (side2 >= 0) & (column < width) & (row < height)
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    w0, w1, w2 = (each[:, None, None] / area for each in w.unbind(1))
    value = (side0 * w0 + side1 * w1 + side2 * w2)[inside].float()
    inverse.scatter_reduce_(0, (row * width + column)[inside], value, "amax")


def _clipped(corners: torch.Tensor) -> list[torch.Tensor]:
    """What lies as far as NEAR of triangles [T, 3, 3] that have one or two corners nearer than that."""
    near = corners[..., 2] < NEAR
    one = near.sum(1) == 1
    parts = []
    for some, odd in ((one, near), (~one, ~near)):  # the corner that is alone on its side comes first
        first = odd[some].int().argmax(1)
        around = (first[:, None] + torch.arange(3, device=corners.device)) % 3
        parts.append(corners[some].gather(1, around[..., None].expand(-1, -1, 3)))
    (alone, b, c), (far, near_b, near_c) = (part.unbind(1) for part in parts)
    cut_b, cut_c = _cut(alone, b), _cut(alone, c)
    return [
        torch.stack([cut_b, b, c], 1),
        torch.stack([cut_b, c, cut_c], 1),
        torch.stack([far, _cut(near_b, far), _cut(near_c, far)], 1),
    ]


def _cut(near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Where edges from a nearer to a farther end [T, 3] are as far as NEAR."""
    share = (NEAR - near[:, 2:]) / (far[:, 2:] - near[:, 2:])
    cut = near + (far - near) * share
    cut[:, 2] = NEAR
    return cut


def _squares(xy: torch.Tensor, w: torch.Tensor, width: int, height: int) -> Iterator[tuple]:
    """Triangles [S, 3, 2] with 1 / depth [S, 3], the column and row [S] of the squares to be drawn, and their side."""
    first, second, third = xy.unbind(1)
    one, other = second - first, third - first
    low = (xy.amin(1) - 0.5).ceil().clamp_min(0)
    size = torch.tensor([width, height], device=xy.device)
    high = torch.minimum((xy.amax(1) - 0.5).floor(), size - 1)
    shown = ((high >= low).all(1) & (one[:, 0] * other[:, 1] > other[:, 0] * one[:, 1])).nonzero()[:, 0]
    low, high = low[shown].long(), high[shown].long()
    extent = (high - low + 1).amax(1)
    former = 0
    for side in SIDES:
        last = side == SIDES[-1]
        some = ((extent > former) & (last | (extent <= side))).nonzero()[:, 0]
        former = side
        for part in some.split(max(1, PIXELS_AT_ONCE // side**2)):
            corner, which = low[part], shown[part]
            if last:
                number = (high[part] - corner) // side + 1
                each = number.prod(1)
                repeated = torch.arange(len(part), device=xy.device).repeat_interleave(each)
                place = torch.arange(len(repeated), device=xy.device) - (each.cumsum(0) - each)[repeated]
                across = number[repeated, 0]
                corner = corner[repeated] + torch.stack([place % across, place // across], 1) * side
                which = which[repeated]
            for these in torch.arange(len(which), device=xy.device).split(max(1, PIXELS_AT_ONCE // side**2)):
                yield xy[which[these]], w[which[these]], corner[these, 0], corner[these, 1], side
