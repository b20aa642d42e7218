"""Where a second photo of a place looks, from what it shares with the first: matched features and one rotation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera

SIDE_PX = 1600
"""Longer side of the pictures in which features are looked for."""
LEAST_MATCHES = 10
"""By chance hardly three of some hundred wrong matches agree on one rotation."""
NEAR_DEG = (0.6, 1.2)
"""How far a matched feature may be off the rotation that it is counted for: as photos from one standpoint have it, else
as those of a hand that moved."""
MOST_RESIDUAL_DEG = 0.4
"""Of the median, beyond which photos do not agree."""
_RATIO, _TRIES = 0.85, 1000


@dataclass(frozen=True)
class Alignment:
    """How well a photo was aligned."""

    to: int
    """The photo that it was aligned to."""
    matches: int
    """How many features agree."""
    residual_deg: float
    """The median angle between where they are and where they should be."""


def align_photos(
    photos: Sequence[NDArray[np.uint8]], cameras: Sequence[Camera], names: Sequence[str], known: int = 1
) -> tuple[list[Camera], list[Alignment]]:
    """The photos' cameras, turned so that all of them show the same where they look, and how well the turned ones do.

    cameras: the first `known` ones stay; of the others only the lenses count. All stand where the first does.

    Raises InputError naming a photo that shares too little with the others, or that does not agree with them.
    """
    features = [features_of(photo, camera) for photo, camera in zip(photos, cameras, strict=True)]
    placed, aligned = dict(enumerate(cameras[:known])), {}
    rotation = cache(lambda index, other: _rotation(features[index], features[other], seed=index))
    while len(placed) < len(photos):
        best: tuple[int, int, NDArray[np.float64], Alignment] | None = None
        for index in set(range(len(photos))) - set(placed):
            for other in placed:
                found = rotation(index, other)
                if found is not None and (best is None or found[1] > best[3].matches):
                    best = index, other, found[0], Alignment(other, *found[1:])
        if best is None:
            lost = sorted(set(range(len(photos))) - set(placed))[0]
            raise InputError(
                f"{names[lost]} shares too little with {names[0]}: fewer than {LEAST_MATCHES} details agree; give "
                "photos that overlap by a quarter or more, taken from one place, or set their cameras by hand"
            )
        index, other, turn, how = best
        if how.residual_deg > MOST_RESIDUAL_DEG:
            raise InputError(
                f"{names[index]} fits {names[other]} only to {how.residual_deg:.2f}°; they were not taken from one "
                "place, or a field of view is wrong; correct it"
            )
        pose = np.eye(4)
        pose[:3, :3] = placed[other].rotation @ turn
        pose[:3, 3] = cameras[0].position
        camera = cameras[index]
        placed[index] = Camera(camera.width, camera.height, camera.intrinsics, pose)
        aligned[index] = how
    order = range(len(photos))
    return [placed[index] for index in order], [aligned[index] for index in order if index >= known]


def features_of(photo: NDArray[np.uint8], camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Unit rays [N, 3] in the camera's own axes, and what is around each, [N, 128]."""
    height, width = photo.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    small = cv2.resize(photo[..., :3], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    camera = camera.resized(small.shape[1], small.shape[0])
    # dark parts and dark photos have their features, too
    grey = cv2.createCLAHE(2.0, (8, 8)).apply(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    # plain rooms have few details of much contrast: the faint ones are told apart by whether they agree
    points, around = cv2.SIFT_create(4000, contrastThreshold=0.005).detectAndCompute(grey, None)  # type: ignore[attr-defined]
    if around is None:
        return np.zeros((0, 3)), np.zeros((0, 128), np.float32)
    # OpenCV counts from the middle of the first pixel
    pixels = np.array([[point.pt[0] + 0.5, point.pt[1] + 0.5, 1.0] for point in points])
    rays = pixels @ np.linalg.inv(camera.intrinsics).T
    around = np.sqrt(around / np.maximum(around.sum(1, keepdims=True), 1e-6))  # distances as Hellinger's, less of peaks
    return rays / np.linalg.norm(rays, axis=1, keepdims=True), around


def _rotation(one, other, seed: int) -> tuple[NDArray[np.float64], int, float] | None:
    """The rotation [3, 3] that takes the first one's rays to the second's, how many agree, and how well (degrees)."""
    if min(len(one[0]), len(other[0])) < LEAST_MATCHES:
        return None
    pairs = matched(one[1], other[1])
    if len(pairs) < LEAST_MATCHES:
        return None
    a, b = one[0][pairs[:, 0]], other[0][pairs[:, 1]]
    for near_deg in NEAR_DEG:
        found = _agreed(a, b, math.radians(near_deg), np.random.default_rng(seed))
        if found is not None:
            return found
    return None


def matched(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which features of one picture look like which of another, much more than like the next best: [N, 2]."""
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(one, other, k=2)
    good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance]
    return np.array([(match.queryIdx, match.trainIdx) for match in good], np.intp).reshape(-1, 2)


def _agreed(
    a: NDArray[np.float64], b: NDArray[np.float64], near_rad: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], int, float] | None:
    """The rotation that takes most of the rays [N, 3] nearly to the others, as `_rotation` gives it."""
    best = np.zeros(len(a), bool)
    for _ in range(_TRIES):
        some = rng.choice(len(a), 2, replace=False)
        agree = _angles(a @ _best_turn(a[some], b[some]).T, b) < near_rad
        if agree.sum() > best.sum():
            best = agree
    for _ in range(4):
        if best.sum() < LEAST_MATCHES:
            return None
        turn = _best_turn(a[best], b[best])
        agreed, best = best, _angles(a @ turn.T, b) < near_rad
    return turn, int(agreed.sum()), math.degrees(float(np.median(_angles(a[agreed] @ turn.T, b[agreed]))))


def _best_turn(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation that takes rays [N, 3] closest to others (Kabsch)."""
    u, _, v = np.linalg.svd(b.T @ a)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v


def _angles(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=1) / 2, 0, 1))
