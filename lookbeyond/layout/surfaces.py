"""What a room's faces look like: the photo's own surfaces, continued over what it did not see.

Every face is a metric grid. What the photo shows of it, without what stands before it, is carried on: its light and
colour by the panorama that diffusion made, tied to the photo where both meet; its pattern by quilting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama

from .faces import Face, sample
from .picture import Picture, SpherePicture

COARSE_M = 0.04
"""Texels of light and colour, in units of a room whose camera stands at 1.6 m."""
WORKING_WIDTH = 512
"""Longer side, in pixels, of the picture in which faces are separated from what stands in front of them."""
IN_FRONT = 0.30
"""Logarithm of (layout's distance / measured distance) above which a pixel stands before its face."""
BEHIND = 0.6
STANDS_OUT = 0.10
"""The same logarithm, above which what does not belong to the face's surface has its own distance."""
LIKELY_THING = 0.5
"""Likelihood from which on what would be floor is believed to be a thing: a desk's top is as flat. Of walls the colours
tell more: a door is a thing, too, and what is left of its wall may be a curtain."""
ALIKE = 8.0
"""Difference of colour, in units of Lab, up to which a rim has no edge."""
BESIDE, LEAVES = 0.015, 0.06
"""Reach of the colours that are compared across a rim, and the way over which a thing without an edge leaves its face;
shares of the picture's longer side."""
LEAST_THING = 0.004
"""Share of the photo."""
FURNITURE = 0.75
"""Height of most furniture, as a share of the camera's."""
CLUSTERS = 6
WALL_CHROMA, PAINT_CHROMA = 26, 14
"""How far, in units of Lab's chroma, a wall's colour may be from what diffusion painted, and from another wall's."""
LEAK_CHROMA = 16.0
"""How far a pixel's chroma may be from its surface's."""
RIM = 0.008
"""Width of a thing's rim, as a share of the picture's longer side."""
ISLAND = 0.2
"""Of the largest piece of a face that the picture shows: smaller ones are islands."""
EDGE = 4.0
"""Change of colour from pixel to pixel, in units of Lab, that light alone does not make on one surface."""


@dataclass(frozen=True, eq=False)
class SeenFaces:
    """What a picture shows of the faces."""

    picture: Picture
    """At working size."""
    face: NDArray[np.int16]
    """[h, w]: the face behind each pixel."""
    clean: NDArray[np.bool_]
    """[h, w]: the pixel shows that face itself."""
    standing: NDArray[np.bool_]
    """[h, w]: the pixel shows something that stands clearly before that face."""

    @cached_property
    def bare(self) -> NDArray[np.bool_]:
        """[h, w]: clean, and neither at the rim of a thing, where its colour and its closest shadow are mixed in, nor
        an island among things: that is more likely one of them, in the face's colour."""
        things = (~self.clean & self.picture.shown).astype(np.uint8)
        size = 2 * max(1, round(RIM * max(things.shape))) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        bare = self.clean & (cv2.dilate(things, kernel) == 0)
        for face in np.unique(self.face[bare]):
            own = bare & (self.face == face)
            _, pieces, boxes, _ = cv2.connectedComponentsWithStats(own.astype(np.uint8), connectivity=4)
            areas = boxes[:, cv2.CC_STAT_AREA]
            small = areas < ISLAND * areas[1:].max()
            bare &= ~(own & small[pieces])
        return bare


def lab(image: NDArray) -> NDArray[np.float32]:
    """CIE L*a*b* of sRGB, uint8 or 0..1."""
    values = image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(values), cv2.COLOR_RGB2LAB), np.float32)


def find_clean(
    picture: Picture,
    layout: RoomLayout,
    faces: Sequence[Face],
    measured: NDArray[np.float32],
    expected: Sequence[NDArray],
    things: NDArray[np.float32] | None = None,
) -> SeenFaces:
    """Which pixels of a picture (at working size) show the faces themselves.

    measured: [h, w] distance in metres along the ray, of whatever is there.
    expected: by face, its colour [3] in Lab as diffusion painted it.
    things: [h, w] 0..1, how likely something stands there.
    """
    rays, position = picture.rays(), picture.position
    distance, face = layout.cast(position, rays)
    ratio = np.log(distance / np.maximum(measured, 1e-3))
    possible = (ratio < IN_FRONT) & (ratio > -BEHIND) & picture.shown
    if things is not None:
        possible &= (things < LIKELY_THING) | (face != layout.floor_face)
    colours = lab(picture.pixels)
    smooth = cv2.bilateralFilter(colours, 5, 12, 3)
    weight = 0.25 + np.exp(-picture.border_depth() / (0.02 * max(face.shape)))
    floor_m = position[2] - layout.floor_z
    high = distance * rays[..., 2] + floor_m > FURNITURE * floor_m
    clean = np.zeros(face.shape, bool)
    candidates = {one.number: (face == one.number) & possible for one in faces}
    paint = None  # of the wall that shows most of itself: rooms are mostly painted alike
    for one in sorted(faces, key=lambda one: -int(candidates[one.number].sum())):
        area = candidates[one.number]
        if area.sum() < 0.003 * face.size:
            continue
        wanted = paint if one.kind == "wall" and paint is not None else expected[one.number]
        # furniture stands low: what shows above it is more likely the wall
        trust = weight * np.where(high, 1.0, 0.4) if one.kind == "wall" else weight
        most = PAINT_CHROMA if one.kind == "wall" and paint is not None else WALL_CHROMA
        mode, mask = find_surface(smooth, area, trust, wanted, one.kind, most)
        if mode is None:
            continue
        clean |= mask & area
        if one.kind == "wall" and paint is None:
            paint = mode
    return SeenFaces(picture, face, clean, _standing(clean, ratio))


def _standing(clean: NDArray, ratio: NDArray) -> NDArray[np.bool_]:
    """What stands before its face as a whole: pieces whose median clearly does. Crumbs would tear the surface."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    mask = (~clean & (ratio > STANDS_OUT)).astype(np.uint8)
    mask = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    count, pieces, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    result = np.zeros(clean.shape, bool)
    for number in range(1, count):
        piece = pieces == number
        if boxes[number][cv2.CC_STAT_AREA] >= LEAST_THING * clean.size and np.median(ratio[piece]) > 1.5 * STANDS_OUT:
            result |= piece
    return result


def apart_from_face(seen: SeenFaces) -> NDArray[np.float32]:
    """[h, w] 0..1: how far what stands before its face has its own distance there.

    Where its rim has the colour of what lies beside it, nothing ends there: a step would show as a crack in a door or a
    table. From such a rim on it leaves its face gradually.
    """
    size = max(seen.standing.shape)
    window = (2 * round(BESIDE * size) + 1,) * 2
    colours, standing = lab(seen.picture.pixels), seen.standing & seen.picture.shown

    def around(mask: NDArray) -> NDArray:
        share = cv2.boxFilter(mask.astype(np.float32), -1, window)
        return cv2.boxFilter(colours * mask[..., None], -1, window) / np.maximum(share, 1e-6)[..., None]

    rim = standing & (cv2.erode(standing.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) == 0)
    alike = rim & (_difference(around(standing), around(~standing & seen.picture.shown)) < ALIKE)
    if not alike.any():
        return np.ones(standing.shape, np.float32)
    away = cv2.distanceTransform((~alike).astype(np.uint8), cv2.DIST_L2, 5)
    return np.clip(away / (LEAVES * size), 0, 1).astype(np.float32)


def _grown(smooth: NDArray, area: NDArray, mode: NDArray, reach: float) -> NDArray[np.bool_]:
    """The part of an area that is of one surface with the pixels of its mode: light may change across it, not jump.

    Pieces between edges are taken whole where enough of them has the mode's colour; their rims follow.
    """
    away = _difference(smooth, mode)
    calm = area & (slopes(smooth) < EDGE)
    count, pieces = cv2.connectedComponents(calm.astype(np.uint8), connectivity=4)
    size = np.bincount(pieces.ravel(), minlength=count)
    seeds = np.bincount(pieces[away < reach], minlength=count)
    far = np.bincount(pieces.ravel(), weights=np.minimum(away, 80).ravel(), minlength=count) / np.maximum(size, 1)
    taken = (seeds > 0.35 * size) & (far < 2.5 * reach)
    taken[0] = False
    change = smooth - mode
    # a thing out of focus has no edge to the wall behind it; no light changes a surface's chroma as much
    mask = taken[pieces] & (np.hypot(change[..., 1], change[..., 2]) < LEAK_CHROMA)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    mean = _local_mean(smooth, mask, 0.03 * max(area.shape))
    with np.errstate(invalid="ignore"):
        rim = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))) > 0
        mask |= rim & area & (_difference(smooth, mean) < 0.6 * reach)
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0


def slopes(colours: NDArray) -> NDArray[np.float32]:
    """Change of colour [h, w] from pixel to pixel, in units of Lab, all bands together."""
    bands = [np.hypot(cv2.Scharr(band, -1, 1, 0), cv2.Scharr(band, -1, 0, 1)) for band in cv2.split(colours)]
    return (np.sum(bands, 0) / 32).astype(np.float32)


def _difference(colours: NDArray, other: NDArray) -> NDArray:
    change = colours - other
    return np.sqrt((0.6 * change[..., 0]) ** 2 + (1.2 * change[..., 1]) ** 2 + (1.2 * change[..., 2]) ** 2)


def _local_mean(colours: NDArray, mask: NDArray, sigma: float) -> NDArray:
    weights = np.dstack([colours * mask[..., None], mask.astype(np.float32)])
    blurred = cv2.GaussianBlur(weights, (0, 0), sigma)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(blurred[..., 3:] > 1e-3, blurred[..., :3] / blurred[..., 3:], np.nan)


def find_surface(smooth, area, trust, expected, kind, most_chroma=WALL_CHROMA) -> tuple[NDArray | None, NDArray]:
    """The colour (Lab) that is the face's own, and the pixels of that surface."""
    pixels, weights = smooth[area], trust[area]
    scale = np.float32([0.7, 1.2, 1.2])
    chosen = np.random.default_rng(0).choice(len(pixels), min(len(pixels), 3000), replace=False)
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, centres = cv2.kmeans(pixels[chosen] * scale, CLUSTERS, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    centres = centres / scale
    best, best_mask, best_score = None, np.zeros(area.shape, bool), 0.0
    for number, mode in enumerate(centres):
        own = labels[:, 0] == number
        change = mode - expected
        chroma = float(np.hypot(change[1], change[2]))
        if own.sum() < 0.03 * len(own) or (kind == "wall" and (not -20 < change[0] < 45 or chroma > most_chroma)):
            continue
        spread = float(np.median(_difference(pixels[chosen][own], mode)))
        mask = _grown(smooth, area, mode, float(np.clip(3.0 * spread, 7, 14)))
        closeness = math.exp(-(0.4 * max(0.0, abs(float(change[0])) - 6) + 0.6 * chroma) / 12)
        score = float(trust[mask].sum() / weights.sum()) * closeness
        if score > best_score:
            best, best_mask, best_score = mode, mask, score
    return best, best_mask


@dataclass(frozen=True, eq=False)
class FaceLight:
    """A face's light and colour without its pattern, on a coarse grid."""

    colour: NDArray[np.float32]
    """[rows, columns, 3] Lab."""
    believed: NDArray[np.float32]
    """[rows, columns, 3] Lab: what diffusion painted there."""
    smooth: NDArray[np.float32]
    """[rows, columns, 3] Lab: the same without the things it painted on the face."""
    visible: NDArray[np.bool_]
    """[rows, columns]: on the face, and not hidden from the panorama's origin by another wall."""
    seen: NDArray[np.float32]
    """[rows, columns] 0..1: how much of a texel the photo shows."""
    in_photo: NDArray[np.bool_]
    """[rows, columns]: inside the photo's borders, whatever stands before it there."""


CHROMA_SHARE, LIGHTNESS_SHARE = 1.0, 0.9
"""How much of the mean difference between photo and diffusion on what was seen is believed of what was not."""
MOST_LOCAL = 6.0
"""How far, in units of Lab, the light close to what was seen may be from the light around: more is a shadow's, or what
lies before the surface, and would be carried on as a smudge."""
TIE_M = 12.0
"""Distance from what was seen over which its light fades into what diffusion painted."""


def light_of_faces(
    faces: Sequence[Face],
    layout: RoomLayout,
    painted: Panorama,
    seen: SeenFaces,
    texel_m: float,
    unit: float = 1.0,
) -> list[FaceLight]:
    """The light of every face.

    painted: the panorama as diffusion made it; unit: metres that a metre stands for in a
    room whose camera is at 1.6 m.
    """
    origin = painted.position
    width = min(painted.colour.shape[1], 1024)
    small = painted.shrunk(width)
    sphere = SpherePicture(small.colour, painted.origin, painted.heading_rad)
    colours = lab(small.colour)
    photo = cv2.dilate(small.from_photo, np.ones((3, 3), np.uint8)).astype(np.float32) / 255
    soft = 1.5
    bare = seen.bare
    weights = np.dstack([lab(seen.picture.pixels) * bare[..., None], bare.astype(np.float32)])
    weights = cv2.GaussianBlur(weights, (0, 0), soft)
    parts = []
    for face in faces:
        points = face.points(texel_m)
        rays = points - origin.astype(np.float32)
        length = np.linalg.norm(rays, axis=-1)
        reached, number = layout.cast(origin, rays / length[..., None])
        visible = (number == face.number) & (np.abs(reached - length) < 0.02 * length + texel_m)
        at = sphere.locate(points)[:2]
        believed = sample(colours, *at, wrap=True)
        hidden = 1 - sample(photo, *at, wrap=True)
        columns, rows, inside = seen.picture.locate(points)
        own = sample(seen.face.astype(np.float32), columns, rows) == face.number
        taken = sample(weights, columns, rows) * (inside & own & visible)[..., None]
        cover = taken[..., 3].copy()
        shown = taken[..., :3] / np.maximum(cover, 1e-3)[..., None]
        cover = np.clip(cover * 2 - 1, 0, 1)
        smooth = _without_things(believed, visible, hidden, texel_m / unit)
        parts.append((face, believed, visible, shown, cover, smooth, hidden < 0.5))
    means = _class_offsets(parts)
    result = []
    for face, believed, visible, shown, cover, smooth, in_photo in parts:
        offset = _tied(shown - smooth, cover, means[face.kind], texel_m / unit)
        colour = smooth + offset
        result.append(FaceLight(colour.astype(np.float32), believed, smooth, visible, cover, in_photo))
    return result


def convolved(values: NDArray, weight: NDArray, sigma_px: float) -> NDArray[np.float32]:
    """Normalised convolution of [h, w, C] with weights [h, w], continued smoothly over what is far from all weights.

    The continuation is a pull-push pyramid: each level counts as far as the finer one knows too little.
    """
    stack = np.dstack([values * weight[..., None], weight]).astype(np.float32)
    # what a blur this wide cannot tell apart need not be blurred at full resolution
    while sigma_px > 6 and min(stack.shape[:2]) > 8:
        stack, sigma_px = cv2.resize(stack, _half(stack), interpolation=cv2.INTER_AREA), sigma_px / 2
    filled = _filled(cv2.GaussianBlur(stack, (0, 0), max(sigma_px, 0.3), borderType=cv2.BORDER_REPLICATE))
    return np.asarray(cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _half(image: NDArray) -> tuple[int, int]:
    return max(1, (image.shape[1] + 1) // 2), max(1, (image.shape[0] + 1) // 2)


def _filled(stack: NDArray) -> NDArray:
    known = stack[..., -1:]
    values = stack[..., :-1] / np.maximum(known, 1e-6)
    if min(stack.shape[:2]) <= 2:
        mean = stack[..., :-1].sum((0, 1)) / max(float(known.sum()), 1e-6)
        share = np.clip(known / 0.05, 0, 1)
        return share * values + (1 - share) * mean
    coarse = cv2.resize(
        cv2.GaussianBlur(stack, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE),
        _half(stack),
        interpolation=cv2.INTER_AREA,
    )
    share = np.clip(known / 0.05, 0, 1)
    if (share == 1).all():
        return values
    coarse = cv2.resize(_filled(coarse), stack.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return share * values + (1 - share) * coarse


def _without_things(believed: NDArray, visible: NDArray, hidden: NDArray, texel_m: float) -> NDArray:
    """The light of a face [h, w, 3] Lab without the blobs that stand out from it.

    Only what the photo does not show counts (`hidden`, 1 there): the photo's own light is laid over this afterwards,
    and its difference from what diffusion painted is what the other walls are corrected by.
    """
    edge = cv2.distanceTransform(np.pad(visible.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1] * texel_m
    weight = np.clip(edge / 0.2, 0.02, 1).astype(np.float32) * visible
    weight *= np.maximum(hidden, 1e-4)
    smooth = convolved(believed, weight, 2.0 / texel_m)
    for sigma_m in (2.0, 1.5, 1.5):
        trust = np.exp(-((_difference(believed, smooth) / 9) ** 2)).astype(np.float32)
        smooth = convolved(believed, weight * (trust + 1e-3), sigma_m / texel_m)
    return smooth


def _class_offsets(parts) -> dict[str, NDArray]:
    """By kind of face: the mean difference between what the photo shows and what diffusion painted there."""
    means = {}
    for kind in ("wall", "floor", "ceiling"):
        own = [part for part in parts if part[0].kind == kind]
        offsets = [(shown - smooth)[cover > 0.5] for _, _, _, shown, cover, smooth, _ in own]
        values = np.concatenate(offsets) if offsets else np.zeros((0, 3))
        mean = np.median(values, 0) if len(values) > 30 else np.zeros(3)
        means[kind] = mean * np.array([LIGHTNESS_SHARE, CHROMA_SHARE, CHROMA_SHARE])
    return means


def _tied(offset: NDArray, cover: NDArray, mean: NDArray, texel_m: float) -> NDArray:
    """Offsets [h, w, 3] that are known where `cover` is, continued over the face and fading to `mean`."""
    known = cover > 0.3
    if known.sum() < 4:
        return np.broadcast_to(mean, offset.shape).astype(np.float32)
    near = convolved(offset, cover, 0.10 / texel_m)
    wide = convolved(offset, cover, 0.5 / texel_m)
    away = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5) * texel_m
    # close to what was seen its local light, farther off only its broad one
    local = np.clip(near - wide, -MOST_LOCAL, MOST_LOCAL)
    value = wide + local * np.exp(-away / 0.25)[..., None]
    return (mean + (value - mean) * np.exp(-away / TIE_M)[..., None]).astype(np.float32)
