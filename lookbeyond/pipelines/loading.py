"""A preset's pipelines, loaded from this machine's files. Nothing is downloaded here."""

import contextlib
import dataclasses
import gc
import importlib
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from msgspec.structs import replace
from torch._dynamo.exc import TorchDynamoException

from lookbeyond import presets
from lookbeyond.errors import InputError, LookBeyondError, typed_line

# diffusers loads components only from modules that are imported already
from lookbeyond.models import panorama_transformer, views_unet  # noqa: F401
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.presets import Component, Preset, memory, weights
from lookbeyond.presets.memory import MEASURES_IN, MemoryPlan, kept_in, plan_for

from .depth import DepthPipeline, MeasuredPanorama
from .fusion import Pass
from .masked_video import NEGATIVE_PROMPT, PROMPT, MaskedVideoPipeline, no_room_for_texts, read_texts
from .outpaint import OutpaintPipeline
from .panorama import PanoramaPipeline
from .views import FRAMES_DECODED_AT_ONCE, ROWS_AT_ONCE, ViewsPipeline, ViewsPipelineOutput

log = logging.getLogger(__name__)

SMALLEST = (64, 64)
"""Width and height of the smallest frames that networks with public weights accept."""
LIBRARIES = ("diffusers", "transformers", "lookbeyond")
"""What a preset's `loads` may name: a preset file must not run other code."""
LORA_HOSTS = {"outpaint": "inpaint", "masked-video": "video"}
"""By pipeline, the part whose own loader takes the stage's LoRA."""
SAVED: Mapping[str, type[DiffusionPipeline]] = {
    "panorama": PanoramaPipeline,
    "views": ViewsPipeline,
    "depth": DepthPipeline,
}


def load_component(preset: Preset, role: str, component: Component, dtype: torch.dtype) -> Any:
    """One component of a preset: a model, a scheduler, a whole saved pipeline, or the folder of files used as they are.

    None for an optional one that is not on this machine. Raises `InputError`: missing, broken, or of another kind.
    """
    folder = weights.require(preset, role, component)
    if folder is None or not component.loads:
        return folder
    kind = _class_of(role, component)
    if kind is not None:
        _check_kind(role, folder, kind)
    options: dict[str, Any] = {"local_files_only": True}
    if not component.loads.endswith("Scheduler"):
        options |= {
            "torch_dtype" if component.loads.startswith(("diffusers", "lookbeyond")) else "dtype": _types(
                component, dtype
            )
        }
        options |= {"variant": component.variant} if component.variant else {}
        options |= {"use_safetensors": True}
    if component.parts:
        # what a saved pipeline has beside the parts that were fetched (safety checkers, feature extractors)
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
        absent = {k for k, v in index.items() if isinstance(v, list) and k not in component.parts}
        options |= dict.fromkeys(absent)
        if "requires_safety_checker" in index:
            options["requires_safety_checker"] = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            loaded = kind.from_pretrained(folder, **options)
    except (LookBeyondError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # files of weights can be wrong in any way
        raise InputError(
            f"{role}: {folder} cannot be loaded as {component.loads} ({typed_line(error)}); "
            f"put such weights there, or correct the preset {preset.name!r}"
        ) from error
    return loaded.eval() if isinstance(loaded, torch.nn.Module) else loaded


def _types(component: Component, dtype: torch.dtype) -> torch.dtype | dict[str, torch.dtype]:
    """What a component's weights are loaded as; of a whole pipeline some networks may have a type of their own."""
    own = {part: getattr(torch, kept) for part in component.parts if (kept := kept_in(component, part))}
    return own | {"default": dtype} if own else dtype


def load_stage(
    preset: Preset, name: str, dtype: torch.dtype, vae: Any = None, texts: "TextReader | None" = None
) -> Any:
    """The pipeline of one stage of a preset, not yet on its device.

    vae: the one to share, where the stage brings none.
    texts: what reads texts for a masked-video stage, which then keeps no text encoder.
    """
    found = preset.stage(name)
    assert found is not None, name
    owner, stage = found
    if stage.pipeline == "depth":
        dtype = getattr(torch, MEASURES_IN)
    if stage.folder:
        folder = owner.folder / stage.folder
        shared = {} if (folder / "vae").is_dir() else {"vae": vae or load_stage(owner, "panorama", dtype).vae}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return SAVED[stage.pipeline].from_pretrained(folder, torch_dtype=dtype, local_files_only=True, **shared)
    components = stage.components
    if texts is not None and stage.pipeline == "masked-video":
        video = components["video"]
        components = components | {
            "video": replace(video, parts=tuple(part for part in video.parts if part != "text_encoder"))
        }
    parts = {role: load_component(owner, f"{name}/{role}", component, dtype) for role, component in components.items()}
    if stage.pipeline in LORA_HOSTS and (lora := parts.pop("lora", None)) is not None:
        _add_lora(f"{name}/lora", parts[LORA_HOSTS[stage.pipeline]], lora, stage.components["lora"])
    if stage.pipeline == "outpaint":
        depth_estimator = load_stage(preset, "distance", dtype)
        return OutpaintPipeline(parts["inpaint"], depth_estimator, stage.settings)
    if stage.pipeline == "masked-video":
        pipeline = HeldMaskedVideo(**parts["video"].components)
        if texts is not None:
            pipeline.read_texts, pipeline.words = texts, dict(texts.known)
        return pipeline
    if stage.pipeline == "depth":
        return DepthPipeline(**parts).with_settings(stage.settings)
    return (HeldViews if stage.pipeline == "views" else SAVED[stage.pipeline])(**parts)


class TextReader:
    """Reads texts for a masked-video stage, whose text encoder is as large as all else: it is in memory only meanwhile.

    known: what was read first, before anything else was loaded: the preset's own texts.
    """

    def __init__(self, preset: Preset, dtype: torch.dtype, device: str, how: MemoryPlan | None):
        found = preset.stage("views")
        assert found is not None
        self.owner, stage = found
        self.video, self.dtype, self.device, self.how = stage.components["video"], dtype, device, how
        own = [stage.settings.get("prompt", PROMPT)]
        if preset.max_guidance_scale > 1:
            own.append(stage.settings.get("negative_prompt", NEGATIVE_PROMPT))
        self.known = self(own)

    def __call__(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """[1, 512, D] of each text, on the processor. Raises `OutOfMemory`."""
        needed = replace(self.video, parts=("tokenizer", "text_encoder", "scheduler"))
        pipeline = load_component(self.owner, "views/video", needed, self.dtype)
        with no_room_for_texts(pipeline.text_encoder):
            if self.how is not None and self.how.texts == "layers":
                place(pipeline, dataclasses.replace(self.how, offload="group"), self.device)
            else:
                pipeline.to(self.device)
        with torch.no_grad():
            words = {text: read.cpu() for text, read in read_texts(pipeline, texts).items()}
        pipeline.remove_all_hooks()
        del pipeline
        gc.collect()
        if not self.device.startswith("cpu"):
            torch.accelerator.empty_cache()
        return words


def _add_lora(role: str, pipeline: Any, folder: Path, component: Component) -> None:
    """Loads a LoRA's one file into a pipeline of diffusers."""
    path, detail = folder / component.files[0], "none of its weights has a place there"
    try:
        pipeline.load_lora_weights(folder, weight_name=component.files[0], local_files_only=True)
        fits = bool(pipeline.get_active_adapters())
    except Exception as error:  # a LoRA of another model fails in many ways, or in none
        fits, detail = False, typed_line(error)
    if not fits:
        raise InputError(
            f"{role}: {path} is not a LoRA for {type(pipeline).__name__} ({detail}); take one that was trained for it"
        )


def _class_of(role: str, component: Component) -> Any:
    module, _, name = component.loads.rpartition(".")
    if module.partition(".")[0] not in LIBRARIES:
        raise InputError(f"{role}: `loads` names {component.loads}; give a class of {', '.join(LIBRARIES)}")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"{role}: this machine has no {component.loads} ({typed_line(error)}); correct the preset, or install a "
            f"newer {module.partition('.')[0]}"
        ) from None


def _check_kind(role: str, folder: Path, kind: type) -> None:
    """Raises `InputError` if the folder's configuration names another class."""
    name = "model_index.json" if issubclass(kind, DiffusionPipeline) else "config.json"
    try:
        config = json.loads((folder / name).read_text("utf-8"))
    except (OSError, ValueError) as error:
        if issubclass(kind, torch.nn.Module) or issubclass(kind, DiffusionPipeline):
            raise InputError(f"{role}: {folder / name} cannot be read ({typed_line(error)}); copy it again") from None
        return
    if issubclass(kind, DiffusionPipeline):
        wanted, _ = kind._get_signature_keys(kind)
        absent = sorted(set(wanted) - set(config) - set(kind._optional_components))
        if absent:
            raise InputError(
                f"{role}: {folder} holds a {config.get('_class_name', 'pipeline')} without {', '.join(absent)}, which "
                f"{kind.__name__} needs; put other weights there, or correct `loads` in the preset"
            )
        return
    named = [config["_class_name"]] if "_class_name" in config else config.get("architectures") or []
    readable = {kind.__name__, *getattr(kind, "reads", ())}
    if named and not readable & set(named) and not kind.__name__.startswith("Auto"):
        raise InputError(
            f"{role}: {folder} holds a {named[0]}, not a {kind.__name__}; put such weights there, or correct "
            "`loads` in the preset"
        )


class _Held:
    """A pipeline of views whose `holding` plans its memory before each clip."""

    holding: "Holding | None" = None

    def __call__(self, passes: Sequence[Pass], weights: np.ndarray, **options: Any) -> ViewsPipelineOutput:
        if self.holding is not None:
            height, width = self.grid.pad(passes[0].guidance.colour[:1]).shape[-2:]  # as the networks see them
            self.holding.plan_again(width, height, len(weights))
        return super().__call__(passes, weights, **options)


class HeldViews(_Held, ViewsPipeline):
    """`ViewsPipeline`, planned."""


class HeldMaskedVideo(_Held, MaskedVideoPipeline):
    """`MaskedVideoPipeline`, planned."""


class Holding:
    """How the pipelines of a preset are held on a device: as planned for frames of one size, until the size changes.

    A plan depends on the preset, the size and what was free before anything was loaded, not on what came before: the
    same work is done in the same way each time.

    Raises `InputError` where no plan fits: for the networks alone at once, for the frames when they come.
    """

    def __init__(self, preset: Preset, device: str):
        self.preset, self.device = preset, device
        self.dtype = presets.weights_dtype(device)
        self.free_bytes = memory.free_memory(device)
        found = preset.stage("views")
        self.size, self.frames = found[1].size if found else (0, 0), preset.frames_per_clip
        self.compile = bool(found and found[1].compile)
        try:
            self.plan = self._planned(None)
        except InputError as error:
            try:  # smaller frames may fit
                self.plan, self.size = self._planned(SMALLEST), SMALLEST
            except InputError:
                raise error from None
        self.pipelines: list[Any] = []

    def hold(self, pipelines: Sequence[Any]) -> None:
        """Puts pipelines, that of the views last, on the device as planned."""
        self.pipelines = list(pipelines)
        for pipeline in pipelines:
            place(pipeline, self.plan, self.device)
        if self.device.startswith("cuda") and self.plan is not None and self.plan.offload == "none":
            optimise(pipelines[-1], compiled=self.compile)

    def plan_again(self, width: int, height: int, frames: int) -> None:
        """Before a clip of such frames: holds the networks in another way if necessary, and logs it."""
        # a walk to an anchor has fewer frames than a clip: networks should not be moved at every other unit
        size, frames = (width, height), max(frames, self.frames)
        if (size, frames) == (self.size, self.frames):
            return
        before, self.plan = self.plan, self._planned(size, frames)
        self.size, self.frames = size, frames
        log.warning("Preset %s, frames of %d x %d. %s", self.preset.name, width, height, self.plan)
        assert before is not None and self.plan is not None
        if (before.offload, before.chunked) != (self.plan.offload, self.plan.chunked):
            for pipeline in self.pipelines:
                release(pipeline)
            self.hold(self.pipelines)

    def _planned(self, size: tuple[int, int] | None, frames: int = 0) -> MemoryPlan | None:
        dtype = str(self.dtype).removeprefix("torch.")
        return plan_for(self.preset, self.device, dtype, size=size, frames=frames, free_bytes=self.free_bytes)


def place(pipeline: Any, how: MemoryPlan | None, device: str) -> None:
    """Puts a diffusers pipeline on its device as the plan says, by diffusers' own means."""
    if how is not None and how.chunked:
        for component in pipeline.components.values():
            for method in ("enable_slicing", "enable_tiling", "enable_forward_chunking"):
                if hasattr(component, method):
                    with contextlib.suppress(ValueError, NotImplementedError):  # networks that only claim to support it
                        getattr(component, method)()
        if isinstance(pipeline, ViewsPipeline):
            pipeline.rows_at_once = pipeline.frames_decoded_at_once = 1
        if isinstance(pipeline, MaskedVideoPipeline):
            pipeline.rows_at_once = 1
        if how.device.startswith("mps"):  # without fused attention the maps are as large as everything else
            pipeline.enable_attention_slicing()
    # the built-in networks are small, and their autoencoder has no hook that could move it
    small = isinstance(getattr(pipeline, "vae", None), Autoencoder)
    if how is None or how.offload == "none" or small:
        pipeline.to(device)
    elif how.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        # An autoencoder works by calls that hooks of its parts do not see. Whole blocks would not do: in networks
        # whose blocks stand deeper than the first level, which all text encoders are, nearly everything would stay.
        stays = ["vae", *pipeline._exclude_from_cpu_offload]
        pipeline.enable_group_offload(
            onload_device=torch.device(device),
            offload_type="leaf_level",
            use_stream=device.startswith("cuda"),
            exclude_modules=stays,
        )


def release(pipeline: Any) -> None:
    """Undoes `place` and `optimise`, except for where the networks are."""
    pipeline.remove_all_hooks()
    for component in pipeline.components.values():
        for method in ("disable_slicing", "disable_tiling"):
            if hasattr(component, method):
                getattr(component, method)()
        for module in component.modules() if isinstance(component, torch.nn.Module) else ():
            if hasattr(module, "_diffusers_hook"):
                for name in ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading"):
                    module._diffusers_hook.remove_hook(name, recurse=False)
            if hasattr(module, "set_chunk_feed_forward"):
                module.set_chunk_feed_forward(None, dim=0)
            module._compiled_call_impl = None
    if isinstance(pipeline, ViewsPipeline):
        pipeline.rows_at_once, pipeline.frames_decoded_at_once = ROWS_AT_ONCE, FRAMES_DECODED_AT_ONCE
    if isinstance(pipeline, MaskedVideoPipeline):
        pipeline.rows_at_once = ROWS_AT_ONCE


def optimise(
    pipeline: ViewsPipeline | MaskedVideoPipeline, *, channels_last: bool = True, compiled: bool = False
) -> None:
    """Convolutions' weights in the order that tensor cores read them, and networks `compiled`: same results, faster.

    Compiling takes minutes at the first frames of each size.
    """
    pipeline.prepare()  # hooks first: the graph then goes through them
    for network in {id(part): part for part in (*pipeline.networks(), pipeline.vae)}.values():
        for module in network.modules():
            if channels_last and isinstance(module, torch.nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            _compile(network.decoder if network is pipeline.vae else network)


def _compile(network: torch.nn.Module) -> None:
    """Compile a network, once for each size of its input; if that fails it stays uncompiled, with a warning."""
    network.compile(dynamic=False)
    compiled = network._compiled_call_impl
    assert compiled is not None

    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return compiled(*arguments, **options)
        except TorchDynamoException as error:  # no compiler on this machine, a kernel that it refuses, ...
            network._compiled_call_impl = None
            reason = " ".join(str(error).partition("\n\n")[0].split())
            log.warning(
                "%s cannot be compiled here (%s); it runs uncompiled, slower. Take `compile` out of the preset, or "
                "install a C++ compiler, and triton for a GPU.",
                type(network).__name__,
                reason,
            )
        return network(*arguments, **options)

    network._compiled_call_impl = call


def load_pipelines(preset: Preset, device: str) -> tuple[Any, Any, Holding]:
    """The panorama pipeline and the views pipeline of a preset on a device, and how they are held in its memory.

    Raises `InputError` naming what is missing, of a wrong kind, or too large for the device.
    """
    if not preset.installed:
        raise InputError(f"the preset {preset.name!r} cannot run here: {preset.missing}")
    holding = Holding(preset, device)
    dtype, texts = holding.dtype, None
    if (found := preset.stage("views")) and found[1].pipeline == "masked-video":
        texts = TextReader(preset, dtype, device, holding.plan)  # before anything else is in memory
    panorama = load_stage(preset, "panorama", dtype)
    owners = [found[0] for name in ("panorama", "views") if (found := preset.stage(name))]
    shared = getattr(panorama, "vae", None) if owners[0] == owners[1] else None
    views = load_stage(preset, "views", dtype, vae=shared, texts=texts)
    if preset.stage("distance") and isinstance(panorama, PanoramaPipeline):
        panorama = MeasuredPanorama(panorama, load_stage(preset, "distance", dtype))
    depth_estimator = getattr(panorama, "depth_estimator", None)
    views.depth_estimator = depth_estimator if isinstance(depth_estimator, DepthPipeline) else None
    pipelines = [*getattr(panorama, "pipelines", [panorama]), views]
    for pipeline in pipelines:
        pipeline.set_progress_bar_config(disable=True)
    holding.hold(pipelines)
    if isinstance(views, _Held):
        views.holding = holding
    return panorama, views, holding
