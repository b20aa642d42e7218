"""Panoramas for training: folders of pictures, Matterport3D's skyboxes and procedural rooms, all as shards.

A shard is an .npz of some panoramas of one size: `colour` uint8 [N, H, 2H, 3] and, where it is known, `distance`
float16 [N, H/4, 2H/4], the mean of log(distance / camera height) over 4 x 4 pixels.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lookbeyond.errors import InputError
from lookbeyond.photo.linear_files import read_linear
from lookbeyond.photo.pixels import linear_to_srgb
from lookbeyond.photo.reading import read_panorama_image
from lookbeyond.whole import whole_file

from .reading import entries, read_each

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr", ".hdr")
PICTURES_PER_SHARD = 64


@dataclass(frozen=True)
class WholePicture:
    """A panorama that can be read, wherever it comes from."""

    name: str
    read: Callable[[int], np.ndarray]
    """Height -> uint8 [H, 2H, 3]; InputError, naming the file, when it cannot be read."""


def panorama_pictures(folder: Path) -> list[WholePicture]:
    """The pictures in a folder and below; whether they are panoramas is checked when they are read."""
    paths = [path for path in entries(folder, "panoramas") if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise InputError(f"The folder {folder} holds no pictures; give one with {', '.join(SUFFIXES)} files.")
    return [WholePicture(str(path), lambda height, path=path: _read_at(path, height)) for path in paths]


def read_picture(path: Path) -> np.ndarray:
    """uint8 [H, 2H, 3] of an image file; HDR is exposed for its median and shouldered (Reinhard, white at 3).

    Raises InputError for a file that is missing, damaged or not twice as wide as high.
    """
    if path.suffix.lower() not in (".exr", ".hdr"):
        return read_panorama_image(path)
    linear = read_linear(path)
    height, width = linear.shape[:2]
    if width != 2 * height:
        raise InputError(
            f"The picture {path} is {width}x{height} pixels and so not a 360° panorama; "
            "give one that is exactly twice as wide as high."
        )
    linear = np.nan_to_num(linear, posinf=65504.0).clip(0, 65504)
    light = linear * (0.25 / max(float(np.median(linear)), 1e-6))
    light = np.clip(light * (1 + light / 9) / (1 + light), 0, 1)
    return (255 * linear_to_srgb(light) + 0.5).astype(np.uint8)


def _read_at(path: Path, height: int) -> np.ndarray:
    image = read_picture(path)
    if image.shape[0] < height:
        raise InputError(f"The panorama {path} is only {image.shape[0]} pixels high; give one of at least {height}.")
    return cv2.resize(image, (2 * height, height), interpolation=cv2.INTER_AREA)


def write_shards(
    pictures: Sequence[WholePicture],
    folder: Path,
    height: int,
    *,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[Iterable], Iterable] = iter,
) -> Path:
    """Reads pictures once, into shards in a folder of their own below `folder`, and returns that folder.

    Shards that are there already are kept, so an interrupted run resumes. Bad pictures are named and left out. share:
    (number, of how many) processes that share the work, each with its own shards.
    """
    digest = hashlib.sha256(repr((height, [picture.name for picture in pictures])).encode()).hexdigest()[:12]
    folder = folder / digest
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(pictures), PICTURES_PER_SHARD)
    for start in progress(starts[share[0] :: share[1]]):
        path = folder / f"{start // PICTURES_PER_SHARD:05d}.npz"
        if path.exists():
            continue
        colour = list(read_each(pictures[start : start + PICTURES_PER_SHARD], lambda picture: picture.read(height)))
        if colour:
            with whole_file(path) as temporary:
                np.savez(temporary, colour=np.stack(colour))
    return folder


def read_shard(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour uint8 [N, H, 2H, 3] and log-distance float16 [N, H/4, 2H/4] or None; InputError for other files."""
    try:
        with np.load(path) as shard:
            colour = shard["colour"]
            return colour, shard["distance"] if "distance" in shard.files else None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"The file {path} is not a shard of panoramas; delete it and make it again.") from error


SHARDS = "[!.]*.npz"
"""Names of shards; those that begin with a dot are still being written (`whole.whole_file`)."""


def shards_in(folders: Iterable[Path]) -> list[Path]:
    """The shards that lie in folders by now, each folder's first, each folder's second …; InputError for none."""
    folders = list(folders)
    paths = [(path.stem, number, path) for number, folder in enumerate(folders) for path in folder.glob(SHARDS)]
    if not paths:
        names = ", ".join(str(folder) for folder in folders) or "what was given"
        raise InputError(f"There are no shards in {names}; make some with `lookbeyond train rooms`.")
    return [path for *_, path in sorted(paths)]
