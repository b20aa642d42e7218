"""Straight line segments in a photo, by LSD (Grompone von Gioi et al., "LSD: a Line Segment Detector", 2012)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera

WORKING_SIDE = 1280
"""Longer side at which segments are looked for, pixels: finer, textures and the sensor's noise break them up."""
SOFT_SIDE, SOFT_CONTRAST = 320, 3.0
LEAST_SOFT_LENGTH = 0.08
"""Shortest segment that only shows at `SOFT_SIDE`, as a part of the photo's longer side."""
LEAST_LENGTH = 0.012
"""Shortest segment by default, as a part of the photo's longer side: about 1° in a photo of usual width."""

_LSD_ORIGIN = 0.625
"""OpenCV counts pixel centres from 0, and forgets half a pixel of the gradient's mask on its image scaled by 0.8:
half a pixel and (1 - 0.5) / 0.8 - 0.5 more."""


def find_segments(photo: NDArray[np.uint8], min_length_px: float | None = None) -> NDArray[np.float64]:
    """Line segments of a photo, the longest first: [n, 4], x0, y0, x1, y1 in its own pixels.

    photo: uint8 [h, w, 3], sRGB. Coordinates are continuous, pixel centres at half-integers. Large photos are
    looked at smaller (`WORKING_SIDE`), and once more still smaller with more contrast (`SOFT_SIDE`), where long edges
    show that are too soft otherwise: the corners of a plain room. min_length_px: the shortest one, in the photo's
    pixels.
    """
    height, width = photo.shape[:2]
    longer = max(height, width)
    if min_length_px is None:
        min_length_px = LEAST_LENGTH * longer
    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY)
    segments = _detected(grey, WORKING_SIDE)
    if longer >= SOFT_SIDE:
        soft = _detected(grey, SOFT_SIDE, SOFT_CONTRAST)
        soft = soft[_lengths(soft) >= LEAST_SOFT_LENGTH * longer]
        segments = np.concatenate([segments, soft[~_covered(soft, segments, 1.5 * longer / SOFT_SIDE)]])
    lengths = _lengths(segments)
    order = np.argsort(-lengths, kind="stable")
    return segments[order[lengths[order] >= max(min_length_px, 1e-6)]]


def _detected(grey: NDArray[np.uint8], side: int, contrast: float = 1.0) -> NDArray[np.float64]:
    """Segments [n, 4] in pixels of `grey`, looked for in it at most `side` pixels wide and high.

    Other than 1, `contrast` raises what differs from its surroundings before it is rounded to 256 levels again.
    """
    height, width = grey.shape
    longer = max(height, width)
    size = width, height
    if longer > side:
        size = max(1, round(width * side / longer)), max(1, round(height * side / longer))
    if contrast == 1:
        small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    else:
        fine = cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        around = cv2.bilateralFilter(fine, 25, 30, 12)  # a plain blur would draw two more lines beside every strong one
        small = np.clip(128 + contrast * (fine - around), 0, 255).astype(np.uint8)
    lines = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(small)[0]
    if lines is None:
        return np.zeros((0, 4))
    scale = np.array([width / size[0], height / size[1]])
    return ((lines.reshape(-1, 2, 2).astype(np.float64) + _LSD_ORIGIN) * scale).reshape(-1, 4)


def _lengths(segments: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(segments[:, 2:] - segments[:, :2], axis=1)


def _covered(soft: NDArray[np.float64], fine: NDArray[np.float64], near: float) -> NDArray[np.bool_]:
    """Which soft segments run over a third of their length along fine ones, at most `near` pixels aside."""
    lengths = np.maximum(_lengths(soft), 1e-9)
    along = (soft[:, 2:] - soft[:, :2]) / lengths[:, None]
    ends = fine.reshape(1, -1, 2, 2) - soft[:, None, None, :2]
    aside = np.abs(ends[..., 1] * along[:, None, None, 0] - ends[..., 0] * along[:, None, None, 1]).max(-1)
    reach = (ends * along[:, None, None]).sum(-1)
    shared = np.minimum(reach.max(-1), lengths[:, None]) - np.maximum(reach.min(-1), 0)
    return (np.where(aside <= near, np.maximum(shared, 0), 0)).sum(1) > lengths / 3


def segment_normals(segments: NDArray[np.float64], camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals [n, 3], in the world, of the great circles on which segments [n, 4] (pixels) lie, and their
    lengths [n] in radians.

    A 3D line of direction `d` projects onto a segment of normal `n` with `n · d = 0`.
    """
    ends = np.concatenate([segments.reshape(-1, 2, 2), np.ones((len(segments), 2, 1))], axis=2)
    rays = ends @ (camera.rotation @ np.linalg.inv(camera.intrinsics)).T
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    normals = np.cross(rays[:, 0], rays[:, 1])
    sines = np.linalg.norm(normals, axis=1)
    lengths = np.arctan2(sines, (rays[:, 0] * rays[:, 1]).sum(1))
    return normals / np.maximum(sines, 1e-12)[:, None], lengths
