"""What fits into a device's memory, and how: weights' type, offloading, chunks. Arithmetic only, before any work.

Weights count with their type's size. Beside them each network keeps working values alive; how many at its peak was
counted once for the real shapes on tensors without data (`WORKING`): what a GPU's kernels take beyond that is in
`RESERVE`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lookbeyond.errors import InputError

from . import STAGES, Component, Preset, weights, weights_dtype

GB = 1e9
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
RESERVE = 0.08
"""Share of the free memory left to the kernels' workspaces and to fragmentation."""
CONTEXT_GB = 0.5
"""What the device's driver takes when it is first used."""
GROUP = 0.15
"""Largest share of a network's weights that is on the device at once when blocks are brought one by one."""


@dataclass(frozen=True)
class Working:
    """Values alive at a network's peak, per pixel of a frame and per frame at work."""

    whole: float
    chunked: float
    """The same with its feed-forward chunked, or its decoding done in tiles."""
    frames: int = 1
    """Most frames of a clip that it works on at once."""
    chunked_frames: int = 1


STAYS = ("vae", "unet_backward", "raymap_encoder")
"""Networks that stay on the device while others come and go: small, or used in the midst of another's work."""
CLIP = 10**6
"""All frames of a clip, however many."""
# counted on 14 frames of 576 x 1024, resp. a picture of 1024 x 1024; with both passes or both halves of the guidance
WORKING: Mapping[str, Working] = {
    "UNetSpatioTemporalConditionModel": Working(283, 163, CLIP, CLIP),
    "AutoencoderKLTemporalDecoder": Working(1024, 1024, 4, 1),
    "StableDiffusionInpaintPipeline/unet": Working(261, 261),
    "StableDiffusionXLInpaintPipeline/unet": Working(158, 158),
    "Flux2KleinInpaintPipeline/transformer": Working(550, 550),
    "FluxFillPipeline/transformer": Working(235, 235),
    "AutoModelForDepthEstimation": Working(103, 103),
    "vae": Working(769, 200),
}


@dataclass(frozen=True)
class Part:
    """One network of a preset."""

    name: str
    """stage/component, or stage/component/part."""
    parameters: float
    working_values: float
    """Values alive at its peak for the size at hand."""
    chunked_values: float
    """The same when it works in chunks."""


@dataclass(frozen=True)
class MemoryPlan:
    """How a preset is held in a device's memory."""

    device: str
    dtype: str
    offload: Literal["none", "model", "group"]
    """Everything stays on the device; one network at a time is on it; one group of blocks at a time."""
    chunked: bool
    """Feed-forward, attention and decoding in slices, tiles or single frames."""
    peak_gb: float
    """Expected, 1e9 bytes."""
    free_gb: float

    def __str__(self) -> str:
        held = {
            "none": "all networks stay on it",
            "model": "one network at a time is on it",
            "group": "one group of blocks at a time is on it",
        }[self.offload]
        slices = ", decoding and feed-forward in slices" if self.chunked else ""
        return (
            f"Memory: {self.peak_gb:.1f} GB expected of {self.free_gb:.1f} GB free on {self.device}; "
            f"{self.dtype}, {held}{slices}."
        )


def plan(parts: Sequence[Part], free_bytes: float, *, device: str = "cuda", dtype: str = "bfloat16") -> MemoryPlan:
    """The fastest way to hold `parts` that fits into `free_bytes` of `device`.

    A processor's own memory and Apple's have nowhere to offload to. Raises `InputError`: nothing fits.
    """
    size = BYTES[dtype]
    ladder: Sequence[tuple[Literal["none", "model", "group"], bool]] = (
        ("none", False), ("none", True), ("model", False), ("model", True), ("group", True),
    )  # fmt: skip
    ladder = ladder if device.startswith("cuda") else ladder[:2]
    usable = free_bytes * (1 - RESERVE) - (CONTEXT_GB * GB if device.startswith("cuda") else 0)
    least = float("inf")
    for offload, chunked in ladder:
        peak = size * _peak(parts, offload, chunked)
        if peak <= usable:
            return MemoryPlan(device, dtype, offload, chunked, peak / GB, free_bytes / GB)
        least = min(least, peak)
    needed = (least + CONTEXT_GB * GB) / (1 - RESERVE) / GB
    raise DoesNotFit(
        f"at least {needed:.1f} GB of free memory are needed and {free_bytes / GB:.1f} GB are free on {device}; close "
        "other programs, choose a smaller picture or a smaller preset, or use a larger device",
        needed,
    )


class DoesNotFit(InputError):
    """Networks that no way of holding them brings into the memory; `needed_gb` (1e9 bytes) would do."""

    def __init__(self, message: str, needed_gb: float):
        super().__init__(message)
        self.needed_gb = needed_gb


def room_for(preset: Preset, device: str, memory_bytes: float, dtype: str = "") -> str:
    """In a few words whether a preset fits into a device of so much memory, if nothing else uses it; imports torch."""
    dtype = dtype or str(weights_dtype(device)).removeprefix("torch.")
    parts = parts_of(preset)
    if not parts:
        fits = preset.memory_gb * GB <= memory_bytes
        return "fits" if fits else f"needs {preset.memory_gb:.1f} GB"
    try:
        how = plan(parts, memory_bytes, device=device, dtype=dtype)
    except DoesNotFit as error:
        return f"needs {error.needed_gb:.1f} GB"
    return "fits" if how.offload == "none" else "fits in parts, slower"


def _peak(parts: Sequence[Part], offload: str, chunked: bool) -> float:
    """Values on the device at the worst moment."""
    working = [part.chunked_values if chunked else part.working_values for part in parts]
    if offload == "none":
        return sum(part.parameters for part in parts) + max(working, default=0)
    share = 1 if offload == "model" else GROUP
    moved = [0 if part.name.rpartition("/")[2] in STAYS else part.parameters for part in parts]
    stays = sum(part.parameters for part in parts) - sum(moved)
    return stays + max((share * size + own for size, own in zip(moved, working, strict=True)), default=0)


def parts_of(preset: Preset) -> list[Part]:
    """The networks of a preset, each at its stage's own size.

    Parameters are counted in the files that are here, else taken from what the preset expects.
    """
    parts, frames = [], preset.frames_per_clip
    for stage in STAGES:
        if (found := preset.stage(stage)) is None:
            continue
        owner, about = found
        for role, component in about.components.items():
            pixels = about.size[0] * about.size[1]
            for name, count in weights.parameters(owner, f"{stage}/{role}", component).items():
                working = _working(component, name)
                most, least = (
                    min(at_once, frames if stage == "views" else 1)
                    for at_once in (working.frames, working.chunked_frames)
                )
                parts.append(
                    Part(
                        f"{stage}/{role}" + (f"/{name}" if component.parts else ""), count,
                        working.whole * pixels * most, working.chunked * pixels * least,
                    )
                )  # fmt: skip
    return parts


def _working(component: Component, part: str) -> Working:
    family = component.loads.rpartition(".")[2]
    return WORKING.get(f"{family}/{part}") or WORKING.get(family) or WORKING.get(part) or Working(0, 0)


def plan_for(preset: Preset, device: str, dtype: str = "") -> MemoryPlan | None:
    """How a preset's networks are held on a device, from what is free there now; imports torch.

    None for presets without components of their own: the built-in ones are small. `InputError`: it does not fit.
    """
    if not any(True for _ in preset.components()):
        return None
    dtype = dtype or str(weights_dtype(device)).removeprefix("torch.")
    try:
        return plan(parts_of(preset), free_memory(device), device=device, dtype=dtype)
    except InputError as error:
        raise InputError(f"the preset {preset.name!r} does not fit: {error}") from None


def free_memory(device: str) -> int:
    """Bytes free on a device ("cuda", "cuda:1", "mps", "cpu")."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available
