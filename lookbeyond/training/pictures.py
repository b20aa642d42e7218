"""Where a trainer's panoramas come from: shards of procedural rooms, folders of pictures, Matterport3D."""

import argparse
from functools import partial
from pathlib import Path

from accelerate import Accelerator
from tqdm import tqdm

from lookbeyond.data.matterport3d import skyboxes
from lookbeyond.data.panoramas import SHARDS, panorama_pictures, write_shards
from lookbeyond.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rooms", type=Path, nargs="+", default=[], help="shards of `lookbeyond train rooms`")
    parser.add_argument("--panoramas", type=Path, nargs="+", default=[], help="folders of 2:1 pictures, HDR too")
    parser.add_argument("--matterport", type=Path, nargs="+", default=[], help="folders of Matterport3D skyboxes")
    parser.add_argument("--height", type=int, default=256, help="rows of the pictures, as those of the rooms")


def folders(accelerator: Accelerator, options: argparse.Namespace) -> list[Path]:
    """Folders of shards; pictures are read once, by all processes together, into shards in OUT/panoramas.

    Raises InputError when nothing is given, or nothing of what is given can be read.
    """
    pictures = [picture for folder in options.panoramas for picture in panorama_pictures(folder)]
    pictures += [picture for folder in options.matterport for picture in skyboxes(folder)]
    if not pictures and not options.rooms:
        raise InputError("There is nothing to train on; give --rooms, --panoramas or --matterport.")
    if options.height <= 0 or options.height % 64:
        raise InputError(f"--height is {options.height}; give a multiple of 64, 256 for the built-in model.")
    if not pictures:
        return options.rooms
    bar = partial(tqdm, unit="shard", desc="panoramas", disable=not accelerator.is_main_process)
    share = accelerator.process_index, accelerator.num_processes
    made = write_shards(pictures, options.out / "panoramas", options.height, share=share, progress=bar)
    accelerator.wait_for_everyone()
    if not any(made.glob(SHARDS)):
        raise InputError(f"None of the {len(pictures)} panoramas can be read; the warnings above say why.")
    return [*options.rooms, made]
