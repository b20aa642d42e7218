"""Teaches Stable Video Diffusion to follow cameras, as the paper does: its backbone stays frozen, a LoRA and the raymap
encoder with its adapters are trained.

    accelerate launch -m lookbeyond.training.svd --model stabilityai/stable-video-diffusion-img2vid \\
        --real-estate RealEstate10K --out weights --gradient-checkpointing

One network learns both passes: half of the clips are read from their end, and their rays start there. OUT/lora
(as peft writes it) and OUT/raymap_encoder are what a preset of SVD loads. `--model` is a folder in the hub's layout,
or the id of a model that the hub's cache on this machine holds; nothing is downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from transformers import CLIPVisionModelWithProjection

from lookbeyond.data.footage import CameraMove
from lookbeyond.data.reading import log, read_each
from lookbeyond.errors import InputError, one_line
from lookbeyond.geometry.projection import plucker_rays
from lookbeyond.models.autoencoder import encode_images, spatial_scale_factor
from lookbeyond.models.image_encoder import embed_images
from lookbeyond.models.lora import add_lora, load_lora, lora_parameters, save_lora
from lookbeyond.models.raymap_encoder import RaymapEncoder
from lookbeyond.pipelines.guidance import image_tensor
from lookbeyond.presets import Component, weights

from . import loop
from .clips import add_footage_arguments, choose_frames, crop_frames, read_footage

FPS, MOTION_BUCKET = 7, 127
"""SVD's micro-conditions, those that `ViewsPipeline` gives."""
FREE_SHARE = 0.1
"""Share of the samples that get nothing but their rays, for classifier-free guidance."""


@dataclass(frozen=True)
class PublishedNetworks:
    """What stays as it was published."""

    unet: UNetSpatioTemporalConditionModel
    vae: AutoencoderKLTemporalDecoder
    image_encoder: CLIPVisionModelWithProjection


class Lora(torch.nn.Module):
    """The trained weights inside a UNet, alone: so that its frozen ones are neither exchanged nor saved."""

    _supports_gradient_checkpointing = True

    def __init__(self, unet: UNetSpatioTemporalConditionModel):
        super().__init__()
        self.weights = torch.nn.ParameterList(lora_parameters(unet))
        self.of = [unet]  # in a list: no part of this module

    def enable_gradient_checkpointing(self) -> None:
        self.of[0].enable_gradient_checkpointing()

    def save_pretrained(self, folder: Path) -> None:
        save_lora(self.of[0], Path(folder))


def load_backbone(model: str, device: str, dtype: torch.dtype) -> PublishedNetworks:
    """The frozen parts of SVD; InputError when the model is not here, or is another one."""
    parts = {"unet": UNetSpatioTemporalConditionModel, "vae": AutoencoderKLTemporalDecoder}

    def options(name: str) -> dict[str, Any]:
        # `lookbeyond fetch svd` brings the files of half precision only
        return {"subfolder": name, "variant": weights.variant_in(folder / name), "local_files_only": True}

    try:
        folder = (None if Path(model).exists() else weights.locate_cached(Component(hub=model))) or Path(model)
        loaded = {
            name: kind.from_pretrained(folder, torch_dtype=dtype, **options(name)) for name, kind in parts.items()
        }
        loaded["image_encoder"] = CLIPVisionModelWithProjection.from_pretrained(
            folder, dtype=dtype, **options("image_encoder")
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{model} cannot be loaded as Stable Video Diffusion ({one_line(error, 160)}); give a folder "
            "in the hub's layout, or fetch the model first with `lookbeyond fetch svd`."
        ) from error
    if loaded["unet"].config.in_channels != 2 * loaded["vae"].config.latent_channels:
        raise InputError(f"The UNet in {model} is not conditioned on an image; give an image-to-video model.")
    for part in loaded.values():
        part.to(device).eval().requires_grad_(False)
    return PublishedNetworks(**loaded)


def adapters(backbone: PublishedNetworks, rank: int, begin_with: Path | None = None) -> dict[str, torch.nn.Module]:
    """The LoRA and the raymap encoder in their places, new or those of an earlier run; in float32, to be trained.

    Raises InputError when they were trained for another model.
    """
    unet = backbone.unet
    if begin_with is None:
        add_lora(unet, rank)
        encoder = RaymapEncoder.for_unet(unet)
    else:
        try:
            encoder = RaymapEncoder.from_pretrained(begin_with / "raymap_encoder", torch_dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise InputError(f"The folder {begin_with} holds no raymap_encoder; give the --out of a run.") from error
        load_lora(unet, begin_with / "lora")
    encoder.to(unet.device).install(unet)
    for parameter in lora_parameters(unet):
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return {"lora": Lora(unet), "raymap_encoder": encoder}


class MovingFrames:
    """Batches of clips out of footage: "frames" [B, N, 3, H, W] in -1..1 and "rays" [B, N, 6, h, w]."""

    def __init__(
        self, moves: Sequence[CameraMove], *, count: int, size: tuple[int, int], factor: int, batch: int, device: str
    ):
        """count: frames of a clip; size: their width and height; factor: pixels a latent."""

        def long_enough(move: CameraMove) -> CameraMove:
            choose_frames(move, np.random.default_rng(0), count)
            return move

        self.moves = list(read_each(moves, long_enough))
        if not self.moves:
            raise InputError(f"None of the {len(moves)} camera moves has {count} frames; give longer ones.")
        self.count, self.size, self.factor, self.batch, self.device = count, size, factor, batch, device

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        samples = [self._sample(rng) for _ in range(self.batch)]
        frames, rays = (torch.stack(parts).to(self.device) for parts in zip(*samples, strict=True))
        return {"frames": frames, "rays": rays}

    def _sample(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        for _ in range(20):
            move = self.moves[rng.integers(len(self.moves))]
            chosen = [move.frames[k] for k in choose_frames(move, rng, self.count)]
            chosen = chosen[:: rng.choice([-1, 1])]
            try:
                views, _ = crop_frames(chosen, rng, self.size, zooms=(1,))
            except InputError as error:
                log.warning("Left out: %s", error)
                continue
            scale = float(np.median(np.stack([view.distance for view in views])))
            width, height = (side // self.factor for side in self.size)
            small = [view.camera.resized(width, height) for view in views]
            rays = torch.from_numpy(plucker_rays(small, small[0], scale)).permute(0, 3, 1, 2)
            return torch.cat([image_tensor(view.colour) for view in views]), rays
        raise InputError(f"Twenty clips of {move.name} and others could not be read; the warnings say why.")


def denoising_loss(backbone: PublishedNetworks, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """SVD's own objective (EDM with v-prediction): squared error of what the UNet gives, noise levels log-normal."""
    frames, rays = batch["frames"], batch["rays"]
    count, device = len(frames), frames.device
    unet, dtype = backbone.unet, backbone.vae.dtype

    def normal(mean: float, deviation: float) -> torch.Tensor:
        return (torch.randn(count, device=device) * deviation + mean).exp()

    augmentation = normal(-3, 0.5)
    with torch.no_grad():
        clean = torch.cat([encode_images(backbone.vae, some) for some in frames.flatten(0, 1).split(4)]).float()
        clean = clean.unflatten(0, frames.shape[:2])
        first = frames[:, 0] + augmentation[:, None, None, None] * torch.randn_like(frames[:, 0])
        first_latents = backbone.vae.encode(first.to(dtype)).latent_dist.mode().float()  # not scaled, as in SVD
        side = backbone.image_encoder.config.image_size
        embedding = embed_images(backbone.image_encoder, _resize_with_antialiasing(frames[:, 0], (side, side)))
    kept = (torch.rand(count, device=device) >= FREE_SHARE).float()
    first_latents = first_latents * kept[:, None, None, None]
    embedding = embedding.float() * kept[:, None]
    sigma = normal(0.7, 1.6)
    level = sigma[:, None, None, None, None]
    noisy = clean + level * torch.randn_like(clean)
    scaled = noisy / (level.square() + 1).sqrt()
    first_latents = first_latents[:, None].expand(-1, frames.shape[1], -1, -1, -1)
    ids = torch.stack([torch.full_like(sigma, FPS - 1), torch.full_like(sigma, MOTION_BUCKET), augmentation], 1)
    output = unet(
        torch.cat([scaled, first_latents], 2).to(dtype),
        0.25 * sigma.log(),
        embedding[:, None].to(dtype),
        ids.to(dtype),
        raymap=rays,
    ).sample.float()
    wanted = (noisy / (level.square() + 1) - clean) * (level.square() + 1).sqrt() / level
    return {"loss": (output - wanted).square().mean()}


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("svd", __doc__)
    parser.add_argument("--model", required=True, help="folder or cached hub id of Stable Video Diffusion")
    parser.add_argument("--begin-with", type=Path, help="--out of an earlier run, whose LoRA and encoder to train on")
    parser.add_argument("--rank", type=int, default=16, help="of the LoRA")
    parser.add_argument("--frames", type=int, help="of a clip; the model's own number unless given")
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--height", type=int, default=320)
    add_footage_arguments(parser)
    loop.add_arguments(parser, minutes=600, batch=1, learning_rate=1e-4)
    options = parser.parse_args(argv)
    for name in ("width", "height"):
        if getattr(options, name) <= 0 or getattr(options, name) % 64:
            raise InputError(f"--{name} is {getattr(options, name)}; give a multiple of 64.")
    if options.rank <= 0 or (options.frames is not None and options.frames < 2):
        raise InputError("--rank has to be at least 1 and --frames at least 2.")
    accelerator = loop.begin(options)
    moves = read_footage(options)
    if not moves:
        raise InputError("There is nothing to train on; give --real-estate, --captures or --from.")
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    backbone = load_backbone(options.model, options.device, dtype)
    trained = adapters(backbone, options.rank, options.begin_with)
    count = options.frames or backbone.unet.config.num_frames
    clips = MovingFrames(
        moves,
        count=count,
        size=(options.width, options.height),
        factor=spatial_scale_factor(backbone.vae),
        batch=options.batch,
        device=options.device,
    )
    loop.run(accelerator, trained, clips, lambda batch: denoising_loss(backbone, batch), options, ahead=True)


if __name__ == "__main__":
    loop.command(main)
