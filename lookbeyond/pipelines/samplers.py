"""How noise is removed: one class per family of schedulers. To add a family, add a class to `FAMILIES`."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler

from lookbeyond.errors import InputError
from lookbeyond.models.sampling import ConsistencyScheduler, align_your_steps, shortened

Levels = Literal["scheduler", "align-your-steps"]
"""Noise levels: the scheduler's own, or those of *Align Your Steps* for Stable Video Diffusion (10 steps)."""


class Sampler(ABC):
    """A diffusers scheduler as the views pipeline uses it. Latents are [N, C, h, w]; noise has their shape."""

    def __init__(self, scheduler: Any):
        self.scheduler = scheduler

    @abstractmethod
    def timesteps(self, steps: int, strength: float, levels: Levels, device: torch.device) -> tuple[torch.Tensor, int]:
        """The timesteps at and below `strength` (0..1), and how many the whole schedule has."""

    @abstractmethod
    def pure(self, noise: torch.Tensor) -> torch.Tensor:
        """Pure noise at the schedule's first level."""

    @abstractmethod
    def noised(self, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Clean latents at a timestep's noise level."""

    @abstractmethod
    def expected(self, latents: torch.Tensor, output: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The clean latents that a network's output at a timestep stands for."""

    def model_input(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Latents as the network takes them."""
        return latents

    def step(self, output: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor, generator) -> torch.Tensor:
        """Latents at the next timestep."""
        return self.scheduler.step(output, timestep, latents, generator=generator, return_dict=False)[0]


class FlowSampler(Sampler):
    """Flow matching: straight lines from noise to the clean latents; a network's output is noise minus clean."""

    def timesteps(self, steps: int, strength: float, levels: Levels, device: torch.device) -> tuple[torch.Tensor, int]:
        """`steps` are taken at any strength: the whole schedule has more."""
        whole = steps if strength >= 1 else max(steps, round(steps / max(strength, 1e-3)))
        self.scheduler.set_timesteps(whole, device=device)
        self.scheduler.set_begin_index(whole - steps)
        return self.scheduler.timesteps[whole - steps :], whole

    def pure(self, noise: torch.Tensor) -> torch.Tensor:
        return noise.clone()

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return torch.lerp(clean, noise, self._sigma(timestep))

    def expected(self, latents: torch.Tensor, output: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return latents - self._sigma(timestep) * output

    def _sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        return timestep / self.scheduler.config.num_train_timesteps


class EulerSampler(Sampler):
    """EDM's preconditioning (Karras et al. 2022) with velocities, as Stable Video Diffusion was trained."""

    def timesteps(self, steps: int, strength: float, levels: Levels, device: torch.device) -> tuple[torch.Tensor, int]:
        """Only the share `strength` of `steps` is taken."""
        scheduler = self.scheduler
        if levels == "align-your-steps":
            scheduler.set_timesteps(sigmas=align_your_steps(steps), device=device)
        else:
            scheduler.set_timesteps(steps, device=device)
        if strength < 1:
            scheduler.set_timesteps(sigmas=shortened(scheduler.sigmas.tolist(), strength), device=device)
        scheduler.set_begin_index(0)
        return scheduler.timesteps, steps

    def pure(self, noise: torch.Tensor) -> torch.Tensor:
        return noise * self.scheduler.init_noise_sigma

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return clean + noise * self._sigma(timestep).to(noise)

    def model_input(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return self.scheduler.scale_model_input(latents, timestep)

    def expected(self, latents: torch.Tensor, output: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        variance = self._sigma(timestep).to(latents) ** 2
        return latents / (variance + 1) - output * (variance / (variance + 1)).sqrt()

    def _sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        return self.scheduler.sigmas[int((self.scheduler.timesteps == timestep).nonzero()[0])]


FAMILIES: dict[type, type[Sampler]] = {
    ConsistencyScheduler: EulerSampler,  # each step goes all the way, and the scheduler adds noise again
    EulerDiscreteScheduler: EulerSampler,
    FlowMatchEulerDiscreteScheduler: FlowSampler,
    FlowMatchHeunDiscreteScheduler: FlowSampler,
}


def sampler_of(scheduler: Any) -> Sampler:
    """The sampler for a scheduler of diffusers; `InputError` where its family is not known."""
    for kind, sampler in FAMILIES.items():
        if isinstance(scheduler, kind):
            return sampler(scheduler)
    raise InputError(
        f"the views stage cannot sample with {type(scheduler).__name__}; give its preset one of "
        f"{', '.join(kind.__name__ for kind in FAMILIES)}"
    )
