"""A finished world as the add-on needs it: how far one may go, and how much of a view is known. No bpy here.

Read in a thread: Blender itself would hold the window for the time that an EXR file takes.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..kit import Camera, Coverage, Panorama
from .distance import WorldError, read_distance

DISTANCE = "distance.exr"


@dataclass(frozen=True, eq=False)
class KnownWorld:
    """A world's distances, prepared for questions that are asked often."""

    folder: Path
    panorama: Panorama
    """Distances, heading and origin; its colours are blank."""
    median: float
    """The panorama's median distance, metres."""
    coverage: Coverage
    modified: int
    """When its distances were written (`st_mtime_ns`)."""

    def is_of(self, folder: Path) -> bool:
        """Whether this is what lies in the folder now."""
        try:
            return self.folder == folder and self.modified == (folder / DISTANCE).stat().st_mtime_ns
        except OSError:
            return False

    def behind_surface(self, position: np.ndarray) -> bool:
        """Whether a place [3] lies behind what is seen from the origin: in a wall, or beyond it."""
        offset = np.asarray(position, float) - self.panorama.position
        length = float(np.linalg.norm(offset))
        return length > 1e-6 and length > float(self.panorama.distance_at(offset))


def load_world(folder: Path) -> KnownWorld:
    """The world in a folder. Raises `WorldError`."""
    try:
        about = json.loads((folder / "world.json").read_text(encoding="utf-8"))
        heading = math.radians(float(about["heading"]))
        x, y, z = (float(value) for value in about["origin"])
        height_m = float(about["camera_height"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldError(f"The world in {folder} cannot be read ({error}): build it again.") from None
    file = folder / DISTANCE
    distance = read_distance(file)
    height, width = distance.shape
    if width != 2 * height or not (np.isfinite(distance) & (distance > 0)).all():
        raise WorldError(f"The distances in {file} are damaged: build the world again.")
    blank = np.zeros((1, 2, 3), np.uint8), np.zeros((1, 2), np.uint8)
    panorama = Panorama(blank[0], distance, blank[1], heading, (x, y, z), height_m)
    return KnownWorld(folder, panorama, panorama.median_distance(), Coverage(panorama), file.stat().st_mtime_ns)


def turned(camera: Camera, angle: float, origin: ArrayLike) -> Camera:
    """The camera turned about the vertical through a point (metres), radians counter-clockwise."""
    if abs(angle) < 1e-6:
        return camera
    turn, pose = np.eye(4), camera.camera_to_world.copy()
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    pose[:3, 3] -= np.asarray(origin)
    pose = turn @ pose
    pose[:3, 3] += np.asarray(origin)
    return Camera(camera.width, camera.height, camera.intrinsics, pose)
