"""Straight line segments in a photo, by LSD (Grompone von Gioi et al., "LSD: a Line Segment Detector", 2012)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera

WORKING_SIDE = 1280
"""Longer side at which segments are looked for, pixels: finer, textures and the sensor's noise break them up."""
LEAST_LENGTH = 0.012
"""Shortest segment by default, as a part of the photo's longer side: about 1° in a photo of usual width."""

_LSD_ORIGIN = 0.625
"""OpenCV counts pixel centres from 0, and forgets half a pixel of the gradient's mask on its image scaled by 0.8:
half a pixel and (1 - 0.5) / 0.8 - 0.5 more."""


def find_segments(photo: NDArray[np.uint8], min_length_px: float | None = None) -> NDArray[np.float64]:
    """Line segments of a photo, the longest first: [n, 4], x0, y0, x1, y1 in its own pixels.

    photo: uint8 [h, w, 3], sRGB. Coordinates are continuous, pixel centres at half-integers. Large photos are
    looked at smaller (`WORKING_SIDE`). min_length_px: shortest segment, in the photo's pixels.
    """
    height, width = photo.shape[:2]
    longer = max(height, width)
    if min_length_px is None:
        min_length_px = LEAST_LENGTH * longer
    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY)
    if longer > WORKING_SIDE:
        size = max(1, round(width * WORKING_SIDE / longer)), max(1, round(height * WORKING_SIDE / longer))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    lines = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(grey)[0]
    if lines is None:
        return np.zeros((0, 4))
    scale = np.array([width / grey.shape[1], height / grey.shape[0]])
    segments = (lines.reshape(-1, 2, 2).astype(np.float64) + _LSD_ORIGIN) * scale
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    order = np.argsort(-lengths, kind="stable")
    return segments[order[lengths[order] >= max(min_length_px, 1e-6)]].reshape(-1, 4)


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
