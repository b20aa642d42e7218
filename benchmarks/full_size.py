"""A preset of Stable Video Diffusion at its full size, from files in the hub's layout to frames: does it run, in what?

    python benchmarks/full_size.py [--preset svd] [--memory-gb 12] [--steps 1] [--device cuda]

Writes random weights of the real shapes and types into a folder laid out as the hub's cache (`svd`: 4.7 GB), loads the
shipped preset from there as the service would, and shoots two anchors and the clip between them. The memory is planned
as on a device of which `--memory-gb` are free; a GPU is held to that, of a processor it is measured what was taken.
Prints the plan, the peak and the seconds by stage. Random weights make no pictures; they take the memory of trained
ones. On two cores, with a processor that knows bfloat16, one step of `svd` takes three quarters
of an hour.
"""

import argparse
import gc
import math
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import psutil
import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler

from benchmarks.counted import Clock
from benchmarks.real_shapes import (
    FULL,
    SVD_SCHEDULER,
    TINY,
    build_encoder,
    build_meter,
    build_unet,
    build_vae,
    panorama_of_noise,
    walk,
)
from lookbeyond import presets
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.presets import memory
from tests.end_to_end.demo import machine


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
        "AutoModelForDepthEstimation": lambda: build_meter(sizes, "cpu").model,
    }


def write_hub(preset: presets.Preset, cache: Path, sizes: dict) -> None:
    """Random weights for everything that the preset would fetch, where its downloads would lie."""
    known = builders(sizes, preset.frames_per_clip)
    for role, _, component in preset.components():
        if not component.hub:
            continue
        repository = cache / f"models--{component.hub.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / component.revision).write_text("random")
        folder = repository / "snapshots" / "random" / component.subfolder
        torch.manual_seed(0)
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


def own_memory() -> int:
    """Bytes that this process holds, without files that are mapped into it."""
    held = psutil.Process().memory_info()
    return held.rss - getattr(held, "shared", 0)


class Peak(threading.Thread):
    """The most memory that this process held of its own, or what a GPU's tensors had of it."""

    def __init__(self, device: str):
        super().__init__(daemon=True)
        self._gpu, self._ended, self.bytes = device.startswith("cuda"), threading.Event(), 0
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            self.bytes = max(self.bytes, own_memory())

    def stop(self) -> float:
        """1e9 bytes."""
        self._ended.set()
        self.join()
        return (torch.cuda.max_memory_reserved() if self._gpu else self.bytes) / 1e9


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("svd", "svd-xt"), default="svd")
    parser.add_argument("--memory-gb", type=float, default=12, help="free on the device, 1e9 bytes")
    parser.add_argument("--steps", type=int, default=1, help="of denoising; 0: the preset's own")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", default="576x1024", help="rows x columns, multiples of 64")
    parser.add_argument("--hub", type=Path, help="keep the random weights in this folder, or take them from there")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: whether this program works")
    options = parser.parse_args(argv)
    device, (height, width) = options.device, (int(side) for side in options.size.split("x"))
    free, sizes = options.memory_gb * 1e9, TINY if options.tiny else FULL
    print(f"{machine()}; torch {torch.__version__}; {presets.weights_dtype(device)} on {device}")
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.hub or Path(temporary)
        huggingface_hub.constants.HF_HUB_CACHE = str(cache)
        preset = presets.get(options.preset)
        if not preset.installed:
            print("Random weights of the real shapes:", flush=True)
            spawned = multiprocessing.get_context("spawn")  # whose memory is not to be taken for ours
            writer = spawned.Process(target=write_hub, args=(preset, cache, sizes))
            writer.start()
            writer.join()
            assert writer.exitcode == 0, "the weights could not be written"
        if device.startswith("cuda"):
            torch.cuda.set_per_process_memory_fraction(free / torch.cuda.get_device_properties(device).total_memory)
        memory.free_memory = lambda device: int(free)  # type: ignore[assignment]
        peak, own = Peak(device), own_memory() / 1e9
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
    print(f"{len(views)} anchors, then {len(shot)} frames of {width} x {height}, in {seconds:.0f} s: "
          + ", ".join(f"{stage} {value:.0f}" for stage, value in clock.seconds.items() if value))  # fmt: skip
    print(f"peak: {taken:.1f} GB" + ("" if device.startswith("cuda") else f", {own:.1f} of them before loading"))
    assert all(np.ptp(view.colour) > 0 and np.isfinite(view.distance).all() for view in shot)
    assert taken <= options.memory_gb, f"more than {options.memory_gb} GB"


if __name__ == "__main__":
    main()
