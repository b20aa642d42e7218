"""Dark photos: how many stops one is short of usual, and the same picture so many stops brighter or darker."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .pixels import linear_to_srgb, srgb_to_linear

USUAL_STOPS = -1.8
"""Mean of log2 luminance, white is 0, of photos that the built-in networks know (rooms 100 to 115; deviation 0.54)."""
KNEE_STOPS = 1.0
"""A photo that is darker than usual by this is brightened; less is how rooms differ."""
MOST_STOPS = 3.0
"""Beyond this only noise is made brighter."""
CLIPPED = 250
HIGHLIGHTS = 0.98
"""The share of the pixels that are not brightened beyond white."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def missing_stops(photo: NDArray[np.uint8]) -> float:
    """How many stops a photo [h, w, 3 or 4] is darker than usual; 0 where it is not, up to `MOST_STOPS`.

    A lamp or a window in a dark room says nothing about it: clipped pixels do not count, unless hardly any other is
    left. Nor do those whose fourth channel is 0.
    """
    step = max(1, min(photo.shape[:2]) // 200)
    pixels = photo[::step, ::step]
    known = pixels[..., 3] > 0 if pixels.shape[2] == 4 else np.ones(pixels.shape[:2], bool)
    if not known.any():
        return 0.0
    counted = known & (pixels[..., :3].max(-1) < CLIPPED)
    if counted.sum() < 0.2 * known.sum():
        counted = known
    light = srgb_to_linear(pixels[counted][:, :3].astype(np.float32) / 255)
    missing = USUAL_STOPS - float(np.log2(np.maximum(light @ LUMINANCE, 1e-3)).mean())
    # clipped channels would change hue: a room of dark things in good light stays as it is
    missing = min(missing, -float(np.log2(max(np.quantile(light.max(-1), HIGHLIGHTS), 1e-3))))
    return round(min(missing, MOST_STOPS), 2) if missing > KNEE_STOPS else 0.0


def exposed(picture: NDArray[np.uint8], stops: float) -> NDArray[np.uint8]:
    """A picture [h, w, 3 or 4] so many stops brighter, in linear light; a fourth channel stays as it is."""
    return relit(picture, 2**stops) if stops else picture


def relit(picture: NDArray[np.uint8], gain: ArrayLike) -> NDArray[np.uint8]:
    """A picture [h, w, 3 or 4] with so many times its linear light, one number or three (red, green, blue)."""
    light = np.clip(srgb_to_linear(np.arange(256) / 255)[:, None] * np.broadcast_to(gain, 3), 0, 1)
    table = (linear_to_srgb(light) * 255 + 0.5).astype(np.uint8)
    changed = picture.copy()
    for channel in range(3):
        changed[..., channel] = table[picture[..., channel], channel]
    return changed
