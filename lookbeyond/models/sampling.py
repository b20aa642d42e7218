"""How noise is removed in Stable Video Diffusion: sigma schedules, where they may begin, and few-step samplers."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.schedulers import AysSchedules
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor


def align_your_steps(steps: int) -> list[float]:
    """The sigmas of *Align Your Steps* for Stable Video Diffusion, steps + 1 of them with the final 0.

    They were optimised for 10 steps; for another number their logarithms are interpolated, as its authors advise.
    """
    sigmas = AysSchedules["StableDiffusionVideoSigmas"]
    assert isinstance(sigmas, list)
    if steps == len(sigmas) - 1:
        return [float(sigma) for sigma in sigmas]
    logs = np.log(sigmas[:-1])
    places = np.linspace(0, len(logs) - 1, steps)
    return [*np.exp(np.interp(places, np.arange(len(logs)), logs)).tolist(), 0.0]


def shortened(sigmas: Sequence[float], strength: float) -> list[float]:
    """The end of a schedule, for a start that is not pure noise: `strength` (0..1) of its steps, rounded up.

    The first sigma lies between two of the schedule's (their logarithms interpolated), so that a little more strength
    is a little more noise. At least one step is left.
    """
    steps = len(sigmas) - 1
    place = (1 - min(strength, 1.0)) * steps
    place = min(place, steps - 1)  # the last sigma is 0 and nothing starts from it
    first = math.floor(place)
    share = place - first
    if not share:
        return list(sigmas[first:])
    start = math.exp((1 - share) * math.log(sigmas[first]) + share * math.log(sigmas[first + 1]))
    return [start, *sigmas[first + 1 :]]


DISTILLED_LEVELS = 40
"""Noise levels between which AnimateLCM-SVD was distilled (Karras et al. 2022, rho 7)."""


class ConsistencyScheduler(EulerDiscreteScheduler):
    """For consistency-distilled networks (AnimateLCM-SVD): each step goes to the clean frames, and adds noise again.

    Configured as `EulerDiscreteScheduler` is, whose preconditioning they share; 2 to 8 steps, without
    classifier-free guidance.
    """

    def set_timesteps(self, num_inference_steps=None, device=None, *, sigmas=None, **options):  # type: ignore[override]
        """Evenly among the levels of the distillation, from the noisiest on; the least one, a step to nothing from next
        to nothing, is none of them (as `CMStochasticIterativeScheduler` chooses)."""
        if sigmas is None and num_inference_steps:
            ramp = np.arange(num_inference_steps) * (DISTILLED_LEVELS // num_inference_steps) / (DISTILLED_LEVELS - 1)
            low, high = self.config.sigma_min ** (1 / 7), self.config.sigma_max ** (1 / 7)
            sigmas = [*((high + ramp * (low - high)) ** 7).tolist(), 0.0]
        super().set_timesteps(device=device, sigmas=sigmas, **options)

    def step(self, model_output, timestep, sample, *, generator=None, return_dict=True, **options):  # type: ignore[override]
        step = super().step(model_output, timestep, sample, **options)
        assert isinstance(step, EulerDiscreteSchedulerOutput) and step.pred_original_sample is not None
        clean = step.pred_original_sample
        noise = randn_tensor(clean.shape, generator=generator, device=clean.device, dtype=torch.float32)
        previous = (clean + noise * self.sigmas[self.step_index]).to(clean.dtype)
        if not return_dict:
            return previous, clean
        return EulerDiscreteSchedulerOutput(prev_sample=previous, pred_original_sample=clean)
