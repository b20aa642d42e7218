"""Trains the panorama transformer and the image encoder together, on latents of panoramas.

    lookbeyond train panorama --rooms pool --vae weights/vae --out weights --minutes 60
    accelerate launch -m lookbeyond.training.panorama --panoramas pictures --vae weights/vae --out weights

Rooms bring their distance. Pictures have none: they teach colour only, and their distance stays out of the loss.

The paper's network (`--network dit-xl-2`, colour only) is trained on the latents of Stable Diffusion's autoencoder, and
conditioned on the photo by a CLIP vision tower; both are published models, given by folder, and stay as they are.

    accelerate launch -m lookbeyond.training.panorama --network dit-xl-2 --vae sd-vae-ft-ema --image-encoder clip \
        --matterport scans --out weights --gradient-checkpointing

Neither network can break the panorama's seam. `--network dit-xl-2-plain` can: a plain DiT with its fixed embedding of
places, as the paper has it. It is trained with the cycle-consistency loss: what it makes of a panorama that is turned
should be turned by as much (`--cycle-loss 0` leaves that out, for comparison).

Flow matching (Lipman et al. 2023): latents x = (1 - t)·clean + t·noise, the network predicts noise - clean. Every
sample is a room rolled so that a photo of random field of view, pitch, roll and aspect stands at its centre; the
network sees the photo's latents, where they are, and the photo's embedding.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F
from transformers import CLIPVisionModelWithProjection

from lookbeyond.data.panoramas import read_shard, shards_in
from lookbeyond.data.rooms import equirectangular_rays
from lookbeyond.distance import DISTANCE_CHANNELS, log_distance_to_latents
from lookbeyond.errors import InputError
from lookbeyond.models.autoencoder import Autoencoder, encode_images, spatial_scale_factor
from lookbeyond.models.image_encoder import built_in_encoder, embed_images
from lookbeyond.models.panorama_transformer import DIT_XL_2, PanoramaTransformer, rolled
from lookbeyond.presets import weights

from . import loop, pictures

SCALE = 8
SHIFT = 4.0
"""Of the noise levels, in training and in the sampler's steps."""
NETWORKS: dict[str, dict] = {"built-in": {}, "dit-xl-2": DIT_XL_2, "dit-xl-2-plain": DIT_XL_2 | {"wraps": False}}


@dataclass(frozen=True)
class Photos:
    """Photo cameras at the panorama's centre. fov and aspect as tangents of half angles."""

    tan_x: torch.Tensor  # [B]
    tan_y: torch.Tensor  # [B]
    rotation: torch.Tensor  # [B, 3, 3] camera (x right, y down, z forward) to world (X forward, Z up)

    @classmethod
    def draw(cls, count: int, generator: torch.Generator) -> "Photos":
        def uniform(low, high):
            return torch.rand(count, generator=generator) * (high - low) + low

        fov = torch.deg2rad(uniform(50, 100))
        aspects = torch.tensor([4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4])
        aspect = aspects[torch.randint(len(aspects), (count,), generator=generator)]
        pitch, roll = torch.deg2rad(uniform(-15, 15)), torch.deg2rad(uniform(-5, 5))
        zero, one = torch.zeros(count), torch.ones(count)
        cp, sp, cr, sr = pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
        forward = torch.stack([cp, zero, sp], -1)
        level_right, level_down = torch.stack([zero, -one, zero], -1), torch.stack([sp, zero, -cp], -1)
        right = cr[:, None] * level_right + sr[:, None] * level_down
        down = cr[:, None] * level_down - sr[:, None] * level_right
        tan_x = (fov / 2).tan().clamp_max(1.3)
        return cls(tan_x, tan_x / aspect, torch.stack([right, down, forward], -1))

    def mask(self, height: int, width: int) -> torch.Tensor:
        """[B, 1, height, width] 1 where a cell of the panorama lies wholly inside the photo."""
        fine = 4
        rays = equirectangular_rays(height * fine, width * fine)
        x, y, z = (rays @ self.rotation).unbind(-1)
        inside = (z > 1e-3) & (x.abs() < z * self.tan_x[:, None]) & (y.abs() < z * self.tan_y[:, None])
        return -F.max_pool2d(-inside.float().view(-1, 1, height * fine, width * fine), fine)

    def images(self, panoramas: torch.Tensor, size: int) -> torch.Tensor:
        """Panoramas [B, 3, H, W] -> the photos squeezed to size x size, bilinear."""
        step = (torch.arange(size) + 0.5) / size * 2 - 1
        x = step[None, None] * self.tan_x[:, None, None]
        y = step[None, :, None] * self.tan_y[:, None, None]
        rays = torch.stack(torch.broadcast_tensors(x, y, torch.ones(1)), -1) @ self.rotation.mT[:, None]
        rays = F.normalize(rays, dim=-1)
        grid = torch.stack(
            [
                -torch.atan2(rays[..., 1], rays[..., 0]) / math.pi,
                -2 * torch.asin(rays[..., 2].clamp(-1, 1)) / math.pi,
            ],
            -1,
        )
        return F.grid_sample(panoramas, grid.to(panoramas.device), align_corners=False, padding_mode="border")


class LatentPanoramas:
    """Shards of panoramas, encoded once; grows by a shard now and then, since rendering may still be going on."""

    def __init__(
        self, folders: Sequence[Path], vae: Autoencoder | AutoencoderKL, batch: int, device: str, photo_size: int = 96
    ):
        self.folders, self.vae, self.batch, self.device, self.photo_size = folders, vae, batch, device, photo_size
        self.seen: dict[Path, None] = {}
        self.images: list[np.ndarray] = []
        self.latents: list[torch.Tensor] = []
        self.openness: list[np.ndarray | None] = []
        """The share of each column in what can be seen; None for a panorama without distance."""
        shards_in(folders)  # there are some

    def _grow_to(self, shards: int) -> None:
        while len(self.seen) < shards:
            fresh = [path for path in shards_in(self.folders) if path not in self.seen]
            if not fresh:
                return
            self._add(fresh[0])

    @torch.no_grad()
    def _add(self, path: Path) -> None:
        self.seen[path] = None
        colour, logs = read_shard(path)
        if self.images and colour.shape[1:] != self.images[0].shape:
            raise InputError(f"The panoramas in {path} are of another size than the first; give shards of one size.")
        if logs is None:
            rows = colour.shape[1] // 8
            distance = torch.zeros(len(colour), DISTANCE_CHANNELS, rows, 2 * rows)
            self.openness += [None] * len(colour)
        else:
            known = torch.from_numpy(logs).float()[:, None]
            distance = log_distance_to_latents(known.to(self.device))
            middle = logs.shape[1] // 2
            horizon = known[:, 0, middle - 4 : middle + 4].mean(1).exp().numpy()
            self.openness += list(horizon / horizon.sum(1, keepdims=True))
        for k in range(0, len(colour), 8):
            image = torch.from_numpy(colour[k : k + 8]).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            # the seam is inside a room like any other place: encode across it
            wide = torch.cat([image[..., -64:], image, image[..., :64]], -1)
            with torch.autocast(self.device.split(":")[0], torch.bfloat16):
                latents = encode_images(self.vae, wide)[..., 64 // SCALE : -64 // SCALE].float()
            self.latents += torch.cat([latents, distance[k : k + 8].to(latents)], 1).half().unbind(0)
        self.images += list(colour)

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        self._grow_to(4 + (step + 1) // 25)
        photos = Photos.draw(self.batch, torch.Generator().manual_seed(int(rng.integers(2**63))))
        latents, images, measured = [], [], []
        for k in rng.integers(len(self.images), size=self.batch):
            columns, openness = self.latents[k].shape[-1], self.openness[k]
            measured.append(openness is not None)
            # people photograph where there is something to see
            column = rng.integers(columns) if openness is None else rng.choice(len(openness), p=openness) // 2
            shift = columns // 2 - column
            latents.append(self.latents[k].roll(shift, -1))
            images.append(np.roll(self.images[k], shift * SCALE, 1))
        panoramas = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        clean = torch.stack(latents).float()
        return {
            "clean": clean,
            "known": photos.mask(*clean.shape[-2:]).to(self.device),
            "photos": photos.images(panoramas, self.photo_size).to(self.device),
            "measured": torch.tensor(measured, dtype=torch.float32, device=self.device),
        }


def shifted(t: torch.Tensor) -> torch.Tensor:
    """Noise levels moved towards 1 (Esser et al. 2024, eq. 23).

    A floor's colour is the mean of hundreds of latents, so it is decided while single latents are still all noise: at
    levels that would otherwise hardly be trained or sampled, and the noise would choose the palette, not the photo.
    """
    return SHIFT * t / (1 + (SHIFT - 1) * t)


def flow_loss(transformer, encoder, batch, cycle: float = 0.0) -> dict[str, torch.Tensor]:
    """Squared error of the velocity; hidden colour and all distance count in full, known colour a little.

    cycle: weight of the cycle-consistency loss, for a network that does not wrap.

    batch: "clean" [B, C, h, w], "known" [B, 1, h, w], "photos" [B, 3, H, W] and "measured" [B]: 1 where the distance is
    known, 0 where there is none to learn from.
    """
    known, channels = batch["known"], transformer.config.latent_channels
    clean = batch["clean"][:, : channels + transformer.config.distance_channels]
    t = shifted(torch.sigmoid(torch.randn(len(clean), device=clean.device) + 0.3)).clamp(0.02, 0.9995)
    noise = torch.randn_like(clean)
    level = t[:, None, None, None]
    noisy = (1 - level) * clean + level * noise
    colour = clean[:, :channels] * known
    inputs = (noisy, t * 1000, embed_images(encoder, batch["photos"]), colour, known)
    velocity = transformer(*inputs)
    error = (velocity.float() - (noise - clean)).square()
    # in units of the clean latents' error, bounded: late steps must not drown the early ones
    error = error * level.clamp_min(0.05)
    hidden = (1 - known) * 0.9 + 0.1
    colour_loss = (error[:, :channels] * hidden).mean() / hidden.mean()
    losses = {"loss": colour_loss}
    if transformer.config.distance_channels:
        measured = batch["measured"]
        distance_loss = (error[:, channels:].mean((1, 2, 3)) * measured).sum() / measured.sum().clamp_min(1)
        losses = {"loss": colour_loss + distance_loss, "colour": colour_loss, "distance": distance_loss}
    if cycle:
        patch, columns = transformer.config.patch_size, clean.shape[-1]
        turn = patch * int(torch.randint(1, columns // patch, ()))
        apart = (rolled(transformer, turn, *inputs) - velocity).float().square() * level.clamp_min(0.05)
        losses |= {"loss": losses["loss"] + cycle * apart.mean(), "cycle": apart.mean()}
    return losses


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("panorama", __doc__)
    pictures.add_arguments(parser)
    parser.add_argument("--vae", type=Path, required=True, help="the trained autoencoder")
    parser.add_argument("--network", choices=NETWORKS, default="built-in", help="what is trained")
    parser.add_argument(
        "--image-encoder", type=Path, help="a CLIP vision tower to be used as it is; else one is trained"
    )
    parser.add_argument("--cycle-loss", type=float, help="weight, for a network that does not wrap; 1 unless given")
    loop.add_arguments(parser, minutes=60, batch=16, learning_rate=8e-4)
    options = parser.parse_args(argv)
    plain = not NETWORKS[options.network].get("wraps", True)
    cycle = options.cycle_loss if options.cycle_loss is not None else float(plain)
    if cycle < 0 or (cycle and not plain):
        raise InputError(
            f"--cycle-loss is {cycle:g}; give 0 or more, and only with --network dit-xl-2-plain: a turn of the "
            "panorama passes through the other networks."
        )
    accelerator = loop.begin(options)
    vae = load_autoencoder(options.vae).to(options.device)
    trained: dict[str, torch.nn.Module] = {}
    if options.image_encoder:
        encoder = load_image_encoder(options.image_encoder).to(options.device)
    else:
        encoder = trained["image_encoder"] = built_in_encoder().to(options.device)
    sizes = {"latent_channels": vae.config.latent_channels, "image_embed_dim": encoder.config.projection_dim}
    transformer = PanoramaTransformer(**(NETWORKS[options.network] | sizes)).to(options.device)
    loop.run(
        accelerator,
        {"transformer": transformer} | trained,
        LatentPanoramas(
            pictures.folders(accelerator, options), vae, options.batch, options.device, encoder.config.image_size
        ),
        lambda batch: flow_loss(transformer, encoder, batch, cycle),
        options,
    )


def load_image_encoder(folder: Path) -> CLIPVisionModelWithProjection:
    """A CLIP vision tower with its projection, frozen; InputError when the folder holds none."""
    try:
        # as it was fetched for a preset: in half precision only; it computes in float32 all the same
        encoder = CLIPVisionModelWithProjection.from_pretrained(
            folder, local_files_only=True, variant=weights.variant_in(folder), dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise InputError(f"The folder {folder} holds no CLIP vision tower; give one, or none to train one.") from error
    return encoder.eval().requires_grad_(False)


def load_autoencoder(folder: Path) -> Autoencoder | AutoencoderKL:
    """The trained autoencoder in a folder, ours or Stable Diffusion's.

    Raises InputError when there is none, or not one of 8 pixels a latent.
    """
    try:
        name = json.loads((folder / "config.json").read_text("utf-8"))["_class_name"]
        kind = AutoencoderKL if name == "AutoencoderKL" else Autoencoder
        vae = kind.from_pretrained(folder, local_files_only=True, variant=weights.variant_in(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The folder {folder} holds no autoencoder; give OUT/vae of `train autoencoder`.") from error
    if spatial_scale_factor(vae) != SCALE:
        raise InputError(
            f"The autoencoder in {folder} has {spatial_scale_factor(vae)} pixels a latent; "
            "give one of 8 pixels a latent."
        )
    return vae.eval().requires_grad_(False)


if __name__ == "__main__":
    loop.command(main)
