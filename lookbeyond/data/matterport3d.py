"""Matterport3D's skyboxes, stitched to equirectangular panoramas.

A panorama is six square pictures `ID_skybox0_sami.jpg` … `ID_skybox5_sami.jpg`, each 90 degrees wide: 1 to 4 look
around clockwise, 0 is face 1 pitched up, 5 is face 1 pitched down. Face 2 becomes the panorama's centre.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.projection import equirectangular_directions, sample_pixels
from lookbeyond.photo.reading import read_photo

from .panoramas import WholePicture
from .reading import entries

_NAME = re.compile(r"(.+)_skybox([0-5])_sami\.(?:jpg|jpeg|png)", re.IGNORECASE)
_HEADING_PITCH = ((90, 90), (90, 0), (0, 0), (-90, 0), (180, 0), (90, -90))
"""Degrees, of the faces 0 to 5; headings counter-clockwise."""


def skyboxes(folder: Path) -> list[WholePicture]:
    """The panoramas in a folder and below (one scene's `matterport_skybox_images`, or a whole download)."""
    faces: dict[Path, dict[int, Path]] = {}
    for path in entries(folder, "Matterport3D skyboxes"):
        if match := _NAME.fullmatch(path.name):
            faces.setdefault(path.with_name(match[1]), {})[int(match[2])] = path
    if not faces:
        raise InputError(
            f"The folder {folder} holds no Matterport3D skyboxes; give one with files like ID_skybox0_sami.jpg "
            "(unzip matterport_skybox_images.zip)."
        )

    def picture(name: Path, found: dict[int, Path]) -> WholePicture:
        return WholePicture(f"{name}_skybox", lambda height: stitch(_read_faces(name, found, height), height))

    return [picture(name, found) for name, found in sorted(faces.items())]


def stitch(faces: Sequence[np.ndarray], height: int) -> np.ndarray:
    """Six faces uint8 [s, s, 3] -> a panorama [height, 2·height, 3]; every pixel is the mean of 2 x 2 samples."""
    directions = equirectangular_directions(4 * height, 2 * height)
    size = min(faces[0].shape[0], round(4 * height / math.pi))  # as fine as the samples
    cameras = [
        placed_camera(size, size, math.pi / 2, heading_rad=math.radians(heading), pitch_rad=math.radians(pitch))
        for heading, pitch in _HEADING_PITCH
    ]
    axes = np.stack([camera.forward for camera in cameras], -1).astype(np.float32)
    nearest = (directions @ axes).argmax(-1)
    panorama = np.empty((*nearest.shape, 3), np.float32)
    for number, (face, camera) in enumerate(zip(faces, cameras, strict=True)):
        small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
        here = nearest == number
        columns, rows = np.moveaxis(camera.project(directions[here])[0], -1, 0)
        panorama[here] = sample_pixels(small, columns, rows)
    means = panorama.reshape(height, 2, 2 * height, 2, 3).mean((1, 3))
    return (means + 0.5).clip(0, 255).astype(np.uint8)


def _read_faces(name: Path, found: dict[int, Path], height: int) -> list[np.ndarray]:
    missing = [f"{name.name}_skybox{number}_sami.jpg" for number in range(6) if number not in found]
    if missing:
        raise InputError(f"The skybox {name} has no {', '.join(missing)}; download it again.")
    faces = [read_photo(found[number]).pixels for number in range(6)]
    shapes = {face.shape for face in faces}
    if len(shapes) > 1 or faces[0].shape[0] != faces[0].shape[1]:
        raise InputError(f"The faces of the skybox {name} are not squares of one size; download it again.")
    if faces[0].shape[0] < height / 2:
        raise InputError(f"The skybox {name} has {faces[0].shape[0]} pixels a side; {height // 2} are needed.")
    return faces
