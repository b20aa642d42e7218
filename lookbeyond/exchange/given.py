"""Folders as given to a command, in any order: which are worlds, which are shots, and which belong together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookbeyond.errors import InputError
from lookbeyond.files import load_panorama
from lookbeyond.geometry.panorama import Panorama

from .page import Film, Room
from .shots import Shot, load_shot, world_of
from .splats import UNSEEN_WIDTH, Splats, add_frames, asked_frames, joined, world_splats


@dataclass(frozen=True)
class Given:
    """Worlds, and shots made in them."""

    folders: Sequence[Path]
    """Of the worlds."""
    worlds: Sequence[Panorama]
    shots: Sequence[Shot]
    made_in: Sequence[int]
    """The number of each shot's world."""


def sorted_out(folders: Iterable[Path]) -> Given:
    """Read the folders. Raises InputError for one that is neither world nor shot, or a shot without its world."""
    world_folders, shots = [], []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}; give the folders of worlds and shots.")
        if (folder / "shot.json").is_file():
            shots.append(load_shot(folder))
        else:
            world_folders.append(folder)
    made_in = [world_of(shot, world_folders) for shot in shots]
    if not world_folders:
        raise InputError("No world was given; give the folder that `lookbeyond world` made.")
    return Given(world_folders, [load_panorama(folder) for folder in world_folders], shots, made_in)


def splats_of(given: Given, unseen_width: int = UNSEEN_WIDTH) -> Splats:
    """All worlds as splats, with what each one's shots add."""
    parts = []
    for number, world in enumerate(given.worlds):
        splats = world_splats(world, unseen_width)
        for shot, own in zip(given.shots, given.made_in, strict=True):
            if own == number:
                splats = add_frames(splats, world, [shot.view(frame) for frame in asked_frames(len(shot.cameras))])
        parts.append(splats)
    return joined(parts)


def tour_of(given: Given, names: Sequence[str], fps: float) -> tuple[list[Room], list[Film]]:
    """The rooms and films of a page, called `names` or, without any, as their folders are."""
    if names and len(names) != len(given.worlds):
        raise InputError(f"There are {len(names)} names for {len(given.worlds)} worlds; give one for each, or none.")
    called = list(names) or [folder.resolve().name for folder in given.folders]
    rooms = [Room(name, world) for name, world in zip(called, given.worlds, strict=True)]
    films = [
        Film(shot.folder.resolve().name, shot, own, fps) for shot, own in zip(given.shots, given.made_in, strict=True)
    ]
    return rooms, films
