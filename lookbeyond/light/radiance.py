"""The linear light of a panorama: as it is displayed, and beyond white where it is clipped.

1.0 is the white of the displayed picture; the primaries are those of Rec. 709.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import place_photo
from lookbeyond.photo.pixels import LIGHT_OF_LEVEL

from .energy import Energy, built_in_energy
from .sources import CLIPPED, LUMINANCE, WIDTH, Source, clipped_white, find_sources, small_sphere, solid_angles

MOST = 60000.0
"""The brightest that a half float of an OpenEXR file should hold."""
BLACK = 0.0015
"""Linear luminance (5 of 255) that a black picture hardly anywhere exceeds."""
_SOFT = 0.6
"""Of the level from which on a pixel is a source: below, it is not brightened at all."""
_SMOOTH = 0.4
"""Of a source's greatest depth: the blur of the profile in it."""


@dataclass(frozen=True, eq=False)
class OwnLight:
    """Light that a picture's file itself has, finer or brighter than 8 bits can tell."""

    light: NDArray[np.float32]
    """[H, 2H, 3], linear, exposed as the panorama is."""
    share: NDArray[np.float32]
    """[H, 2H] 0..1: how much it counts."""
    bounded: bool
    """Whether it ends at white as 8 bits do (a 16-bit picture): there, sources are looked for as in those."""


def check_not_black(pixels: NDArray[np.uint8], name: str) -> None:
    """InputError for a picture, sRGB [h, w, 3], that has no light to go by."""
    if np.percentile(LIGHT_OF_LEVEL[pixels[::4, ::4, :3]] @ LUMINANCE, 99.5) < BLACK:
        raise InputError(f"{name} is black, and so has no light to go by; give a brighter picture, or leave HDR out.")


def own_light_of_photo(pixels: NDArray[np.float32], bounded: bool, panorama: Panorama) -> OwnLight:
    """The light of a panorama's photo, [h, w, 3], where the panorama shows that."""
    height, width = pixels.shape[:2]
    assert panorama.photo_camera is not None
    camera = panorama.photo_camera.resized(width, height)
    light, _ = place_photo(pixels, camera, panorama.colour.shape[1], panorama.heading_rad)
    return OwnLight(light, panorama.from_photo.astype(np.float32) / 255, bounded)


def panorama_light(panorama: Panorama, own: OwnLight | None = None) -> NDArray[np.float32]:
    """The light of a panorama, float32 [H, 2H, 3]."""
    light = LIGHT_OF_LEVEL[panorama.colour]
    clipped = clipped_white(panorama.colour)
    # a 360° picture is as much of a photo as a photo is
    seen = panorama.from_photo.astype(np.float32) / 255 if panorama.from_photo.any() else None
    if own is not None and not own.bounded:
        clipped &= own.share < 0.5
    sources = find_sources(light, clipped, seen)
    bright = brightened(light, sources, seen, built_in_energy())
    if own is not None:
        base = np.maximum(own.light, 0)
        if own.bounded:  # the file's own steps, and beyond them what was found
            base = base * (bright / np.maximum(light, 1e-4)).max(-1, keepdims=True)
        bright = bright + own.share[..., None] * (base - bright)
    return np.minimum(bright, np.float32(MOST))


def brightened(
    light: NDArray[np.float32], sources: list[Source], seen: NDArray[np.float32] | None, energy: Energy
) -> NDArray[np.float32]:
    """Displayed light [H, 2H, 3] with its sources as bright as `energy` says.

    Inside a source the factor grows from 1 at its rim to its peak, and a pixel takes part by its own brightness: what
    stands dark in front of a window stays dark, and nothing outside of it is touched.
    """
    if not sources:
        return light.copy()
    width = light.shape[1]
    white = light.max(-1)
    gains, peaks = energy.of(sources)
    # where the picture is a photo's, sources begin at white; what was invented is as bright as it was painted
    start = np.full(light.shape[:2], LIGHT_OF_LEVEL[CLIPPED], np.float32)
    extra = np.zeros((WIDTH // 2, WIDTH), np.float32)
    if seen is not None:
        levels = np.full((WIDTH // 2, WIDTH), LIGHT_OF_LEVEL[CLIPPED], np.float32)
        own = small_sphere(seen)
        for source in sources:
            inside = source.mask & (own <= 0.5)
            if inside.any():
                levels[cv2.dilate(inside.astype(np.uint8), np.ones((5, 5))) > 0] = np.median(
                    small_sphere(white)[inside]
                )
        start = np.where(seen > 0.5, start, _large(levels, width))
    takes_part = np.clip((white / start - _SOFT) / (1 - _SOFT), 0, 1)
    takes_part = takes_part * takes_part * (3 - 2 * takes_part)
    luminance = light @ LUMINANCE
    weight = solid_angles(WIDTH // 2)
    part = small_sphere(luminance * takes_part)
    for source, gain, peak in zip(sources, gains, peaks, strict=True):
        profile = _profile(source.mask, peak)
        wanted = (2**gain - 1) * float((weight * small_sphere(luminance) * source.share).sum())
        given = float((weight * part * profile).sum())
        if given > 0:
            extra = np.maximum(extra, profile * wanted / given)
    return light * (1 + _large(extra, width) * takes_part)[..., None]


def _profile(mask: NDArray[np.bool_], peak: float) -> NDArray[np.float32]:
    """[WIDTH / 2, WIDTH] 0..1: how the excess of a source rises from its rim, so that its greatest value is about
    2^`peak` times its mean: a plateau, a cone, or a needle."""
    pad = 16
    wide = np.concatenate([mask[:, -pad:], mask, mask[:, :pad]], 1).astype(np.uint8)
    depth = cv2.distanceTransform(wide, cv2.DIST_L2, 5)[:, pad:-pad]
    cosine = np.cos((0.5 - (np.arange(len(mask)) + 0.5) / len(mask)) * np.pi)[:, None]
    depth = depth * np.maximum(cosine, 0.1)
    inner = depth / max(float(depth.max()), 1e-6)
    # no ridges where two rims are as near
    inner = cv2.GaussianBlur(np.concatenate([inner[:, -pad:], inner, inner[:, :pad]], 1), (0, 0), _SMOOTH * depth.max())
    inner = inner[:, pad:-pad] * np.minimum(depth, 1)
    inner /= max(float(inner.max()), 1e-6)
    # of a disc's cone to the power q the mean is 2 / ((q + 1) (q + 2)) of the peak
    power = max(0.15, np.sqrt(0.25 + 2 * 2**peak) - 1.5)
    return (inner**power).astype(np.float32)


def _large(small: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A small sphere's values at another width, without a seam."""
    rows, columns = small.shape
    wrapped = np.concatenate([small[:, -4:], small, small[:, :4]], 1)
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5)) * np.float32(columns / width) + np.float32(3.5)
    y = (np.arange(width // 2, dtype=np.float32) + np.float32(0.5)) * np.float32(2 * rows / width) - np.float32(0.5)
    grid = np.broadcast_to(x, (len(y), len(x))), np.broadcast_to(y[:, None], (len(y), len(x)))
    large = cv2.remap(wrapped, *map(np.ascontiguousarray, grid), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(large, np.float32)
