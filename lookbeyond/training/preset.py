"""Puts trained weights together as a preset, in half precision and in the diffusers layout.

    lookbeyond train preset --weights weights --out lookbeyond/presets/builtin

The two pipelines share one autoencoder, which lies in `panorama/vae` only. A layout network among the weights goes to
`layout`; given nothing else, it joins what the preset's folder holds. A folder without a `preset.json` gets the
built-in preset's, with its settings.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import CLIPVisionModelWithProjection

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.models.autoencoder import Autoencoder
from lookbeyond.models.layout_network import LayoutNetwork
from lookbeyond.models.panorama_transformer import PanoramaTransformer
from lookbeyond.models.views_unet import ViewsUNet
from lookbeyond.pipelines.panorama import PanoramaPipeline
from lookbeyond.pipelines.views import ViewsPipeline

from . import loop
from .panorama import SHIFT


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lookbeyond train preset", description=__doc__)
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="folders that hold what the trainers saved"
    )
    parser.add_argument("--out", type=Path, required=True, help="the preset's folder")
    options = parser.parse_args(argv)

    def saved(name: str) -> Path:
        found = [folder / name for folder in options.weights if (folder / name).is_dir()]
        if not found:
            raise InputError(f"There is no {name} in {', '.join(map(str, options.weights))}; train it first.")
        return found[0]

    parts = {"torch_dtype": torch.bfloat16}
    layouts = [folder / "layout" for folder in options.weights if (folder / "layout").is_dir()]
    others = any((folder / "transformer").is_dir() for folder in options.weights)
    if others or not layouts or not (options.out / "panorama").is_dir():
        _save_pipelines(options.out, saved, parts)
    if layouts:
        shutil.rmtree(options.out / "layout", ignore_errors=True)
        # its weights are small numbers, and it computes in float32: float16 keeps them three bits better
        LayoutNetwork.from_pretrained(layouts[0], torch_dtype=torch.float16).save_pretrained(options.out / "layout")
    for path in options.out.rglob("config.json"):  # where it was made concerns nobody
        config = json.loads(path.read_text("utf-8"))
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    about = options.out / "preset.json"
    if not about.exists():
        settings = json.loads((presets.ROOT / "builtin" / "preset.json").read_text("utf-8"))
        settings |= {"title": "Trained here", "description": "The built-in networks with weights of one's own."}
        about.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    weights = list(options.out.rglob("*.safetensors"))
    for path in weights:
        path.chmod(0o644)
    total = sum(path.stat().st_size for path in weights)
    print(f"{options.out}: {total / 1e6:.1f} MB of weights")


def _save_pipelines(out: Path, saved: Callable[[str], Path], parts: dict) -> None:
    """Panorama and views, from the folders of their parts."""
    vae = Autoencoder.from_pretrained(saved("vae"), **parts)
    panorama = PanoramaPipeline(
        vae,
        CLIPVisionModelWithProjection.from_pretrained(saved("image_encoder"), dtype=torch.bfloat16),
        PanoramaTransformer.from_pretrained(saved("transformer"), **parts),
        FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    )
    views = ViewsPipeline(
        vae,
        CLIPVisionModelWithProjection.from_pretrained(saved("views_image_encoder"), dtype=torch.bfloat16),
        ViewsUNet.from_pretrained(saved("unet"), **parts),
        FlowMatchEulerDiscreteScheduler(),
    )
    for name, pipeline in (("panorama", panorama), ("views", views)):
        shutil.rmtree(out / name, ignore_errors=True)
        pipeline.save_pretrained(out / name)
    shutil.rmtree(out / "views" / "vae")


if __name__ == "__main__":
    loop.command(main)
