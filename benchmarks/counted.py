"""Seconds by stage, memory, and arithmetic: counted on tensors without data, on no device."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.real_shapes import (
    FULL,
    TINY,
    build_dit,
    build_unet,
    build_vae,
)
from lookbeyond.pipelines.views import ViewsPipeline

STAGES = ("UNet", "encode", "decode")
"""Stages whose arithmetic is counted; the last two are the autoencoder's."""


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
        if pipeline.depth_estimator is not None:
            watched.append((pipeline.depth_estimator, "complete", "distance", lambda *_: {}))
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
            conditioning = torch.empty(1, 1, sizes["clip"]["projection_dim"])
            noisy = torch.empty(1, frames, 8, *latents)
            build_unet(sizes, frames)(noisy, torch.empty(()), conditioning, added_time_ids=torch.empty(1, 3))
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


def dit_flops(sizes: dict) -> float:
    with counting() as counter:
        network, arguments = build_dit(sizes)
        network(**arguments)
    return float(counter.get_total_flops())


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
