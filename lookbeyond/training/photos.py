"""Renders photos of procedural rooms, with their ground truth, into shards for `lookbeyond train layout`.

    lookbeyond train photos --out photos --count 24000
    lookbeyond train photos --out boxes --count 24000 --as-drawn

A shard is an .npz of 64 photos (`lookbeyond.data.room_photos`): their pixels, one after the other and padded, their
cameras, the log-distance of 2 x 2 pixels, and the walls around. Shards that are there already are kept, so a run
resumes.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookbeyond.data.room_photos import RAYS, RoomPhoto, draw_photos
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import heading_pitch_roll
from lookbeyond.whole import whole_file

from . import loop
from .rooms import add_shard_options, missing_shards

PHOTOS_PER_SHARD = 64
AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class StoredPhoto:
    """A photo as the trainer reads it; lengths in units of the camera's height."""

    photo: np.ndarray
    """uint8 [h, w, 3]"""
    fov_x_rad: float
    pitch_rad: float
    roll_rad: float
    logs: np.ndarray
    """float16 [h/2, w/2], log of the distance along the ray."""
    walls: np.ndarray
    """float16 [256], see `RoomPhoto`."""
    wall: np.ndarray
    normals: np.ndarray
    ceiling: float
    is_open: bool


def pack(photos: list[RoomPhoto]) -> dict[str, np.ndarray]:
    """The arrays of a shard."""
    pixels = np.zeros((len(photos), RAYS, 3), np.uint8)
    logs = np.zeros((len(photos), RAYS // 4), np.float16)
    cameras = np.zeros((len(photos), 5), np.float32)
    for k, photo in enumerate(photos):
        height, width = photo.photo.shape[:2]
        pixels[k, : height * width] = photo.photo.reshape(-1, 3)
        pooled = np.log(photo.distance).reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        logs[k, : pooled.size] = pooled.ravel()
        _, pitch, roll = heading_pitch_roll(photo.camera)
        cameras[k] = width, height, photo.camera.fov_x, pitch, roll
    return {
        "pixels": pixels,
        "logs": logs,
        "cameras": cameras,
        "wall": np.stack([photo.wall for photo in photos]),
        "walls": np.stack([photo.walls for photo in photos]).astype(np.float16),
        "normals": np.stack([photo.normals for photo in photos]).astype(np.float16),
        "ceiling": np.array([photo.ceiling for photo in photos], np.float32),
        "is_open": np.array([photo.is_open for photo in photos]),
    }


def read_photos(path: Path) -> list[StoredPhoto]:
    """The photos of a shard; InputError for a file that is none."""
    try:
        with np.load(path) as shard:
            arrays = {name: shard[name] for name in shard.files}
        photos = []
        for k, (width, height, fov, pitch, roll) in enumerate(arrays["cameras"]):
            w, h = int(width), int(height)
            photos.append(
                StoredPhoto(
                    arrays["pixels"][k, : h * w].reshape(h, w, 3),
                    float(fov),
                    float(pitch),
                    float(roll),
                    arrays["logs"][k, : h * w // 4].reshape(h // 2, w // 2),
                    arrays["walls"][k],
                    arrays["wall"][k],
                    arrays["normals"][k],
                    float(arrays["ceiling"][k]),
                    bool(arrays["is_open"][k]),
                )
            )
        return photos
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise InputError(f"The file {path} is not a shard of photos; delete it and make it again.") from error


def main(argv: list[str] | None = None) -> None:
    parser = loop.parser_of("photos", __doc__)
    parser.add_argument("--count", type=int, default=24000, help="how many photos")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--as-drawn", action="store_true", help="rooms that are boxes, as the other networks learn from, not built over"
    )
    parser.add_argument("--device", default="cpu")
    add_shard_options(parser)
    options: argparse.Namespace = parser.parse_args(argv)
    if options.count <= 0:
        raise InputError(f"--count is {options.count}; give a number above 0.")
    for shard, path in missing_shards(options, PHOTOS_PER_SHARD):
        first = options.first_seed + shard * PHOTOS_PER_SHARD
        seeds = range(first, first + PHOTOS_PER_SHARD)
        parts = (seeds[k : k + AT_ONCE] for k in range(0, len(seeds), AT_ONCE))
        photos = [photo for part in parts for photo in draw_photos(part, options.device, options.as_drawn)]
        with whole_file(path) as temporary:
            np.savez(temporary, **pack(photos))


if __name__ == "__main__":
    loop.command(main)
