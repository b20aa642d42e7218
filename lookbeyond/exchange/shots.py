"""A finished shot as a folder holds it, and the world it was made in."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookbeyond.cards.card import Card, with_cards
from lookbeyond.errors import InputError
from lookbeyond.files import (
    read_distance,
    read_json,
    read_png,
    view_depth,
    write_depth_png,
    write_distance,
    write_png,
)
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import View
from lookbeyond.monitors.findings import MAX_MONITORS_BYTES

from .cameras_json import read_json_move


@dataclass(frozen=True)
class Shot:
    """What `lookbeyond shot` wrote: one picture and one depth map a camera."""

    folder: Path
    cameras: Sequence[Camera]
    frames: Sequence[Path]
    depths: Sequence[Path]
    first_frame: int
    world: Mapping[str, str]
    """SHA-256 of the files of the world it was made in, by their names."""

    def view(self, number: int) -> View:
        """Frame `number` (from 0) with its distance. Raises InputError where a file is missing or does not fit."""
        camera, depth = self.cameras[number], read_distance(self.depths[number])
        colour = read_png(self.frames[number])
        size = (camera.height, camera.width)
        if colour.shape[:2] != size or depth.shape != size:
            raise InputError(
                f"{self.frames[number]} or its depth is not {camera.width} x {camera.height} pixels, as its camera; "
                "shoot again."
            )
        cosine = camera.rays() @ camera.forward
        distance = np.maximum(depth / cosine, 1e-6).astype(np.float32)
        return View(camera, colour, distance, np.zeros(size, np.uint8))

    def views(self) -> Iterator[View]:
        """All frames, one after the other."""
        for number in range(len(self.cameras)):
            yield self.view(number)


def load_shot(folder: Path) -> Shot:
    """Read what a shot's folder holds. Raises InputError where it is not whole."""
    folder = Path(folder)
    for name in ("transforms.json", "shot.json"):
        if not (folder / name).is_file():
            raise InputError(
                f"The folder {folder} is not a shot: {name} is missing; "
                "make one with `lookbeyond shot WORLD --cameras FILE --out FOLDER`."
            )
    move, about = read_json_move(folder / "transforms.json"), read_json(folder / "shot.json", MAX_MONITORS_BYTES)
    cameras, frames = move.cameras, [folder / name for name in move.file_names()]
    # whatever a frame's entry says: beside it there is the OpenEXR file, in metres
    depths = [folder / "depth" / f"{frame.stem}.exr" for frame in frames]
    missing = next((path for path in [*frames, *depths] if not path.is_file()), None)
    if missing is not None:
        raise InputError(f"The shot in {folder} is not whole: {missing} is missing; shoot it again.")
    first, world = about.get("first_frame", 1), about.get("world", {})
    if not isinstance(first, int) or not isinstance(world, dict):
        raise InputError(f"The file {folder / 'shot.json'} is damaged; shoot it again.")
    return Shot(folder, cameras, frames, depths, first, world)


def lay_cards(shot: Shot, cards: Sequence[Card]) -> None:
    """Lay cards into the shot's pictures and depth maps; its files become others, whatever else links to them."""
    for number, view in enumerate(shot.views()):
        laid = with_cards(view, cards)
        if laid is view:
            continue
        depth = view_depth(laid)
        for path, write, pixels in (
            (shot.frames[number], write_png, laid.colour),
            (shot.depths[number], write_distance, depth),
            (shot.depths[number].with_suffix(".png"), write_depth_png, depth),
        ):
            path.unlink(missing_ok=True)
            write(path, pixels)


def world_of(shot: Shot, worlds: Sequence[Path]) -> int:
    """Which of some worlds' folders the shot was made in, by its panorama. Raises InputError where it is none."""
    wanted = shot.world.get("panorama.png")
    for number, folder in enumerate(worlds):
        path = Path(folder) / "panorama.png"
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            return number
    names = ", ".join(str(folder) for folder in worlds) or "none was given"
    raise InputError(
        f"The shot {shot.folder} was made in another world than those given ({names}); give the folder of its world "
        "too, or shoot it again in this one."
    )
