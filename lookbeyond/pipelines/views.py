"""Stage 2: the frames between two anchors, by spatial noise diffusion."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline, UNetSpatioTemporalConditionModel
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch.nn import functional as F

from lookbeyond.distance import distance_to_latents, latents_to_distance
from lookbeyond.geometry.cameras import Camera, rotation_angle
from lookbeyond.geometry.panorama import View
from lookbeyond.geometry.projection import plucker_rays
from lookbeyond.models.autoencoder import encode_images, spatial_scale_factor
from lookbeyond.models.image_encoder import embed_images

from .guidance import Guidance, fill_holes, image_tensor

LEAST_TAU_POSITION = 0.02
LEAST_TAU_ROTATION = math.radians(0.5)
"""Floors of the absolute temperatures (of the world's scale; radians): for anchors that hardly move or turn."""
FRAMES_DECODED_AT_ONCE = 4


@dataclass
class ViewsPipelineOutput(BaseOutput):
    colour: torch.Tensor
    """[N, 3, H, W] in -1..1."""
    distance: torch.Tensor
    """[N, 1, H, W] metres along the ray."""


@dataclass(frozen=True)
class Pass:
    """One temporal pass: the anchor it starts from and what it is told of every frame, in its own order."""

    anchor: View | None
    cameras: Sequence[Camera]
    guidance: Guidance


def spatial_weights(
    cameras: Sequence[Camera],
    anchors: Sequence[Camera],
    scale: float,
    tau_position: float = 0.2,
    tau_rotation: float = 0.2,
) -> np.ndarray:
    """Algorithm 1's fusion weights [N, K] of K anchors for every camera; rows sum to one.

    w_k ∝ exp(-‖T - T_k‖ / τ_T) · exp(-θ(q, q_k) / τ_q). The temperatures are given relative to the largest distance
    and angle between the anchors; `scale` (metres) is the world's unit for the floor under them.
    """

    def distances(one: Camera, other: Camera) -> tuple[float, float]:
        return float(np.linalg.norm(one.position - other.position)), rotation_angle(one.rotation, other.rotation)

    spans = np.array([distances(a, b) for a in anchors for b in anchors]).max(0)
    tau = np.maximum(spans * (tau_position, tau_rotation), (LEAST_TAU_POSITION * scale, LEAST_TAU_ROTATION))
    logits = np.array(
        [[-(np.array(distances(camera, anchor)) / tau).sum() for anchor in anchors] for camera in cameras]
    )
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


class ViewsPipeline(DiffusionPipeline):
    """Denoises the frames of a clip from both of its anchors at once.

    Args:
        vae: an image or video autoencoder of diffusers, or `lookbeyond.models.Autoencoder`.
        image_encoder: a CLIP vision tower, any size.
        unet: `lookbeyond.models.ViewsUNet`, or SVD's `UNetSpatioTemporalConditionModel`.
        scheduler: flow matching, or SVD's Euler scheduler; whichever the UNet was trained for.
        unet_backward: the reversed-motion UNet for the backward pass; without it `unet` runs on the flipped clip.

    Example:
        >>> pipeline = ViewsPipeline.from_pretrained("lookbeyond/presets/builtin/views", vae=vae)
        >>> passes = [Pass(source, cameras, told_forward), Pass(target, cameras[::-1], told_backward)]
        >>> weights = spatial_weights(cameras, [source.camera, target.camera], scale=2.5)
        >>> frames = pipeline(passes, weights, unit=1.6, scale=2.5).colour
    """

    model_cpu_offload_seq = "image_encoder->unet->unet_backward->vae"
    _optional_components = ["unet_backward"]

    def __init__(self, vae, image_encoder, unet, scheduler, unet_backward=None):
        super().__init__()
        self.register_modules(
            vae=vae, image_encoder=image_encoder, unet=unet, scheduler=scheduler, unet_backward=unet_backward
        )

    @torch.no_grad()
    def __call__(
        self,
        passes: Sequence[Pass],
        weights: np.ndarray,
        *,
        unit: float,
        scale: float,
        num_inference_steps: int = 8,
        strength: float = 1.0,
        min_guidance_scale: float = 1.0,
        max_guidance_scale: float = 1.0,
        fps: int = 7,
        motion_bucket_id: int = 127,
        raymap: Literal["on", "off"] = "on",
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
            strength: share of the noise to start from, 1: pure noise; less: the guidance, partly noised.
            min_guidance_scale, max_guidance_scale: classifier-free guidance grows along each pass as in SVD; 1: off.
            fps, motion_bucket_id: SVD's micro-conditions.
            raymap: "off" gives the network no rays (an ablation).
            callback_on_step_end: called as diffusers does, with {"step", "steps", "latents"}.
        """
        device, count = self._execution_device, len(weights)
        height, width = passes[0].guidance.colour.shape[-2:]
        conditions = torch.cat([self._conditions(one, unit, scale, raymap) for one in passes])
        embeddings = torch.cat([self._embedding(one.anchor) for one in passes])[:, None]
        fusion = torch.tensor(weights, dtype=torch.float32, device=device).T[:, :, None, None, None]  # [P, N, 1, 1, 1]
        guide = torch.linspace(min_guidance_scale, max_guidance_scale, count, device=device)[:, None, None, None]
        guide = (fusion * torch.stack([guide, guide.flip(0)][: len(passes)])).sum(0)

        told = torch.stack([self._flip(index, self._told(one, unit)) for index, one in enumerate(passes)])
        told = (fusion * told).sum(0)
        noise = randn_tensor(told.shape, generator=generator, device=device, dtype=torch.float32)
        timesteps = self._timesteps(num_inference_steps, strength)
        latents = self._noised(told, noise, timesteps[0], pure=strength >= 1)
        # the clip's ends are its anchors: known, and kept so at every noise level
        ends = [0, count - 1] if len(passes) == 2 else []
        for step, timestep in enumerate(timesteps, 1):
            for frame in ends:
                latents[frame] = self._noised(told[frame], noise[frame], timestep)
            model_input = latents
            if hasattr(self.scheduler, "scale_model_input"):
                model_input = self.scheduler.scale_model_input(latents, timestep)
            ordered = torch.stack([self._flip(index, model_input) for index in range(len(passes))])
            output = self._predict(ordered, timestep, embeddings, conditions, fps, motion_bucket_id)
            if max_guidance_scale > 1:
                free = self._predict(ordered, timestep, 0 * embeddings, 0 * conditions, fps, motion_bucket_id)
                # frames are in each pass's own order here, and so must their guidance scales be
                scales = torch.stack([self._flip(index, guide) for index in range(len(passes))])
                output = free + scales * (output - free)
            output = torch.stack([self._flip(index, one) for index, one in enumerate(output)])
            latents = self.scheduler.step((fusion * output).sum(0), timestep, latents, return_dict=False)[0]
            if callback_on_step_end is not None:
                state = {"step": step, "steps": len(timesteps), "latents": latents}
                callback_on_step_end(self, step, timestep, state)
        colours = self.vae.config.latent_channels
        colour = self._decode(latents[:, :colours])[..., :height, :width]
        guidance = self._fused_guidance(passes, weights)
        return ViewsPipelineOutput(colour=colour, distance=self._distance(latents[:, colours:], guidance, unit))

    @staticmethod
    def _flip(index: int, frames: torch.Tensor) -> torch.Tensor:
        """Between the clip's order and a pass's own, along the first axis."""
        return frames.flip(0) if index == 1 else frames

    @staticmethod
    def _fused_guidance(passes: Sequence[Pass], weights: np.ndarray) -> Guidance:
        """For every frame what its heavier pass was told."""
        if len(passes) == 1:
            return passes[0].guidance
        forward, backward = passes[0].guidance, passes[1].guidance[list(range(len(weights)))[::-1]]
        nearer = torch.from_numpy(weights[:, 0] >= weights[:, 1]).to(forward.known.device)[:, None, None, None]
        return Guidance(
            torch.where(nearer, forward.colour, backward.colour),
            torch.where(nearer, forward.distance, backward.distance),
            torch.where(nearer, forward.known, backward.known),
        )

    def _conditions(self, one: Pass, unit: float, scale: float, raymap: str) -> torch.Tensor:
        """[1, N, C, h, w]: what the UNet's config says it wants to be told, in that order."""
        guidance, factor = one.guidance, spatial_scale_factor(self.vae)
        names = getattr(self.unet.config, "conditioning", None) or ("anchor",)
        padded = self._pad(guidance.colour)
        height, width = (size // factor for size in padded.shape[-2:])
        known = F.avg_pool2d(self._pad(guidance.known), factor)
        parts = []
        for name in names:
            if name == "warped":
                parts.append(encode_images(self.vae, padded).float() * (known > 0.5))
            elif name == "warped_distance":
                parts.append(distance_to_latents(self._pad(guidance.distance), unit) * (known > 0.5))
            elif name == "known":
                parts.append(known)
            elif name == "anchor":
                parts.append(self._anchor_latents(one.anchor, padded).expand(len(padded), -1, -1, -1))
            elif name == "raymap":
                reference = one.anchor.camera if one.anchor else one.cameras[0]
                rays = plucker_rays([self._latent_camera(camera, factor) for camera in one.cameras], reference, scale)
                rays = torch.from_numpy(rays).permute(0, 3, 1, 2).to(padded.device)[..., :height, :width]
                parts.append(rays if raymap == "on" else torch.zeros_like(rays))
            else:
                raise ValueError(f"the UNet wants the condition {name!r}, which this pipeline cannot give")
        return torch.cat(parts, 1)[None]

    def _latent_camera(self, camera: Camera, factor: int) -> Camera:
        """The camera whose pixels are the latents of the padded frame."""
        multiple = self._multiple()
        width, height = (-(-size // multiple) * multiple for size in (camera.width, camera.height))
        scale = np.diag([1 / factor, 1 / factor, 1.0])
        return Camera(width // factor, height // factor, scale @ camera.intrinsics, camera.camera_to_world)

    def _anchor_latents(self, anchor: View | None, like: torch.Tensor) -> torch.Tensor:
        if anchor is None:
            return torch.zeros_like(encode_images(self.vae, like[:1])).float()
        latents = encode_images(self.vae, self._pad(image_tensor(anchor.colour, like.device))).float()
        # SVD concatenates its image latents unscaled
        return latents / self.vae.config.scaling_factor if self._is_svd() else latents

    def _embedding(self, anchor: View | None) -> torch.Tensor:
        device = self._execution_device
        if anchor is None:
            return torch.zeros(
                1, self.image_encoder.config.projection_dim, device=device, dtype=self.image_encoder.dtype
            )
        return embed_images(self.image_encoder, image_tensor(anchor.colour, device))

    def _told(self, one: Pass, unit: float) -> torch.Tensor:
        """The guidance as clean latents [N, colour + distance channels, h, w], in the pass's order."""
        latents = encode_images(self.vae, self._pad(one.guidance.colour)).float()
        if getattr(self.unet.config, "distance_channels", 0):
            latents = torch.cat([latents, distance_to_latents(self._pad(one.guidance.distance), unit)], 1)
        return latents

    def _predict(self, frames, timestep, embeddings, conditions, fps, motion_bucket_id) -> torch.Tensor:
        """Both passes in one forward where they share their network: [P, N, C, h, w]."""
        model_input = torch.cat([frames, conditions.to(frames.dtype)], 2)
        ids = torch.tensor([[fps - 1, motion_bucket_id, 0.0]], device=frames.device, dtype=embeddings.dtype)
        if self.unet_backward is None or len(frames) == 1:
            return self._call_unet(self.unet, model_input, timestep, embeddings, ids)
        networks = (self.unet, self.unet_backward)
        return torch.cat([
            self._call_unet(network, model_input[k : k + 1], timestep, embeddings[k : k + 1], ids)
            for k, network in enumerate(networks)
        ])  # fmt: skip

    def _call_unet(self, unet, model_input, timestep, embeddings, ids) -> torch.Tensor:
        dtype = unet.dtype if self._is_svd() else model_input.dtype
        output = unet(
            model_input.to(dtype), timestep, encoder_hidden_states=embeddings.to(unet.dtype),
            added_time_ids=ids.expand(len(model_input), -1).to(unet.dtype), return_dict=False,
        )[0]  # fmt: skip
        return output.float()

    def _is_svd(self) -> bool:
        return isinstance(self.unet, UNetSpatioTemporalConditionModel)

    def _timesteps(self, steps: int, strength: float) -> torch.Tensor:
        """The scheduler's timesteps, those above `strength` left out; the scheduler is told where it begins."""
        full = steps if strength >= 1 else max(steps, round(steps / max(strength, 1e-3)))
        self.scheduler.set_timesteps(full, device=self._execution_device)
        begin = full - steps
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(begin)
        return self.scheduler.timesteps[begin:]

    def _noised(self, clean, noise, timestep, pure: bool = False) -> torch.Tensor:
        """Clean latents at a timestep's noise level; `pure`: the scheduler's start from nothing."""
        if hasattr(self.scheduler, "scale_noise"):  # flow matching
            sigma = timestep / self.scheduler.config.num_train_timesteps
            return noise.clone() if pure else torch.lerp(clean, noise, sigma)
        if pure:
            return noise * self.scheduler.init_noise_sigma
        index = int((self.scheduler.timesteps == timestep).nonzero()[0])
        return clean + noise * self.scheduler.sigmas[index].to(noise)

    def _multiple(self) -> int:
        """Frames are padded to multiples of this many pixels."""
        levels = len(self.unet.config.block_out_channels)
        patch = getattr(self.unet.config, "patch_size", 1)
        return spatial_scale_factor(self.vae) * patch * 2 ** (levels - 1)

    def _pad(self, images: torch.Tensor) -> torch.Tensor:
        multiple = self._multiple()
        rows, columns = (-size % multiple for size in images.shape[-2:])
        return F.pad(images, (0, columns, 0, rows), mode="replicate") if rows or columns else images

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        latents = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        temporal = "num_frames" in inspect.signature(self.vae.decode).parameters
        parts = [
            self.vae.decode(part, **({"num_frames": len(part)} if temporal else {})).sample.float()
            for part in latents.split(FRAMES_DECODED_AT_ONCE)
        ]
        return torch.cat(parts)

    def _distance(self, latents: torch.Tensor, guidance: Guidance, unit: float) -> torch.Tensor:
        """The warped distance where it is known; in holes what was made, shifted to meet it at their rims."""
        if not latents.shape[1]:
            return guidance.distance
        size = guidance.distance.shape[-2:]
        made = F.interpolate(latents_to_distance(latents, unit).log(), scale_factor=4, mode="bilinear")
        made = made[..., : size[0], : size[1]]
        told = guidance.distance.clamp_min(1e-3).log()
        offset = fill_holes(told - made, guidance.known)
        return torch.where(guidance.known > 0, told, made + offset).exp()
