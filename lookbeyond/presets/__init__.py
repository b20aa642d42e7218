"""Presets: which weights and settings make a world and a shot. Importing this needs no torch.

A preset is a folder with a `preset.json` (the fields of `Preset`), a card, and two diffusers pipelines, `panorama/`
and `views/`, which share the autoencoder in `panorama/vae`.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lookbeyond.errors import InputError

ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Preset:
    """What a preset is and how it is run."""

    name: str
    title: str
    description: str
    licence: str
    memory_gb: float
    """Peak memory of a world and of a shot at 384 x 256, measured."""
    frames_per_clip: int
    panorama_steps: int
    views_steps: int
    strength: float
    """Share of the noise that frames without holes start from."""
    min_guidance_scale: float
    max_guidance_scale: float
    panorama_noise: float = 1.0
    """Deviation of the noise that panoramas start from; below 1 rooms are plainer and likelier."""

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def missing(self) -> str:
        """What keeps the preset from running, with the remedy; empty when nothing does."""
        for part in (
            "panorama/transformer",
            "panorama/vae",
            "panorama/image_encoder",
            "views/unet",
            "views/image_encoder",
        ):
            if not list((self.folder / part).glob("*.safetensors")):
                return f"the weights of {part} are not in {self.folder}; install the lookbeyond package again"
        return ""

    @property
    def installed(self) -> bool:
        return not self.missing


def available() -> list[Preset]:
    """Every preset that this version knows, installed or not."""
    return [_read(path) for path in sorted(ROOT.glob("*/preset.json"))]


def get(name: str) -> Preset:
    """A preset by its name; `InputError` names the ones there are."""
    presets = {preset.name: preset for preset in available()}
    if name not in presets:
        raise InputError(f"there is no preset {name!r}; choose one of: {', '.join(presets)}")
    return presets[name]


@lru_cache
def revision(name: str) -> str:
    """Twelve hexadecimal digits of a hash of all the preset's files: changes when the results may."""
    digest = hashlib.sha256()
    folder = get(name).folder
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".json", ".safetensors"):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def weights_dtype(device: str):
    """bfloat16 where the device computes with it, float32 elsewhere."""
    import torch

    if device.startswith("cpu"):
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    if device.startswith("cuda") and not torch.cuda.is_bf16_supported():
        return torch.float16
    return torch.bfloat16 if device.startswith("cuda") else torch.float32


def _read(path: Path) -> Preset:
    return Preset(name=path.parent.name, **json.loads(path.read_text("utf-8")))
