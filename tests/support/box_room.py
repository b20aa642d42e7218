"""A room whose colour and distance are known exactly: the truth that warping is held to."""

from dataclasses import dataclass, field

import numpy as np

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.projection import equirectangular_directions

TABLE = ((1.2, -1.6, -1.6), (2.0, -0.4, -0.8))
CUPBOARD = ((-1.5, 1.2, -1.6), (-0.7, 2.0, 0.4))


@dataclass(frozen=True)
class BoxRoom:
    """The inside of one box with other boxes in it; every surface carries smooth waves of colour."""

    low: tuple[float, float, float] = (-2.5, -2.2, -1.6)
    high: tuple[float, float, float] = (3.5, 2.4, 1.2)
    boxes: tuple = field(default=(TABLE, CUPBOARD))

    def look(self, origin, directions):
        """Colour [..., 3] in 0..255 and distance [...] along unit directions [..., 3]."""
        origin, directions = np.asarray(origin, float), np.asarray(directions, float)
        safe = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
        distance = (np.where(safe > 0, self.high, self.low) - origin) / safe
        distance = distance.min(-1)
        for low, high in self.boxes:
            ends = np.sort([(np.array(low) - origin) / safe, (np.array(high) - origin) / safe], axis=0)
            enter, leave = ends[0].max(-1), ends[1].min(-1)
            distance = np.where((enter < leave) & (enter > 0), np.minimum(enter, distance), distance)
        points = origin + distance[..., None] * directions
        waves = np.stack(
            [
                np.sin(points @ [7.0, 3.0, 5.0]) * np.cos(points @ [2.0, -6.0, 4.0]),
                np.sin(points @ [-4.0, 6.0, 3.0] + 1),
                np.cos(points @ [5.0, 5.0, -7.0] + 2),
            ],
            -1,
        )
        return 127.5 + 100 * waves, distance

    def visible(self, origin, points):
        """[...] bool: nothing stands between an origin and surface points [..., 3]."""
        reach = np.linalg.norm(points - origin, axis=-1)
        _, distance = self.look(origin, (points - origin) / np.maximum(reach, 1e-9)[..., None])
        return distance > reach * (1 - 1e-4) - 1e-4

    def panorama(self, width=1024, distance_width=1024, origin=(0.0, 0.0, 0.0), heading_rad=0.3) -> Panorama:
        colour, _ = self.look(origin, equirectangular_directions(width, width // 2, heading_rad))
        _, distance = self.look(origin, equirectangular_directions(distance_width, distance_width // 2, heading_rad))
        empty = np.zeros(colour.shape[:2], np.uint8)
        return Panorama(np.rint(colour).astype(np.uint8), distance.astype(np.float32), empty, heading_rad, origin)

    def view(self, camera: Camera) -> View:
        colour, distance = self.look(camera.position, camera.rays())
        empty = np.zeros(colour.shape[:2], np.uint8)
        return View(camera, np.rint(colour).astype(np.uint8), distance.astype(np.float32), empty)


def psnr(first, second, peak=255.0) -> float:
    """Decibels between two images of values in 0..peak."""
    error = np.mean((np.asarray(first, float) - np.asarray(second, float)) ** 2)
    return float(10 * np.log10(peak**2 / max(error, 1e-12)))
