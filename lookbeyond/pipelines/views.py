"""Stage 2: the frames between two anchors, by spatial noise diffusion."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor

from lookbeyond.distance import distance_to_latents
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import View
from lookbeyond.models.autoencoder import encode_images, spatial_scale_factor

# diffusers loads components only from modules that are imported already
from lookbeyond.models.raymap_encoder import RaymapEncoder  # noqa: F401
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.models.single_file import replace_weights
from lookbeyond.models.views_unet import ViewsUNet  # noqa: F401

from .backbones import Backbone, of_unet
from .denoising import denoise
from .depth import DepthPipeline
from .fusion import Fusion, Pass, fused_guidance
from .guidance import Guidance, image_tensor
from .guidance_latents import GuidanceLatents
from .latent_grid import LatentGrid
from .samplers import Levels, Sampler, sampler_of
from .unet_batches import Conditioning, UNetBatches

ROWS_AT_ONCE, FRAMES_DECODED_AT_ONCE = 2, 4
"""Defaults; memory may require less."""


@dataclass
class ViewsPipelineOutput(BaseOutput):
    colour: torch.Tensor
    """[N, 3, H, W] in -1..1."""
    distance: torch.Tensor
    """[N, 1, H, W] metres along the ray."""


class ViewsPipeline(DiffusionPipeline):
    """Denoises the frames of a clip from both of its anchors at once.

    Networks that are trained for it (`ViewsUNet`) are conditioned on what is known of every frame. Stable Video
    Diffusion is not, and knows no cameras: it follows the path because the frames start from the noised guidance
    (`strength`) and what is known is held there (`hold`) while the noise is high, because of its anchors, and, where
    there are trained ones, because of its raymap encoder and LoRA.

    Args:
        vae: an image or video autoencoder of diffusers, or `lookbeyond.models.Autoencoder`.
        image_encoder: a CLIP vision tower, any size.
        unet: `lookbeyond.models.ViewsUNet`, or SVD's `UNetSpatioTemporalConditionModel`.
        scheduler: flow matching, SVD's Euler scheduler, or `ConsistencyScheduler`; whichever the UNet was trained for.
        unet_backward: for the backward pass: `ReversedMotion` weights, or a whole UNet with attention of its own;
            without it `unet` runs on the flipped clip.
        raymap_encoder: a `RaymapEncoder` with its adapters, for an SVD UNet.
        unet_weights: folder with one bare file of weights that replace the UNet's at once.
        lora: folder of a LoRA (`lookbeyond.models.lora`) that is then added to them.

    How much is worked on at once depends on memory and may be set at any time: `rows_at_once` (passes in one forward of
    the UNet, guided and free ones counted) and `frames_decoded_at_once` (also for encoding; a video autoencoder smooths
    over the frames that it sees together). For a UNet that makes colour only, `depth_estimator` measures the
    distance in holes; without one it is a smooth continuation of what surrounds them.

    Example:
        >>> pipeline = ViewsPipeline.from_pretrained("lookbeyond/presets/builtin/views", vae=vae)
        >>> passes = [Pass(source, cameras, guidance), Pass(target, cameras[::-1], guidance_backward)]
        >>> weights = spatial_weights(cameras, [source.camera, target.camera], scale=2.5)
        >>> frames = pipeline(passes, weights, unit=1.6, scale=2.5).colour
    """

    model_cpu_offload_seq = "image_encoder->unet"
    # their weights are used in the middle of the UNet's forward, or between two of them, for previews
    _exclude_from_cpu_offload: ClassVar = ["raymap_encoder", "unet_backward", "vae"]
    _optional_components: ClassVar = ["unet_backward", "raymap_encoder"]

    def __init__(self, vae, image_encoder, unet, scheduler, unet_backward=None, raymap_encoder=None, *,
                 unet_weights: Path | None = None, lora: Path | None = None):  # fmt: skip
        super().__init__()
        self.rows_at_once, self.frames_decoded_at_once = ROWS_AT_ONCE, FRAMES_DECODED_AT_ONCE
        self.depth_estimator: DepthPipeline | None = None
        _change_weights(unet, unet_weights, lora)
        self.register_modules(
            vae=vae, image_encoder=image_encoder, unet=unet, scheduler=scheduler, unet_backward=unet_backward,
            raymap_encoder=raymap_encoder,
        )  # fmt: skip

    @property
    def backbone(self) -> Backbone:
        return of_unet(self.unet)

    @property
    def sampler(self) -> Sampler:
        return sampler_of(self.scheduler)

    @property
    def grid(self) -> LatentGrid:
        factor = spatial_scale_factor(self.vae)
        return LatentGrid(factor, factor * self.backbone.latent_multiple)

    @property
    def whole_clips(self) -> bool:
        """Whether a pass is a run of frames one after the other, not some of them."""
        return self.backbone.frames_per_pass is not None

    @property
    def frames_per_walk(self) -> int | None:
        """How many frames the walk to an anchor has, of which only the last is wanted; None: there is no walk."""
        return self.backbone.frames_per_walk

    def pass_length(self, count: int) -> int:
        """How many frames a pass needs that is to hold `count`."""
        return max(count, self.backbone.frames_per_pass or 0)

    def preview(self, clean: torch.Tensor) -> torch.Tensor:
        """[3, H, W] in -1..1: the frame that is farthest from both anchors, from clean latents [N, C, h, w]."""
        return self.decode(clean[len(clean) // 2 :][:1, : self.vae.config.latent_channels])[0]

    @torch.no_grad()
    def __call__(
        self,
        passes: Sequence[Pass],
        weights: np.ndarray,
        *,
        unit: float,
        scale: float,
        num_inference_steps: int = 8,
        sigmas: Levels = "scheduler",
        strength: float = 1.0,
        hold: float = 0.0,
        min_guidance_scale: float = 1.0,
        max_guidance_scale: float = 1.0,
        fps: int = 7,
        motion_bucket_id: int = 127,
        noise_aug_strength: float = 0.0,
        raymap: Literal["on", "off"] = "on",
        frames: Literal["all", "last"] = "all",
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> ViewsPipelineOutput:
        """Denoises N frames.

        Args:
            passes: the forward pass, whose frames are in the clip's order, and perhaps the backward pass, whose
                frames are in the opposite order. A single pass with one frame fills an anchor's holes.
            weights: [N, number of passes], frames in the clip's order, rows sum to one: `spatial_weights`.
            unit: metres that the network's distances are relative to (the camera's height above the floor).
            scale: metres that rays' moments are divided by (the panorama's median distance).
            sigmas: SVD's noise levels: its scheduler's own, or those of *Align Your Steps* (10 steps).
            strength: share of the noise to start from, 1: pure noise; less: the guidance, partly noised. SVD then
                takes that share of the steps, too; flow matching takes `num_inference_steps` in any case.
            hold: share of the schedule, from its noisy end, that keeps known latents at the guidance.
            min_guidance_scale, max_guidance_scale: classifier-free guidance grows along each pass as in SVD; 1: off.
            fps, motion_bucket_id, noise_aug_strength: SVD's micro-conditions.
            raymap: "off" gives the network no rays (an ablation).
            frames: "last" decodes and gives back the clip's last frame alone: for a walk to an anchor.
            callback_on_step_end: called as diffusers does, with {"step", "steps", "latents", "clean"}; the last is
                what the frames are expected to become.
        """
        self.prepare()
        guidance, known, fusion = fused_guidance(passes, weights), self.latents, Fusion(weights, self._execution_device)
        wanted = passes if "warped" in self.backbone.conditions else []
        encoded = [self.encode(self.grid.pad(one.guidance.colour)) for one in wanted]
        scales, micro = (min_guidance_scale, max_guidance_scale), (fps - 1, motion_bucket_id, noise_aug_strength)
        conditioning = self._conditioning(
            passes, encoded, unit, scale, raymap, micro, fusion.guidance_scales(*scales), generator
        )
        timesteps, whole = self.sampler.timesteps(num_inference_steps, strength, sigmas, known.device)
        start = known.start(
            guidance, unit, known.fused(encoded, weights, guidance), generator,
            ends=len(passes) == 2, nothing_else=strength >= 1 and hold <= 0,
        )  # fmt: skip
        latents = self.sampler.pure(start.noise) if strength >= 1 else start.noised(self.sampler, timesteps[0])
        latents = denoise(
            latents, timesteps, hold * whole - (whole - len(timesteps)), start, self.sampler, fusion,
            partial(self.unets.predict, self.call_unet, conditioning=conditioning), generator,
            callback_on_step_end and partial(callback_on_step_end, self),
        )  # fmt: skip
        if frames == "last":  # with as many before it as are decoded together
            latents, guidance = latents[-self.frames_decoded_at_once :], guidance[-1:]
        return self._decoded(latents, guidance, passes[0].cameras[-len(guidance.known) :], unit)

    def _decoded(
        self, latents: torch.Tensor, guidance: Guidance, cameras: Sequence[Camera], unit: float
    ) -> ViewsPipelineOutput:
        """The last frames of some latents [N, C, h, w]: as many as the guidance has."""
        (height, width), given = guidance.colour.shape[-2:], len(guidance.known)
        colours = self.vae.config.latent_channels
        colour = self.decode(latents[:, :colours])[-given:, :, :height, :width]
        if self.depth_estimator is not None and latents.shape[1] == colours:
            distance = self.depth_estimator.complete(colour, guidance, cameras)
        else:
            distance = self.latents.distance(latents[-given:, colours:], guidance, unit)
        return ViewsPipelineOutput(colour=colour, distance=distance)

    @property
    def unets(self) -> UNetBatches:
        return UNetBatches(self.networks(), isinstance(self.unet_backward, ReversedMotion), self.rows_at_once)

    def prepare(self) -> None:
        """Installs the components outside the UNet in it, once."""
        if self.vae.dtype == torch.float16 and getattr(self.vae.config, "force_upcast", False):
            self.vae.to(torch.float32)  # half floats overflow in it; bfloat16 does not
        if isinstance(self.unet_backward, ReversedMotion):
            self.unet_backward.install(self.unet)
        if self.raymap_encoder is not None:
            for unet in {id(network): network for network in self.networks()}.values():
                self.raymap_encoder.install(unet)

    def networks(self) -> list:
        """The UNet of each direction."""
        own = self.unet_backward is not None and not isinstance(self.unet_backward, ReversedMotion)
        return [self.unet, self.unet_backward if own else self.unet]

    def _conditioning(
        self, passes, encoded, unit, scale, raymap, micro: tuple[float, ...], scales, generator
    ) -> Conditioning:
        """The UNet's conditioning. encoded: P of [N, c, h, w], latents of the guidance, where it takes these."""
        device, augmented = self._execution_device, (micro[-1], generator)
        latents = encoded or [None] * len(passes)
        conditions = [self._condition(*both, unit, scale, raymap, augmented) for both in zip(passes, latents)]
        embeddings = torch.cat([self.embed_anchor(one.anchor) for one in passes])[:, None]
        takes_rays = self.raymap_encoder is not None and raymap == "on"
        rays = self.grid.rays(passes, scale).to(device) if takes_rays else None
        return Conditioning(torch.stack(conditions), embeddings, rays, torch.tensor([micro], device=device), scales)

    def _condition(self, one: Pass, warped: torch.Tensor | None, unit, scale, raymap, augmented) -> torch.Tensor:
        """[N, C, h, w]: the conditions that the UNet's config lists, of one pass, in that order."""
        guidance, known = one.guidance, self.grid.known(one.guidance.known)
        parts = []
        for name in self.backbone.conditions:
            if name == "warped" and warped is not None:
                parts.append(warped * (known > 0.5))
            elif name == "warped_distance":
                parts.append(distance_to_latents(self.grid.pad(guidance.distance), unit) * (known > 0.5))
            elif name == "known":
                parts.append(known)
            elif name == "anchor":
                parts.append(self.anchor_latents(one.anchor, known, *augmented).expand(len(known), -1, -1, -1))
            elif name == "raymap":
                rays = self.grid.rays([one], scale).to(self._execution_device)[0]
                parts.append(rays if raymap == "on" else torch.zeros_like(rays))
            else:
                raise ValueError(f"the UNet wants the condition {name!r}, which this pipeline cannot give")
        return torch.cat(parts, 1)

    def anchor_latents(self, anchor: View | None, like: torch.Tensor, noise_aug_strength, generator) -> torch.Tensor:
        if anchor is None:
            return like.new_zeros(1, self.vae.config.latent_channels, *like.shape[-2:])
        image = self.grid.pad(image_tensor(anchor.colour, like.device))
        if noise_aug_strength:
            noise = randn_tensor(image.shape, generator=generator, device=image.device, dtype=image.dtype)
            image = image + noise_aug_strength * noise
        return self.backbone.encode_anchor(self.vae, image)

    def embed_anchor(self, anchor: View | None) -> torch.Tensor:
        device = self._execution_device
        if anchor is None:
            return torch.zeros(
                1, self.image_encoder.config.projection_dim, device=device, dtype=self.image_encoder.dtype
            )
        return self.backbone.embed_anchor(self.image_encoder, image_tensor(anchor.colour, device))

    def call_unet(self, unet, model_input, timestep, embeddings, ids, extra: dict) -> torch.Tensor:
        model_input = model_input.to(self.backbone.input_dtype(unet, model_input))
        output = unet(
            model_input, timestep, encoder_hidden_states=embeddings.to(unet.dtype),
            added_time_ids=ids.expand(len(model_input), -1).to(unet.dtype), return_dict=False, **extra,
        )[0]  # fmt: skip
        return output.float()

    @property
    def latents(self) -> GuidanceLatents:
        """What is known, as latents of this UNet."""
        channels = self.vae.config.latent_channels, self.backbone.distance_channels
        return GuidanceLatents(self.grid, self.encode, *channels, self._execution_device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        parts = images.split(self.frames_decoded_at_once)
        return torch.cat([encode_images(self.vae, some).float() for some in parts])

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        latents = (1 / self.vae.config.scaling_factor * latents).to(self.vae.dtype)
        temporal = "num_frames" in inspect.signature(self.vae.decode).parameters
        parts = [
            self.vae.decode(part, **({"num_frames": len(part)} if temporal else {})).sample.float()
            for part in latents.split(self.frames_decoded_at_once)
        ]
        return torch.cat(parts)


def _change_weights(unet: torch.nn.Module, weights: Path | None, lora: Path | None) -> None:
    """Replaces a UNet's weights, and adds a LoRA to them."""
    if weights is not None:
        replace_weights(unet, weights)
    if lora is not None:
        from lookbeyond.models.lora import fuse_lora, load_lora  # peft is slow to import

        load_lora(unet, lora)
        fuse_lora(unet)
