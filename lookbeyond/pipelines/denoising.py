"""The denoising loop of the views stage, for both passes of a clip at once."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .fusion import Fusion
from .guidance_latents import Start
from .samplers import Sampler


def denoise(
    latents: torch.Tensor,
    timesteps: Sequence[torch.Tensor],
    held_until: float,
    start: Start,
    sampler: Sampler,
    fusion: Fusion,
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    generator: torch.Generator | None,
    report: Callable[[int, torch.Tensor, dict[str, Any]], Any] | None,
) -> torch.Tensor:
    """Latents [N, C, h, w] through all timesteps.

    held_until: the last step, from 1, that holds what is known.
    predict: (noisy latents [P, N, C, h, w], timestep) -> the networks' outputs of the same shape.
    report: called with (step, timestep, {"step", "steps", "latents", "clean"}) after each step.
    """
    for step, timestep in enumerate(timesteps, 1):
        kept = start.held if step <= held_until else start.always
        latents = torch.where(kept, start.noised(sampler, timestep), latents)
        output = fusion.fuse(predict(fusion.split(sampler.model_input(latents, timestep)), timestep))
        expected = sampler.expected(latents, output, timestep)
        latents = sampler.step(output, timestep, latents, generator)
        if report is not None:
            report(step, timestep, {"step": step, "steps": len(timesteps), "latents": latents, "clean": expected})
    return latents
