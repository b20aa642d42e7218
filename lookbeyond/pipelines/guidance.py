"""What is known of a frame before anything is generated: the panorama and the anchors, warped into it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.warping import WarpedViews, warp_to_views

FILLED_AT = 256
"""Pixels of a frame's longer side at which holes are filled: what fills them is smooth."""
LEAST_HOLE = 40
"""Smallest hole, in pixels, whose near and far sides are told apart."""
TWO_SIDES = 1.15
"""Ratio of far to near around a hole above which it has two sides."""


@dataclass(frozen=True, eq=False)
class Guidance:
    """What is known of N frames."""

    colour: torch.Tensor
    """[N, 3, H, W] in -1..1; holes hold a smooth continuation of what surrounds them."""
    distance: torch.Tensor
    """[N, 1, H, W] metres along the ray; holes likewise."""
    known: torch.Tensor
    """[N, 1, H, W]: 1 where a source saw something, 0 in holes."""

    def __getitem__(self, frames) -> "Guidance":
        return Guidance(self.colour[frames], self.distance[frames], self.known[frames])

    def over(self, other: "Guidance") -> "Guidance":
        """This one's pixels where they are known, the other's elsewhere."""
        return Guidance(
            torch.where(self.known > 0, self.colour, other.colour),
            torch.where(self.known > 0, self.distance, other.distance),
            torch.maximum(self.known, other.known),
        )

    def everywhere(self) -> "Guidance":
        """The same frames, known everywhere."""
        return self.within(torch.ones_like(self.known))

    def within(self, known: torch.Tensor) -> "Guidance":
        """The same colours and distances, known only where `known` [N, 1, H, W] is set."""
        return Guidance(self.colour, self.distance, known)

    def nothing(self) -> "Guidance":
        """The same frames with nothing known: grey."""
        return Guidance(0 * self.colour, self.distance, 0 * self.known)

    def filled(self) -> "Guidance":
        """Holes filled from what lies behind them; log-distance is what is continued, not distance."""
        logs = self.distance.clamp_min(1e-3).log()
        filled = [_fill_from_behind(*frame) for frame in zip(self.colour, logs, self.known > 0, strict=True)]
        colour, behind = (torch.stack(parts) for parts in zip(*filled, strict=True))
        known = self.known > 0
        return Guidance(
            torch.where(known, self.colour, colour), torch.where(known, self.distance, behind.exp()), self.known
        )


def warp_guidance(
    source: Panorama | View, cameras: Sequence[Camera], device: torch.device | str = "cpu"
) -> tuple[Guidance, WarpedViews]:
    """One source warped into frames of one size, holes left empty; and the warp, to fetch other images by."""
    warped = warp_to_views(source, cameras, device)
    colour = warped.sample(image_tensor(source.colour, device)[0])
    known = warped.known[:, None].float()
    return Guidance(colour, warped.distance[:, None], known), warped


def image_tensor(image: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 [H, W, 3] -> [1, 3, H, W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1


def image_bytes(image: torch.Tensor) -> np.ndarray:
    """[..., 3, H, W] in -1..1 -> uint8 [..., H, W, 3]: the inverse of `image_tensor`, for any number of images."""
    return ((image.float().movedim(-3, -1) + 1) * 127.5).round().clamp(0, 255).byte().contiguous().cpu().numpy()


def _fill_from_behind(
    colour: torch.Tensor, logs: torch.Tensor, known: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A frame's colour [3, H, W] and log-distance [1, H, W], holes inpainted from their farther sides.

    A camera that moves uncovers what an edge hid, so a hole shows what lies behind that edge. What stands in front of
    it would only be smeared across the background.
    """
    if bool(known.all()) or not bool(known.any()):
        return colour, logs
    factor = -(-max(known.shape[-2:]) // FILLED_AT)
    values, seen = torch.cat([colour, logs])[None], known[None].float()
    share = F.avg_pool2d(seen, factor, ceil_mode=True, count_include_pad=False)
    small = F.avg_pool2d(values * seen, factor, ceil_mode=True, count_include_pad=False) / share.clamp_min(1e-6)
    small, share = small.cpu(), share.cpu()  # the frame itself stays on its device
    distance, there = small[0, 3].contiguous().numpy(), share[0, 0].numpy() > 0
    use = _behind(distance, there)
    missing = (~use).astype(np.uint8)
    image = image_bytes(small[0, :3])
    # Telea's method is smoother, but oscillates in floating point
    made = np.dstack(
        [
            cv2.inpaint(image, missing, 3, cv2.INPAINT_TELEA).astype(np.float32) / 127.5 - 1,
            cv2.inpaint(distance, missing, 3, cv2.INPAINT_NS).clip(distance[use].min(), distance[use].max()),
        ]
    )
    made = torch.from_numpy(made).to(colour).permute(2, 0, 1)[None]
    made = F.interpolate(made, scale_factor=float(factor), mode="bilinear")
    made = made[0, :, : known.shape[-2], : known.shape[-1]]
    return made[:3], made[3:]


def _behind(logs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The known pixels [H, W] that holes may be filled from: near a hole with two sides, only those of the farther."""
    use = known.copy()
    holes = cv2.dilate((~known).astype(np.uint8), np.ones((3, 3), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(holes, connectivity=8)
    for hole in range(1, count):
        x, y, width, height, area = boxes[hole]
        if area < LEAST_HOLE:
            continue
        reach = max(12, max(width, height) // 2)
        window = np.s_[max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach]
        around = cv2.dilate((labels[window] == hole).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        rim = logs[window][around & known[window]]
        if not rim.size:
            continue
        near, far = np.percentile(rim, [10, 90])
        if far - near > np.log(TWO_SIDES):
            use[window] &= logs[window] >= (near + far) / 2
    return use if use.any() else known


def fill_holes(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Values [N, C, H, W] kept where known [N, 1, H, W] is 1, continued smoothly elsewhere (pull-push pyramid)."""
    if min(values.shape[-2:]) <= 1 or bool((known > 0).all()):
        weight = known.clamp_min(1e-6)
        return values if values.shape[-1] > 1 else values * known / weight
    weight = F.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(values * known, 2, ceil_mode=True, count_include_pad=False) / weight.clamp_min(1e-6)
    coarse = fill_holes(coarse, (weight > 0).to(values.dtype))
    return torch.lerp(F.interpolate(coarse, values.shape[-2:], mode="bilinear", align_corners=False), values, known)
