"""Several photos from one standpoint become the part of a sphere that they show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.projection import place_photo
from lookbeyond.photo.exposure import relit
from lookbeyond.photo.limits import MOST_PHOTOS
from lookbeyond.photo.pixels import srgb_to_linear

MOST_APART_M = 0.3
"""Between standpoints: what is nearer than some metres is seen from another side, and no seam hides that."""
LEAST_OVERLAP = 0.002
"""Share of a photo that another one has to show as well, for the two to be compared."""
LEAST_ALIKE = 0.5
"""Correlation of what two photos show of the same directions, below which they do not show the same."""
MOST_STOPS = 3.0
"""Of exposure between two photos."""
SEAM_DEG = 6.0
"""How deep inside a finer photo a seam may be looked for."""
SEAM_WIDTH = 1024
"""Of the sphere, in pixels, on which it is looked for."""
FADE_DEG = 0.35
"""Width of the band along a seam over which one photo becomes the other."""
_COMPARED_WIDTH = 512
_FAINT, _BRIGHT = 8, 247
"""Levels outside of which a pixel says nothing about the exposure."""
_LINEAR = srgb_to_linear(np.arange(256) / 255)


@dataclass(frozen=True, eq=False)
class Joined:
    """What several photos show of a sphere."""

    colour: NDArray[np.uint8]
    """[H, 2H, 3], 0 where none of them saw anything."""
    known: NDArray[np.bool_]
    """[H, 2H]"""
    source: NDArray[np.int8]
    """[H, 2H]: which photo each pixel is of, -1: none."""
    stops: tuple[tuple[float, float, float], ...]
    """By which each photo was brightened, red, green and blue."""
    said: tuple[str, ...]
    """What was decided: sentences for people."""


def join_photos(
    photos: Sequence[NDArray[np.uint8]],
    cameras: Sequence[Camera],
    width: int,
    heading_rad: float = 0.0,
    names: Sequence[str] | None = None,
) -> Joined:
    """Photos uint8 [h, w, 3 or 4] (as `place_photo` takes them) on a sphere `width` pixels wide, by their cameras.

    The first one's exposure and white stay, the others are brought to it where they overlap. Of two photos the one
    with more pixels to a degree is seen; the seam between them lies inside its border, where they differ least.

    Raises InputError where there are too many photos, where they stand apart, or where two of them do not show the
    same in the directions that both see.
    """
    names = list(names or (f"photo {number}" for number in range(1, len(photos) + 1)))
    if not 2 <= len(photos) <= MOST_PHOTOS or len(photos) != len(cameras):
        raise InputError(
            f"{len(photos)} photos and {len(cameras)} cameras cannot be joined; give 2 to {MOST_PHOTOS} photos, and a "
            "camera for each"
        )
    _check_standpoints(cameras, names)
    small = [place_photo(photo, camera, _COMPARED_WIDTH, heading_rad) for photo, camera in zip(photos, cameras)]
    gains, said = _exposures(small, names)
    placed = [
        place_photo(photo if np.allclose(gain, 1, atol=0.005) else relit(photo, gain), camera, width, heading_rad)
        for photo, camera, gain in zip(photos, cameras, gains, strict=True)
    ]
    fineness = [_fineness(photo, camera) for photo, camera in zip(photos, cameras, strict=True)]
    colour, known, source = (
        np.zeros((width // 2, width, *more), kind) for more, kind in (((3,), np.uint8), ((), bool), ((), np.int8))
    )
    source -= 1
    for index in sorted(range(len(photos)), key=lambda each: -fineness[each]):
        canvas, seen = placed[index]
        look = cameras[index].forward
        middle = round((0.5 - (math.atan2(look[1], look[0]) - heading_rad) / (2 * math.pi)) * width)
        turn = width // 2 - middle  # the photo's own middle is put into the picture's
        parts = [np.roll(part, turn, 1) for part in (colour, known, source, canvas, seen)]
        _laid_beside(*parts, index)
        colour, known, source = (np.roll(part, -turn, 1) for part in parts[:3])
    stops = tuple((float(g[0]), float(g[1]), float(g[2])) for g in np.log2(gains))
    return Joined(colour, known, source, stops, tuple(said))


def _check_standpoints(cameras: Sequence[Camera], names: Sequence[str]) -> None:
    for camera, name in zip(cameras[1:], names[1:]):
        apart = float(np.linalg.norm(camera.position - cameras[0].position))
        if apart > MOST_APART_M:
            raise InputError(
                f"{name} was taken {apart:.2f} m from where {names[0]} was, and no more than {MOST_APART_M:g} m can be "
                "joined; build the world of one of them, or correct their cameras"
            )


def _exposures(
    small: Sequence[tuple[NDArray[np.uint8], NDArray[np.bool_]]], names: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """What each photo's linear light is multiplied by, [N, 3], so that they agree where they overlap.

    Least squares over all pairs of the median differences of logarithms; the first photo keeps its own.
    """
    count = len(small)
    said: list[str] = []
    rows, values = [], []
    tied: set[int] = set()
    for one in range(count):
        for other in range(one + 1, count):
            both = small[one][1] & small[other][1]
            least = LEAST_OVERLAP * min(small[one][1].sum(), small[other][1].sum())
            if both.sum() <= max(least, 20):
                continue
            a, b = (small[index][0][both].astype(int) for index in (one, other))
            fit = ((np.minimum(a, b) > _FAINT) & (np.maximum(a, b) < _BRIGHT)).all(1)
            _check_alike(small[one], small[other], both, names[one], names[other])
            if fit.sum() < 20:
                said.append(f"{names[one]} and {names[other]} are too dark or too bright where both see: not matched.")
                continue
            ratio = np.median(np.log2(_LINEAR[a[fit]]) - np.log2(_LINEAR[b[fit]]), 0)
            weight = math.sqrt(fit.sum())
            row = np.zeros(count)
            row[[one, other]] = -weight, weight
            rows.append(row)
            values.append(weight * ratio)
            tied |= {one, other}
    for index in range(count):
        if index not in tied:
            said.append(f"{names[index]} shows nothing that another photo shows: its exposure stays as it is.")
    first = np.zeros((1, count))
    first[0, 0] = 1e6
    weak = 1e-3 * np.eye(count)  # those that nothing ties to the first stay as they are
    system = np.concatenate([np.array(rows).reshape(-1, count), first, weak])
    wanted = np.concatenate([np.array(values).reshape(-1, 3), np.zeros((count + 1, 3))])
    stops = np.linalg.lstsq(system, wanted, rcond=None)[0]
    for index in range(count):
        most = float(np.abs(stops[index]).max())
        if most > MOST_STOPS:
            raise InputError(
                f"{names[index]} differs from {names[0]} by {most:.1f} stops where both see, too much to be matched; "
                "give photos of one exposure, or check that their cameras look where they should"
            )
        if most > 0.1:
            mean = float(stops[index].mean())
            way = "brighter" if mean > 0 else "darker"
            said.append(f"{names[index]} is made {abs(mean):.1f} stops {way} to match.")
    return np.asarray(2.0**stops, np.float64), said


def _check_alike(one, other, both: NDArray[np.bool_], name: str, other_name: str) -> None:
    """InputError where two photos on a sphere do not show the same."""
    # blurred by some degrees: photos that are a little off still show the same
    grey = [cv2.GaussianBlur(canvas.mean(-1).astype(np.float32), (0, 0), 3) for canvas, _ in (one, other)]
    inner = cv2.erode(both.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    inner = inner if inner.sum() > 20 else both
    a, b = (part[inner] - part[inner].mean() for part in grey)
    if min(a.std(), b.std()) < 2:  # a plain wall can be anything
        return
    alike = float((a * b).mean() / (a.std() * b.std()))
    if alike < LEAST_ALIKE:
        raise InputError(
            f"{name} and {other_name} do not show the same where both of them look (they correlate by {alike:.2f}); "
            "correct their cameras, or have them aligned by `lookbeyond photos align`"
        )


def _fineness(photo: NDArray[np.uint8], camera: Camera) -> float:
    """Pixels to a radian in the photo's middle."""
    own = camera.resized(photo.shape[1], photo.shape[0])
    return math.sqrt(own.intrinsics[0, 0] * own.intrinsics[1, 1])


def _laid_beside(colour, known, source, canvas, seen, index: int) -> None:
    """A coarser photo laid beside the finer ones on a sphere, in place: seen where those see nothing, and as far
    inside their border as the seam of least difference goes."""
    width = known.shape[1]
    shared = known & seen
    share = (seen & ~known).astype(np.float32)
    if shared.any():
        depth = cv2.distanceTransform(np.pad(known, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        free = shared & (depth < SEAM_DEG / 360 * width)
        mine = _cut(colour, canvas, known, (seen & ~known) | free)
        share = np.maximum(share, (mine & free).astype(np.float32))
        fade = max(1, round(FADE_DEG / 360 * width)) | 1
        soft = cv2.blur(share, (fade, fade))
        share = np.where(shared, soft, share)
    mixed = colour + share[..., None] * (canvas.astype(np.float32) - colour)
    colour[seen] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)[seen]
    source[seen & (share >= 0.5)] = index
    known |= seen


def _cut(old, new, old_seen, new_seen) -> NDArray[np.bool_]:
    """Where the new one of two pictures is to be seen: they are cut apart where they differ least."""
    height, width = old_seen.shape
    size = SEAM_WIDTH, SEAM_WIDTH // 2
    pictures = [cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32) for part in (old, new)]
    masks = [
        cv2.resize(part.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST) for part in (old_seen, new_seen)
    ]
    found = cv2.detail_GraphCutSeamFinder("COST_COLOR_GRAD").find(pictures, [(0, 0), (0, 0)], masks)
    mine = found[1]
    mine = np.asarray(mine.get() if isinstance(mine, cv2.UMat) else mine)
    large = cv2.resize((mine > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return large > 0.5
