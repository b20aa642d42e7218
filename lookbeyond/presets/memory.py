"""What fits into a device's memory, and how: the weights' dtype, offloading, chunks. Only arithmetic, before any work.

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
MEASURES_IN = "float32"
"""Of depth estimators, on every device: in bfloat16 the metres that they give have steps of centimetres."""
KEPT_IN: Mapping[str, str] = {"WanVACEPipeline/vae": "float32"}
"""Networks that are used in a type of their own by those who made them, on every device."""
RESERVE = 0.08
"""Share of the free memory left to the kernels' workspaces and to fragmentation."""
CONTEXT_GB = 0.5
"""What the device's driver takes when it is first used; on a processor, what else the program holds."""
PROCESSOR_WORKING = 1.45
"""Times the working values: a processor's kernels have them in orders of their own, too (`benchmarks/full_size.py`)."""
LAYERS: Mapping[str, float] = {
    "UNetSpatioTemporalConditionModel": 0.039,
    "CLIPVisionModelWithProjection": 0.021,
    "StableDiffusionInpaintPipeline/unet": 0.069,
    "StableDiffusionXLInpaintPipeline/unet": 0.023,
    "StableDiffusionXLInpaintPipeline/text_encoder_2": 0.101,
    "Flux2KleinInpaintPipeline/transformer": 0.044,
    "Flux2KleinInpaintPipeline/text_encoder": 0.103,
    "Flux2KleinPipeline/transformer": 0.044,
    "Flux2KleinPipeline/text_encoder": 0.103,
    "FluxFillPipeline/transformer": 0.0096,
    "FluxFillPipeline/text_encoder_2": 0.037,
    "WanVACEPipeline/transformer": 0.0132,
    "WanVACEPipeline/text_encoder": 0.193,
}
"""Share of a network's weights that its two largest layers have; where its files are here, they are counted in them."""
LAYERS_OF_OTHERS = 0.35
"""The same of a small text encoder, a third of which is its table of words."""


@dataclass(frozen=True)
class Working:
    """Values alive at a network's peak, per pixel of a frame and per frame at work."""

    whole: float
    chunked: float
    """The same with its feed-forward chunked, or its decoding done in tiles."""
    frames: int = 1
    """Most frames of a clip that it works on at once."""
    chunked_frames: int = 1
    beside: int = 0
    """Frames at work beside those of the clip: of four to a latent, a reference image and the first frame have one."""


STAYS = ("vae", "unet_backward", "raymap_encoder")
"""Networks that stay on the device while others come and go: small, or used in the midst of another's work."""
PIXELS = "pixels"
"""Name of what a clip's own pixels take: all that describes its frames, videos and masks."""
PIXEL_VALUES: Mapping[str, float] = {"masked-video": 25}
"""By pipeline, how many floats of a clip's every pixel are alive while the autoencoder works; counted, of a few frames.
Other pipelines' clips are shorter: theirs are in what was measured of their networks."""
CLIP = 10**6
"""All frames of a clip, however many."""
# counted on 14 frames of 576 x 1024, resp. a picture of 1024 x 1024; with both passes or both halves of the guidance
WORKING: Mapping[str, Working] = {
    "UNetSpatioTemporalConditionModel": Working(283, 163, CLIP, CLIP),
    "AutoencoderKLTemporalDecoder": Working(1024, 1024, 4, 1),
    "StableDiffusionInpaintPipeline/unet": Working(261, 261),
    "StableDiffusionXLInpaintPipeline/unet": Working(158, 158),
    "Flux2KleinInpaintPipeline/transformer": Working(550, 550),
    "Flux2KleinPipeline/transformer": Working(550, 550),  # with one reference image of the same size
    "FluxFillPipeline/transformer": Working(235, 235),
    # two passes at once, or one; the autoencoder works on the frames of one latent, and keeps all frames that it made
    "WanVACEPipeline/transformer": Working(97, 48.5, CLIP, CLIP, beside=7),
    "WanVACEPipeline/vae": Working(5100, 1050),
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
    layers: float
    """Parameters of its two largest layers: while one works, the next is brought."""
    dtype: str = ""
    """Its own, whatever the others' is."""
    first: bool = False
    """Whether it works, and is gone, before the others are loaded."""


@dataclass(frozen=True)
class MemoryPlan:
    """How a preset is held in a device's memory."""

    device: str
    dtype: str
    offload: Literal["none", "model", "group"]
    """Everything stays on the device; one network at a time is on it; one layer at a time, and the next."""
    chunked: bool
    """Feed-forward, attention and decoding in slices, tiles or single frames."""
    peak_gb: float
    """Expected, 1e9 bytes."""
    free_gb: float
    texts: Literal["", "whole", "layers"] = ""
    """How a text encoder is held that is gone before the others are loaded; "" where there is none."""

    def __str__(self) -> str:
        held = {
            "none": "all networks stay on it",
            "model": "one network at a time is on it",
            "group": "two layers at a time are on it",
        }[self.offload]
        slices = ", decoding and feed-forward in slices" if self.chunked else ""
        first = {
            "": "",
            "whole": "the text encoder works before the others, ",
            "layers": "the text encoder works before the others, two of its layers at a time, ",
        }[self.texts]
        return (
            f"Memory: {self.peak_gb:.1f} GB expected of {self.free_gb:.1f} GB free on {self.device}; "
            f"{self.dtype}, {first}{held}{slices}."
        )


def plan(parts: Sequence[Part], free_bytes: float, *, device: str = "cuda", dtype: str = "bfloat16") -> MemoryPlan:
    """The fastest way to hold `parts` that fits into `free_bytes` of `device`.

    A processor's own memory and Apple's have nowhere to offload to. Raises `InputError`: nothing fits.
    """
    ladder: Sequence[tuple[Literal["none", "model", "group"], bool]] = (
        ("none", False),
        ("none", True),
        ("model", False),
        ("model", True),
        ("group", True),
    )
    ladder = ladder if device.startswith("cuda") else ladder[:2]
    usable = free_bytes * (1 - RESERVE) - CONTEXT_GB * GB
    working_times = PROCESSOR_WORKING if device.startswith("cpu") else 1
    texts, before = _texts_first([part for part in parts if part.first], usable, device, dtype)
    least = float("inf")
    for offload, chunked in ladder:
        peak = max(before, _peak([part for part in parts if not part.first], offload, chunked, dtype, working_times))
        if peak <= usable:
            return MemoryPlan(device, dtype, offload, chunked, peak / GB, free_bytes / GB, texts)
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


def room_for(preset: Preset, device: str, memory_bytes: float) -> str:
    """In a few words whether a preset fits into a device of so much memory, if nothing else uses it; imports torch."""
    dtype = str(weights_dtype(device)).removeprefix("torch.")
    parts = parts_of(preset)
    if not parts:
        fits = preset.memory_gb * GB <= memory_bytes
        return "fits" if fits else f"needs {preset.memory_gb:.1f} GB"
    try:
        how = plan(parts, memory_bytes, device=device, dtype=dtype)
    except DoesNotFit as error:
        return f"needs {error.needed_gb:.1f} GB"
    return "fits" if how.offload == "none" else "fits in parts, slower"


def _texts_first(
    encoders: Sequence[Part], usable: float, device: str, dtype: str
) -> tuple[Literal["", "whole", "layers"], float]:
    """How text encoders are held that work one by one before anything else, and the bytes of the largest."""
    if not encoders:
        return "", 0.0
    whole, layers = (
        max(BYTES[part.dtype or dtype] * count for part, count in zip(encoders, counts, strict=True))
        for counts in ([part.parameters for part in encoders], [part.layers for part in encoders])
    )
    return ("whole", whole) if whole <= usable or not device.startswith("cuda") else ("layers", layers)


def _peak(parts: Sequence[Part], offload: str, chunked: bool, dtype: str, working_times: float) -> float:
    """Bytes on the device at the worst moment."""
    stays, most = 0.0, 0.0
    for part in parts:
        size = BYTES[part.dtype or dtype]
        working = working_times * size * (part.chunked_values if chunked else part.working_values)
        if offload == "none" or part.name.rpartition("/")[2] in (*STAYS, PIXELS):
            stays, brought = stays + size * part.parameters, 0.0
        else:
            brought = size * (part.parameters if offload == "model" else part.layers)
        most = max(most, brought + working)
    return stays + most


def parts_of(preset: Preset, size: tuple[int, int] | None = None, frames: int = 0) -> list[Part]:
    """The networks of a preset, each at its stage's own size.

    Parameters are counted in the files that are here, else taken from what the preset expects.

    size: width and height of the frames, instead of the views stage's own.
    frames: of a pass, where they are more than the preset's.
    """
    parts, frames = [], max(frames, preset.frames_per_clip)
    for stage in STAGES:
        if (found := preset.stage(stage)) is None:
            continue
        owner, about = found
        dtype = MEASURES_IN if about.pipeline == "depth" else ""
        if about.pipeline in PIXEL_VALUES:
            width, height = size or about.size
            values = PIXEL_VALUES[about.pipeline] * width * height * frames
            parts.append(Part(f"{stage}/{PIXELS}", values, 0, 0, 0, "float32"))
        for role, component in about.components.items():
            width, height = size if size and stage == "views" else about.size
            pixels = width * height
            for name, (count, layers) in _counted(owner, f"{stage}/{role}", component).items():
                known = (WORKING[kind] for kind in _kinds(component, name) if kind in WORKING)
                working = next(known, Working(0, 0))
                most, least = (
                    min(at_once, frames + working.beside if stage == "views" else 1)
                    for at_once in (working.frames, working.chunked_frames)
                )
                pixels_at_work = pixels * component.working.get(name, 1.0)
                parts.append(
                    Part(
                        f"{stage}/{role}" + (f"/{name}" if component.parts else ""),
                        count,
                        working.whole * pixels_at_work * most,
                        working.chunked * pixels_at_work * least,
                        layers,
                        kept_in(component, name) or dtype,
                        about.pipeline == "masked-video" and name.startswith("text_encoder"),
                    )
                )
    return parts


def _counted(owner: Preset, role: str, component: Component) -> dict[str, tuple[float, float]]:
    """Parameters of every part of a component, and of its two largest layers."""
    if tensors := weights.tensors(owner, role, component):
        return {part: (sum(sizes), sum(sorted(sizes)[-2:])) for part, sizes in tensors.items()}
    expected = {}
    for part, millions in component.parameters_m.items():
        known = (LAYERS[kind] for kind in _kinds(component, part) if kind in LAYERS)
        share = next(known, LAYERS_OF_OTHERS)
        expected[part] = 1e6 * millions, share * 1e6 * millions
    return expected


def _kinds(component: Component, part: str) -> tuple[str, str, str]:
    """The names under which the tables above may know a network, the closest first."""
    family = component.loads.rpartition(".")[2]
    return f"{family}/{part}", family, part


def kept_in(component: Component, part: str) -> str:
    """The dtype in which a network's authors use it; "" if it has no preference."""
    return next((KEPT_IN[kind] for kind in _kinds(component, part) if kind in KEPT_IN), "")


def plan_for(
    preset: Preset,
    device: str,
    dtype: str = "",
    *,
    size: tuple[int, int] | None = None,
    frames: int = 0,
    free_bytes: float | None = None,
) -> MemoryPlan | None:
    """How a preset's networks are held on a device; imports torch.

    size, frames: of the work at hand, as in `parts_of`.
    free_bytes: for them on the device; what is free there now unless given.

    None for presets without components of their own: the built-in ones are small. `InputError`: it does not fit.
    """
    if not any(True for _ in preset.components()):
        return None
    dtype = dtype or str(weights_dtype(device)).removeprefix("torch.")
    try:
        free_bytes = free_memory(device) if free_bytes is None else free_bytes
        return plan(parts_of(preset, size, frames), free_bytes, device=device, dtype=dtype)
    except DoesNotFit as error:
        work = f" for frames of {size[0]} x {size[1]}" if size else ""
        raise DoesNotFit(f"the preset {preset.name!r} does not fit{work}: {error}", error.needed_gb) from None


def free_memory(device: str) -> int:
    """Bytes free on a device ("cuda", "cuda:1", "mps", "cpu")."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available
