"""Figures of merit. Images are uint8 [H, W, 3], masks bool [H, W], distances metres [H, W]."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike
from skimage.metrics import structural_similarity

from lookbeyond.geometry.cameras import Camera

TSED_THRESHOLDS_PX = (1.0, 1.5, 2.0, 3.0)
"""Of a frame 256 pixels wide; mTSED is the mean over them."""
LEAST_MATCHES = 10
PATCH = 32
PATCHES = 2048


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Decibels over the masked pixels; 100 where they are equal, NaN for an empty mask."""
    error = (image.astype(np.float64) - truth)[mask] / 255
    return float(-10 * np.log10(max(np.mean(error**2), 1e-10))) if error.size else float("nan")


def ssim_map(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity of every pixel [H, W], Gaussian windows of 1.5 pixels (Wang et al. 2004)."""
    result: Any = structural_similarity(
        image,
        truth,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return result[1].mean(2)


def mean_over(values: np.ndarray, mask: np.ndarray) -> float:
    """Mean of masked values; NaN for an empty mask."""
    return float(values[mask].mean()) if mask.any() else float("nan")


def absrel(distance: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    return mean_over(np.abs(distance - truth) / truth, mask)


def delta(distance: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Share of pixels within a factor of 1.25 of the truth."""
    return mean_over((np.maximum(distance / truth, truth / distance) < 1.25).astype(float), mask)


def seam(panorama: np.ndarray) -> float:
    """Mean jump across the wrap relative to the mean jump between neighbouring columns; 1: no seam."""
    jumps = np.abs(np.diff(panorama.astype(np.float64), axis=1, append=panorama[:, :1])).mean((0, 2))
    return float(jumps[-1] / jumps[:-1].mean())


@dataclass(frozen=True)
class Matches:
    """The matches of one pair of neighbouring frames."""

    errors: np.ndarray
    """[M] symmetric epipolar distance, pixels of a frame 256 wide."""
    in_hole: np.ndarray
    """[M] bool: an end lies in a hole."""


def match_frames(frames: Sequence[np.ndarray], cameras: Sequence[Camera], holes: Sequence[np.ndarray]) -> list[Matches]:
    """SIFT matches (Lowe's ratio 0.8, mutual) of neighbouring frames and how well they obey the cameras' geometry.

    The error is ½ (d(p₂, F p₁) + d(p₁, Fᵀ p₂)) with F from the given poses (Yu et al. 2023, photoconsistent novel
    view synthesis); where the camera only turns, F vanishes and the residual of the rotation's homography stands in.
    """
    detector, scale = cv2.SIFT.create(contrastThreshold=0.01), 256 / cameras[0].width
    found = []
    for frame in frames:
        large = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        points, descriptors = detector.detectAndCompute(cv2.cvtColor(large, cv2.COLOR_RGB2GRAY), None)
        found.append((np.array([point.pt for point in points], float).reshape(-1, 2) / 2, descriptors))
    results = []
    for k, ((p, a), (q, b)) in enumerate(pairwise(found)):
        pairs = _mutual_matches(a, b)
        p, q = p[pairs[:, 0]], q[pairs[:, 1]]
        errors = scale * epipolar_distance(p, q, cameras[k], cameras[k + 1])
        results.append(Matches(errors, _at(holes[k], p) | _at(holes[k + 1], q)))
    return results


def _mutual_matches(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray:
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), int)

    def best(one: np.ndarray, other: np.ndarray) -> dict[int, int]:
        pairs = cv2.BFMatcher().knnMatch(one, other, k=2)
        return {m.queryIdx: m.trainIdx for m, n in pairs if m.distance < 0.8 * n.distance}

    forth, back = best(a, b), best(b, a)
    return np.array([(i, j) for i, j in forth.items() if back.get(j) == i], int).reshape(-1, 2)


def _at(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    column, row = points.astype(int).T if len(points) else np.zeros((2, 0), int)
    return mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)]


def epipolar_distance(p: np.ndarray, q: np.ndarray, first: Camera, second: Camera) -> np.ndarray:
    """[M] pixels: symmetric distance of points p [M, 2] of one camera and q [M, 2] of another from their epipolars."""
    relative = second.rotation.T @ first.rotation
    move = second.rotation.T @ (first.position - second.position)
    p, q = (np.concatenate([points, np.ones((len(points), 1))], 1) for points in (p, q))
    to_first, to_second = np.linalg.inv(first.intrinsics), np.linalg.inv(second.intrinsics)
    if np.linalg.norm(move) < 1e-4:
        turned = p @ (second.intrinsics @ relative @ to_first).T
        back = q @ (first.intrinsics @ relative.T @ to_second).T
        forth = np.linalg.norm(turned[:, :2] / turned[:, 2:] - q[:, :2], axis=1)
        return (forth + np.linalg.norm(back[:, :2] / back[:, 2:] - p[:, :2], axis=1)) / 2
    cross = np.array([[0, -move[2], move[1]], [move[2], 0, -move[0]], [-move[1], move[0], 0]])
    fundamental = to_second.T @ cross @ relative @ to_first
    lines_q, lines_p = p @ fundamental.T, q @ fundamental
    algebraic = np.abs((q * lines_q).sum(1))
    return algebraic * (1 / np.hypot(*lines_q[:, :2].T) + 1 / np.hypot(*lines_p[:, :2].T)) / 2


def tsed(matches: Sequence[Matches], threshold_px: float, *, touching_holes: bool = False) -> list[float]:
    """For every pair 1 where it is consistent (enough matches, their median error below the threshold), else 0."""
    chosen = [pair.errors[pair.in_hole] if touching_holes else pair.errors for pair in matches]
    return [float(len(errors) >= LEAST_MATCHES and np.median(errors) < threshold_px) for errors in chosen]


def patch_features(images: Sequence[np.ndarray], masks: Sequence[np.ndarray], seed: int = 0) -> np.ndarray:
    """Features [PATCHES, 18] of patches whose centres are drawn from the masks: needs no learned weights.

    Of each patch of 32 x 32 pixels: mean and deviation of Lab (6), and the logarithm of the mean magnitude of the
    lightness's first derivatives of Gaussians of 1, 2 and 4 pixels, steered to 0, 45, 90 and 135 degrees (12).
    """
    rng = np.random.default_rng(seed)
    share = np.array([mask.sum() for mask in masks], float)
    counts = rng.multinomial(PATCHES, share / share.sum())
    features = []
    for image, mask, count in zip(images, masks, counts, strict=True):
        maps = _feature_maps(image)
        half = PATCH // 2
        padded = np.pad(maps, ((half, half), (0, 0), (0, 0)), mode="reflect")
        padded = np.pad(padded, ((0, 0), (half, half), (0, 0)), mode="wrap")
        places = np.argwhere(mask)
        for row, column in places[rng.integers(len(places), size=count)]:
            patch = padded[row : row + PATCH, column : column + PATCH]
            mean = patch.mean((0, 1))
            features.append(np.concatenate([mean[:3], patch[..., :3].std((0, 1)), np.log(mean[3:] + 0.1)]))
    return np.array(features)


def _feature_maps(image: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    maps = [*np.moveaxis(lab, -1, 0)]
    for sigma in (1, 2, 4):
        smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), sigma) * sigma
        dx, dy = cv2.Scharr(smooth, -1, 1, 0) / 32, cv2.Scharr(smooth, -1, 0, 1) / 32
        maps += [np.abs(np.cos(angle) * dx + np.sin(angle) * dy) for angle in np.pi / 4 * np.arange(4)]
    return np.stack(maps, -1)


def frechet(first: np.ndarray, second: np.ndarray, scale: np.ndarray) -> float:
    """Fréchet distance of two sets of features [N, D] as Gaussians, each feature divided by `scale` [D]."""
    first, second = first / scale, second / scale
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # tr √(ab): the eigenvalues of a product of positive matrices are positive
    root = np.sqrt(np.linalg.eigvals(a @ b).real.clip(0)).sum()
    return float(np.square(first.mean(0) - second.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * root)


def frechet_excess(made: Sequence[np.ndarray], truth: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float:
    """Fréchet distance of what was made from the truth, less the one between two draws from the truth."""
    reference, again = patch_features(truth, masks, 0), patch_features(truth, masks, 1)
    scale = reference.std(0)
    return frechet(patch_features(made, masks, 2), reference, scale) - frechet(again, reference, scale)


def mean_of_known(values: ArrayLike) -> float:
    """The mean of the finite values; NaN where there are none."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else float("nan")


def mean_course(courses: ArrayLike) -> np.ndarray:
    """Courses [N, T] -> the mean of the known values at each step [T]; NaN where there are none."""
    values = np.asarray(courses, float)
    count = np.isfinite(values).sum(0)
    return np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), np.nan)


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of values [N] (NaN left out)."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    chosen = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.quantile(values[chosen].mean(1), (0.025, 0.975))
    return float(low), float(high)
