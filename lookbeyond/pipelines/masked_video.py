"""Stage 2 by a public model that fills a video's masked part (Wan VACE): the video is the warped panorama, the mask its
holes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from diffusers import WanVACEPipeline
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image

from lookbeyond.errors import InputError, OutOfMemory
from lookbeyond.geometry.panorama import View

from .depth import DepthPipeline
from .fusion import Pass, fused_guidance
from .latent_grid import LatentGrid
from .video_latents import VideoLatents
from .video_mask import VideoMask, WorkPart
from .views import ViewsPipelineOutput

WALK_FRAMES = 17
"""Of the walk to an anchor, of which only the last frame is wanted."""
PROMPT = "a steady camera moves slowly through a quiet place, natural light, sharp, photographic"
NEGATIVE_PROMPT = "blurred, overexposed, flickering, distorted, text, subtitles, watermark, people, painting, cartoon"


@dataclass(frozen=True)
class _Schedule:
    """How the noise goes away."""

    steps: int
    strength: float
    guidance_scale: float
    guided_share: float

    @property
    def begin(self) -> int:
        """Steps that are left out at the noisy end."""
        if self.strength >= 1:
            return 0
        return self.steps - min(self.steps, max(1, math.ceil(self.steps * self.strength - 1e-6)))

    def guides(self, step: int) -> bool:
        """Whether a step of the whole schedule, counted from 1, is guided."""
        return self.guidance_scale > 1 and step <= math.ceil(self.guided_share * self.steps)


@dataclass(frozen=True)
class _Conditioning:
    """The network's inputs beside the noisy latents, of P passes with R reference latents each.

    Each pass's reference latents lie before the frames', which the passes share.
    """

    conditions: list[torch.Tensor]  # P of [1, 96, R + T, h, w]
    references: list[torch.Tensor]  # P of [1, C, R, h, w], clean
    words: list[torch.Tensor]  # [1, 512, D]: the prompt and, for guidance, the negative one
    weights: torch.Tensor  # [P, 1, T, 1, 1]
    scales: torch.Tensor  # of the conditions, one a layer

    @property
    def shown(self) -> int:
        return self.references[0].shape[2]

    @property
    def ahead(self) -> int:
        return self.shown * len(self.references)

    def rows(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """Each pass's own of the latents [1, C, P R + T, h, w] and the frames': P of [1, C, R + T, h, w]."""
        return [
            torch.cat([latents[:, :, index * self.shown : (index + 1) * self.shown], latents[:, :, self.ahead :]], 2)
            for index in range(len(self.conditions))
        ]

    def mixed(self, velocity: torch.Tensor) -> torch.Tensor:
        """The passes' velocities [P, C, R + T, h, w] as one, [1, C, P R + T, h, w]: mixed where they share latents."""
        if len(velocity) == 1:
            return velocity
        own, shared = velocity[:, :, : self.shown], velocity[:, :, self.shown :]
        mixed = (self.weights * shared.float()).sum(0, keepdim=True)
        return torch.cat([*own.split(1), mixed.to(velocity.dtype)], 2)


class MaskedVideoPipeline(WanVACEPipeline):
    """diffusers' own pipeline, called as `ViewsPipeline` is: with the passes of a clip and their fusion weights.

    Both passes are in the clip's order. One is told what the source anchor shows (where both know something), with it
    as the reference image, the other what the target shows; their velocities are mixed by Algorithm 1's weights in
    every step. With `fusion="off"` only the first pass is made: then this is `WanVACEPipeline`, bit for bit.

    Args:
        as those of `WanVACEPipeline`; `transformer_2` is not used.

    How much is worked on at once may be set at any time: `rows_at_once` passes in one forward of the network.
    `depth_estimator` measures the distance in holes; without one it is a smooth continuation of what surrounds them.

    Example:
        >>> video = WanVACEPipeline.from_pretrained(folder, local_files_only=True)
        >>> pipeline = MaskedVideoPipeline(**video.components)
        >>> passes = [Pass(source, cameras, guidance), Pass(target, cameras[::-1], guidance_backward)]
        >>> weights = spatial_weights(cameras, [source.camera, target.camera], scale=2.5)
        >>> frames = pipeline(passes, weights, num_inference_steps=30, max_guidance_scale=5.0).colour
    """

    model_cpu_offload_seq = "text_encoder->transformer"
    # it works between two forwards of the network, for previews
    _exclude_from_cpu_offload: ClassVar = ["vae"]

    def __init__(self, tokenizer, text_encoder, vae, scheduler, transformer=None, transformer_2=None,
                 boundary_ratio=None):  # fmt: skip
        super().__init__(tokenizer, text_encoder, vae, scheduler, transformer, transformer_2, boundary_ratio)
        self.rows_at_once = 2
        self.depth_estimator: DepthPipeline | None = None
        self.read_texts: Callable[[Sequence[str]], Mapping[str, torch.Tensor]] | None = None
        """Stands in for a text encoder that is not kept in memory: see `read_texts`."""
        self.words: dict[str, torch.Tensor] = {}
        """Texts that were read: [1, 512, D]."""

    whole_clips = True
    """A pass is a run of frames one after the other, not some of them."""
    frames_per_walk = WALK_FRAMES

    @property
    def grid(self) -> LatentGrid:
        factor = self.vae_scale_factor_spatial
        return LatentGrid(factor, factor * self.transformer.config.patch_size[1])

    def pass_length(self, count: int) -> int:
        """How many frames a pass has to have that is to hold `count`: 4 k + 1."""
        return self.masking.pass_length(count)

    @property
    def masking(self) -> VideoMask:
        return VideoMask(self.grid, self.vae_scale_factor_spatial, self.vae_scale_factor_temporal)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        passes: Sequence[Pass],
        weights: np.ndarray,
        *,
        unit: float = 1.0,
        scale: float = 1.0,
        num_inference_steps: int = 30,
        strength: float = 1.0,
        min_guidance_scale: float = 1.0,
        max_guidance_scale: float = 5.0,
        guided_share: float = 1.0,
        fusion: Literal["spatial", "off"] = "spatial",
        skip: Literal["nothing", "frames", "frames and tiles"] = "nothing",
        references: Literal["anchors", "none"] = "anchors",
        conditioning_scale: float = 1.0,
        prompt: str = PROMPT,
        negative_prompt: str = NEGATIVE_PROMPT,
        raymap: Literal["on", "off"] = "on",
        frames: Literal["all", "last"] = "all",
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> ViewsPipelineOutput:
        """Denoises N = 4 k + 1 frames.

        Args:
            passes: as for `ViewsPipeline`: the backward pass's frames are in the opposite order.
            weights: [N, number of passes], frames in the clip's order, rows sum to one: `spatial_weights`.
            unit, scale, raymap, min_guidance_scale: nothing to this model.
            num_inference_steps: of the whole schedule.
            strength: share of the schedule that is gone through, 1: from pure noise; less: from the guidance, noised.
            max_guidance_scale: classifier-free guidance; 1: off.
            guided_share: share of the schedule, from its noisy end, that is guided: each guided step costs twice.
            fusion: "off" makes the first pass alone.
            skip: frames before and after all holes, or also the picture's margins, are not shown to the network.
            references: "anchors" shows each pass its anchor as a reference image.
            conditioning_scale: how strongly the video and its mask are heeded.
            frames: "last" gives back the clip's last frame alone: for a walk to an anchor.
            callback_on_step_end: as that of `ViewsPipeline`.

        Raises InputError for frames or masks that do not fit, OutOfMemory where the text encoder does not.
        """
        _check(passes, weights, self.pass_length(len(weights)))
        guidance = fused_guidance(passes, weights)
        height, width = guidance.colour.shape[-2:]
        both = len(passes) == 2
        colour = self.grid.pad(guidance.colour).clone()
        part = self.masking.work_part(self.masking.video_and_mask(passes[0], both=both)[1], skip, last=frames == "last")
        if part is not None:
            schedule = _Schedule(num_inference_steps, strength, max_guidance_scale, guided_share)
            texts = (prompt, negative_prompt) if max_guidance_scale > 1 else (prompt,)
            made_of = passes if fusion == "spatial" else passes[:1]
            inputs = self._conditioning(made_of, both, part, weights, references, conditioning_scale, texts, generator)
            made = self._denoise(inputs, schedule, part.of(colour), generator, callback_on_step_end)
            colour[part.frames, :, part.rows, part.columns] = made.to(colour)
        wanted = slice(-1, None) if frames == "last" else slice(None)
        colour, guidance = colour[wanted, :, :height, :width], guidance[wanted]
        if self.depth_estimator is None:
            return ViewsPipelineOutput(colour, guidance.distance)
        return ViewsPipelineOutput(colour, self.depth_estimator.complete(colour, guidance, passes[0].cameras[wanted]))

    def prepare(self) -> None:
        """Nothing stands outside of the networks (see `ViewsPipeline`)."""

    def networks(self) -> list:
        return [self.transformer]

    def preview(self, clean: torch.Tensor) -> torch.Tensor:
        """[3, H, W] in -1..1: the frame in the middle, from clean latents [1, C, T, h, w]."""
        middle = clean.shape[2] // 2
        return self.latents.decode(clean[:, :, middle : middle + 1])[0]

    @property
    def latents(self) -> VideoLatents:
        return VideoLatents(self.vae, self._execution_device)

    def _conditioning(
        self,
        passes: Sequence[Pass],
        both: bool,
        part: WorkPart,
        weights: np.ndarray,
        references: str,
        conditioning_scale: float,
        texts: Sequence[str],
        generator: torch.Generator | None,
    ) -> _Conditioning:
        """Of a part of passes with `weights` [N, P]; both: whether both ends of the clip are anchors."""
        device, dtype = self._execution_device, self.transformer.dtype
        words = self._embedded(texts)
        conditions, clean = [], []
        for index, one in enumerate(passes):
            shown = one.anchor if references == "anchors" else None
            condition, latents = self._condition(one, bool(index), both, part, shown, generator)
            conditions.append(condition.to(dtype))
            clean.append(latents)
        fusion = self.masking.latent_weights(weights[part.frames, : len(passes)]).to(device)
        scales = torch.full((len(self.transformer.config.vace_layers),), conditioning_scale).to(device, dtype)
        return _Conditioning(conditions, clean, words, fusion, scales)

    def _denoise(
        self,
        inputs: _Conditioning,
        schedule: _Schedule,
        colour: torch.Tensor,
        generator: torch.Generator | None,
        callback: Callable[[Any, int, int, dict], Any] | None,
    ) -> torch.Tensor:
        """The frames of one part [N, 3, h, w] in -1..1, holes and all; `colour` is what it may start from."""
        device, begin, ahead = self._execution_device, schedule.begin, inputs.ahead
        frames = (len(colour) - 1) // self.vae_scale_factor_temporal + 1
        sides = (side // self.vae_scale_factor_spatial for side in colour.shape[-2:])
        shape = (1, self.transformer.config.in_channels, ahead + frames, *sides)
        noise = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        self.scheduler.set_timesteps(schedule.steps, device=device)
        latents = noise
        if begin:
            self.scheduler.set_begin_index(begin)
            start = torch.cat([*inputs.references, self.latents.encode(colour)], 2)
            latents = torch.lerp(start.float(), noise, self.scheduler.sigmas[begin].to(noise))
        for step, timestep in enumerate(self.scheduler.timesteps[begin:], 1):
            scale = schedule.guidance_scale if schedule.guides(begin + step) else 1.0
            fused = self._fused_velocity(latents, timestep, inputs, scale)
            sigma = self.scheduler.sigmas[begin + step - 1].to(latents)
            expected = latents - sigma * fused.float()
            latents = self.scheduler.step(fused, timestep, latents, return_dict=False)[0]
            if callback is not None:
                state = {"step": step, "steps": schedule.steps - begin, "latents": latents[:, :, ahead:],
                         "clean": expected[:, :, ahead:]}  # fmt: skip
                callback(self, step, timestep, state)
        made = self.latents.decode(latents[:, :, ahead:])
        self.maybe_free_model_hooks()
        return made

    def _fused_velocity(self, latents: torch.Tensor, timestep, inputs: _Conditioning, guidance_scale: float):
        """[1, C, P R + T, h, w]: both passes' velocities, mixed where they share latents."""
        rows = inputs.rows(latents)
        velocity = self._velocities(rows, timestep, inputs.words[0], inputs.conditions, inputs.scales)
        if guidance_scale > 1:
            free = self._velocities(rows, timestep, inputs.words[1], inputs.conditions, inputs.scales)
            velocity = free + guidance_scale * (velocity - free)
        return inputs.mixed(velocity)

    def _velocities(self, rows, timestep, words, conditions, scales) -> torch.Tensor:
        """The network's outputs [P, C, T, h, w] for the passes' noisy latents, each with its condition."""
        made = []
        for start in range(0, len(rows), self.rows_at_once):
            some = slice(start, start + self.rows_at_once)
            latents = torch.cat(rows[some]).to(self.transformer.dtype)
            made.append(
                self.transformer(
                    hidden_states=latents, timestep=timestep.expand(len(latents)),
                    encoder_hidden_states=words.expand(len(latents), -1, -1),
                    control_hidden_states=torch.cat(conditions[some]), control_hidden_states_scale=scales,
                    return_dict=False,
                )[0]
            )  # fmt: skip
        return torch.cat(made)

    def _condition(
        self, one: Pass, backward: bool, both: bool, part: WorkPart, shown: View | None, generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's condition for a part of a pass [1, 96, R + T, h, w], and the latents of its R reference images.

        As diffusers has it, but a clip's pixels, which take gigabytes, are let go as soon as they are not needed.
        """
        video, mask = (part.of(each) for each in self.masking.video_and_mask(one, backward, both))
        height, width = video.shape[-2:]
        picture = None if shown is None else Image.fromarray(self.grid.pad_bytes(shown.colour))
        mask = mask.expand(-1, 3, -1, -1)
        video, mask, pictures = self.preprocess_conditions(
            video[None], mask[None], picture, 1, height, width, len(video), torch.float32, self._execution_device
        )
        assert mask is not None
        masks = self.prepare_masks(mask, pictures, generator)
        holes = mask[:, :1] > 0.5
        del mask

        def clean_latents(video: torch.Tensor) -> torch.Tensor:  # [1, C, T, h, w] of [1, 3, N, H, W] in -1..1
            return self.latents.encode(video[0].transpose(0, 1)).to(self.vae.dtype)

        latents = torch.cat([clean_latents(video * kept) for kept in (~holes, holes)], 1)
        del video, holes
        references = [clean_latents(image[None, :, None]) for image in pictures[0]]
        clean = torch.cat(references, 2) if references else latents[:, : self.vae.config.z_dim, :0]
        latents = torch.cat([torch.cat([clean, torch.zeros_like(clean)], 1), latents], 2)
        return torch.cat([latents, masks], 1), clean

    def _embedded(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """[1, 512, D] of each text, which is read once: all clips of a shot say the same."""
        if unread := [text for text in texts if text not in self.words]:
            read = self.read_texts(unread) if self.read_texts is not None else read_texts(self, unread)
            self.words = {**dict(list(self.words.items())[-3:]), **read}
        return [self.words[text].to(self._execution_device, self.transformer.dtype) for text in texts]


def read_texts(pipeline: WanVACEPipeline, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """[1, 512, D] of each text, by a pipeline of which only tokenizer and text encoder are needed."""
    with no_room_for_texts(pipeline.text_encoder):
        return {
            text: pipeline.encode_prompt(
                text, do_classifier_free_guidance=False, max_sequence_length=512, device=pipeline._execution_device
            )[0]
            for text in texts
        }  # fmt: skip


@contextmanager
def no_room_for_texts(text_encoder: torch.nn.Module) -> Iterator[None]:
    """Raises `OutOfMemory` where a text encoder is too large for the device."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        millions = sum(parameter.numel() for parameter in text_encoder.parameters()) / 1e6
        raise OutOfMemory(
            f"There is too little memory for the text encoder ({millions:.0f} million parameters), which works "
            "before anything else; close other programs, or use a device with more memory"
        ) from error


def _check(passes: Sequence[Pass], weights: np.ndarray, length: int) -> None:
    """InputError for passes that the model cannot take."""
    if len(weights) != length:
        raise InputError(
            f"{len(weights)} frames are no pass of this model, which takes 5, 9, 13, ... (4 k + 1); give {length}"
        )
    for one in passes:
        frames, sizes = len(one.guidance.colour), (one.guidance.colour.shape[-2:], one.guidance.known.shape[-2:])
        if frames != len(weights) or len(one.guidance.known) != frames:
            raise InputError(
                f"a pass has {frames} frames and {len(one.guidance.known)} masks where there are {len(weights)} "
                "weights; give as many of each"
            )
        if sizes[0] != sizes[1]:
            (height, width), (rows, columns) = sizes
            raise InputError(
                f"the mask is {columns} x {rows} pixels and its frames are {width} x {height}; give them one size"
            )
