"""What this year's public models cost: Wan VACE for the views, FLUX.2 klein with a 360° LoRA for the panorama.

    python benchmarks/public_models.py                     # counted on tensors without data: anywhere
    python benchmarks/public_models.py --run vace          # on a GPU: random weights of the real shapes, lever by lever
    python benchmarks/public_models.py --run vace --tiny   # anywhere: the same program with tiny networks

Counts 100 frames of 480 x 832, anchors and the autoencoder included, along a walk on which about a quarter of a frame
is hidden: diffusers' own pipeline in its default 50 steps (one pass, guided throughout), then this project's levers one
after the other, at the same masks. The text encoder works once a prompt and is left out. Random weights cost what
trained ones do and make no pictures.
"""

import argparse
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLWan,
    Flux2Transformer2DModel,
    UniPCMultistepScheduler,
    WanVACETransformer3DModel,
)
from torch.nn import functional as F

from benchmarks import gpu, gpu_setups
from benchmarks.counted import Clock, counting, forget_peak, matmul_rate, peak_gb
from benchmarks.counted import flops_of as counted_flops_of
from benchmarks.real_shapes import VACE, panorama_of_noise, walk
from lookbeyond import presets
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.pipelines.fusion import Pass, spatial_weights
from lookbeyond.pipelines.guidance import Guidance, warp_guidance
from lookbeyond.pipelines.masked_video import MaskedVideoPipeline
from lookbeyond.pipelines.paths import resampled
from lookbeyond.pipelines.video_mask import WorkPart
from lookbeyond.pipelines.views import FRAMES_DECODED_AT_ONCE, ROWS_AT_ONCE
from lookbeyond.presets.memory import GB, DoesNotFit, parts_of, plan

HEIGHT, WIDTH = 480, 832
CARDS_GB = (8, 12, 16, 24, 48)


@dataclass(frozen=True)
class Setup:
    """How a clip is made; the defaults are those of diffusers' own pipeline."""

    steps: int = 50
    strength: float = 1.0
    strength_in_holes: float = 1.0
    guidance_scale: float = 5.0
    guided_share: float = 1.0
    fusion: str = "off"
    skip: str = "nothing"
    rows_at_once: int = 1

    def strength_of(self, known: torch.Tensor) -> float:
        """As `ScenePipeline` has it, by the share of the frame that knows least."""
        holes = 1 - float(known.mean((1, 2, 3)).min())
        return self.strength + min(1.0, 4 * holes) * (self.strength_in_holes - self.strength)


PRESET = presets.get("vace")
_OWN = PRESET.stages["views"].settings
BASELINE = "diffusers' own, 50 steps"
LEVERS: tuple[tuple[str, dict], ...] = (
    (BASELINE, {}),
    ("both anchors' passes fused", {"fusion": _OWN["fusion"]}),
    ("both passes as one batch", {"rows_at_once": 2}),
    (f"{PRESET.views_steps} steps", {"steps": PRESET.views_steps}),
    (
        "from the warped frames, steps by the share of holes",
        {"strength": PRESET.strength, "strength_in_holes": PRESET.strength_in_holes},
    ),
    ("guided in the first third", {"guided_share": _OWN["guided_share"]}),
    ("known frames skipped", {"skip": "frames"}),
    ("known margins skipped: as shipped", {"skip": _OWN["skip"]}),
)
"""Each with what is changed; every row keeps the changes of those before it."""


def setups() -> list[tuple[str, Setup]]:
    made, rows = Setup(), []
    for name, changes in LEVERS:
        made = replace(made, **changes)
        rows.append((name, made))
    return rows


@dataclass(frozen=True)
class Clip:
    """A clip's masks, or those of a walk to an anchor."""

    known: torch.Tensor
    """[N, 1, H, W]"""
    both: bool
    """Whether both ends are anchors; else it is a walk, of which the last frame is wanted."""


def planner() -> MaskedVideoPipeline:
    """A pipeline that only plans: its networks are tiny, its grid is that of the real ones."""
    from tests.support.tiny import wan_vace

    return MaskedVideoPipeline(**wan_vace().components)


def clips_of_a_walk(pipeline: MaskedVideoPipeline, count: int, height: int, width: int) -> list[Clip]:
    """What is hidden along `walk`, in the clips and the walks to the anchors that the preset would make of it."""
    room, most = panorama_of_noise(1024, "a quarter"), PRESET.frames_per_clip - 1
    cameras = walk(count, width // 4, height // 4)
    ends = [*range(0, count - 1, most), count - 1]
    paths = [(cameras[first : last + 1], True) for first, last in itertools.pairwise(ends)]
    for last in ends[1:]:  # the first anchor stands where the photo was taken, and sees all
        paths.append((resampled([cameras[0], cameras[last]], pipeline.frames_per_walk)[0], False))
    clips = []
    for path, both in paths:
        path = resampled(path, pipeline.pass_length(len(path)))[0]
        known = torch.cat([warp_guidance(room, [camera])[0].known for camera in path])
        clips.append(Clip(F.interpolate(known, (height, width), mode="nearest"), both))
    return clips


def part_of(pipeline: MaskedVideoPipeline, clip: Clip, skip: str) -> WorkPart | None:
    shape = (len(clip.known), 3, *clip.known.shape[-2:])
    cameras = walk(len(clip.known), 8, 8)  # where they stand says nothing of the mask
    warped = Guidance(torch.zeros(1).expand(shape), torch.zeros(1).expand(shape), clip.known)
    return pipeline.masking.work_part(
        pipeline.masking.video_and_mask(Pass(None, cameras, warped), both=clip.both)[1], skip, not clip.both
    )


def work_of(setup: Setup, clips: Sequence[Clip], pipeline: MaskedVideoPipeline) -> Counter:
    """Of (network, frames, height, width), how often each works."""
    work: Counter = Counter()
    for clip in clips:
        part = part_of(pipeline, clip, setup.skip)
        if part is None:
            continue
        size = part.rows.stop - part.rows.start, part.columns.stop - part.columns.start
        frames = part.frames.stop - part.frames.start
        passes = 2 if setup.fusion == "spatial" and clip.both else 1
        strength = setup.strength_of(clip.known)
        taken = setup.steps if strength >= 1 else min(setup.steps, max(1, math.ceil(setup.steps * strength - 1e-6)))
        first = setup.steps - taken
        guided = max(0, math.ceil(setup.guided_share * setup.steps) - first) if setup.guidance_scale > 1 else 0
        work["transformer", frames, *size] += passes * (taken + min(guided, taken))
        work["encode", frames, *size] += 2 * passes + (first > 0)
        work["encode", 1, *size] += passes
        work["decode", frames, *size] += 1
    return work


@cache
def flops(model: str, network: str, frames: int, height: int, width: int) -> float:
    """Of one forward, counted on tensors without data; one reference image beside the frames. All models have one
    autoencoder."""
    latents = (frames - 1) // 4 + 1
    with counting() as counter:
        if network == "transformer":
            grid = (latents + 1, height // 8, width // 8)
            WanVACETransformer3DModel(**VACE[model])(
                torch.empty(1, 16, *grid),
                torch.zeros(1),
                torch.empty(1, 512, VACE[model].get("text_dim", 4096)),
                control_hidden_states=torch.empty(1, 96, *grid),
                return_dict=False,
            )
        elif network == "encode":
            AutoencoderKLWan().encode(torch.empty(1, 3, frames, height, width))
        else:
            AutoencoderKLWan().decode(torch.empty(1, 16, latents, height // 8, width // 8))
    return float(counter.get_total_flops())


def flops_of(work: Counter, model: str, only: str = "") -> float:
    return sum(
        count * flops(model if what[0] == "transformer" else "", *what)
        for what, count in work.items()
        if only in ("", what[0])
    )


def count_levers(count: int = 100, models: Sequence[str] = ("vace", "vace-14b")) -> dict[str, dict[str, float]]:
    """Prints the levers' work for each model; TFLOP with the autoencoder, by model and lever."""
    pipeline = planner()
    clips = clips_of_a_walk(pipeline, count, HEIGHT, WIDTH)
    counted: dict[str, dict[str, float]] = {}
    for model in models:
        print(f"\n{model}: {count} frames of {HEIGHT} x {WIDTH}, counted without data\n")
        print("| | transformer TFLOP | with autoencoder | of diffusers' own |\n|---|---|---|---|")
        counted[model] = {}
        for name, setup in setups():
            work = work_of(setup, clips, pipeline)
            own, whole = (flops_of(work, model, only) / 1e12 for only in ("transformer", ""))
            counted[model][name] = whole
            print(f"| {name} | {own:.0f} | {whole:.0f} | {whole / counted[model][BASELINE]:.2f} |", flush=True)
    return counted


def preset_setup(preset: presets.Preset) -> Setup:
    """A masked-video preset as it is shipped."""
    found = preset.stage("views")
    assert found is not None
    own = found[1].settings
    return Setup(
        preset.views_steps,
        preset.strength,
        preset.strength_in_holes,
        preset.max_guidance_scale,
        own["guided_share"],
        own["fusion"],
        own["skip"],
        ROWS_AT_ONCE,
    )


def count_presets(count: int = 100) -> dict[str, float]:
    """Prints what `count` frames of each preset's own size take, a quarter of a frame hidden, autoencoder and anchors
    included; TFLOP by preset."""
    pipeline = planner()
    clips = clips_of_a_walk(pipeline, count, HEIGHT, WIDTH)
    print(f"\n| preset | frames | TFLOP for {count} of them |\n|---|---|---|")
    counted = {}
    for name in ("svd", "svd-xt", "svd-xt-lcm", "vace", "vace-14b", "vace-14b-fast"):
        preset = presets.get(name)
        found = preset.stage("views")
        assert found is not None
        owner, stage = found
        width, height = stage.size
        if stage.pipeline == "masked-video":
            flops = flops_of(work_of(preset_setup(preset), clips, pipeline), owner.name)
        else:
            runs = math.ceil((count - 1) / (preset.frames_per_clip - 1))
            setup = gpu_setups.Setup(
                directions="one batch",
                guidance_scale=preset.max_guidance_scale,
                steps=preset.views_steps,
                strength=preset.strength_in_holes,
                hold=stage.settings["hold"],
                decoded_at_once=FRAMES_DECODED_AT_ONCE,
            )
            work = gpu.expected_work(setup, preset.frames_per_clip, runs, runs + 1)
            flops = counted_flops_of(work, True, (height, width))
        counted[name] = flops / 1e12
        print(f"| `{name}` | {width} x {height} | {counted[name]:.0f} |", flush=True)
    return counted


CANVAS = (720, 1440)
KLEIN = {
    "full": {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680},
    "tiny": {
        "patch_size": 1,
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 48,
        "axes_dims_rope": (4, 4, 4, 4),
    },
}


def klein(kind: str, height: int, width: int) -> tuple[Flux2Transformer2DModel, tuple]:
    """FLUX.2 klein's transformer, and its inputs for a canvas that it is shown: both are in the sequence."""
    tokens = 2 * (height // 16) * (width // 16)
    network = Flux2Transformer2DModel(**KLEIN[kind], guidance_embeds=False).eval()
    words = torch.zeros(1, 512, KLEIN[kind]["joint_attention_dim"])
    places = torch.zeros(tokens, 4), torch.zeros(512, 4)
    return network, (torch.zeros(1, tokens, network.config.in_channels), words, torch.zeros(1), *places, None)


def klein_flops(kind: str = "full", height: int = CANVAS[0], width: int = CANVAS[1]) -> float:
    """Of one forward."""
    with counting() as counter:
        network, arguments = klein(kind, height, width)
        network(*arguments)
    return float(counter.get_total_flops())


@torch.no_grad()
def run_klein(kind: str, size: tuple[int, int], device: str, steps: int) -> dict[str, float]:
    """The forwards of one panorama on random weights: the canvas and its seam, every step guided."""
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    rate = matmul_rate(device)
    with torch.device(device):
        network, arguments = klein(kind, *size)
    torch.nn.Module.to(network, dtype)
    arguments = tuple(value.to(dtype) if torch.is_tensor(value) else value for value in arguments)
    network(*arguments)
    forget_peak(device)
    clock = Clock(device)
    began = clock.now()
    for _ in range(2 * 2 * steps):
        network(*arguments)
    seconds = clock.now() - began
    used = 4 * steps * klein_flops(kind, *size) / seconds / rate
    print(
        f"\nflux-klein-360: {4 * steps} forwards for a canvas of {size[0]} x {size[1]}: {seconds:.2f} s, {used:.1%} of "
        f"the matrix product's rate, {peak_gb(device):.1f} GB",
        flush=True,
    )
    return {"seconds": seconds, "utilisation": used, "peak_gb": peak_gb(device)}


def print_memory() -> None:
    print("\n| preset | size | all on the GPU | " + " | ".join(f"{card} GB" for card in CARDS_GB) + " |")
    print("|---|---|---|" + "---|" * len(CARDS_GB))
    for name in ("svd", "vace", "vace-14b", "flux-klein-360"):
        preset = presets.get(name)
        sizes = (None,) if name.startswith("flux") else ((640, 352), (WIDTH, HEIGHT))
        for size in sizes:
            parts = parts_of(preset, size)
            row = [f"{plan(parts, 500 * GB).peak_gb:.1f} GB"]
            for card in CARDS_GB:
                try:
                    how = plan(parts, card * GB)
                    kind = {"none": "all of it", "model": "a network at a time", "group": "layer by layer"}[how.offload]
                    row.append(f"{kind}, {how.peak_gb:.1f}")
                except DoesNotFit as error:
                    row.append(f"no: {error.needed_gb:.1f} needed")
            shown = "1440 x 720" if size is None else f"{size[0]} x {size[1]}"
            print(f"| {name} | {shown} | {' | '.join(row)} |")


def build(model: str, device: str, dtype: torch.dtype) -> MaskedVideoPipeline:
    """Random weights of the real shapes but for the text encoder, whose words are random, too."""
    if model == "tiny":
        pipeline = planner()
    else:
        tiny = planner()
        torch.manual_seed(0)
        with torch.device(device):
            transformer = WanVACETransformer3DModel(**VACE[model]).eval()
            vae = AutoencoderKLWan().eval()
        torch.nn.Module.to(transformer, dtype)
        scheduler = UniPCMultistepScheduler.from_config(tiny.scheduler.config)
        pipeline = MaskedVideoPipeline(tiny.tokenizer, tiny.text_encoder, vae, scheduler, transformer)
        words = torch.randn(1, 512, 4096, device=device, dtype=dtype)
        pipeline.read_texts = lambda texts: dict.fromkeys(texts, words)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device) if model == "tiny" else pipeline


def passes_of(room: Panorama, cameras: Sequence[Camera], device: str) -> tuple[list[Pass], np.ndarray]:
    """A clip between two anchors, as `ScenePipeline` tells it, of random colours."""
    rng = np.random.default_rng(0)
    ends = [
        View(
            camera,
            rng.integers(0, 255, (camera.height, camera.width, 3), np.uint8),
            np.full((camera.height, camera.width), 2, np.float32),
            np.zeros((camera.height, camera.width), np.uint8),
        )
        for camera in (cameras[0], cameras[-1])
    ]
    warped = warp_guidance(room, cameras, device)[0].filled()
    back = warped[list(range(len(cameras)))[::-1]]
    passes = [Pass(ends[0], cameras, warped), Pass(ends[1], list(cameras)[::-1], back)]
    return passes, spatial_weights(cameras, [cameras[0], cameras[-1]], 3.0)


@torch.no_grad()
def run(model: str, frames: int, size: tuple[int, int], device: str, steps: int = 0) -> dict[str, dict[str, Any]]:
    """One clip by every lever on random weights: seconds, the share of the matrix product's rate, the peak of memory.

    steps: instead of the setups' own numbers.
    """
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    pipeline, rate = build(model, device, dtype), matmul_rate(device)
    height, width = size
    cameras = walk(frames, width, height)
    passes, weights = passes_of(panorama_of_noise(1024, "a quarter"), cameras, device)
    clip = Clip(passes[0].guidance.known.cpu(), both=True)
    forwards: Counter = Counter()
    handle = pipeline.transformer.register_forward_pre_hook(
        lambda module, args, options: forwards.update([tuple(options["hidden_states"].shape)]), with_kwargs=True
    )
    rows = {}
    print(f"\n{model}: one clip of {frames} frames of {height} x {width}, random weights, {device}\n")
    print("| | s | of the matrix product's rate | peak GB |\n|---|---|---|---|")
    for name, setup in setups():
        setup = replace(setup, steps=steps or setup.steps)
        pipeline.rows_at_once = setup.rows_at_once
        forwards.clear()
        forget_peak(device)
        clock = Clock(device)
        began = clock.now()
        made = pipeline(
            passes,
            weights,
            num_inference_steps=setup.steps,
            strength=setup.strength_of(clip.known),
            max_guidance_scale=setup.guidance_scale,
            guided_share=setup.guided_share,
            fusion=setup.fusion,
            skip=setup.skip,
            generator=torch.Generator().manual_seed(0),
        ).colour
        seconds = clock.now() - began
        assert made.shape == (frames, 3, height, width) and bool(torch.isfinite(made).all())
        work = work_of(setup, [clip], pipeline)
        expected = sum(count for what, count in work.items() if what[0] == "transformer")
        assert sum(shape[0] * count for shape, count in forwards.items()) == expected, (forwards, work)
        used = flops_of(work, model, "transformer" if model == "tiny" else "") / seconds / rate
        rows[name] = {"seconds": seconds, "utilisation": used, "peak_gb": peak_gb(device), "forwards": expected}
        print(f"| {name} | {seconds:.2f} | {used:.1%} | {peak_gb(device):.1f} |", flush=True)
    handle.remove()
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run", choices=("vace", "vace-14b", "flux-klein-360"), help="measure on random weights; else only count"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", default=f"{HEIGHT}x{WIDTH}", help="rows x columns, multiples of 16")
    parser.add_argument("--frames", type=int, default=81, help="of a clip that is run: 4 k + 1")
    parser.add_argument("--steps", type=int, default=0, help="of each clip that is run; 0: the setups' own")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: whether this program works")
    options = parser.parse_args(argv)
    if options.run:
        height, width = (int(side) for side in options.size.split("x"))
        if options.run == "flux-klein-360":
            steps = options.steps or presets.get(options.run).panorama_steps
            kind, canvas = ("tiny", (64, 128)) if options.tiny else ("full", CANVAS)
            run_klein(kind, canvas, options.device, steps)
            return
        model, frames = (options.run, options.frames) if not options.tiny else ("tiny", 9)
        run(model, frames, (32, 64) if options.tiny else (height, width), options.device, options.steps)
        return
    count_levers()
    count_presets()
    steps = presets.get("flux-klein-360").panorama_steps
    once = klein_flops() / 1e12
    print(
        f"\nflux-klein-360: {once:.1f} TFLOP a forward, {4 * steps * once:.0f} a panorama: the canvas and its seam, "
        f"{steps} guided steps each"
    )
    print_memory()


if __name__ == "__main__":
    main()
