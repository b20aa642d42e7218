"""Trains the views UNet, and an image encoder of its own, on the latents of short camera moves.

    lookbeyond train views --clips clips --out weights --minutes 45
    accelerate launch -m lookbeyond.training.views --from shots/a shots/b --vae weights/vae --out weights

One network learns all that the views stage asks of it: the forward pass, the backward pass (a clip read from its
end), single anchors whose holes are filled, and, now and then, frames that know only their anchor and their rays.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from lookbeyond.data.panoramas import SHARDS
from lookbeyond.errors import InputError
from lookbeyond.models.image_encoder import built_in_encoder, embed_images
from lookbeyond.models.views_unet import ViewsUNet

from . import loop
from .clips import add_footage_arguments, clip_shards, cut_clips, read_clips, read_footage
from .panorama import load_autoencoder

COLOURS = 8


def random_holes(frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """[frames, 1, height, width] float32: 1, and 0 in up to three rectangles that drift through the frames."""
    known = np.ones((frames, 1, height, width), np.float32)
    for _ in range(rng.integers(0, 4)):
        h, w = rng.integers(1, height // 2 + 1), rng.integers(1, width // 2 + 1)
        y, x = rng.uniform(-h / 2, height - h / 2), rng.uniform(-w / 2, width - w / 2)
        drift = rng.normal(0, 1, 2)
        for frame in range(frames):
            top, left = round(y + drift[0] * frame), round(x + drift[1] * frame)
            known[frame, 0, max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)] = 0
    return known


class Clips:
    """Batches of `count` frames in all, from shards of clips: whole clips, or single anchors."""

    def __init__(self, folders: Sequence[Path], count: int, device: str):
        self.folders, self.count, self.device = folders, count, device
        self.first = len(clip_shards(folders))
        self.seen: set[Path] = set()
        self.clips: dict[str, list[np.ndarray]] = {}

    def _grow_to(self, shards: int) -> None:
        """By what has been rendered meanwhile."""
        if len(self.seen) >= shards:
            return
        fresh = [path for path in clip_shards(self.folders) if path not in self.seen]
        for path in fresh[: shards - len(self.seen)]:
            self.seen.add(path)
            shard = read_clips(path)
            if self.clips and shard["clean"].shape[1:] != self.clips["clean"][0].shape:
                raise InputError(f"The clips in {path} are of another size than the first; give shards of one size.")
            for name, values in shard.items():
                self.clips.setdefault(name, []).extend(values)

    def __call__(self, step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        self._grow_to(self.first + 2 * (step // 50))
        clips = self.clips
        single = rng.uniform() < 0.25
        frames = 1 if single else clips["clean"][0].shape[0]
        parts: dict[str, list[np.ndarray]] = {}
        for _ in range(max(1, self.count // frames)):
            k, end = rng.integers(len(clips["clean"])), int(rng.integers(2))
            order = slice(None) if end == 0 else slice(None, None, -1)
            clean, raymap = clips["clean"][k][order], clips["raymap"][k][end][order]
            guidance = clips["backward" if end else "forward"][k][order].astype(np.float32)
            anchor = clean[0, :COLOURS]
            if single:  # the far end, from the panorama and perhaps by the near end's rays
                guidance = clips["anchor"][k][1 - end][None].astype(np.float32)
                clean, raymap = clean[-1:], raymap[-1:]
                if rng.uniform() < 0.5:
                    anchor = np.zeros_like(anchor)
            holes = random_holes(frames, *clean.shape[2:], rng)
            if not single:
                holes[[0, -1]] = 1  # a clip's anchors are whole
                if rng.uniform() < 0.12:
                    holes[:] = 0  # nothing but the anchor and the rays
            known = guidance[:, -1:] * holes
            guidance = np.concatenate([guidance[:, :-1] * (known > 0.5), known], 1)
            sample = {
                "clean": clean,
                "guidance": guidance,
                "anchor": anchor,
                "raymap": raymap,
                "photo": clips["thumbnails"][k][end],
                "measured": clips["measured"][k],
            }
            for name, value in sample.items():
                parts.setdefault(name, []).append(value)
        return {name: torch.from_numpy(np.stack(values)).to(self.device).float() for name, values in parts.items()}


def flow_loss(unet: ViewsUNet, encoder, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As for the panorama: squared error of the clean latents over max(t, 0.05), holes counted twice.

    batch: "clean" [B, N, C, h, w], "guidance", "anchor", "raymap", "photo" [B, H, W, 3] and "measured" [B]: 1 where
    the distance is known, 0 where there is none to learn from.
    """
    clean = batch["clean"]
    count, frames = clean.shape[:2]
    t = torch.sigmoid(torch.randn(count, device=clean.device) + 0.2).clamp(0.02, 0.999)
    level = t[:, None, None, None, None]
    noise = torch.randn_like(clean)
    anchor = batch["anchor"][:, None].expand(-1, frames, -1, -1, -1)
    x = torch.cat([torch.lerp(clean, noise, level), batch["guidance"], anchor, batch["raymap"]], 2)
    embedding = embed_images(encoder, batch["photo"].permute(0, 3, 1, 2) / 127.5 - 1)
    velocity = unet(x, t * 1000, embedding[:, None]).sample
    error = (velocity.float() - (noise - clean)).square() * level.clamp_min(0.05)
    known = batch["guidance"][:, :, -1:]
    error = error * (2 - known)
    colour, measured = error[:, :, :COLOURS].mean(), batch["measured"]
    distance = (error[:, :, COLOURS:].mean((1, 2, 3, 4)) * measured).sum() / measured.sum().clamp_min(1)
    return {"loss": colour + 0.5 * distance, "colour": colour, "distance": distance}


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("views", __doc__)
    parser.add_argument("--clips", type=Path, nargs="+", default=[], help="shards of `lookbeyond train clips`")
    add_footage_arguments(parser)
    parser.add_argument("--vae", type=Path, help="the trained autoencoder, for --from, --captures and --real-estate")
    parser.add_argument("--clips-per-move", type=int, default=8, help="cut out of each of these")
    loop.add_arguments(parser, minutes=45, batch=18, learning_rate=6e-4)
    options = parser.parse_args(argv)
    # single frames do not reach what goes along time
    accelerator = loop.begin(options, uneven=True)
    folders = clip_folders(accelerator, options)
    unet = ViewsUNet().to(options.device, memory_format=torch.channels_last)
    encoder = built_in_encoder().to(options.device)
    loop.run(
        accelerator,
        {"unet": unet, "views_image_encoder": encoder},
        Clips(folders, options.batch, options.device),
        lambda batch: flow_loss(unet, encoder, batch),
        options,
    )


def clip_folders(accelerator: Accelerator, options: argparse.Namespace) -> list[Path]:
    """Folders of clips; those of footage are cut once, by all processes together, into OUT/clips."""
    moves = read_footage(options)
    if not moves and not options.clips:
        raise InputError("There is nothing to train on; give --clips, --from, --captures or --real-estate.")
    if not moves:
        return options.clips
    if options.vae is None:
        raise InputError("Footage is turned into latents first; give --vae, the trained autoencoder.")
    vae = load_autoencoder(options.vae).to(options.device)
    if vae.config.latent_channels != COLOURS:
        raise InputError(
            f"The autoencoder in {options.vae} has {vae.config.latent_channels} channels; give one of {COLOURS}."
        )
    share = accelerator.process_index, accelerator.num_processes
    made = cut_clips(moves, vae, options.out / "clips", options.clips_per_move, share=share)
    accelerator.wait_for_everyone()
    if not any(made.glob(SHARDS)):
        raise InputError(f"None of the {len(moves)} camera moves can be used; the warnings above say why.")
    return [*options.clips, made]


if __name__ == "__main__":
    loop.command(main)
