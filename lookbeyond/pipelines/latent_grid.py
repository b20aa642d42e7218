"""Frames and cameras on the grid of a network's latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.projection import plucker_rays

from .fusion import Pass


@dataclass(frozen=True)
class LatentGrid:
    """What one latent covers, and the sizes that frames are padded to."""

    factor: int
    """Pixels of a latent's side."""
    multiple: int
    """Sides of frames are padded to multiples of this many pixels."""

    def pad(self, images: torch.Tensor) -> torch.Tensor:
        """[..., H, W], on the right and below, by repeating the border."""
        rows, columns = (-size % self.multiple for size in images.shape[-2:])
        return F.pad(images, (0, columns, 0, rows), mode="replicate") if rows or columns else images

    def pad_bytes(self, image: np.ndarray) -> np.ndarray:
        """The same for an image uint8 [H, W, 3]."""
        rows, columns = (-size % self.multiple for size in image.shape[:2])
        return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")

    def known(self, known: torch.Tensor) -> torch.Tensor:
        """[N, 1, H, W] -> [N, 1, h, w]: the share of each latent's pixels that is known."""
        return F.avg_pool2d(self.pad(known), self.factor)

    def rays(self, passes: Sequence[Pass], scale: float) -> torch.Tensor:
        """Plücker rays [P, N, 6, h, w] of the latents, each pass's in the frame of its own anchor.

        scale: metres that the rays' moments are divided by.
        """
        stacked = []
        for one in passes:
            reference = one.anchor.camera if one.anchor else one.cameras[0]
            cameras = [self._camera(camera) for camera in one.cameras]
            stacked.append(torch.from_numpy(plucker_rays(cameras, reference, scale)).permute(0, 3, 1, 2))
        return torch.stack(stacked)

    def _camera(self, camera: Camera) -> Camera:
        """The camera whose pixels are the latents of the padded frame."""
        width, height = (-(-size // self.multiple) * self.multiple for size in (camera.width, camera.height))
        scale = np.diag([1 / self.factor, 1 / self.factor, 1.0])
        return Camera(width // self.factor, height // self.factor, scale @ camera.intrinsics, camera.camera_to_world)
