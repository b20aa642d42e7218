"""A world as seen by the cameras of frames: its panorama, and the clean plate behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.models.warping import WarpedViews

from .guidance import Guidance, image_tensor, warp_guidance


@dataclass(frozen=True, eq=False)
class WarpedWorld:
    """A panorama seen by N other cameras, and its clean plate behind it."""

    panorama: Panorama
    """No finer than the frames: sampling does not filter."""
    front: WarpedViews
    behind: WarpedViews | None

    def __getitem__(self, frames) -> "WarpedWorld":
        return replace(self, front=self.front[frames], behind=self.behind and self.behind[frames])

    @property
    def known(self) -> torch.Tensor:
        """[N, H, W] bool: False in holes of both."""
        return self.front.known if self.behind is None else self.front.known | self.behind.known

    def colour(self) -> torch.Tensor:
        """The panorama's colour, [N, 3, H, W] in -1..1, its plate's in its holes; 0 in holes of both."""
        device, plate = self.front.known.device, self.panorama.plate
        colour = self.front.sample(image_tensor(self.panorama.colour, device)[0])
        if self.behind is None or plate is None:
            return colour
        return torch.where(self.front.known[:, None], colour, self.behind.sample(image_tensor(plate.colour, device)[0]))

    def from_photo(self) -> torch.Tensor:
        """[N, 1, H, W] in 0..1: how much of each pixel is the photo's own."""
        share = np.repeat(self.panorama.from_photo[..., None], 3, -1)
        return self.front.sample(image_tensor(share, self.front.known.device)[0, :1] / 2 + 0.5)


def warp_world(
    panorama: Panorama, cameras: Sequence[Camera], device: torch.device | str
) -> tuple[Guidance, WarpedWorld]:
    """What a panorama shows of frames; its clean plate, if it has one, shows what was hidden."""
    panorama = panorama.shrunk_for(cameras[0])
    guidance, front = warp_guidance(panorama, cameras, device)
    behind = None
    if panorama.plate is not None and not bool(front.known.all()):
        guidance_behind, behind = warp_guidance(panorama.plate_panorama, cameras, device)
        guidance = guidance.over(guidance_behind)
    return guidance, WarpedWorld(panorama, front, behind)
