"""The pattern of a face (planks, tiles, wallpaper, grain): what the photo shows of it, and its continuation."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .faces import Face, sample
from .picture import Picture
from .quilting import continue_pattern
from .surfaces import FaceLight, SeenFaces

MEAN_M = {"wall": 0.06, "floor": 0.12, "ceiling": 0.06}
"""Scale below which what the photo shows of a face is its pattern, and above which it is light: planks are wide."""
ODD = {"wall": 0.06, "floor": 0.13, "ceiling": 0.06}
"""Deviation (of a logarithm) above which something is not a pattern, unless most of the face exceeds it."""
CHROMA = 0.4
"""Of the pattern's colour; most of it is the camera's noise and the lens's fringes."""
LEAST_PEAK, LEAST_STEP = 0.30, 0.30
"""Of a wall's autocorrelation, for a repeat to be believed: its peak, and its height above the saddle before it."""
REPEAT_M = (0.06, 0.60)
GRAIN = 0.008
"""Deviation of the grain of plain paint at most."""
LEAST_FLOOR_PX = 25
"""Radius, in pixels of the picture at working size, that a circle on the seen floor has for its pattern to be read."""
CONTRAST, MOST_CONTRAST = 0.10, 0.2
"""Deviation that a floor's pattern is capped at, and above which it is objects and shadows, not a pattern."""


@dataclass(frozen=True, eq=False)
class SeenPattern:
    """What the photo shows of a face's pattern, as the logarithm of its ratio to the local mean."""

    pattern: NDArray[np.float32]
    """[rows, columns, 3], 0 where nothing is known."""
    known: NDArray[np.bool_]


def seen_pattern(
    face: Face, light: FaceLight, picture: Picture, seen: SeenFaces, texel_m: float, unit: float = 1.0
) -> SeenPattern:
    """picture: at full size; unit as in `light_of_faces`."""
    rows, columns = face.shape(texel_m)
    nothing = SeenPattern(np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), bool))
    if light.seen.max(initial=0) < 0.5 or (face.kind == "floor" and not _broad(seen, face.number)):
        return nothing
    points = face.points(texel_m)
    small_x, small_y, inside = seen.picture.locate(points)
    clean = cv2.erode((seen.clean & ~_edges(seen.face)).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    own = sample(clean * (seen.face == face.number), small_x, small_y) > 0.99
    own &= inside & _resampled(light.visible.astype(np.float32), own.shape, 0.99)
    if own.sum() < 400:
        return nothing
    # averaged to about the texel's size: a photo's pixels are mostly finer
    footprint = np.median(np.linalg.norm(points[own] - picture.position.astype(np.float32), axis=-1))
    factor = texel_m / (footprint * picture.pixel_rad)
    if factor > 1.5:
        picture = picture.at_most(max(16, round(1.2 * max(picture.pixels.shape) / factor)))
    x, y, _ = picture.locate(points)
    shown = sample(picture.pixels.astype(np.float32) / 255, x, y) + np.float32(0.02)
    weights = np.dstack([shown * own[..., None], own.astype(np.float32)])
    mean = cv2.GaussianBlur(weights, (0, 0), MEAN_M[face.kind] * unit / texel_m)
    ratio = np.log(shown / np.maximum(mean[..., :3] / np.maximum(mean[..., 3:], 1e-3), 0.02))
    own &= mean[..., 3] > 0.35  # near the mask's rim the mean is one-sided
    grey = ratio.mean(-1)
    if own.sum() < 400:
        return nothing
    deviation = 1.4826 * float(np.median(np.abs(grey[own] - np.median(grey[own]))))
    odd = (np.abs(grey) > max(ODD[face.kind], 6 * deviation)) & own
    odd = cv2.erode(cv2.dilate(odd.astype(np.uint8), np.ones((7, 7))), np.ones((5, 5))) > 0
    own &= ~odd
    pattern = grey[..., None] + CHROMA * (ratio - grey[..., None])
    return SeenPattern(np.where(own[..., None], pattern, 0).astype(np.float32), own)


def _broad(seen: SeenFaces, number: int) -> bool:
    """Whether enough of a face is seen: a strip at a grazing angle shows streaks, not the pattern."""
    shown = np.pad((seen.clean & (seen.face == number)).astype(np.uint8), 1)
    return float(cv2.distanceTransform(shown, cv2.DIST_L2, 3).max()) >= LEAST_FLOOR_PX


def _edges(labels: NDArray) -> NDArray[np.bool_]:
    values, around = labels.astype(np.float32), np.ones((3, 3), np.uint8)
    return cv2.dilate(values, around) != cv2.erode(values, around)


def _resampled(mask: NDArray, shape: tuple[int, int], threshold: float) -> NDArray[np.bool_]:
    return cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_LINEAR) > threshold


def repeats(seen: SeenPattern, texel_m: float) -> bool:
    """Whether a pattern comes back: its autocorrelation has a peak that stands clearly above its surroundings."""
    grey = seen.pattern.mean(-1)
    rows, columns = np.nonzero(seen.known)
    if len(rows) < 2000:
        return False
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    values, mask = grey[window] * seen.known[window], seen.known[window].astype(np.float32)
    far = round(REPEAT_M[1] / texel_m)
    size = [cv2.getOptimalDFTSize(side + far) for side in values.shape]

    def spectrum(image: NDArray) -> NDArray:
        return np.fft.rfft2(image, size)

    one, own = spectrum(values), spectrum(mask)
    square = spectrum(values**2)
    pairs = np.fft.irfft2(np.abs(own) ** 2, size)
    product = np.fft.irfft2(np.abs(one) ** 2, size)
    energy = np.fft.irfft2(square * own.conj(), size)
    other = np.fft.irfft2(square.conj() * own, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = product / np.sqrt(np.maximum(energy * other, 1e-12))
    correlation[pairs < 0.25 * mask.sum()] = -1
    half = np.concatenate([correlation[:far, -far + 1 :], correlation[:far, :far]], 1)  # lags dy >= 0, all dx
    dy, dx = np.mgrid[:far, -far + 1 : far]
    lag = np.hypot(dy, dx) * texel_m
    peaks = (half == cv2.dilate(half, np.ones((5, 5)))) & (half > LEAST_PEAK)
    peaks &= (lag > REPEAT_M[0]) & (lag < REPEAT_M[1])
    for y, x in np.argwhere(peaks):
        path = np.linspace(0, 1, 48)
        saddle = half[np.round(path * y).astype(int), np.round(far - 1 + path * (x - far + 1)).astype(int)].min()
        if half[y, x] - saddle >= LEAST_STEP:
            return True
    return False


def patterns_of(
    faces: Sequence[Face],
    seen: Sequence[SeenPattern],
    lights: Sequence[FaceLight],
    texel_m: float,
    unit: float,
    seed: int,
) -> list[NDArray[np.float32]]:
    """The pattern of every face [rows, columns, 3], everywhere."""
    rng = np.random.default_rng(seed)
    walls = [number for number, face in enumerate(faces) if face.kind == "wall"]
    best_wall = max(walls, key=lambda number: int(seen[number].known.sum()), default=0)
    result = []
    for number, (face, own) in enumerate(zip(faces, seen, strict=True)):
        model = own
        if face.kind == "wall" and own.known.sum() < 0.5 * seen[best_wall].known.sum():
            model = seen[best_wall]
        example = None if model is own else (model.pattern, model.known)
        wanted = _resampled(lights[number].visible.astype(np.float32), own.known.shape, 0.01)
        made = None
        if model.known.sum() > 400:
            contrast = float(model.pattern.mean(-1)[model.known].std())
            if face.kind == "floor" or repeats(model, texel_m / unit):
                made = continue_pattern(own.pattern, own.known, wanted, rng, example)
                if made is not None:
                    factor = 0.03 / contrast if contrast > MOST_CONTRAST else min(1.0, CONTRAST / max(contrast, 1e-6))
                    made = np.where(own.known[..., None], own.pattern, made * np.float32(factor))
        if made is None:
            made = _grain(own, model, rng)
        result.append(made.astype(np.float32))
    return result


def _grain(own: SeenPattern, model: SeenPattern, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of the deviation of plain paint's calm part, and what is seen where it is."""
    noise = rng.standard_normal(own.known.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.8)
    noise /= noise.std()
    deviation = GRAIN
    if model.known.sum() > 400:
        calm = np.abs(model.pattern.mean(-1)[model.known])
        deviation = min(GRAIN, 1.4826 * float(np.median(calm)))
    return np.where(own.known[..., None], own.pattern, deviation * noise[..., None])
