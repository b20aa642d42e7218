"""A preset for frames at its full size, from files in the hub's layout to frames: does it run, in what memory?

    python benchmarks/full_size.py [--preset svd] [--memory-gb 12] [--steps 1] [--device cuda]
    python benchmarks/full_size.py --preset vace --size 480x832 --frames 17 --memory-gb 14 --unguided --fusion off

Writes random weights of the real shapes and types into a folder laid out as the hub's cache (`svd`: 4.7 GB, `vace`:
19), loads the shipped preset from there as the service would, and shoots two anchors and the clip between them; of
`vace` the clip alone, between two views of the panorama. The memory is planned as on a device of which `--memory-gb`
are free; a GPU is held to that, of a processor it is measured what was taken. Weights that lie in files as they are
used are not copied but mapped, and count as if they were copied. Prints the plan, the peak and the seconds by stage.

Random weights make no pictures; they take the memory of trained ones. On two cores, with a processor that knows
bfloat16, one step of `svd` takes three quarters of an hour.
"""

import argparse
import gc
import json
import math
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import psutil
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    EulerDiscreteScheduler,
    WanVACETransformer3DModel,
)
from transformers import UMT5EncoderModel

from benchmarks.counted import Clock
from benchmarks.random_weights import write_network
from benchmarks.real_shapes import (
    FULL,
    SVD_SCHEDULER,
    TINY,
    UMT5_XXL,
    VACE,
    build_depth_estimator,
    build_encoder,
    build_unet,
    build_vae,
    panorama_of_noise,
    walk,
)
from lookbeyond import presets
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.pipelines import loading
from lookbeyond.pipelines.masked_video import MaskedVideoPipeline
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.presets import memory
from tests.support.machine import machine
from tests.support.tiny import wan_vace


def builders(sizes: dict, frames: int) -> dict[str, Callable[[], Any]]:
    """What is saved for each class that the presets load."""

    def vae() -> AutoencoderKLTemporalDecoder:
        made = build_vae(sizes)
        made.register_to_config(force_upcast=True)  # as published
        return made

    return {
        "AutoencoderKLTemporalDecoder": vae,
        "CLIPVisionModelWithProjection": lambda: build_encoder(sizes),
        "UNetSpatioTemporalConditionModel": lambda: build_unet(sizes, frames),
        "ReversedMotion": lambda: build_unet(sizes, frames),
        "EulerDiscreteScheduler": lambda: EulerDiscreteScheduler(**SVD_SCHEDULER),
        "AutoModelForDepthEstimation": lambda: build_depth_estimator(sizes, "cpu").model,
    }


def write_vace(folder: Path, model: str, tiny: bool) -> None:
    """A whole pipeline of Wan VACE. The types are those by which its download has the size that it has."""
    wan_vace().save_pretrained(folder)  # tokenizer and scheduler are as small as they are
    if tiny:
        return
    networks = {
        "text_encoder": (lambda: UMT5EncoderModel(UMT5_XXL), lambda name: torch.bfloat16),
        "transformer": (
            lambda: WanVACETransformer3DModel(**VACE[model]),
            lambda name: torch.bfloat16 if name.startswith("vace_blocks") else torch.float32,
        ),
        "vae": (AutoencoderKLWan, lambda name: torch.float32),
    }
    for name, (build, dtype_of) in networks.items():
        for path in (folder / name).glob("*"):
            path.unlink()
        millions = write_network(build, folder / name, dtype_of)
        print(f"  {name}: {millions:.1f} million parameters", flush=True)


def write_hub(preset: presets.Preset, cache: Path, tiny: bool) -> None:
    """Random weights for everything that the preset would fetch, where its downloads would lie."""
    sizes = TINY if tiny else FULL
    known = builders(sizes, preset.frames_per_clip)
    for role, _, component in preset.components():
        if not component.hub:
            continue
        repository = cache / f"models--{component.hub.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / component.revision).write_text("random")
        folder = repository / "snapshots" / "random" / component.subfolder
        torch.manual_seed(0)
        if component.loads == "diffusers.WanVACEPipeline":
            write_vace(folder, preset.stages["views"].preset or preset.name, tiny)
            continue
        made = known[component.loads.rpartition(".")[2]]()
        if isinstance(made, torch.nn.Module):
            half = {"variant": component.variant} if component.variant else {}
            dtype = torch.float16 if half else torch.float32
            torch.nn.Module.to(made, dtype).save_pretrained(folder, **half)
        else:
            made.save_pretrained(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e9
        print(f"  {role}: {size:.2f} GB", flush=True)
        del made
        gc.collect()


def provide_weights(preset: presets.Preset, cache: Path, tiny: bool) -> None:
    """Writes what is not there, in another process: its memory is not to be taken for ours."""
    if preset.installed:
        return
    print("Random weights of the real shapes:", flush=True)
    writer = multiprocessing.get_context("spawn").Process(target=write_hub, args=(preset, cache, tiny))
    writer.start()
    writer.join()
    assert writer.exitcode == 0, "the weights could not be written"


def own_memory() -> int:
    """Bytes that this process holds, without files that are mapped into it."""
    held = psutil.Process().memory_info()
    return held.rss - getattr(held, "shared", 0)


def mapped_weights(networks: Sequence[torch.nn.Module]) -> int:
    """Bytes of weights that lie in files mapped into this process; on Linux."""
    if not sys.platform.startswith("linux"):
        return 0
    places = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(".safetensors"):
            places.append([int(end, 16) for end in line.split()[0].split("-")])
    weights = {id(weight): weight for network in networks for weight in network.parameters()}
    return sum(
        weight.nbytes for weight in weights.values() if any(one <= weight.data_ptr() < end for one, end in places)
    )


class Peak(threading.Thread):
    """The most memory that this process held, or what a GPU's tensors had of it, by what was at work."""

    def __init__(self, device: str):
        super().__init__(daemon=True)
        self._gpu, self._ended, self.mapped_bytes = device.startswith("cuda"), threading.Event(), 0
        self.at_work, self.most, self.seconds = "loading", Counter(), Counter()
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
        self.start()

    @property
    def bytes(self) -> int:
        return max(self.most.values(), default=0)

    def run(self) -> None:
        before = time.perf_counter()
        while not self._ended.wait(0.02):
            now, stage = time.perf_counter(), self.at_work
            held = torch.cuda.memory_reserved() if self._gpu else own_memory() + self.mapped_bytes
            self.most[stage] = max(self.most[stage], held)
            self.seconds[stage] += now - before
            before = now

    def begin(self, stage: str, *networks: torch.nn.Module) -> None:
        """What is at work from now on, and with which networks in memory."""
        self.at_work, self.mapped_bytes = stage, mapped_weights(networks)
        print(f"  {stage} after {sum(self.seconds.values()):.0f} s; so far {self}", flush=True)

    def watch(self, stage: str, module: torch.nn.Module) -> None:
        """From each call of a network on that is what is at work."""

        def begin(*_: Any) -> None:
            if self.at_work != stage:
                print(f"  {stage} after {sum(self.seconds.values()):.0f} s; so far {self}", flush=True)
            self.at_work = stage

        module.register_forward_pre_hook(begin)

    def __str__(self) -> str:
        return ", ".join(f"{stage} {most / 1e9:.1f} GB" for stage, most in self.most.items())

    def stop(self) -> float:
        """1e9 bytes."""
        self._ended.set()
        self.join()
        return (torch.cuda.max_memory_reserved() if self._gpu else self.bytes) / 1e9


def measure_clip(options: argparse.Namespace, size: tuple[int, int], peak: Peak, own_gb: float) -> None:
    """A masked-video preset: its text encoder first, then one clip."""
    read = loading.read_texts

    def reading(pipeline: Any, texts: Any) -> Any:
        peak.begin("text encoder", pipeline.text_encoder)
        try:
            return read(pipeline, texts)
        finally:
            peak.begin("loading the others")

    loading.read_texts = reading  # type: ignore[assignment]
    scene = ScenePipeline.from_preset(options.preset, options.device)
    views = scene.views
    assert isinstance(views, MaskedVideoPipeline) and views.depth_estimator is not None
    peak.begin("warping", views.transformer, views.vae)
    for stage, module in (
        ("encode", views.vae.encoder),
        ("transformer", views.transformer),
        ("decode", views.vae.decoder),
        ("distance", views.depth_estimator.model),
    ):
        peak.watch(stage, module)
    height, width = size
    frames = scene.frames_per_clip
    room, cameras = panorama_of_noise(4096, "a quarter"), walk(frames, width, height)
    ends = [scene.network.view_from_origin(room, camera) for camera in (cameras[0], cameras[-1])]
    shot = scene.shoot_clip(room, *ends, cameras, steps=options.steps)
    taken = peak.stop()
    assert len(shot) == frames and all(np.ptp(view.colour) > 0 and np.isfinite(view.distance).all() for view in shot)
    print(scene.memory_plan)
    print(
        f"one clip of {frames} frames of {width} x {height}: "
        + ", ".join(f"{stage} {value:.0f} s" for stage, value in peak.seconds.items())
    )
    print(f"peak: {taken:.1f} GB, {own_gb:.1f} of them before loading; {peak}")
    plan = scene.memory_plan
    assert plan is not None
    planned = plan.peak_gb + own_gb
    print(f"{taken / planned:.2f} of what was planned, {planned:.1f} GB with the program itself")
    assert taken <= options.memory_gb, f"more than {options.memory_gb} GB"


def own_preset(options: argparse.Namespace, folder: Path) -> str:
    """A user's preset that borrows the stages of a masked-video one, with the frames of a clip that were asked for."""
    shipped = presets.get(options.preset)
    (folder / "measured").mkdir(parents=True)
    stages = {
        "panorama": {"preset": "builtin"},
        "views": {"preset": options.preset, "settings": {"fusion": options.fusion}},
        "distance": {"preset": "depth-anything"},
    }
    guidance = {"min_guidance_scale": 1.0, "max_guidance_scale": 1.0} if options.unguided else {}
    values = {
        "title": shipped.title,
        "description": shipped.description,
        "licence": shipped.licence,
        "memory_gb": shipped.memory_gb,
        "frames_per_clip": options.frames or shipped.frames_per_clip,
        "stages": stages,
        **guidance,
    }
    (folder / "measured" / "preset.json").write_text(json.dumps(values))
    os.environ["LOOKBEYOND_PRESETS_DIR"] = str(folder)
    return "measured"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("svd", "svd-xt", "vace", "vace-14b"), default="svd")
    parser.add_argument("--memory-gb", type=float, default=12, help="free on the device, 1e9 bytes")
    parser.add_argument("--steps", type=int, default=1, help="of denoising; 0: the preset's own")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", default="576x1024", help="rows x columns, multiples of 64")
    parser.add_argument("--frames", type=int, default=0, help="of a clip of vace, 4 k + 1; 0: the preset's own")
    parser.add_argument("--fusion", choices=("spatial", "off"), default="spatial", help="of vace: both passes, or one")
    parser.add_argument("--unguided", action="store_true", help="half of vace's steps' work, in the same memory")
    parser.add_argument("--hub", type=Path, help="keep the random weights in this folder, or take them from there")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: whether this program works")
    options = parser.parse_args(argv)
    device, (height, width) = options.device, (int(side) for side in options.size.split("x"))
    free = options.memory_gb * 1e9
    print(f"{machine()}; torch {torch.__version__}; {presets.weights_dtype(device)} on {device}")
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.hub or Path(temporary)
        huggingface_hub.constants.HF_HUB_CACHE = str(cache)
        masked = presets.get(options.preset).stages["views"].pipeline == "masked-video"
        if masked:
            options.preset = own_preset(options, Path(temporary) / "presets")
        preset = presets.get(options.preset)
        provide_weights(preset, cache, options.tiny)
        if device.startswith("cuda"):
            torch.cuda.set_per_process_memory_fraction(free / torch.cuda.get_device_properties(device).total_memory)
        memory.free_memory = lambda device: int(free)  # type: ignore[assignment]
        peak, own = Peak(device), own_memory() / 1e9
        if masked:
            measure_clip(options, (height, width), peak, own)
            return
        began = time.perf_counter()
        scene = ScenePipeline.from_preset(options.preset, device)
        print(f"loaded in {time.perf_counter() - began:.0f} s, {peak.bytes / 1e9:.1f} GB at most")
        frames, clock = scene.frames_per_clip, Clock(device)
        room, cameras = panorama_of_noise(4096, "a quarter"), walk(frames, width, height)
        plan = plan_shot(cameras, room, frames_per_clip=frames, max_rotation_rad=math.pi, max_translation=10.0)
        began = clock.now()
        views = []
        with clock.watching(scene.views):
            for anchor in plan.anchors:
                before = [views[index] for index in anchor.before]
                views.append(scene.fill_anchor(room, anchor.camera, before, steps=options.steps))
                print(f"  anchor {len(views)} of {len(plan.anchors)} after {clock.now() - began:.0f} s", flush=True)
            shot = scene.shoot_clip(room, *views, cameras, steps=options.steps)
        seconds, taken = clock.now() - began, peak.stop()
    print(scene.memory_plan)
    print(
        f"{len(views)} anchors, then {len(shot)} frames of {width} x {height}, in {seconds:.0f} s: "
        + ", ".join(f"{stage} {value:.0f}" for stage, value in clock.seconds.items() if value)
    )
    print(f"peak: {taken:.1f} GB" + ("" if device.startswith("cuda") else f", {own:.1f} of them before loading"))
    assert all(np.ptp(view.colour) > 0 and np.isfinite(view.distance).all() for view in shot)
    assert taken <= options.memory_gb, f"more than {options.memory_gb} GB"


if __name__ == "__main__":
    main()
