"""The video and mask given to a masked-video model, and the part of them that remains to be generated."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from .fusion import Pass
from .guidance import image_tensor
from .latent_grid import LatentGrid

MARGIN_PX = 64
"""Margin around the holes that is shown where a pass is cropped to them."""
LEAST_TILE_PX = 256
"""Smallest side of such a part: the model was trained on whole pictures."""
MASKED = 0.5
"""Grey under the mask, of 0..1: the model sees what lies there."""


@dataclass(frozen=True)
class WorkPart:
    """The part of a clip that goes through the network."""

    frames: slice
    rows: slice
    columns: slice

    def of(self, frames: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> the part's."""
        return frames[self.frames, :, self.rows, self.columns]


@dataclass(frozen=True)
class VideoMask:
    """How a model with latents of several frames reads a mask.

    It reads one frame per latent, not always one of those that the latent stands for, and never the first or the last
    frame. So holes are grown to whole latents, joined over the frames of each, and laid into the frame that is read
    for it, too.
    """

    grid: LatentGrid
    cell: int
    """Pixels on a side of one latent."""
    frames_per_latent: int
    """Of all latents but the first, which is one frame."""

    def pass_length(self, count: int) -> int:
        """How many frames a pass has to have that is to hold `count`: 4 k + 1, of four frames a latent."""
        step = self.frames_per_latent
        return step * math.ceil((count - 1) / step) + 1

    def video_and_mask(self, one: Pass, backward: bool = False, both: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """A pass's video [N, 3, H, W] in 0..1, grey in its holes, and its mask [N, 1, H, W], 1 where there are any;
        in the clip's order, padded to what the network takes.

        both: whether both ends of the clip are anchors; else only the first frame is, where the pass's anchor stands.
        """
        guidance, step = one.guidance, self.frames_per_latent
        colour, known = self.grid.pad(guidance.colour), self.grid.pad(guidance.known)
        if backward:
            colour, known = colour.flip(0), known.flip(0)
        cell = self.cell
        holes = F.max_pool2d(1 - (known > 0).float(), cell)
        groups = [holes[:1], *holes[1:].split(step)]
        holes = torch.cat([group.amax(0, keepdim=True).expand_as(group) for group in groups])
        for place, group in zip(_frames_read(len(holes), len(groups)), groups, strict=True):
            holes[place] = torch.maximum(holes[place], group.amax(0))
        holes = F.interpolate(holes, scale_factor=float(cell), mode="nearest")
        ends = [0, -1] if both else [0] if _stands_at(one) else []
        holes[ends] = 0
        if one.anchor is not None and ends:
            colour = colour.clone()
            colour[-1 if backward else 0] = self.grid.pad(image_tensor(one.anchor.colour, colour.device))[0]
        video = (colour / 2 + 0.5).clamp(0, 1)
        return torch.where(holes > 0, torch.full_like(video, MASKED), video), holes

    def work_part(self, holes: torch.Tensor, skip: str, last: bool = False) -> WorkPart | None:
        """The part of a clip that a mask [N, 1, H, W] leaves to be made; None where that is nothing.

        last: whether the part has to reach to the last frame.
        """
        count, _, height, width = holes.shape
        if skip == "nothing":
            return WorkPart(slice(0, count), slice(0, height), slice(0, width))
        torn = holes.flatten(1).any(1).nonzero()[:, 0].tolist()
        if not torn:
            return None
        # one known frame on each side is what the made ones join on to
        first, end = max(0, torn[0] - 1), count if last else min(count, torn[-1] + 2)
        missing = self.pass_length(end - first) - (end - first)
        end, missing = min(count, end + missing), max(0, missing - (count - end))
        frames = slice(first - missing, end)
        if skip == "frames":
            return WorkPart(frames, slice(0, height), slice(0, width))
        open_ = holes[frames].amax((0, 1))
        multiple = self.grid.multiple
        rows, columns = (_span(open_.any(1 - axis), MARGIN_PX, LEAST_TILE_PX, multiple) for axis in (0, 1))
        return WorkPart(frames, rows, columns)

    def latent_weights(self, weights: np.ndarray) -> torch.Tensor:
        """[P, 1, T, 1, 1]: the mean weight of the frames that each latent stands for."""
        frames = torch.tensor(weights, dtype=torch.float32)
        groups = [frames[:1], *frames[1:].split(self.frames_per_latent)]
        return torch.stack([group.mean(0) for group in groups], 1)[:, None, :, None, None]


def _frames_read(count: int, latents: int) -> list[int]:
    """Of `count` frames those whose mask the model reads, one for each latent."""
    frames = torch.arange(count, dtype=torch.float32)[None, None]
    return F.interpolate(frames, latents, mode="nearest-exact")[0, 0].int().tolist()


def _stands_at(one: Pass) -> bool:
    """Whether a pass begins where its anchor stands."""
    return one.anchor is not None and np.allclose(
        one.anchor.camera.camera_to_world, one.cameras[0].camera_to_world, atol=1e-6
    )


def _span(wanted: torch.Tensor, margin: int, least: int, multiple: int) -> slice:
    """The range of a side, bool [L], that holds everything wanted and a margin, in multiples of so many pixels."""
    length = len(wanted)
    places = wanted.nonzero()[:, 0]
    first, end = int(places[0]) - margin, int(places[-1]) + 1 + margin
    size = min(length, max(least, end - first))
    first = min(max(0, (first + end - size) // 2), length - size)
    first, end = first - first % multiple, first + size
    return slice(first, min(length, end + (first - end) % multiple))
