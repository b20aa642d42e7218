"""Trains the views UNet, and an image encoder of its own, on the latents of short camera moves.

    lookbeyond train views --clips clips --out weights --minutes 45

One network learns all that the views stage asks of it: the forward pass, the backward pass (a clip read from its
end), single anchors whose holes are filled, and, now and then, frames told nothing but their anchor and their rays.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lookbeyond.models.image_encoder import built_in_encoder, embed_images
from lookbeyond.models.views_unet import ViewsUNet

from . import loop

COLOURS, DISTANCES = 8, 4


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


def batches(folder: Path, count: int, seed: int, device: str) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches of `count` frames in all: clips, or single anchors."""
    rng = np.random.default_rng(seed)
    clips: dict[str, list[np.ndarray]] = {}
    seen: set[Path] = set()
    turn = 0
    while True:
        if turn % 50 == 0:  # what has been rendered meanwhile
            for path in sorted(set(folder.glob("*.npz")) - seen)[: None if turn == 0 else 2]:
                seen.add(path)
                with np.load(path) as shard:
                    for name in shard.files:
                        clips.setdefault(name, []).extend(shard[name])
        turn += 1
        single = rng.uniform() < 0.25
        frames = 1 if single else clips["clean"][0].shape[0]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ("clean", "guidance", "anchor", "raymap", "photo")}
        for _ in range(max(1, count // frames)):
            k, end = rng.integers(len(clips["clean"])), int(rng.integers(2))
            order = slice(None) if end == 0 else slice(None, None, -1)
            clean, raymap = clips["clean"][k][order], clips["raymap"][k][end][order]
            guidance = clips["backward" if end else "forward"][k][order].astype(np.float32)
            anchor = clean[0, :COLOURS]
            if single:  # the far end, told by the panorama and perhaps by the near end's rays
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
            for name, value in (("clean", clean), ("guidance", guidance), ("anchor", anchor), ("raymap", raymap),
                                ("photo", clips["thumbnails"][k][end])):  # fmt: skip
                parts[name].append(value)
        yield {name: torch.from_numpy(np.stack(values)).to(device).float() for name, values in parts.items()}


def flow_loss(unet: ViewsUNet, encoder, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As for the panorama: squared error of the clean latents over max(t, 0.05), holes counted twice."""
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
    colour, distance = error[:, :, :COLOURS].mean(), error[:, :, COLOURS:].mean()
    return {"loss": colour + 0.5 * distance, "colour": colour, "distance": distance}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lookbeyond train views", description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="shards of `lookbeyond train clips`")
    loop.add_arguments(parser, minutes=45, batch=18, learning_rate=6e-4)
    options = parser.parse_args(argv)
    torch.manual_seed(options.seed)
    unet = ViewsUNet().to(options.device, memory_format=torch.channels_last)
    encoder = built_in_encoder().to(options.device)
    loop.run(
        {"unet": unet, "views_image_encoder": encoder},
        batches(options.clips, options.batch, options.seed, options.device),
        lambda batch: flow_loss(unet, encoder, batch),
        options,
    )


if __name__ == "__main__":
    main()
