"""Stage 2: the frames between two anchors, by spatial noise diffusion."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline, UNetSpatioTemporalConditionModel
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch.nn import functional as F

from lookbeyond.distance import distance_to_latents, latents_to_distance
from lookbeyond.geometry.cameras import Camera, rotation_angle
from lookbeyond.geometry.panorama import View
from lookbeyond.geometry.projection import plucker_rays
from lookbeyond.models.autoencoder import encode_images, spatial_scale_factor
from lookbeyond.models.image_encoder import embed_images

# diffusers loads components only from modules that are imported already
from lookbeyond.models.raymap_encoder import RaymapEncoder  # noqa: F401
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.models.sampling import align_your_steps, shortened
from lookbeyond.models.single_file import replace_weights
from lookbeyond.models.views_unet import ViewsUNet  # noqa: F401

from .depth import DepthPipeline
from .guidance import Guidance, fill_holes, image_tensor

LEAST_TAU_POSITION = 0.02
LEAST_TAU_ROTATION = math.radians(0.5)
"""Floors of the absolute temperatures (of the world's scale; radians): for anchors that hardly move or turn."""
MOST_WALK_FRAMES = 14
ROWS_AT_ONCE, FRAMES_DECODED_AT_ONCE = 2, 4
"""Unless memory asks for less."""
WHOLLY_KNOWN = 0.9
"""Share of a latent's pixels that must be known for it to be held at the guidance."""


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


@dataclass(frozen=True)
class _Told:
    """What the UNet is told beside the noisy latents; P passes, each in its own order."""

    conditions: torch.Tensor  # [P, N, C, h, w]
    embeddings: torch.Tensor  # [P, 1, D]
    rays: torch.Tensor | None  # [P, N, 6, h, w], for a raymap encoder
    ids: torch.Tensor  # [1, 3], SVD's micro-conditions


class ViewsPipeline(DiffusionPipeline):
    """Denoises the frames of a clip from both of its anchors at once.

    Networks that are trained for it (`ViewsUNet`) are told what is known of every frame. Stable Video Diffusion is
    not, and knows no cameras: it follows the path because the frames start from the noised guidance (`strength`) and
    what is known is held there (`hold`) while the noise is high, because of its anchors, and, where there are trained
    ones, because of its raymap encoder and LoRA.

    Args:
        vae: an image or video autoencoder of diffusers, or `lookbeyond.models.Autoencoder`.
        image_encoder: a CLIP vision tower, any size.
        unet: `lookbeyond.models.ViewsUNet`, or SVD's `UNetSpatioTemporalConditionModel`.
        scheduler: flow matching, SVD's Euler scheduler, or `ConsistencyScheduler`; whichever the UNet was trained for.
        unet_backward: for the backward pass: `ReversedMotion` weights, or a whole UNet with attention of its own;
            without it `unet` runs on the flipped clip.
        raymap_encoder: a `RaymapEncoder` with its adapters, for an SVD UNet.
        unet_weights: folder with one bare file of weights that replace the UNet's here and now.
        lora: folder of a LoRA (`lookbeyond.models.lora`) that is then added to them.

    How much is worked on at once is a matter of memory and may be set at any time: `rows_at_once` (passes in one
    forward of the UNet, guided and free ones counted) and `frames_decoded_at_once` (also for encoding; a video
    autoencoder smooths over the frames that it sees together). For a UNet that makes colour only, `meter` measures
    the distance in holes; without one it is a smooth continuation of what surrounds them.

    Example:
        >>> pipeline = ViewsPipeline.from_pretrained("lookbeyond/presets/builtin/views", vae=vae)
        >>> passes = [Pass(source, cameras, told_forward), Pass(target, cameras[::-1], told_backward)]
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
        self.meter: DepthPipeline | None = None
        if unet_weights is not None:
            replace_weights(unet, unet_weights)
        if lora is not None:
            from lookbeyond.models.lora import fuse_lora, load_lora  # peft takes its time to import

            load_lora(unet, lora)
            fuse_lora(unet)
        self.register_modules(
            vae=vae, image_encoder=image_encoder, unet=unet, scheduler=scheduler, unet_backward=unet_backward,
            raymap_encoder=raymap_encoder,
        )  # fmt: skip

    @property
    def frames_per_pass(self) -> int | None:
        """How many frames a pass has to have; None: any number."""
        return self.unet.config.num_frames if self._is_svd() else None

    @property
    def whole_clips(self) -> bool:
        """Whether a pass is a run of frames one after the other, not some of them."""
        return self.frames_per_pass is not None

    def pass_length(self, count: int) -> int:
        """How many frames a pass has to have that is to hold `count`."""
        return max(count, self.frames_per_pass or 0)

    def preview(self, clean: torch.Tensor) -> torch.Tensor:
        """[3, H, W] in -1..1: the frame that is farthest from both anchors, from clean latents [N, C, h, w]."""
        return self._decode(clean[len(clean) // 2 :][:1, : self.vae.config.latent_channels])[0]

    @property
    def frames_per_walk(self) -> int | None:
        """How many frames the walk to an anchor has, of which only the last is wanted: no more than SVD began with.

        The model for 25 frames was tuned from the one for 14.
        """
        return min(self.unet.config.num_frames, MOST_WALK_FRAMES) if self._is_svd() else None

    @torch.no_grad()
    def __call__(
        self,
        passes: Sequence[Pass],
        weights: np.ndarray,
        *,
        unit: float,
        scale: float,
        num_inference_steps: int = 8,
        sigmas: Literal["scheduler", "align-your-steps"] = "scheduler",
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
            hold: share of the schedule, from its noisy end, over which known latents are kept at the guidance.
            min_guidance_scale, max_guidance_scale: classifier-free guidance grows along each pass as in SVD; 1: off.
            fps, motion_bucket_id, noise_aug_strength: SVD's micro-conditions.
            raymap: "off" gives the network no rays (an ablation).
            frames: "last" decodes and gives back the clip's last frame alone: for a walk to an anchor.
            callback_on_step_end: called as diffusers does, with {"step", "steps", "latents", "clean"}; the last is
                what the frames are expected to become.
        """
        self._prepare()
        device, count, cameras = self._execution_device, len(weights), passes[0].cameras
        height, width = passes[0].guidance.colour.shape[-2:]
        augmented = (noise_aug_strength, generator)
        encoded = [self._encode(self._pad(one.guidance.colour)) for one in passes] if self._wants("warped") else []
        conditions = [
            self._conditions(one, unit, scale, raymap, augmented, warped)
            for one, warped in zip(passes, encoded or [None] * len(passes), strict=True)
        ]
        told = _Told(
            torch.cat(conditions),
            torch.cat([self._embedding(one.anchor) for one in passes])[:, None],
            self._rays(passes, scale) if self.raymap_encoder is not None and raymap == "on" else None,
            torch.tensor([[fps - 1, motion_bucket_id, noise_aug_strength]], device=device),
        )
        fusion = torch.tensor(weights, dtype=torch.float32, device=device).T[:, :, None, None, None]  # [P, N, 1, 1, 1]
        guide = torch.linspace(min_guidance_scale, max_guidance_scale, count, device=device)[:, None, None, None]
        guide = (fusion * torch.stack([guide, guide.flip(0)][: len(passes)])).sum(0)
        # frames are in each pass's own order in the network, and so must their guidance scales be
        scales = torch.stack([self._flip(index, guide) for index in range(len(passes))])
        if max_guidance_scale <= 1:
            scales = None

        guidance = self._fused_guidance(passes, weights)
        timesteps, whole = self._timesteps(num_inference_steps, strength, sigmas)
        kept = self._kept(guidance, ends=len(passes) == 2)
        # a start from nothing that holds nothing needs no frames but the anchors
        needed = kept[0].any((1, 2, 3)) if strength >= 1 and hold <= 0 else torch.ones(count, dtype=torch.bool)
        clean = self._clean(guidance, unit, needed, self._fused_latents(encoded, weights, guidance))
        noise = randn_tensor(clean.shape, generator=generator, device=device, dtype=torch.float32)
        latents = self._noised(clean, noise, timesteps[0], pure=strength >= 1)
        for step, timestep in enumerate(timesteps, 1):
            held = whole - len(timesteps) + step <= hold * whole
            latents = torch.where(kept[held], self._noised(clean, noise, timestep), latents)
            model_input = latents
            if hasattr(self.scheduler, "scale_model_input"):
                model_input = self.scheduler.scale_model_input(latents, timestep)
            ordered = torch.stack([self._flip(index, model_input) for index in range(len(passes))])
            output = self._predict(ordered, timestep, told, scales)
            output = torch.stack([self._flip(index, one) for index, one in enumerate(output)])
            output = (fusion * output).sum(0)
            clean_now = self._expected(latents, output, timestep)
            latents = self.scheduler.step(output, timestep, latents, generator=generator, return_dict=False)[0]
            if callback_on_step_end is not None:
                state = {"step": step, "steps": len(timesteps), "latents": latents, "clean": clean_now}
                callback_on_step_end(self, step, timestep, state)
        if frames == "last":  # with as many before it as are decoded together
            latents, cameras = latents[-self.frames_decoded_at_once :], cameras[-1:]
            guidance = guidance[-1:]
        colours, given = self.vae.config.latent_channels, len(guidance.known)
        colour = self._decode(latents[:, :colours])[-given:, :, :height, :width]
        if self.meter is not None and latents.shape[1] == colours:
            distance = self.meter.complete(colour, guidance, cameras)
        else:
            distance = self._distance(latents[-given:, colours:], guidance, unit)
        return ViewsPipelineOutput(colour=colour, distance=distance)

    def _prepare(self) -> None:
        """Components that stand outside the UNet take their places in it (they know when they have)."""
        if self.vae.dtype == torch.float16 and getattr(self.vae.config, "force_upcast", False):
            self.vae.to(torch.float32)  # half floats overflow in it; bfloat16 does not
        if isinstance(self.unet_backward, ReversedMotion):
            self.unet_backward.install(self.unet)
        if self.raymap_encoder is not None:
            for unet in {id(network): network for network in self._networks()}.values():
                self.raymap_encoder.install(unet)

    def _networks(self) -> list:
        """The UNet of each direction."""
        own = self.unet_backward is not None and not isinstance(self.unet_backward, ReversedMotion)
        return [self.unet, self.unet_backward if own else self.unet]

    @staticmethod
    def _flip(index: int, frames: torch.Tensor) -> torch.Tensor:
        """Between the clip's order and a pass's own, along the first axis."""
        return frames.flip(0) if index == 1 else frames

    @staticmethod
    def _fused_guidance(passes: Sequence[Pass], weights: np.ndarray) -> Guidance:
        """What is known of every frame: colour as both passes are told, by their weights; distance as the heavier one
        is; and a clip's ends are its anchors, whatever else is told."""
        if len(passes) == 1:
            return passes[0].guidance
        forward, backward = passes[0].guidance, passes[1].guidance[list(range(len(weights)))[::-1]]
        device = forward.known.device
        share = torch.from_numpy(weights[:, 0]).to(forward.colour)[:, None, None, None]
        colour = torch.lerp(backward.colour, forward.colour, share)
        distance = torch.where(share >= 0.5, forward.distance, backward.distance)
        known = torch.maximum(forward.known, backward.known)
        for frame, anchor in ((0, passes[0].anchor), (-1, passes[1].anchor)):
            if anchor is not None:
                colour[frame] = image_tensor(anchor.colour, device)[0]
                distance[frame] = torch.from_numpy(anchor.distance).to(device)
                known[frame] = 1
        return Guidance(colour, distance, known)

    def _kept(self, guidance: Guidance, ends: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Which latents [N, 1, h, w] are the guidance's at every noise level, and which while it is held."""
        known = F.avg_pool2d(self._pad(guidance.known), spatial_scale_factor(self.vae)) > WHOLLY_KNOWN
        always = torch.zeros_like(known)
        if ends:  # the clip's ends are its anchors
            always[[0, -1]] = True
        return always, always | known

    def _wants(self, condition: str) -> bool:
        return condition in self._condition_names()

    def _condition_names(self) -> Sequence[str]:
        return getattr(self.unet.config, "conditioning", None) or ("anchor",)

    def _fused_latents(
        self, encoded: Sequence[torch.Tensor], weights: np.ndarray, guidance: Guidance
    ) -> torch.Tensor | None:
        """Latents [N, C, h, w] of the fused guidance, mixed from those of both passes: these are almost the same
        pictures, whose mixture need not be encoded once more. A clip's ends, which are its anchors, are."""
        if len(encoded) < 2:
            return encoded[0] if encoded else None
        share = torch.from_numpy(weights[:, 0]).to(encoded[0])[:, None, None, None]
        mixed = torch.lerp(encoded[1].flip(0), encoded[0], share)
        mixed[[0, -1]] = self._encode(self._pad(guidance.colour[[0, -1]]))
        return mixed

    def _conditions(self, one: Pass, unit, scale, raymap, augmented, warped: torch.Tensor | None) -> torch.Tensor:
        """[1, N, C, h, w]: what the UNet's config says it wants to be told, in that order.

        warped: [N, c, h, w], the guidance's colour as latents, where that is one of them.
        """
        guidance, factor = one.guidance, spatial_scale_factor(self.vae)
        padded = self._pad(guidance.colour)
        known = F.avg_pool2d(self._pad(guidance.known), factor)
        parts = []
        for name in self._condition_names():
            if name == "warped" and warped is not None:
                parts.append(warped * (known > 0.5))
            elif name == "warped_distance":
                parts.append(distance_to_latents(self._pad(guidance.distance), unit) * (known > 0.5))
            elif name == "known":
                parts.append(known)
            elif name == "anchor":
                parts.append(self._anchor_latents(one.anchor, known, *augmented).expand(len(padded), -1, -1, -1))
            elif name == "raymap":
                rays = self._rays([one], scale)[0]
                parts.append(rays if raymap == "on" else torch.zeros_like(rays))
            else:
                raise ValueError(f"the UNet wants the condition {name!r}, which this pipeline cannot give")
        return torch.cat(parts, 1)[None]

    def _rays(self, passes: Sequence[Pass], scale: float) -> torch.Tensor:
        """Plücker rays [P, N, 6, h, w] of the latents, each pass's in the frame of its own anchor."""
        factor, stacked = spatial_scale_factor(self.vae), []
        for one in passes:
            reference = one.anchor.camera if one.anchor else one.cameras[0]
            cameras = [self._latent_camera(camera, factor) for camera in one.cameras]
            stacked.append(torch.from_numpy(plucker_rays(cameras, reference, scale)).permute(0, 3, 1, 2))
        return torch.stack(stacked).to(self._execution_device)

    def _latent_camera(self, camera: Camera, factor: int) -> Camera:
        """The camera whose pixels are the latents of the padded frame."""
        multiple = self._multiple()
        width, height = (-(-size // multiple) * multiple for size in (camera.width, camera.height))
        scale = np.diag([1 / factor, 1 / factor, 1.0])
        return Camera(width // factor, height // factor, scale @ camera.intrinsics, camera.camera_to_world)

    def _anchor_latents(self, anchor: View | None, like: torch.Tensor, noise_aug_strength, generator) -> torch.Tensor:
        if anchor is None:
            return like.new_zeros(1, self.vae.config.latent_channels, *like.shape[-2:])
        image = self._pad(image_tensor(anchor.colour, like.device))
        if noise_aug_strength:
            noise = randn_tensor(image.shape, generator=generator, device=image.device, dtype=image.dtype)
            image = image + noise_aug_strength * noise
        if (
            self._is_svd()
        ):  # whose image latents are not scaled; in its pipeline's memory format, for the same roundings
            image = image.clone(memory_format=torch.channels_last)
            return self.vae.encode(image.to(self.vae.dtype)).latent_dist.mode().float()
        return encode_images(self.vae, image).float()

    def _embedding(self, anchor: View | None) -> torch.Tensor:
        device = self._execution_device
        if anchor is None:
            return torch.zeros(
                1, self.image_encoder.config.projection_dim, device=device, dtype=self.image_encoder.dtype
            )
        image = image_tensor(anchor.colour, device)
        if self._is_svd():  # shrunk as its own pipeline does
            image = _resize_with_antialiasing(image, (self.image_encoder.config.image_size,) * 2)
        return embed_images(self.image_encoder, image)

    def _clean(
        self, guidance: Guidance, unit: float, needed: torch.Tensor, known_latents: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The guidance as clean latents [N, colour + distance channels, h, w]; zeros where it is not `needed` [N].

        known_latents: [N, c, h, w], those of its colour, where they are known.
        """
        told, factor = guidance[needed.to(guidance.known.device)], spatial_scale_factor(self.vae)
        colour = self._pad(told.colour)
        distances = getattr(self.unet.config, "distance_channels", 0)
        shape = (
            len(needed),
            self.vae.config.latent_channels + distances,
            *(side // factor for side in colour.shape[-2:]),
        )
        clean = torch.zeros(shape, device=self._execution_device)
        if len(colour):
            parts = [self._encode(colour) if known_latents is None else known_latents[needed.to(known_latents.device)]]
            parts += [distance_to_latents(self._pad(told.distance), unit)] if distances else []
            clean[needed.to(clean.device)] = torch.cat(parts, 1)
        return clean

    def _predict(self, frames, timestep, told: _Told, scales) -> torch.Tensor:
        """The networks' outputs for all passes [P, N, C, h, w], guided where there are `scales` [P, N, 1, 1, 1]."""
        copies = (1,) if scales is None else (0, 1)  # 0: told nothing but its rays, which are no matter of taste
        outputs: dict[tuple[int, int], torch.Tensor] = {}
        for network, rows in self._batches(len(frames), copies):
            which = [index for index, _ in rows]
            share = torch.tensor([copy for _, copy in rows], device=frames.device)[:, None, None]
            model_input = torch.cat([frames[which], told.conditions[which] * share[..., None, None]], 2)
            extra = {} if told.rays is None else {"raymap": told.rays[which]}
            if isinstance(self.unet_backward, ReversedMotion) and len(frames) == 2:
                extra["both_directions"] = True
            embeddings = told.embeddings[which] * share.to(told.embeddings.dtype)
            results = self._call_unet(network, model_input, timestep, embeddings, told.ids, extra)
            outputs |= dict(zip(rows, results, strict=True))
        output = torch.stack([outputs[index, 1] for index in range(len(frames))])
        if scales is None:
            return output
        free = torch.stack([outputs[index, 0] for index in range(len(frames))])
        return free + scales * (output - free)

    def _batches(self, passes: int, copies: Sequence[int]):
        """What goes through which network at once: rows (pass, copy), passes first."""
        networks = self._networks()
        if isinstance(self.unet_backward, ReversedMotion) and passes == 2:  # both directions of a copy go together
            size = max(1, self.rows_at_once // 2)
            for start in range(0, len(copies), size):
                some = copies[start : start + size]
                yield self.unet, [(index, copy) for index in range(2) for copy in some]
            return
        for own in ([0, 1][:passes],) if networks[0] is networks[1] else ([index] for index in range(passes)):
            rows = [(index, copy) for index in own for copy in copies]
            for start in range(0, len(rows), self.rows_at_once):
                yield networks[own[0]], rows[start : start + self.rows_at_once]

    def _call_unet(self, unet, model_input, timestep, embeddings, ids, extra: dict) -> torch.Tensor:
        dtype = unet.dtype if self._is_svd() else model_input.dtype
        output = unet(
            model_input.to(dtype), timestep, encoder_hidden_states=embeddings.to(unet.dtype),
            added_time_ids=ids.expand(len(model_input), -1).to(unet.dtype), return_dict=False, **extra,
        )[0]  # fmt: skip
        return output.float()

    def _is_svd(self) -> bool:
        return isinstance(self.unet, UNetSpatioTemporalConditionModel)

    def _timesteps(self, steps: int, strength: float, sigmas: str) -> tuple[torch.Tensor, int]:
        """The scheduler's timesteps, those above `strength` left out, and how many there are without leaving out."""
        scheduler, device = self.scheduler, self._execution_device
        if hasattr(scheduler, "scale_noise"):  # flow matching
            full = steps if strength >= 1 else max(steps, round(steps / max(strength, 1e-3)))
            scheduler.set_timesteps(full, device=device)
            scheduler.set_begin_index(full - steps)
            return scheduler.timesteps[full - steps :], full
        if sigmas == "align-your-steps":
            scheduler.set_timesteps(sigmas=align_your_steps(steps), device=device)
        else:
            scheduler.set_timesteps(steps, device=device)
        if strength < 1:
            scheduler.set_timesteps(sigmas=shortened(scheduler.sigmas.tolist(), strength), device=device)
        scheduler.set_begin_index(0)
        return scheduler.timesteps, steps

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

    def _expected(self, latents: torch.Tensor, output: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The clean latents that the networks expect at the end."""
        if hasattr(self.scheduler, "scale_noise"):  # flow matching: the output is noise less clean
            return latents - timestep / self.scheduler.config.num_train_timesteps * output
        variance = self.scheduler.sigmas[int((self.scheduler.timesteps == timestep).nonzero()[0])].to(latents) ** 2
        return latents / (variance + 1) - output * (variance / (variance + 1)).sqrt()

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        parts = images.split(self.frames_decoded_at_once)
        return torch.cat([encode_images(self.vae, some).float() for some in parts])

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        latents = (1 / self.vae.config.scaling_factor * latents).to(self.vae.dtype)
        temporal = "num_frames" in inspect.signature(self.vae.decode).parameters
        parts = [
            self.vae.decode(part, **({"num_frames": len(part)} if temporal else {})).sample.float()
            for part in latents.split(self.frames_decoded_at_once)
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
