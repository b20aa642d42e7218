"""The published loop, what changes it lever by lever, and the pipelines of each."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.models.attention_processor import Attention
from torch import nn

from benchmarks.real_shapes import (
    SVD_SCHEDULER,
    build_depth_estimator,
    build_encoder,
    build_unet,
    build_vae,
)
from lookbeyond import presets
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.pipelines.loading import optimise
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.views import FRAMES_DECODED_AT_ONCE, ROWS_AT_ONCE, ViewsPipeline
from lookbeyond.presets import Preset


@dataclass(frozen=True)
class Setup:
    """How a shot is computed; the defaults are the published loop, which knows no warped panorama."""

    directions: str = "one after the other"
    """With temporal attention written out; or "one batch": scaled dot products on the forward queries and keys."""
    guidance_scale: float = 3.0
    sigmas: str = "scheduler"
    steps: int = 50
    strength: float = 1.0
    strength_in_holes: float = 1.0
    hold: float = 0.0
    channels_last: bool = False
    compile: bool = False
    dtype: torch.dtype = torch.float16
    autoencoder_dtype: torch.dtype | None = None
    """None: `dtype`."""
    decoded_at_once: int = 8
    rows_at_once: int = 2
    depth_estimator: bool = False
    """Whether a depth estimator measures what is hidden; else its distance is a smooth continuation."""
    hidden: str = "nothing"
    """Or "a quarter": of the frame that the panorama tells least of."""


@dataclass(frozen=True)
class Lever:
    name: str
    keeps_the_result: bool
    changes: dict = field(hash=False)

    @property
    def exact(self) -> bool:
        """Whether the same numbers come out but for roundings of the same format."""
        return self.keeps_the_result and not {"dtype", "decoded_at_once"} & set(self.changes)


BASELINE, SHIPPED, SHIPPED_HIDDEN = "the published loop", "as shipped", "as shipped, a quarter hidden"
KEPT, COMPILED = "all that keep the result", "compiled networks"
PRESET = presets.get("svd-xt")
_VIEWS = PRESET.stages["views"]
_OWN = _VIEWS.settings
LEVERS = (
    Lever("both directions as one batch, no maps", True, {"directions": "one batch", "rows_at_once": 4}),
    Lever("channels last", True, {"channels_last": True}),
    Lever(COMPILED, True, {"compile": True}),
    Lever("bf16", True, {"dtype": torch.bfloat16}),
    Lever(f"{FRAMES_DECODED_AT_ONCE} frames decoded at once", True, {"decoded_at_once": FRAMES_DECODED_AT_ONCE}),
    Lever(
        f"{PRESET.views_steps} steps ({_OWN['sigmas']})", False, {"sigmas": _OWN["sigmas"], "steps": PRESET.views_steps}
    ),
    Lever(
        f"start at {PRESET.strength:g}, hold {_OWN['hold']:g}",
        False,
        {"strength": PRESET.strength, "strength_in_holes": PRESET.strength_in_holes, "hold": _OWN["hold"]},
    ),
    Lever(f"guidance up to {PRESET.max_guidance_scale:g}", False, {"guidance_scale": PRESET.max_guidance_scale}),
)


def shipped(device: str) -> Setup:
    """The preset's own settings, and how it is loaded onto a device that holds all of it."""
    return Setup(
        directions="one batch",
        guidance_scale=PRESET.max_guidance_scale,
        sigmas=_OWN["sigmas"],
        steps=PRESET.views_steps,
        strength=PRESET.strength,
        strength_in_holes=PRESET.strength_in_holes,
        hold=_OWN["hold"],
        channels_last=True,
        compile=_VIEWS.compile,
        dtype=presets.weights_dtype(device),
        decoded_at_once=FRAMES_DECODED_AT_ONCE,
        rows_at_once=ROWS_AT_ONCE,
        depth_estimator=True,
    )


def preset_of(setup: Setup, frames: int) -> Preset:
    """The preset, with a setup's settings and clips of so many frames."""
    settings = _OWN | {"sigmas": setup.sigmas, "hold": setup.hold}
    return replace(
        PRESET,
        frames_per_clip=frames,
        views_steps=setup.steps,
        strength=setup.strength,
        strength_in_holes=setup.strength_in_holes,
        max_guidance_scale=setup.guidance_scale,
        stages=PRESET.stages | {"views": msgspec.structs.replace(_VIEWS, settings=settings, compile=setup.compile)},
    )


class WrittenOut:
    """The published temporal attention: maps are made, kept, and turned by 180 degrees for the other direction."""

    def __init__(self, maps: list[torch.Tensor], turned: bool):
        self.maps, self.turned = maps, turned

    def __call__(self, attn: Attention, hidden_states: torch.Tensor, **_) -> torch.Tensor:
        assert attn.to_k is not None and attn.to_v is not None and attn.to_out is not None
        q, k, v = (
            part(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q, attn.to_k, attn.to_v)
        )
        if self.turned:
            attention = self.maps.pop(0).flip(-1, -2)
        else:
            attention = (q @ k.mT * attn.scale).softmax(-1)
            self.maps.append(attention)
        return attn.to_out[0]((attention @ v).transpose(1, 2).flatten(2))


def temporal(unet: nn.Module) -> Iterator[Attention]:
    for name, module in unet.named_modules():
        if isinstance(module, Attention) and name.endswith("attn1") and "temporal" in name:
            yield module


def build_views(setup: Setup, sizes: dict, frames: int, device: str) -> ViewsPipeline:
    """The same random weights for every setup, but for the type they are rounded to."""
    torch.manual_seed(0)
    with torch.device(device):
        unet = build_unet(sizes, frames)
        vae = build_vae(sizes)
        encoder = build_encoder(sizes)
        backward = copy.deepcopy(unet)
        for attention in temporal(backward):
            nn.init.normal_(attention.to_v.weight, std=attention.to_v.in_features**-0.5)
    unet, backward, encoder = (nn.Module.to(part, device, setup.dtype) for part in (unet, backward, encoder))
    nn.Module.to(vae, device, setup.autoencoder_dtype or setup.dtype)
    if setup.directions == "one batch":
        backward = ReversedMotion.from_unet(backward, unet)
    else:
        maps: list[torch.Tensor] = []
        for network, turned in ((unet, False), (backward, True)):
            for attention in temporal(network):
                attention.set_processor(WrittenOut(maps, turned))  # type: ignore[arg-type]
    pipeline = ViewsPipeline(vae, encoder, unet, EulerDiscreteScheduler(**SVD_SCHEDULER), backward)
    pipeline.rows_at_once, pipeline.frames_decoded_at_once = setup.rows_at_once, setup.decoded_at_once
    pipeline.depth_estimator = build_depth_estimator(sizes, device) if setup.depth_estimator else None
    optimise(pipeline, channels_last=setup.channels_last, compiled=setup.compile)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_scene(setup: Setup, sizes: dict, frames: int, device: str) -> ScenePipeline:
    views = build_views(setup, sizes, frames, device)
    return ScenePipeline(None, views, preset_of(setup, frames))  # type: ignore[arg-type]


def setups(baseline: Setup, device: str) -> Iterator[tuple[str, Setup]]:
    """Every row: the levers alone, those together that keep the result, all together, and what is shipped."""
    yield BASELINE, baseline
    for lever in LEVERS:
        yield lever.name, replace(baseline, **lever.changes)
    yield "the autoencoder in fp32", replace(baseline, autoencoder_dtype=torch.float32)
    kept: dict = {}
    for lever in LEVERS:
        kept |= lever.changes if lever.keeps_the_result else {}
    yield KEPT, replace(baseline, **kept)
    for lever in LEVERS:
        kept |= lever.changes
    yield "all", replace(baseline, **kept)
    yield SHIPPED, shipped(device)
    yield SHIPPED_HIDDEN, replace(shipped(device), hidden="a quarter")
