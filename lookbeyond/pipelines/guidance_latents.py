"""The guidance as latents, and the distance that a network made, joined to the known distance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch.nn import functional as F

from lookbeyond.distance import distance_to_latents, latents_to_distance

from .guidance import Guidance, fill_holes
from .latent_grid import LatentGrid
from .samplers import Sampler

WHOLLY_KNOWN = 0.9
"""Share of a latent's pixels that must be known for it to be held at the guidance."""


@dataclass(frozen=True)
class Start:
    """What frames start from: the guidance as clean latents, the noise, and which latents stay as they are."""

    clean: torch.Tensor  # [N, C, h, w]
    noise: torch.Tensor  # [N, C, h, w]
    always: torch.Tensor  # [N, 1, h, w] bool
    held: torch.Tensor  # [N, 1, h, w] bool, while the noise is high

    def noised(self, sampler: Sampler, timestep: torch.Tensor) -> torch.Tensor:
        return sampler.noised(self.clean, self.noise, timestep)


@dataclass(frozen=True)
class GuidanceLatents:
    """For a network whose latents are some channels of colour and perhaps some of distance."""

    grid: LatentGrid
    encode: Callable[[torch.Tensor], torch.Tensor]
    """Images [N, 3, H, W] in -1..1 -> latents [N, colours, h, w]."""
    colours: int
    distances: int
    device: torch.device

    def start(
        self,
        guidance: Guidance,
        unit: float,
        known_latents: torch.Tensor | None,
        generator: torch.Generator | None,
        *,
        ends: bool,
        nothing_else: bool,
    ) -> Start:
        """What N frames start from.

        known_latents: as for `clean`.
        ends: whether the first and the last frame are anchors.
        nothing_else: whether nothing else is needed of the guidance: the frames begin from noise and hold nothing.
        """
        always, held = self.kept(guidance, ends)
        needed = always.any((1, 2, 3)) if nothing_else else torch.ones(len(always), dtype=torch.bool)
        clean = self.clean(guidance, unit, needed, known_latents)
        noise = randn_tensor(clean.shape, generator=generator, device=self.device, dtype=torch.float32)
        return Start(clean, noise, always, held)

    def kept(self, guidance: Guidance, ends: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Which latents [N, 1, h, w] are the guidance's at every noise level, and which while it is held."""
        known = self.grid.known(guidance.known) > WHOLLY_KNOWN
        always = torch.zeros_like(known)
        if ends:  # the clip's ends are its anchors
            always[[0, -1]] = True
        return always, always | known

    def fused(self, encoded: Sequence[torch.Tensor], weights: np.ndarray, guidance: Guidance) -> torch.Tensor | None:
        """Latents [N, C, h, w] of the fused guidance, mixed from those of both passes: these are almost the same
        pictures, whose mixture need not be encoded once more. A clip's ends, which are its anchors, are."""
        if len(encoded) < 2:
            return encoded[0] if encoded else None
        share = torch.from_numpy(weights[:, 0]).to(encoded[0])[:, None, None, None]
        mixed = torch.lerp(encoded[1].flip(0), encoded[0], share)
        mixed[[0, -1]] = self.encode(self.grid.pad(guidance.colour[[0, -1]]))
        return mixed

    def clean(
        self, guidance: Guidance, unit: float, needed: torch.Tensor, known_latents: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The guidance as clean latents [N, colour + distance channels, h, w]; zeros where it is not `needed` [N].

        known_latents: [N, c, h, w], those of its colour, where they are known.
        """
        wanted = guidance[needed.to(guidance.known.device)]
        colour = self.grid.pad(wanted.colour)
        rows, columns = (side // self.grid.factor for side in colour.shape[-2:])
        channels = self.colours + self.distances
        clean = torch.zeros((len(needed), channels, rows, columns), device=self.device)
        if len(colour):
            parts = [self.encode(colour) if known_latents is None else known_latents[needed.to(known_latents.device)]]
            parts += [distance_to_latents(self.grid.pad(wanted.distance), unit)] if self.distances else []
            clean[needed.to(clean.device)] = torch.cat(parts, 1)
        return clean

    def distance(self, latents: torch.Tensor, guidance: Guidance, unit: float) -> torch.Tensor:
        """The warped distance where it is known; in holes what was made, shifted to meet it at their rims."""
        if not latents.shape[1]:
            return guidance.distance
        size = guidance.distance.shape[-2:]
        made = F.interpolate(latents_to_distance(latents, unit).log(), scale_factor=4, mode="bilinear")
        made = made[..., : size[0], : size[1]]
        warped = guidance.distance.clamp_min(1e-3).log()
        offset = fill_holes(warped - made, guidance.known)
        return torch.where(guidance.known > 0, warped, made + offset).exp()
