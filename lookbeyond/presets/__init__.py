"""Presets: which weights and settings make a world and a shot. Importing this needs no torch.

A preset is a folder with a `preset.json`: the fields of `Preset`, among them its `stages`. A stage says which pipeline
runs it and where its components come from: a hub id or a local folder. It may also be taken whole from another preset.
Without `stages` the folder holds two saved diffusers pipelines, `panorama/` and `views/`, which share the autoencoder
in `panorama/vae`: so does the built-in preset, and so does what `lookbeyond train preset` writes.

Presets lie beside this file and in the user's own folder (`user_root`). Nothing is downloaded here: what is missing is
said, and `lookbeyond fetch PRESET` gets it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from lookbeyond.errors import InputError
from lookbeyond.photo.limits import MOST_ON_CANVAS, MOST_PHOTOS

ROOT = Path(__file__).parent
STAGES = ("panorama", "views", "distance")
STAGE_FIELDS = {
    "panorama": ("panorama_steps", "panorama_coarse_noise", "unseen"),
    "views": (
        "frames_per_clip",
        "views_steps",
        "strength",
        "strength_in_holes",
        "min_guidance_scale",
        "max_guidance_scale",
        "panorama_detail",
        "views_pixels",
    ),
    "distance": (),
}
"""Settings that come along with a stage taken from another preset, unless the preset has its own."""
ROLES = {
    "panorama": ("vae", "image_encoder", "transformer", "scheduler"),
    "outpaint": ("inpaint", "lora"),
    "views": ("vae", "image_encoder", "unet", "scheduler", "unet_backward", "raymap_encoder", "unet_weights", "lora"),
    "masked-video": ("video", "lora"),
    "depth": ("model",),
}
"""The components that each pipeline knows."""
MAX_PROMPT = 1000
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SAVED_PARTS = {"panorama": ("transformer", "vae", "image_encoder"), "views": ("unet", "image_encoder")}


class Component(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where one network's (or one whole saved pipeline's) files come from, and under which terms.

    Give `hub` or `folder`; both only when `folder` may stand in for the download.
    """

    loads: str = ""
    """Module and name of the class that loads it: "diffusers.AutoencoderKL". Empty: the files as they are (a LoRA)."""
    hub: str = ""
    """Id on the hub, "owner/name"."""
    revision: str = "main"
    """Branch, tag or commit on the hub."""
    folder: str = ""
    """A local folder in hub layout; relative to the preset's own, ~ is the user's home."""
    subfolder: str = ""
    """Where in the repository or folder it lies."""
    variant: str = ""
    """Which weights to take: "fp16" reads `*.fp16.safetensors`."""
    parts: tuple[str, ...] = ()
    """Of a whole saved pipeline: the subfolders that are needed."""
    files: tuple[str, ...] = ()
    """Patterns of the files needed, below `subfolder`; by default a configuration and safetensors of `variant`."""
    licence: str = ""
    licence_url: str = ""
    gated: bool = False
    """The hub gives it only to who has accepted its terms there."""
    optional: bool = False
    """The preset also runs without it."""
    download_gb: float = 0.0
    """Size of its files, 1e9 bytes, as expected before anything is known."""
    parameters_m: dict[str, float] = {}
    """Millions of parameters by part ("unet", "text_encoder", ...): what memory is planned with before it is here."""
    working: dict[str, float] = {}
    """How many times the usual working values of its class a part takes: a larger network of the same class."""


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one stage runs. Give `preset`, or `pipeline` with `folder` or `components`.

    Beside `preset` there may be `components` and `settings`, which stand in for those of the same name there or are
    added to them, and nothing else.
    """

    preset: str = ""
    """The name of the preset that this stage is taken from."""
    pipeline: Literal["", "panorama", "outpaint", "views", "masked-video", "depth"] = ""
    """Which of our pipelines: `PanoramaPipeline`, `OutpaintPipeline`, `ViewsPipeline`, `MaskedVideoPipeline`,
    `DepthPipeline`."""
    folder: str = ""
    """A saved pipeline, relative to the preset's folder."""
    components: dict[str, Component] = {}
    """By the names that the pipeline's constructor gives them."""
    settings: dict[str, Any] = {}
    """Keyword arguments of the pipeline's call that are not fields of the preset."""
    size: tuple[int, int] = (1024, 1024)
    """Width and height of the largest picture at work: what memory is planned for."""
    compile: bool = False
    """Compile the views' networks on a GPU that holds all of them: minutes at the first frames of each size."""


@dataclass(frozen=True)
class Preset:
    """What a preset is and how it is run."""

    name: str
    title: str
    description: str
    licence: str
    memory_gb: float
    """Peak memory of a world and of a shot at 384 x 256, measured; where it is reckoned the description says so."""
    frames_per_clip: int
    panorama_steps: int
    views_steps: int
    strength: float
    """Share of the noise that frames without holes start from; the rest is what is known of them."""
    min_guidance_scale: float
    max_guidance_scale: float
    strength_in_holes: float = 1.0
    """Share of the noise that frames start from of which a quarter or more are holes: what holes were filled with to
    begin with is smooth, and only noise makes details of it."""
    panorama_coarse_noise: float = 1.0
    """How much seeds change a panorama's palette and layout, 0 to 1; details always change."""
    panorama_detail: float = 0.0
    """How far `visible` pixels of a frame are the panorama's own, 0 to 1: for networks that resolve less than it."""
    unseen: Literal["plain", "dressed", "as-painted"] = "as-painted"
    """How worlds show what nobody saw, unless it is asked for otherwise: as the panorama model painted it, or drawn."""
    views_pixels: int = 0
    """Most pixels of a frame that its holes are filled at, where `panorama_detail` is 1: as many as the network learned
    from. What it made is then enlarged into the holes. 0: the frame's own."""
    stages: dict[str, Stage] = field(default_factory=dict)
    """By name, of `STAGES`; without any: pipelines saved in the preset's folder. Without "distance" the panorama stage
    makes its own."""

    @property
    def folder(self) -> Path:
        return next((path.parent for path in _files() if path.parent.name == self.name), ROOT / self.name)

    @property
    def most_photos(self) -> int:
        """How many photos of one place its panorama is made of."""
        stage = self.stage("panorama") if self.stages else None
        return MOST_ON_CANVAS if stage is not None and stage[1].settings.get("way") == "canvas" else MOST_PHOTOS

    def stage(self, name: str) -> tuple["Preset", Stage] | None:
        """A stage and the preset that it really belongs to; None for a distance that the panorama makes itself."""
        stage = self.stages.get(name) if self.stages else _SAVED.get(name)
        if stage is None:
            # what measures a borrowed panorama comes along with it
            panorama = self.stages.get("panorama")
            return get(panorama.preset).stage(name) if name == "distance" and panorama and panorama.preset else None
        if not stage.preset:
            return self, stage
        owner, theirs = get(stage.preset)._lent(name)
        own = {role: self._own(component, theirs.components.get(role)) for role, component in stage.components.items()}
        return owner, replace(theirs, components=theirs.components | own, settings=theirs.settings | stage.settings)

    def _lent(self, name: str) -> tuple["Preset", Stage]:
        """A stage as another preset may take it."""
        # a panorama stage that makes its own distance can also measure a finished panorama
        found = self.stage(name) or self.stage("panorama")
        assert found is not None, "a panorama stage is in every preset"
        return found

    def _own(self, component: Component, theirs: Component | None) -> Component:
        """A component over one of another preset's stage: what kind of thing it is stays unless it is said, where it
        comes from is its own. Its folder no longer depends on whose stage it is in."""
        if theirs is not None:
            component = replace(
                component,
                loads=component.loads or theirs.loads,
                parts=component.parts or theirs.parts,
                files=component.files or theirs.files,
            )
        if component.folder:
            component = replace(component, folder=str(self.folder / Path(component.folder).expanduser()))
        return component

    @property
    def takes_prompt(self) -> bool:
        """Whether a world can be told what the place is: only public inpainting models understand words."""
        found = self.stage("panorama")
        return found is not None and found[1].pipeline == "outpaint"

    def components(self) -> Iterator[tuple[str, "Preset", Component]]:
        """Every component with a source of its own: "stage/name", the preset that it belongs to, and itself."""
        for name in STAGES:
            if found := self.stage(name):
                owner, stage = found
                for role, component in stage.components.items():
                    yield f"{name}/{role}", owner, component

    @property
    def missing(self) -> str:
        """What keeps the preset from running, with the remedy; empty when nothing does."""
        try:
            for name in STAGES:
                if found := self.stage(name):
                    owner, stage = found
                    for part in _SAVED_PARTS.get(stage.folder, ()):
                        if not list((owner.folder / stage.folder / part).glob("*.safetensors")):
                            return (
                                f"the weights of {stage.folder}/{part} are not in {owner.folder}; "
                                "install the lookbeyond package again"
                            )
            from . import weights

            return weights.missing(self)
        except InputError as error:
            return str(error)

    @property
    def installed(self) -> bool:
        return not self.missing


_SAVED = {name: Stage(pipeline=name, folder=name) for name in ("panorama", "views")}


def user_root() -> Path:
    """The folder of the user's own presets; `LOOKBEYOND_PRESETS_DIR` names another one."""
    import platformdirs

    chosen = os.environ.get("LOOKBEYOND_PRESETS_DIR")
    return Path(chosen) if chosen else platformdirs.user_config_path("lookbeyond") / "presets"


def available() -> list[Preset]:
    """Every preset that there is, installed or not; a user's file that cannot be read is left out (`unreadable`)."""
    return [preset for path in _files() if isinstance(preset := _try(path), Preset)]


def check_prompt(name: str, prompt: str) -> None:
    """InputError for words that the preset could not heed."""
    if not isinstance(prompt, str) or len(prompt) > MAX_PROMPT:
        raise InputError(f"a prompt is text of at most {MAX_PROMPT} characters; shorten it")
    if prompt and not get(name).takes_prompt:
        able = ", ".join(preset.name for preset in available() if preset.takes_prompt)
        raise InputError(f"the preset {name!r} takes no prompt; leave it out, or choose one that does: {able}")


def unreadable() -> list[str]:
    """What is wrong with preset files that `available` leaves out, one sentence each."""
    return [str(error) for path in _files() if isinstance(error := _try(path), InputError)]


def get(name: str) -> Preset:
    """A preset by its name; `InputError` names the ones there are, or what is wrong with its file."""
    for path in _files():
        if path.parent.name == name:
            return _read(path)
    names = ", ".join(preset.name for preset in available())
    raise InputError(f"there is no preset {name!r}; choose one of: {names}")


@lru_cache
def revision(name: str) -> str:
    """Twelve hexadecimal digits of a hash of all the preset's files: changes when the results may."""
    digest = hashlib.sha256()
    preset = get(name)
    for path in sorted(preset.folder.rglob("*")):
        if path.suffix in (".json", ".safetensors"):
            digest.update(path.relative_to(preset.folder).as_posix().encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    for name_of_stage, stage in preset.stages.items():
        if stage.preset:
            digest.update(revision(stage.preset).encode())
        if stage.components and (found := preset.stage(name_of_stage)):
            from . import weights

            for role in stage.components:
                component = found[1].components[role]
                digest.update(f"{role} {weights.fingerprint(found[0], component)}".encode())
    return digest.hexdigest()[:12]


def weights_dtype(device: str):
    """bfloat16 where the device itself computes with it; else float16 on a GPU, float32 elsewhere."""
    import torch

    if device.startswith("cpu"):
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    # older GPUs convert every bfloat16 to float32 and back: slower than either
    if device.startswith("cuda") and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16 if device.startswith("cuda") else torch.float32


def _files() -> list[Path]:
    """Every preset.json, ours first; a user's preset cannot take the name of one of ours."""
    ours = sorted(ROOT.glob("*/preset.json"))
    names = {path.parent.name for path in ours}
    return ours + [path for path in sorted(user_root().glob("*/preset.json")) if path.parent.name not in names]


def _try(path: Path) -> Preset | InputError:
    try:
        return _read(path)
    except InputError as error:
        return error


def _read(path: Path, readers: tuple[Path, ...] = ()) -> Preset:
    """A preset from its file, settings of borrowed stages filled in; `InputError` says what is wrong with it."""
    if path in readers:
        raise InputError(f"{path} takes a stage from itself by way of others; name the preset that really has it")
    try:
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        stages = msgspec.convert(values.get("stages", {}), dict[str, Stage])
        sources: dict[str, Preset] = {}
        for name, stage in stages.items():
            if stage.preset and name in STAGES:
                other = next((file for file in _files() if file.parent.name == stage.preset), None)
                if other is None:
                    raise InputError(f"{path} takes its {name} stage from {stage.preset!r}, which is no preset")
                source = sources[name] = _read(other, (*readers, path))
                values = {key: getattr(source, key) for key in STAGE_FIELDS[name]} | values
        unknown = sorted(set(values) - {entry.name for entry in fields(Preset)} | set(stages) - set(STAGES))
        if unknown:
            raise InputError(f"{path} has fields that no preset has: {', '.join(unknown)}; correct or remove them")
        _check_stages(path, stages, sources)
        return msgspec.convert({"name": path.parent.name} | values | {"stages": stages}, Preset)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path} is no preset: {error}; see docs/presets.md for what it must hold") from None


def _check_stages(path: Path, stages: dict[str, Stage], sources: dict[str, Preset]) -> None:
    """sources: the presets that stages are taken from, by the stages' names."""
    if stages and not {"panorama", "views"} <= set(stages):
        raise InputError(f"{path} needs both a panorama and a views stage; take one from another preset if need be")
    if "panorama" in stages and stages["panorama"].pipeline == "outpaint" and "distance" not in stages:
        raise InputError(
            f'{path} needs a distance stage: outpainting makes colour only; {{"preset": "builtin"}} will do'
        )
    for name, stage in stages.items():
        if not stage.preset and (not stage.pipeline or bool(stage.folder) == bool(stage.components)):
            raise InputError(
                f"{path}: its {name} stage needs a `preset`, or a `pipeline` with `folder` or `components`"
            )
        if stage.preset and stage != Stage(preset=stage.preset, components=stage.components, settings=stage.settings):
            raise InputError(
                f"{path}: its {name} stage is taken from {stage.preset!r}; beside `preset` give `components` and "
                "`settings` only, or the whole stage without `preset`"
            )
        whole = sources[name]._lent(name)[1] if stage.preset else stage
        if stage.components and whole.folder:
            raise InputError(
                f"{path}: the {name} stage of {stage.preset!r} is a saved pipeline, in which components cannot be "
                "replaced; leave them out, or take the stage from another preset"
            )
        if unknown := sorted(set(stage.components) - set(ROLES[whole.pipeline])):
            raise InputError(
                f"{path}: a {whole.pipeline} pipeline has no component {', '.join(unknown)}; it has "
                f"{', '.join(ROLES[whole.pipeline])}"
            )
        for role, component in stage.components.items():
            if not component.hub and not component.folder:
                raise InputError(f"{path}: {name}/{role} says neither `hub` nor `folder`; give one of the two")
            if component.hub and not _HUB_ID.fullmatch(component.hub):
                raise InputError(f"{path}: {name}/{role}: {component.hub!r} is no id on the hub; give owner/name")
