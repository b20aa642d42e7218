"""What is known of a frame before anything is made: the panorama and the anchors, warped into it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.warping import WarpedViews, warp_to_views


@dataclass(frozen=True, eq=False)
class Guidance:
    """N frames as far as they are known."""

    colour: torch.Tensor
    """[N, 3, H, W] in -1..1; holes hold a smooth continuation of what surrounds them."""
    distance: torch.Tensor
    """[N, 1, H, W] metres along the ray; holes likewise."""
    known: torch.Tensor
    """[N, 1, H, W]: 1 where a source saw something, 0 in holes."""

    def __getitem__(self, frames) -> "Guidance":
        return Guidance(self.colour[frames], self.distance[frames], self.known[frames])

    def over(self, other: "Guidance") -> "Guidance":
        """This one's pixels where it knows any, the other's elsewhere."""
        return Guidance(
            torch.where(self.known > 0, self.colour, other.colour),
            torch.where(self.known > 0, self.distance, other.distance),
            torch.maximum(self.known, other.known),
        )

    def nothing(self) -> "Guidance":
        """Of the same frames, but nothing is known: grey."""
        return Guidance(0 * self.colour, self.distance, 0 * self.known)

    def filled(self) -> "Guidance":
        """Holes filled smoothly; log-distance is what is continued, not distance."""
        colour = fill_holes(self.colour, self.known)
        logs = fill_holes(self.distance.clamp_min(1e-3).log(), self.known)
        return Guidance(colour, torch.where(self.known > 0, self.distance, logs.exp()), self.known)


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


def fill_holes(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Values [N, C, H, W] kept where known [N, 1, H, W] is 1, continued smoothly elsewhere (pull-push pyramid)."""
    if min(values.shape[-2:]) <= 1 or bool((known > 0).all()):
        weight = known.clamp_min(1e-6)
        return values if values.shape[-1] > 1 else values * known / weight
    weight = F.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(values * known, 2, ceil_mode=True, count_include_pad=False) / weight.clamp_min(1e-6)
    coarse = fill_holes(coarse, (weight > 0).to(values.dtype))
    return torch.lerp(F.interpolate(coarse, values.shape[-2:], mode="bilinear", align_corners=False), values, known)
