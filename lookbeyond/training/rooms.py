"""Renders procedural rooms into shards once, so that every training pass reads them instead of ray-casting again.

    lookbeyond train rooms --out pool --count 6000

A shard is an .npz of 64 rooms: colour uint8 [64, H, W, 3] and distance float16 [64, H/4, W/4], the mean of
log(distance / camera height) over 4 x 4 pixels. Shards that are there already are kept, so a run resumes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lookbeyond.data.rooms import Rooms, compile_renderer, equirectangular_rays
from lookbeyond.errors import InputError
from lookbeyond.whole import whole_file

from . import loop

ROOMS_PER_SHARD = 64


def render_shard(seeds: range, height: int, width: int, device: str) -> dict[str, np.ndarray]:
    """Panoramas of these rooms and their pooled log-distance relative to the camera height."""
    rays = equirectangular_rays(height, width, device)
    colours, distances = [], []
    for batch in torch.tensor(seeds).split(4):
        rooms = Rooms.from_seeds(batch.tolist(), device)
        directions = rays.expand(len(batch), -1, 3)
        colour, distance = rooms.render(torch.zeros_like(directions), directions, 2 * torch.pi / width)
        colour, distance = colour.view(-1, height, width, 3), distance.view(-1, 1, height, width)
        relative = (distance / rooms.camera_height[:, None, None, None]).log()
        colours.append((colour * 255).round().byte().cpu().numpy())
        distances.append(torch.nn.functional.avg_pool2d(relative, 4)[:, 0].half().cpu().numpy())
    return {"colour": np.concatenate(colours), "distance": np.concatenate(distances)}


def add_shard_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument(
        "--share", default="0/1", help="K/N: only shards K, K + N, K + 2N ..., for N processes that render together"
    )


def own_share(options: argparse.Namespace, shards: int) -> range:
    """The numbers of the shards that `--share` leaves to this process; InputError for no such share."""
    number, _, of = options.share.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise InputError(f"--share is {options.share!r}; give K/N, K from 0 to N - 1.")
    return range(shards)[int(number) :: int(of)]


def missing_shards(options: argparse.Namespace, each: int) -> Iterator[tuple[int, Path]]:
    """Number and file of this process's shards that are not there yet, one after the other; `each`: entries in one."""
    options.out.mkdir(parents=True, exist_ok=True)
    compile_renderer()
    for number in tqdm(own_share(options, -(-options.count // each)), unit="shard"):
        path = options.out / f"{number:05d}.npz"
        if not path.exists():
            yield number, path


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("rooms", __doc__)
    parser.add_argument("--count", type=int, default=6000, help="how many rooms")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    add_shard_options(parser)
    options = parser.parse_args(argv)
    for shard, path in missing_shards(options, ROOMS_PER_SHARD):
        first = options.first_seed + shard * ROOMS_PER_SHARD
        seeds = range(first, first + ROOMS_PER_SHARD)
        with whole_file(path) as temporary:
            np.savez(temporary, **render_shard(seeds, options.height, 2 * options.height, options.device))


if __name__ == "__main__":
    loop.command(main)
