"""What the levers bring at full size: the published loop against ours, on random weights of the real shapes.

    python benchmarks/gpu.py [--size 576x1024] [--frames 100] [--json FILE] [--markdown FILE]    # on a GPU
    python benchmarks/gpu.py --tables clip              # one table at a time, where a command may not take long
    python benchmarks/gpu.py --tiny                     # anywhere: the same program with tiny networks, FLOPs counted

Random weights cost what trained ones do, and results of the same arithmetic can be compared; what a lever that changes
the sampling does to pictures they cannot say (`lookbeyond evaluate` does, with a small preset). The baseline is the
published loop: 50 Euler steps a clip, the forward and the reversed-motion UNet one after the other with guidance in a
batch of two, temporal attention written out so that its maps can be kept and turned, 16-bit; a panorama by 1000 steps
of DiT-XL in 32-bit. The rows `as shipped` are the preset `svd-xt` with its own settings, as a GPU that holds all of it
is given it, where everything is known and where about a quarter of a frame is hidden; `all` is every lever at once,
compiled networks among them, which that preset does without. Without a GPU the times are those of tiny networks on a
processor and say nothing of a GPU's, which are still to be measured.
"""

import argparse
import copy
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from diffusers.models.attention_processor import Attention
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
)

from lookbeyond import presets
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.pipelines.backbones import MOST_WALK_FRAMES
from lookbeyond.pipelines.depth import DepthPipeline
from lookbeyond.pipelines.loading import quicken
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.views import FRAMES_DECODED_AT_ONCE, ROWS_AT_ONCE, ViewsPipeline
from lookbeyond.presets import Preset
from lookbeyond.presets.memory import MEASURES_IN
from tests.end_to_end.demo import machine

SVD_SCHEDULER = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction",
    "timestep_type": "continuous", "use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 700.0,
    "interpolation_type": "linear", "timestep_spacing": "leading", "steps_offset": 1,
}  # fmt: skip
TINY = {
    "unet": {
        "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 16, "num_attention_heads": 4,
        "projection_class_embeddings_input_dim": 96, "addition_time_embed_dim": 32,
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    },
    "vae": {"block_out_channels": (32, 32, 64, 64), "layers_per_block": 1},
    "clip": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
             "projection_dim": 16},
    "dit": {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16},
    "meter": {
        "backbone": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56,
                     "out_features": ["stage1", "stage2"]},
        "reassemble_hidden_size": 16, "reassemble_factors": [2, 1], "neck_hidden_sizes": [8, 8],
        "fusion_hidden_size": 8, "head_hidden_size": 8,
    },
}  # fmt: skip
FULL = {
    "unet": {"num_attention_heads": (5, 10, 20, 20)},
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
    "clip": {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
             "projection_dim": 1024},
    "dit": {"num_layers": 28, "num_attention_heads": 16, "attention_head_dim": 72},
    "meter": {
        "backbone": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 518,
                     "out_features": ["stage3", "stage6", "stage9", "stage12"]},
        "reassemble_hidden_size": 384, "reassemble_factors": [4, 2, 1, 0.5], "neck_hidden_sizes": [48, 96, 192, 384],
        "fusion_hidden_size": 64, "head_hidden_size": 32,
    },
}  # fmt: skip
TABLES = ("clip", "shot", "panorama", "public")
STAGES = ("UNet", "encode", "decode")
"""Stages whose arithmetic is counted; the last two are the autoencoder's."""


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
    meter: bool = False
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
    Lever(f"{PRESET.views_steps} steps ({_OWN['sigmas']})", False,
          {"sigmas": _OWN["sigmas"], "steps": PRESET.views_steps}),
    Lever(f"start at {PRESET.strength:g}, hold {_OWN['hold']:g}", False,
          {"strength": PRESET.strength, "strength_in_holes": PRESET.strength_in_holes, "hold": _OWN["hold"]}),
    Lever(f"guidance up to {PRESET.max_guidance_scale:g}", False, {"guidance_scale": PRESET.max_guidance_scale}),
)  # fmt: skip


def shipped(device: str) -> Setup:
    """The preset's own settings, and how it is loaded onto a device that holds all of it."""
    return Setup(
        directions="one batch", guidance_scale=PRESET.max_guidance_scale, sigmas=_OWN["sigmas"],
        steps=PRESET.views_steps, strength=PRESET.strength, strength_in_holes=PRESET.strength_in_holes,
        hold=_OWN["hold"], channels_last=True, compile=_VIEWS.compile, dtype=presets.weights_dtype(device),
        decoded_at_once=FRAMES_DECODED_AT_ONCE, rows_at_once=ROWS_AT_ONCE, meter=True,
    )  # fmt: skip


def preset_of(setup: Setup, frames: int) -> Preset:
    """The preset, with a setup's settings and clips of so many frames."""
    settings = _OWN | {"sigmas": setup.sigmas, "hold": setup.hold}
    return replace(
        PRESET, frames_per_clip=frames, views_steps=setup.steps, strength=setup.strength,
        strength_in_holes=setup.strength_in_holes, max_guidance_scale=setup.guidance_scale,
        stages=PRESET.stages | {"views": msgspec.structs.replace(_VIEWS, settings=settings, compile=setup.compile)},
    )  # fmt: skip


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


def build_unet(sizes: dict, frames: int) -> UNetSpatioTemporalConditionModel:
    return UNetSpatioTemporalConditionModel(**sizes["unet"], num_frames=frames).eval()


def build_vae(sizes: dict) -> AutoencoderKLTemporalDecoder:
    blocks = ("DownEncoderBlock2D",) * len(sizes["vae"]["block_out_channels"])
    return AutoencoderKLTemporalDecoder(
        **sizes["vae"], down_block_types=blocks, latent_channels=4, force_upcast=False
    ).eval()


def build_encoder(sizes: dict) -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes["clip"], image_size=224, patch_size=14)).eval()


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
    pipeline.meter = build_meter(sizes, device) if setup.meter else None
    quicken(pipeline, channels_last=setup.channels_last, compiled=setup.compile)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_meter(sizes: dict, device: str) -> DepthPipeline:
    """Depth Anything, small: what the preset measures distance with."""
    sizes = dict(sizes["meter"])
    backbone = Dinov2Config(**sizes.pop("backbone"), patch_size=14, apply_layernorm=True, reshape_hidden_states=False)
    config = DepthAnythingConfig(backbone_config=backbone, **sizes, depth_estimation_type="metric", max_depth=20)
    with torch.device(device):
        model = DepthAnythingForDepthEstimation(config).eval()
    meter = DepthPipeline(nn.Module.to(model, device, getattr(torch, MEASURES_IN)))
    return meter.with_settings({"size": backbone.image_size})


def build_scene(setup: Setup, sizes: dict, frames: int, device: str) -> ScenePipeline:
    views = build_views(setup, sizes, frames, device)
    return ScenePipeline(None, views, preset_of(setup, frames))  # type: ignore[arg-type]


def panorama_of_noise(width: int, hidden: str) -> Panorama:
    """Broad patches of colour on a sphere of 3 m: the network's cost does not depend on what it sees.

    hidden: "a quarter": behind columns that stand before it, for who goes where `walk` goes.
    """
    rng = np.random.default_rng(0)
    colour = np.kron(rng.integers(0, 255, (16, 32, 3), np.uint8), np.ones((width // 32, width // 32, 1), np.uint8))
    distance = np.full((256, 512), 3.0, np.float32)
    if hidden != "nothing":
        distance[:, np.arange(512) % COLUMNS_APART < COLUMN_WIDTH] = COLUMN_DISTANCE
    return Panorama(colour, distance, np.zeros(colour.shape[:2], np.uint8), camera_height=1.6)


def walk(frames: int, width: int, height: int) -> list[Camera]:
    """0.5 m forward and a turn of 60 degrees."""
    return [
        placed_camera(width, height, math.radians(65), heading_rad=math.radians(60) * s, position=(0.5 * s, 0, 0))
        for s in np.linspace(0, 1, frames)
    ]


COLUMNS_APART, COLUMN_WIDTH, COLUMN_DISTANCE = 32, 12, 1.4
"""Of a panorama's 512 pixels, and metres."""


class Clock:
    """Seconds by stage, and the work that was done: the device is waited for around every network."""

    def __init__(self, device: str):
        self.device, self.seconds = device, dict.fromkeys((*STAGES, "CLIP", "distance"), 0.0)
        self.work = Counter()

    def now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def watching(self, pipeline: ViewsPipeline) -> Iterator[None]:
        """Around the pipeline's own calls, not in hooks: a compiled network would be traced through them."""
        watched = [
            (pipeline, "call_unet", "UNet", lambda network, frames, *_: {("UNet", frames.shape[1]): len(frames)}),
            (pipeline, "encode", "encode", lambda images: {("encode", 1): len(images)}),
            (pipeline, "anchor_latents", "encode", lambda *_: {("encode", 1): 1}),
            (pipeline, "decode", "decode", lambda latents: {("decode", 1): len(latents)}),
            (pipeline, "embed_anchor", "CLIP", lambda *_: {}),
        ]
        if pipeline.meter is not None:
            watched.append((pipeline.meter, "complete", "distance", lambda *_: {}))
        for owner, name, stage, work in watched:
            setattr(owner, name, self._timed(getattr(owner, name), stage, work))
        try:
            yield
        finally:
            for owner, name, *_ in watched:
                delattr(owner, name)

    def _timed(self, function: Callable, stage: str, work: Callable) -> Callable:
        def timed(*args):
            started = self.now()
            result = function(*args)
            self.seconds[stage] += self.now() - started
            self.work.update(work(*args))
            return result

        return timed


@dataclass(frozen=True)
class Measured:
    seconds: float
    stages: dict[str, float]
    work: Counter
    """Of (network, frames at once), how many of them went through it."""
    peak_gb: float
    frames: np.ndarray


def measure_clip(setup: Setup, sizes: dict, frames: int, size: tuple[int, int], device: str) -> Measured:
    """One clip between two given anchors, warping and decoding included, after a warm-up of two steps."""
    scene, (height, width) = build_scene(setup, sizes, frames, device), size
    room, cameras = panorama_of_noise(4 * max(512, width), setup.hidden), walk(frames, width, height)
    source, target = (scene.network.view_from_origin(room, camera) for camera in (cameras[0], cameras[-1]))
    scene.shoot_clip(room, source, target, cameras, steps=2)
    return _measured(scene, device, lambda: scene.shoot_clip(room, source, target, cameras, seed=1))


def measure_shot(
    setup: Setup, sizes: dict, frames: int, size: tuple[int, int], count: int, device: str
) -> tuple[Measured, tuple[int, int]]:
    """A whole shot of `count` frames, and its numbers of clips and anchors. Ours makes its anchors by the network, too;
    the published loop is given them."""
    scene, (height, width) = build_scene(setup, sizes, frames, device), size
    room, cameras = panorama_of_noise(4 * max(512, width), setup.hidden), walk(count, width, height)
    plan = plan_shot(cameras, room, frames_per_clip=frames, max_rotation_rad=math.pi, max_translation=10.0)
    given = setup.directions != "one batch"

    def anchor(camera: Camera, before: list[View], steps: int = 0) -> View:
        return (
            scene.network.view_from_origin(room, camera)
            if given
            else scene.fill_anchor(room, camera, before, steps=steps)
        )

    def shoot(steps: int = 0, clips: int | None = None) -> list[View]:
        anchors: list[View] = []
        for one in plan.anchors[: None if clips is None else clips + 1]:
            anchors.append(anchor(one.camera, [anchors[k] for k in one.before], steps))
        shot = [anchors[0]]
        for clip in plan.clips[:clips]:
            inside = cameras[clip.first : clip.last + 1]
            shot += scene.shoot_clip(room, anchors[clip.source], anchors[clip.target], inside, steps=steps)[1:]
        return shot

    shoot(steps=2, clips=1)
    return _measured(scene, device, shoot), (len(plan.clips), len(plan.anchors))


def _measured(scene: ScenePipeline, device: str, work: Callable[[], list[View]]) -> Measured:
    clock = Clock(device)
    forget_peak(device)
    with clock.watching(scene.views):
        started = clock.now()
        views = work()
        seconds = clock.now() - started
    stages = clock.seconds | {"warping and the rest": seconds - sum(clock.seconds.values())}
    return Measured(seconds, stages, clock.work, peak_gb(device), np.stack([view.colour for view in views]))


def forget_peak(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def peak_gb(device: str) -> float:
    """The most memory that tensors took since `forget_peak`, 1e9 bytes; NaN where there is no GPU."""
    return torch.cuda.max_memory_allocated() / 1e9 if device.startswith("cuda") else math.nan


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Tensors without data; attention by its two products, for a processor's fused one is not counted."""
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
        yield counter


@cache
def flops(full: bool, network: str, frames: int, height: int, width: int) -> float:
    """Of one pass through the UNet, or of one frame encoded or decoded, counted on tensors without data."""
    sizes = FULL if full else TINY
    latents = (height // 8, width // 8)
    with counting() as counter:
        if network == "UNet":
            told = torch.empty(1, 1, sizes["clip"]["projection_dim"])
            noisy = torch.empty(1, frames, 8, *latents)
            build_unet(sizes, frames)(noisy, torch.empty(()), told, added_time_ids=torch.empty(1, 3))
        elif network == "encode":
            build_vae(sizes).encode(torch.empty(frames, 3, height, width))
        else:
            build_vae(sizes).decode(torch.empty(frames, 4, *latents), num_frames=frames)
    return float(counter.get_total_flops()) / (1 if network == "UNet" else frames)


def flops_of(work: Mapping[tuple[str, int], int], full: bool, size: tuple[int, int], only: str = "") -> float:
    """Of counted work; `only` of one network."""
    return sum(
        count * flops(full, network, frames, *size)
        for (network, frames), count in work.items()
        if only in ("", network)
    )


def expected_work(setup: Setup, frames: int, clips: int, anchors: int) -> Counter:
    """What a shot should take whose frames are all known: as `Clock` counts it."""
    steps = math.ceil(setup.strength * setup.steps)
    copies = 1 if setup.guidance_scale <= 1 else 2
    warm = setup.strength < 1 or setup.hold > 0
    work = Counter({
        ("UNet", frames): clips * steps * 2 * copies,
        ("encode", 1): clips * (2 + (frames if warm else 2)),  # both anchors, as conditions and as ends
        ("decode", 1): clips * frames,
    })  # fmt: skip
    if setup.directions == "one batch":
        walk = min(frames, MOST_WALK_FRAMES)
        work.update({
            ("UNet", walk): anchors * steps * copies,
            ("encode", 1): anchors * (1 + (walk if warm else 0)),
            ("decode", 1): anchors * min(walk, setup.decoded_at_once),
        })  # fmt: skip
    return work


def dit_flops(sizes: dict) -> float:
    with counting() as counter:
        network, arguments = build_dit(sizes)
        network(**arguments)
    return float(counter.get_total_flops())


def build_dit(sizes: dict) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """DiT-XL/2 for a panorama of 256 x 512 (32 x 64 latents), and its inputs."""
    network = PanoramaTransformer(
        latent_channels=4, distance_channels=0, patch_size=2, local_layers=0, image_embed_dim=1024, **sizes["dit"]
    ).eval()
    latents = torch.zeros(1, 4, 32, 64)
    return network, {
        "hidden_states": latents, "timestep": torch.full((1,), 500.0), "image_embeds": torch.zeros(1, 1024),
        "known_latents": latents, "known_mask": latents[:, :1],
    }  # fmt: skip


@torch.no_grad()
def measure_panorama(sizes: dict, steps: int, dtype: torch.dtype, compiled: bool, device: str) -> tuple[float, float]:
    """Seconds of the network's own steps, and the peak of memory in 1e9 bytes."""
    with torch.device(device):
        network, arguments = build_dit(sizes)
    nn.Module.to(network, dtype)
    arguments = {name: value if name == "timestep" else value.to(dtype) for name, value in arguments.items()}
    if compiled:
        network.compile(mode="reduce-overhead")
    clock = Clock(device)
    for _ in range(3):
        network(**arguments)
    forget_peak(device)
    started = clock.now()
    for _ in range(steps):
        network(**arguments)
    return clock.now() - started, peak_gb(device)


def matmul_rate(device: str) -> float:
    """FLOP/s of a dense bf16 product: what utilisation is measured against."""
    size, repeats = (8192, 30) if device.startswith("cuda") else (1024, 3)
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    clock = Clock(device)
    product = a @ b
    started = clock.now()
    for _ in range(repeats):
        torch.matmul(a, b, out=product)
    return 2 * size**3 * repeats / (clock.now() - started)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


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


def count_flops(size: tuple[int, int], count: int) -> dict:
    """Prints what the real shapes cost, without data; ours as the preset has it."""
    print("FLOPs of the real shapes, counted without data:")
    for frames, height, width in sorted({(14, 512, 512), (14, 576, 1024), (25, *size), (25, 576, 1024)}):
        cost = flops(True, "UNet", frames, height, width) / 1e12
        print(f"  SVD's UNet, {frames} frames of {height} x {width}: {cost:.1f} TFLOP a pass and forward")
    print(f"  DiT-XL/2, 32 x 64 latents: {dit_flops(FULL) / 1e12:.2f} TFLOP a forward")
    clips, counted = math.ceil((count - 1) / 24), {}
    ours = shipped("cpu")
    for name, setup in (
        (BASELINE, Setup()),
        (SHIPPED, ours),
        (SHIPPED_HIDDEN, replace(ours, strength=ours.strength_in_holes)),
        ("as shipped, with SVD's guidance", replace(ours, guidance_scale=3.0)),
    ):
        work = expected_work(setup, 25, clips, clips + 1)
        counted[name] = {"UNet": flops_of(work, True, size, "UNet"), "all": flops_of(work, True, size)}
        first = counted[BASELINE]
        print(
            f"  {count} frames of {size[0]} x {size[1]}, {name}: UNet {counted[name]['UNet'] / 1e12:.0f} TFLOP"
            f" (x{first['UNet'] / counted[name]['UNet']:.1f} fewer), with VAE {counted[name]['all'] / 1e12:.0f}"
            f" (x{first['all'] / counted[name]['all']:.1f})"
        )
    return counted


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", default="576x1024", help="rows x columns, multiples of 64")
    parser.add_argument("--frames", type=int, default=100, help="of the whole shot")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, for correctness; always so without a GPU")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which are made; all of them")
    parser.add_argument("--rows", nargs="+", default=[""], help="of clips and shots only those named like one of these")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="measure compiled networks, too: minutes more; usual on a GPU",
    )
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    parser.add_argument("--markdown", type=Path, help="where to write the tables, too")
    options = parser.parse_args(argv)
    device, size = options.device, tuple(int(side) for side in options.size.split("x"))
    on_gpu = device.startswith("cuda")
    tiny = options.tiny or not on_gpu
    sizes, frames, count = (TINY, 3, 5) if tiny else (FULL, 25, options.frames)
    frame_size = (64, 64) if tiny else size
    title = f"{torch.cuda.get_device_name() if on_gpu else 'no GPU'}; {machine()}; torch {torch.__version__}"
    print(title)
    report: dict = {"machine": title, "tiny": tiny, "counted_flops": count_flops(size, options.frames)}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    rate = matmul_rate(device)
    report["matrix_product_flops"] = rate
    print(f"bf16 matrix product: {rate / 1e12:.3g} TFLOP/s")
    baseline = Setup(dtype=torch.float16 if on_gpu else torch.float32, **({"steps": 4} if tiny else {}))
    compiled = on_gpu if options.compile is None else options.compile
    chosen = dict(setups(baseline, device))
    if not compiled:
        chosen = {name: replace(setup, compile=False) for name, setup in chosen.items() if name != COMPILED}
        print("compiled networks are left out (--compile)")
    asked = [BASELINE, *options.rows]  # what the others are compared with is always there
    chosen = {name: setup for name, setup in chosen.items() if any(word in name for word in asked)}

    table = Table(rate, not tiny, frame_size)
    try:
        measure(options.tables, chosen, table, report, sizes, frames, frame_size, count, device)
    finally:  # what was measured before something failed was measured
        if options.json:
            finite = json.loads(json.dumps(report), parse_constant=lambda _: None)
            options.json.write_text(json.dumps(finite, indent=1) + "\n")
        if options.markdown:
            options.markdown.write_text("\n".join([title, *table.lines]) + "\n")
    if tiny:
        print("\nTiny networks: what was asserted holds; the times of a GPU are still to be measured.")


def measure(
    tables: Sequence[str], chosen: dict[str, Setup], table: "Table", report: dict, sizes: dict, frames: int,
    size: tuple[int, int], count: int, device: str,
) -> None:  # fmt: skip
    """Fills the tables, and `report` as they grow; AssertionError where a lever changes what it must not."""
    tiny, compiled = sizes is TINY, COMPILED in chosen
    if "clip" in tables:
        report["clip"] = table.begin(
            f"One clip of {frames} frames of {size[0]} x {size[1]}" + (", tiny networks" if tiny else "")
        )
        for name, setup in chosen.items():
            same_start = setup.hidden == chosen[BASELINE].hidden
            table.row(name, measure_clip(setup, sizes, frames, size, device), same_start)
    if "shot" in tables:
        report["shot"] = table.begin(f"{count} frames, from the panorama to pixels")
        for name in (BASELINE, KEPT, "all", SHIPPED, SHIPPED_HIDDEN):
            if name not in chosen:
                continue
            measured, plan = measure_shot(chosen[name], sizes, frames, size, count, device)
            assert len(measured.frames) == count
            if chosen[name].hidden == "nothing":
                assert measured.work == expected_work(chosen[name], frames, *plan), (measured.work, plan)
            table.row(name, measured, same_start=False)  # ours makes its anchors, the published loop is given them
    if "panorama" in tables:
        report["panorama"] = table.begin("Panorama, the network's steps")
        for steps, dtype, faster in ((50 if tiny else 1000, torch.float32, False), (20, torch.bfloat16, compiled)):
            name = f"{steps} steps, {'bf16' if dtype == torch.bfloat16 else 'TF32'}{', compiled' if faster else ''}"
            seconds, peak = measure_panorama(sizes, steps, dtype, faster, device)
            table.steps(name, seconds, dit_flops(sizes) * steps, peak)
    if "public" in tables:  # this year's models, which have a program of their own
        from benchmarks import public_models

        kind, canvas, steps = ("tiny", (64, 128), 2) if tiny else ("full", public_models.CANVAS, 25)
        clip = ("tiny", 9, (32, 64)) if tiny else ("vace", 81, (480, 832))
        report["public"] = {
            "vace": public_models.run(*clip, device, steps=2 if tiny else 0),
            "flux-klein-360": public_models.run_klein(kind, canvas, device, steps),
        }
    same = {row: report["clip"][row]["psnr_db"] for lever in LEVERS if lever.exact
            and (row := lever.name) in report.get("clip", {})}  # fmt: skip
    least = 35 if device.startswith("cuda") else 60
    assert all(decibels > least for decibels in same.values()), f"a lever changed the result: {same} dB"


class Table:
    """Rows of Markdown, printed as they come; the first one of a table is what the others are compared with."""

    def __init__(self, rate: float, full: bool, size: tuple[int, int]):
        self.rate, self.full, self.size = rate, full, size
        self.lines: list[str] = []
        self.rows: dict[str, dict] = {}
        self.reference: Measured | None = None

    def _print(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)

    def begin(self, title: str) -> dict[str, dict]:
        """A new table; its rows, which will come."""
        self.rows, self.reference = {}, None
        self._print(f"\n{title}\n")
        self._print("| | s | times as fast | of the matrix product's rate | peak GB | PSNR dB | seconds by stage |")
        self._print("|---|---|---|---|---|---|---|")
        return self.rows

    def row(self, name: str, measured: Measured, same_start: bool = True) -> None:
        self.reference = reference = self.reference or measured
        used = {
            stage: flops_of(measured.work, self.full, self.size, stage) / measured.stages[stage] / self.rate
            for stage in STAGES
        }
        passes = sum(count for (network, _), count in measured.work.items() if network == "UNet")
        self.rows[name] = {
            "seconds": measured.seconds, "stages": measured.stages, "utilisation": used, "unet_passes": passes,
            "peak_gb": measured.peak_gb, "psnr_db": psnr(measured.frames, reference.frames) if same_start else math.nan,
            "flops": flops_of(measured.work, self.full, self.size),
        }  # fmt: skip
        self._line(name, reference.seconds)

    def steps(self, name: str, seconds: float, done: float, peak_gb: float) -> None:
        """A row of the panorama network's bare steps, which did `done` FLOP."""
        used = {"DiT": done / seconds / self.rate}
        self.rows[name] = {"seconds": seconds, "utilisation": used, "peak_gb": peak_gb, "flops": done}
        self._line(name, next(iter(self.rows.values()))["seconds"])

    def _line(self, name: str, first: float) -> None:
        row = self.rows[name]
        peak, same = (row.get(key, math.nan) for key in ("peak_gb", "psnr_db"))
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in row.get("stages", {}).items())
        used = ", ".join(f"{stage} {share:.0%}" for stage, share in row["utilisation"].items())
        cells = (
            name, f"{row['seconds']:.2f}", f"{first / row['seconds']:.2f}", used,
            "" if math.isnan(peak) else f"{peak:.1f}", "" if math.isnan(same) else f"{same:.1f}", stages,
        )  # fmt: skip
        self._print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
