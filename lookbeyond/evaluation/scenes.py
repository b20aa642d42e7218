"""The bench's test cases: held-out rooms and real panoramas, each with its ground truth."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch

from lookbeyond.data.other_rooms import OtherKind, other_room
from lookbeyond.data.panoramas import read_picture
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_panoramas, render_views
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import Reach
from lookbeyond.geometry.layout import RoomLayout, box_layout
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.projection import extract_perspective, place_photo

WIDTH = 512
"""Width of the panoramas that are compared; the built-in network makes no finer ones."""
SHARP_WIDTH = 1024
"""Width of the true panorama that the views stage is given."""
PATHS = ("turn", "walk", "there and back")


@dataclass(frozen=True, eq=False)
class Scene:
    """A place whose every direction is known, and a photo of it."""

    name: str
    truth: np.ndarray
    """uint8 [256, 512, 3], the panorama, the photo's heading at its centre."""
    camera: Camera
    """The photo's; at the origin."""
    camera_height: float
    distance: np.ndarray | None = None
    """float32 [256, 512] metres, where it is known."""
    room: Rooms | None = None
    """The room itself (a batch of one), where it can be rendered from elsewhere."""

    @cached_property
    def photo(self) -> np.ndarray:
        """uint8 [h, w, 3]"""
        return extract_perspective(self.truth, self.camera)

    @cached_property
    def placed(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo in an empty panorama, and the mask of what it saw: uint8 [256, 512, 3], bool [256, 512]."""
        return place_photo(self.photo, self.camera, WIDTH)

    @property
    def seen(self) -> np.ndarray:
        return self.placed[1]

    @cached_property
    def layout(self) -> RoomLayout:
        """The room's walls, floor and ceiling; only of rooms."""
        assert self.room is not None
        (centre, half), yaw = self.room.shell[0].double().numpy(), float(self.room.yaw[0])
        c, s = math.cos(yaw), math.sin(yaw)
        middle = np.array([[c, -s], [s, c]]) @ centre[:2]
        return box_layout(middle, 2 * half[:2], yaw, -self.camera_height, float(centre[2] + half[2]))

    @cached_property
    def evenly(self) -> np.ndarray:
        """bool [256, 512]: pixels drawn so that every part of the sphere counts alike."""
        rows = np.cos((np.arange(WIDTH // 2) + 0.5) / (WIDTH // 2) * np.pi - np.pi / 2)[:, None]
        return np.random.default_rng(0).uniform(size=self.truth.shape[:2]) < rows

    @cached_property
    def hidden(self) -> np.ndarray:
        """bool [256, 512]: what the photo did not see, two pixels away from it, every part of the sphere alike."""
        return ~cv2.dilate(self.seen.astype(np.uint8), np.ones((5, 5))).astype(bool) & self.evenly

    @cached_property
    def sharp_panorama(self) -> Panorama:
        """The true panorama with its true distance, as the views stage would get it."""
        if self.room is None:
            raise InputError(f"{self.name}: a picture has no true distance; only rooms can be walked through")
        colour, distance = render_panoramas(self.room, SHARP_WIDTH // 2, SHARP_WIDTH)
        own = place_photo(self.photo, self.camera, SHARP_WIDTH)[1]
        return Panorama(
            to_bytes(colour[0]),
            distance[0, 0].numpy(),
            own.astype(np.uint8) * 255,
            camera_height=self.camera_height,
            photo_camera=self.camera,
        )

    def views(self, cameras: list[Camera]) -> list[View]:
        """What cameras truly see."""
        assert self.room is not None
        return render_views(self.room, cameras)

    def path(self, kind: str, frames: int, width: int, height: int, reach_m: float = 2.0) -> list[Camera]:
        """A camera move of `PATHS` that fits into the room; it closes where it is called "there and back".

        reach_m: wanted length of a walk, metres; shorter where something stands in the way.
        """
        share = np.linspace(0, 1, frames)
        if kind == "turn":
            headings, way = 2 * math.pi * share, 0 * share
        elif kind == "walk":
            headings, way = 0 * share, share
        else:
            way = 0.5 - 0.5 * np.cos(2 * math.pi * share)
            headings = math.radians(40) * way
        end = self._free_way(reach_m) if way.any() else np.zeros(3)
        return [
            placed_camera(width, height, math.radians(75), heading_rad=float(heading), position=tuple(step * end))
            for heading, step in zip(headings, way, strict=True)
        ]

    def _free_way(self, reach_m: float) -> np.ndarray:
        """The end [3] of the longest level walk from the origin, up to reach_m, within 60 degrees of ahead."""
        assert self.room is not None and self.distance is not None
        best = np.zeros(3)
        for angle in np.radians([0, 15, -15, 30, -30, 45, -45, 60, -60]):
            direction = np.array([math.cos(angle), math.sin(angle), 0.0])
            # as far as the panorama reaches: a camera must stay before what it sees in the way
            column = round((0.5 - angle / (2 * math.pi)) * WIDTH)
            open_m = float(self.distance[118:138, column - 14 : column + 15].min())
            length = min(reach_m, 0.75 * open_m, Reach(self.sharp_panorama).free(direction) - 1e-3)
            ways = torch.tensor(np.linspace(0, length, 9)[:, None] * direction, dtype=torch.float32)[None]
            free = self.room.free_positions(ways, margin=0.2)[0].numpy()
            length *= (np.argmin(free) - 1) / 8 if not free.all() else 1
            if length > np.linalg.norm(best):
                best = length * direction
        return best


def held_out_room(seed: int) -> Scene:
    """Room number `seed` >= 0 of those that training never draws; the photo looks where the room is open."""
    return _photographed(Rooms.from_seeds([HELD_OUT_SEED + seed]), seed, f"room {seed}")


def training_room(seed: int) -> Scene:
    """Room number `seed` of those that the panorama network was trained on."""
    return _photographed(Rooms.from_seeds([seed]), seed, f"training room {seed}")


def other_scene(kind: OtherKind, seed: int) -> Scene:
    """The same of a kind of room that no network was trained on."""
    return _photographed(other_room(kind, seed), seed, f"{kind} {seed}")


def _photographed(room: Rooms, seed: int, name: str) -> Scene:
    _, distance = render_panoramas(room, 64, 128)
    rng = np.random.default_rng(seed)
    openness = distance[0, 0, 28:36].mean(0).numpy()
    azimuth = math.pi * (1 - (2 * rng.choice(128, p=openness / openness.sum()) + 1) / 128)
    room = replace(room, yaw=room.yaw - azimuth)
    colour, distance = render_panoramas(room, WIDTH // 2, WIDTH)
    camera = _photo_camera(rng)
    height = float(room.camera_height[0])
    return Scene(name, to_bytes(colour[0]), camera, height, distance[0, 0].numpy(), room)


def real_scenes(folder: Path, photos: int = 4) -> Iterator[Scene]:
    """Photos of the panoramas (2:1, any type that can be read, HDR tone-mapped) in a folder, evenly around each."""
    for path in panorama_files(folder):
        yield from scenes_of_panorama(path, photos)


def panorama_files(folder: Path) -> list[Path]:
    """The panoramas in a folder, by their names. InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one that holds panoramas")
    paths = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".exr", ".hdr", ".png", ".jpg", ".jpeg")
    )
    if not paths:
        raise InputError(f"{folder}: no panoramas there; give a folder of .exr, .hdr, .png or .jpg files")
    return paths


def scenes_of_panorama(path: Path, photos: int = 4) -> Iterator[Scene]:
    """Photos of one panorama, evenly around it. InputError where it cannot be read."""
    image = cv2.resize(read_picture(path), (WIDTH, WIDTH // 2), interpolation=cv2.INTER_AREA)
    for photo in range(photos):
        rng = np.random.default_rng(photo)
        truth = np.roll(image, WIDTH * photo // photos, 1)
        yield Scene(f"{path.stem} {photo + 1}", truth, _photo_camera(rng), camera_height=1.6)


def to_bytes(colour: torch.Tensor) -> np.ndarray:
    """[3, H, W] of 0..1 -> uint8 [H, W, 3]"""
    return (colour.permute(1, 2, 0) * 255).round().byte().cpu().numpy()


def _photo_camera(rng: np.random.Generator) -> Camera:
    fov, pitch, roll = np.radians([rng.uniform(60, 100), rng.uniform(-12, 12), rng.uniform(-4, 4)])
    width = max(192, round(2 * math.tan(fov / 2) * WIDTH / (2 * math.pi)))
    return placed_camera(width, round(width * 0.75), fov, pitch_rad=pitch, roll_rad=roll)
