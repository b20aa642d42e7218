"""Figures that need third-party networks, if their files are given: LPIPS, FID and FVD.

Each is a TorchScript file as published with StyleGAN (https://github.com/NVlabs/stylegan2-ada-pytorch, metrics) and
StyleGAN-V; none is part of this repository and nothing is downloaded. A figure whose file is not there is skipped by
name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lookbeyond.errors import InputError

FILES = {"LPIPS": "vgg16.pt", "FID": "inception-2015-12-05.pt", "FVD": "i3d_torchscript.pt"}
"""Figure -> name of its network's file."""
FVD_SIZE = 224
FVD_LEAST_FRAMES = 10
"""The video network's strides leave nothing of shorter clips."""
BATCH = 16


@dataclass(frozen=True)
class PerceptualNetworks:
    """The networks that are there, by the name of their figure."""

    networks: dict[str, torch.jit.ScriptModule]
    device: str

    @classmethod
    def load(cls, folder: Path | None, device: str) -> "PerceptualNetworks":
        """Those of `FILES` that lie in a folder; `InputError` where there is no such folder or a file is not one."""
        networks = {}
        if folder is None:
            return cls(networks, device)
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; give one with any of: {', '.join(FILES.values())}")
        for figure, name in FILES.items():
            if (path := folder / name).exists():
                try:
                    networks[figure] = torch.jit.load(path, map_location=device).eval()
                except RuntimeError as error:
                    raise InputError(f"{path}: not a TorchScript file; download it again") from error
        return cls(networks, device)

    @property
    def skipped(self) -> list[str]:
        return [figure for figure in FILES if figure not in self.networks]

    @torch.inference_mode()
    def lpips(self, made: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> list[float]:
        """Of every pair of images uint8 [H, W, 3] (Zhang et al. 2018; VGG with its learned weights of channels)."""
        network = self.networks["LPIPS"]
        first, second = (
            torch.cat([network(batch, resize_images=False, return_lpips=True) for batch in self._batches(images)])
            for images in (made, truth)
        )
        return (first - second).square().sum(1).tolist()

    @torch.inference_mode()
    def features(self, frames: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """What FID [N, 2048] and FVD [1, 400] compare, of a clip of frames uint8 [H, W, 3]."""
        found = {}
        if "FID" in self.networks:
            network = self.networks["FID"]
            parts = [network(batch.byte(), return_features=True) for batch in self._batches(frames)]
            found["FID"] = torch.cat(parts).float().cpu().numpy()
        if "FVD" in self.networks and len(frames) >= FVD_LEAST_FRAMES:
            clip = torch.cat(list(self._batches(frames))) / 127.5 - 1
            clip = F.interpolate(clip, (FVD_SIZE, FVD_SIZE), mode="bilinear", antialias=True).transpose(0, 1)[None]
            logits = self.networks["FVD"](clip, rescale=False, resize=False, return_features=True)
            found["FVD"] = logits.float().cpu().numpy()
        return found

    def _batches(self, images: Sequence[np.ndarray]):
        for k in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.stack(images[k : k + BATCH])).to(self.device)
            yield batch.permute(0, 3, 1, 2).float()
