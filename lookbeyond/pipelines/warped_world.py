"""A world as seen by the cameras of frames: its panorama, and the clean plate behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.models.joining import ShownFrame, share_of_second
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

    @property
    def plate_shows(self) -> torch.Tensor:
        """[N, H, W] bool: where the clean plate shows."""
        return self.known & ~self.front.known

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


@dataclass(frozen=True, eq=False)
class JoinedWorlds:
    """A panorama and the one beyond it, seen by N other cameras; the same as a `WarpedWorld`."""

    first: WarpedWorld
    second: WarpedWorld
    share: torch.Tensor
    """[N, 1, H, W] 0..1: what the second one tells."""

    def __getitem__(self, frames) -> "JoinedWorlds":
        return JoinedWorlds(self.first[frames], self.second[frames], self.share[frames])

    @property
    def panorama(self) -> Panorama:
        """The first world's."""
        return self.first.panorama

    @property
    def known(self) -> torch.Tensor:
        """[N, H, W] bool: False in holes of both."""
        return self.first.known | self.second.known

    def colour(self) -> torch.Tensor:
        """[N, 3, H, W] in -1..1; 0 in holes of both."""
        return torch.lerp(self.first.colour(), self.second.colour(), self.share)

    def from_photo(self) -> torch.Tensor:
        """[N, 1, H, W] in 0..1: how much of each pixel is a photo's own."""
        return torch.lerp(self.first.from_photo(), self.second.from_photo(), self.share)


def warp_world(
    panorama: Panorama, cameras: Sequence[Camera], device: torch.device | str
) -> tuple[Guidance, WarpedWorld | JoinedWorlds]:
    """What a panorama, and the one beyond it, shows of frames; their clean plates show what was hidden."""
    guidance, world = _warp_one(panorama, cameras, device)
    if panorama.beyond is None:
        return guidance, world
    beyond, other = _warp_one(panorama.beyond.panorama, cameras, device)
    shown = [_shown_frames(world, guidance), _shown_frames(other, beyond)]
    shares = [share_of_second(camera, panorama.beyond.opening, *pair) for camera, *pair in zip(cameras, *shown)]
    share = torch.from_numpy(np.stack(shares))[:, None].to(guidance.colour)
    joined = Guidance(
        torch.lerp(guidance.colour, beyond.colour, share),
        torch.lerp(guidance.distance, beyond.distance, share),
        torch.maximum(guidance.known, beyond.known),
    )
    return joined, JoinedWorlds(world, other, share)


def _shown_frames(world: WarpedWorld, guidance: Guidance) -> list[ShownFrame]:
    """What a world shows of each frame."""
    parts = (guidance.distance[:, 0] * guidance.known[:, 0], world.plate_shows, world.from_photo()[:, 0])
    frames = zip(*(part.cpu().numpy() for part in parts), strict=True)
    return [ShownFrame(world.panorama, *frame) for frame in frames]


def _warp_one(
    panorama: Panorama, cameras: Sequence[Camera], device: torch.device | str
) -> tuple[Guidance, WarpedWorld]:
    panorama = panorama.shrunk_for(cameras[0])
    guidance, front = warp_guidance(panorama, cameras, device)
    behind = None
    if panorama.plate is not None and not bool(front.known.all()):
        guidance_behind, behind = warp_guidance(panorama.plate_panorama, cameras, device)
        guidance = guidance.over(guidance_behind)
    return guidance, WarpedWorld(panorama, front, behind)
