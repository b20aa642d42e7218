"""Edges of what stands in front: whose pixels they are, and cracks that a distance map has where nothing stands."""

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.warping import Tears


def with_rims(panorama: Panorama, pixels: int = 2) -> Panorama:
    """The panorama with the nearer side of each tear grown by so many of the distance map's pixels.

    An edge of the picture is mixed of both its sides, and a made distance misses it by a pixel or two. What of the
    nearer side is told to lie behind it would stay there as a ghost when the camera moves; the other way round, the
    nearer thing takes a narrow rim of its background along, which hardly shows.
    """
    for _ in range(pixels):
        tears = Tears.of(panorama)
        near = 1 / cv2.dilate(tears.inverse, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        torn = cv2.dilate(tears.pixels.astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
        panorama = replace(panorama, distance=np.where(torn, near, panorama.distance))
    return panorama


def crack_pixels(panorama: Panorama, camera: Camera) -> int:
    """Half of the width up to which a gap in a frame is a crack: about half a pixel of the distance map."""
    return max(1, min(8, round(math.pi * camera.intrinsics[0, 0] / panorama.distance.shape[1])))


def bridge_cracks(
    colour: NDArray[np.uint8], distance: NDArray[np.float32], known: NDArray[np.bool_], half_width: int
) -> None:
    """Fills the gaps of a frame that are at most twice so many pixels wide with what lies beside them, in place.

    Where a distance map steps by little, or a slope is only just steep enough to be torn, a frame has dots and dotted
    lines of holes inside of things: what lies far behind them would show. Of two sides the farther one counts.
    """
    from .rasterizing_cpu import beside  # slow to import

    holes = (~known).astype(np.uint8)
    wide = cv2.morphologyEx(holes, cv2.MORPH_OPEN, np.ones((2 * half_width + 1,) * 2, np.uint8))
    # the corners of what is wide are no cracks
    rows, columns = np.nonzero((holes > 0) & (cv2.dilate(wide, np.ones((3, 3), np.uint8)) == 0))
    if not rows.size:
        return
    found = np.empty((len(rows), 4), np.float32)
    beside(rows, columns, 2 * half_width + 1, colour, distance, known, found)  # across the gap
    rows, columns, found = (values[found[:, 3] > 0] for values in (rows, columns, found))
    colour[rows, columns], distance[rows, columns] = (found[:, :3] + 0.5).astype(np.uint8), found[:, 3]
    known[rows, columns] = True
