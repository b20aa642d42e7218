"""Noisy photos: how noisy one is, the same picture without its noise, and noise for what is made beside it."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

USED_WIDTH = 512
"""Pixels of the longer side at which noise is judged: about what networks and drawn surfaces make of a photo."""
KNEE = 7.0
"""Levels of noise from which on it is taken away. Chosen on rooms 100 to 107: 5 cost nothing, 10 more than a decibel
of what nobody saw."""
CLEANED_WIDTH = 1024
"""Pixels of the longer side at which noise is taken away."""
STRENGTH = 0.9
"""Of non-local means, in standard deviations of the noise."""
_SECOND_DIFFERENCES = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""Blind to all that is smooth; of independent noise it makes six standard deviations."""


def noise_level(photo: NDArray[np.uint8]) -> float:
    """Standard deviation of a photo's noise at the size at which it is used, levels of 255; photo [h, w, 3].

    From the median of its second differences: edges are few. Grass is everywhere, but its channels vary together and
    those of noise do not: the lesser counts of green and of what red has beyond it. Clipped pixels have no noise.
    """
    red, green, _ = cv2.split(_shrunk(photo, USED_WIDTH).astype(np.float32))
    clipped = (np.minimum(red, green) < 8) | (np.maximum(red, green) > 247)
    counted = cv2.dilate(clipped.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    if np.count_nonzero(counted) < 100:
        return 0.0
    levels = [
        np.median(np.abs(cv2.filter2D(each, -1, _SECOND_DIFFERENCES))[counted]) / 6
        for each in (green, (red - green) / math.sqrt(2))
    ]
    return float(min(levels)) / 0.6745  # the median of a standard normal deviate's absolute value


def denoised(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo [h, w, 3 or 4] without its noise if it has more than usual, else the photo itself.

    Its finest detail goes with the noise: it is what surfaces are continued from, not what is shown of the photo.
    """
    level = noise_level(photo[..., :3])
    if level < KNEE:
        return photo
    strength = STRENGTH * level
    small = np.ascontiguousarray(_shrunk(photo[..., :3], CLEANED_WIDTH))
    clean = cv2.fastNlMeansDenoisingColored(small, None, strength, strength, 7, 21)
    whole = photo.copy()
    whole[..., :3] = cv2.resize(clean, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return whole


def with_grain(colour: NDArray[np.uint8], deviation: NDArray[np.floating], seed: int) -> NDArray[np.uint8]:
    """A picture [h, w, 3] with normal noise of so many levels for each channel [3]."""
    grain = np.random.default_rng(seed).standard_normal(colour.shape, np.float32) * deviation.astype(np.float32)
    return np.clip(colour + grain + 0.5, 0, 255).astype(np.uint8)


def _shrunk(photo: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    scale = side / max(photo.shape[:2])
    if scale >= 1:
        return photo
    size = (max(3, round(photo.shape[1] * scale)), max(3, round(photo.shape[0] * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
