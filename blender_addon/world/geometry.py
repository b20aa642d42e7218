"""A world's distances, prepared for questions about paths: how far a camera may go, how much it sees. No bpy here.

Loaded in a thread: Blender itself would block the window while it reads an EXR file.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..kit import Camera, Coverage, Known, Link, Opening, Panorama, equirectangular_directions, in_passage
from .distance import WorldError, read_distance
from .info import WorldInfo, read_world_info

DISTANCE_FILE, PLATE_DISTANCE_FILE, PLATE_FILE = "distance.exr", "plate_distance.exr", "plate.png"
MASK_WIDTH_PX = 256
"""Width of the mask of what the photo saw."""


@dataclass(frozen=True, eq=False)
class WorldGeometry:
    """The distances of a world."""

    folder: Path
    panorama: Panorama
    """Distances, heading and viewpoint; its colours are blank, what the photo saw is coarse."""
    median_distance_m: float
    coverage: Coverage
    modified_ns: int
    """Modification time of the distances (`st_mtime_ns`)."""
    beyond: "WorldGeometry | None" = None
    """A second world, in this one's frame, that the path goes on in."""
    opening: Opening | None = None
    """That leads there."""

    def is_current(self, folder: Path) -> bool:
        """Whether this is the world that is in the folder now."""
        try:
            return self.folder == folder and self.modified_ns == (folder / DISTANCE_FILE).stat().st_mtime_ns
        except OSError:
            return False

    def known(self, camera: Camera) -> Known:
        """What a camera's view is made of; of two worlds, by the one that shows more of it."""
        known = self.coverage.known(camera)
        if self.beyond is not None:
            known = max(known, self.beyond.coverage.known(camera), key=lambda each: each.share)
        return known

    def too_far(self, position: np.ndarray) -> float:
        """How many metres a place [3] is beyond what can be shot; not positive where it is not."""
        if self.is_passage(position):
            return 0.0
        own = self.coverage.reach.too_far(position)
        return own if self.beyond is None else min(own, self.beyond.coverage.reach.too_far(position))

    def is_passage(self, position: np.ndarray) -> bool:
        """Whether a place [3] is straight before or behind the opening to a second world."""
        return self.opening is not None and in_passage(np.asarray(position, float), self.opening)

    def is_behind_surface(self, position: np.ndarray) -> bool:
        """Whether a position [3] is behind the surface that the viewpoint sees: in a wall, or beyond it."""
        if self.is_passage(position) or (self.beyond is not None and not self.beyond.is_behind_surface(position)):
            return False
        offset = np.asarray(position, float) - self.panorama.position
        length = float(np.linalg.norm(offset))
        return length > 1e-6 and length > float(self.panorama.distance_at(offset))


def has_plate(folder: Path) -> bool:
    """Whether a world has a clean plate that is not the panorama once more."""
    plate, own = folder / PLATE_DISTANCE_FILE, folder / DISTANCE_FILE
    try:
        return (folder / PLATE_FILE).is_file() and plate.read_bytes() != own.read_bytes()
    except OSError:
        return False


def load_world_geometry(folder: Path, distances: str = DISTANCE_FILE) -> WorldGeometry:
    """The distances of the world in a folder, or those of its clean plate. Raises `WorldError`."""
    info = read_world_info(folder)
    file = folder / distances
    distance = read_distance(file)
    height, width = distance.shape
    if width != 2 * height or not (np.isfinite(distance) & (distance > 0)).all():
        raise WorldError(f"The distances in {file} are damaged: build the world again.")
    from_photo = seen_by_photo(info)
    blank_colours = np.zeros((*from_photo.shape, 3), np.uint8)
    panorama = Panorama(blank_colours, distance, from_photo, info.heading_rad, info.origin, info.camera_height_m)
    return WorldGeometry(folder, panorama, panorama.median_distance, Coverage(panorama), file.stat().st_mtime_ns)


def joined_geometry(world: WorldGeometry, second: Path, link: Link) -> WorldGeometry:
    """A world with a second one beyond an opening. Raises `WorldError`."""
    beyond = load_world_geometry(second)
    placed = link.placed(beyond.panorama)
    beyond = replace(beyond, panorama=placed, coverage=Coverage(placed))
    return replace(world, beyond=beyond, opening=link.opening)


def seen_by_photo(info: WorldInfo) -> np.ndarray:
    """255 where the photo's frame lies in a world's panorama, else 0 [MASK_WIDTH_PX / 2, MASK_WIDTH_PX]."""
    directions = equirectangular_directions(MASK_WIDTH_PX, MASK_WIDTH_PX // 2, info.heading_rad)
    camera = info.photo_camera
    if camera is None:  # all of a given panorama is a picture
        return np.full(directions.shape[:2], 255, np.uint8)
    pixels, depth = camera.project(camera.position + directions)
    inside = (pixels > 0) & (pixels < (camera.width, camera.height))
    return np.where((depth > 0) & inside.all(-1), 255, 0).astype(np.uint8)


def rotated_about_vertical(camera: Camera, angle_rad: float, pivot: ArrayLike) -> Camera:
    """The camera rotated counter-clockwise about the vertical through a point (metres)."""
    if abs(angle_rad) < 1e-6:
        return camera
    rotation, pose = np.eye(4), camera.camera_to_world.copy()
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    rotation[:2, :2] = [[cosine, -sine], [sine, cosine]]
    pose[:3, 3] -= np.asarray(pivot)
    pose = rotation @ pose
    pose[:3, 3] += np.asarray(pivot)
    return Camera(camera.width, camera.height, camera.intrinsics, pose)
