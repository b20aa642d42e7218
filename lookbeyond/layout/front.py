"""Things cut off by the photo's lower border: posts go on down to the floor, all others cast a shadow on it.

How far a wide thing would go on nobody knows: drawn down to the floor, a table becomes a slab.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.layout import RoomLayout

from .cut import runs
from .surfaces import SeenFaces

LEAST_RUN, WIDEST_RUN = 0.02, 0.12
"""Share of the lower border that a thing must take up to go on, and may take up."""
THINNEST_LEG, WIDEST_LEG = 0.006, 0.04
"""The same of what is seen against a wall, without a distance of its own."""
LEG_LEVELS, LEG_SHARE = 40, 0.6
"""Of 255, by which that differs from the wall beside it; and as a share of what differs most: shadows do less."""
LEAST_HEIGHT_M, LEAST_LEG_M = 0.15, 0.04
"""Above the floor, where the border cuts it, in units of a room whose camera stands at 1.6 m; lower ones end there."""
STEEPEST_RAD = math.radians(-70)
"""Borders that look farther down than this are not carried on."""
OBLIQUE = 1.5
"""How much farther than its middle a front may be at its ends."""
UNDERLAP_RAD = math.radians(1.0)
"""How far a front reaches up under the photo, whose feathered border fades into it."""
SHADOW_M = 0.10
"""Reach of a front's shadow on the floor before it, in the same units."""
UNDER_M, UNDER, AROUND_M, AROUND = 0.10, 0.45, 0.35, 0.20
"""Reach and depth of the shadow below the border, and of its rim."""


@dataclass(frozen=True, eq=False)
class Front:
    """What the lower border cuts, from its right end to its left one, as an upright plane along a wall's direction."""

    azimuth_rad: NDArray[np.float64]
    """[n], increasing, from the camera."""
    border_rad: NDArray[np.float64]
    """[n]: elevation of the photo's border."""
    reach_m: NDArray[np.float64]
    """[n]: level distance."""
    colour: NDArray[np.float32]
    """[n, 3] 0..255."""
    height_m: float
    """Of the camera above the floor."""


@dataclass(frozen=True, eq=False)
class CutShadow:
    """What lies in the shadow of things that the lower border cuts, from its right end to its left one."""

    azimuth_rad: NDArray[np.float64]
    """[n], increasing, from the camera."""
    border_rad: NDArray[np.float64]
    """[n]: elevation of the photo's border."""
    share: NDArray[np.float32]
    """[n] 0..1: how much of the border is cut things there."""
    height_m: float
    """Of the camera above the floor."""


def find_shadow(seen: SeenFaces, layout: RoomLayout) -> CutShadow | None:
    """None where the lower border cuts nothing, or does not look down on a floor."""
    border = _border(seen)
    if border is None:
        return None
    azimuth, elevation, strip = border
    cut = (~seen.clean[strip] & seen.picture.shown[strip]).mean(0).astype(np.float32)
    floor = seen.face[strip][-1] == layout.floor_face
    if not (cut * floor).any():
        return None
    share = cv2.GaussianBlur((cut * floor)[None], (0, 0), 0.006 * len(cut), borderType=cv2.BORDER_REPLICATE)[0]
    height = float(seen.picture.position[2] - layout.floor_z)
    return CutShadow(azimuth[::-1], elevation[::-1], share[::-1], height)


def draw_shadow(shadow: CutShadow, heading_rad: float, colour: NDArray[np.uint8], unit: float) -> None:
    """On the floor of a panorama's colour [H, W, 3], in place."""
    height, width = colour.shape[:2]
    rows, columns, at, below = _window(shadow, heading_rad, width)
    elevation = (0.5 - (rows + 0.5) / height) * math.pi
    away = shadow.height_m * (1 / np.tan(-at(shadow.border_rad)) - 1 / np.tan(np.maximum(-elevation, 1e-3))[:, None])
    away = np.maximum(away, 0) / unit
    dark = at(shadow.share) * (UNDER * np.exp(-away / UNDER_M) + AROUND * np.exp(-away / AROUND_M))
    window = np.ix_(rows, columns)
    made = colour[window] * (1 - below * dark)[..., None]
    colour[window] = np.clip(made + 0.5, 0, 255).astype(np.uint8)


def _border(seen: SeenFaces) -> tuple[NDArray, NDArray, slice] | None:
    """Azimuth (falling) and elevation of the lower border's pixels, and the rows before it; None where it looks too
    steeply, or not down."""
    rays = seen.picture.rays()[-1]
    height = len(seen.face)
    elevation = np.arcsin(np.clip(rays[:, 2], -1, 1))
    azimuth = np.unwrap(np.arctan2(rays[:, 1], rays[:, 0]))
    if elevation.min() < STEEPEST_RAD or elevation.max() > math.radians(-2) or np.any(np.diff(azimuth) >= 0):
        return None
    return azimuth, elevation, slice(height - max(3, height // 60), height - 1)


def find_fronts(seen: SeenFaces, layout: RoomLayout, measured: NDArray[np.float32], unit: float) -> list[Front]:
    """What a photo's lower border cuts. measured: as for `find_clean`."""
    border = _border(seen)
    if border is None:
        return []
    azimuth, elevation, strip = border
    photo, width = seen.picture.pixels, seen.face.shape[1]
    camera_height = float(seen.picture.position[2] - layout.floor_z)
    standing = seen.standing[strip].mean(0) > 0.5
    standing = cv2.morphologyEx(standing.astype(np.uint8)[None], cv2.MORPH_CLOSE, np.ones((1, 9), np.uint8))[0] > 0
    along = measured[strip].mean(0) * np.cos(elevation)
    colour = photo[strip].astype(np.float32).mean(0)
    wall, _ = layout.cast(seen.picture.position, np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], -1))
    *_, normals = layout.walls()
    fronts = []
    posts = [slice(*run) for run in runs(standing) if LEAST_RUN <= (run[1] - run[0]) / width <= WIDEST_RUN]
    for own in posts + [own for own in _legs(seen, layout, strip, colour) if not standing[own].any()]:
        floor_reach = camera_height / np.tan(-elevation[own])
        above = camera_height * (1 - np.median(along[own] / floor_reach))
        if above < (LEAST_HEIGHT_M if standing[own].any() else LEAST_LEG_M) * unit:
            continue
        # along the wall that it faces most: furniture stands straight in a room
        level = np.stack([np.cos(azimuth[own]), np.sin(azimuth[own])], -1)
        normal = normals[np.abs(normals @ level.mean(0)).argmax()]
        facing = np.abs(level @ normal)
        reach = np.median(along[own] * facing) / facing
        middle = np.median(reach)
        reach = np.minimum(np.clip(reach, middle / OBLIQUE, middle * OBLIQUE), 0.98 * wall[own])
        order = slice(None, None, -1)
        fronts.append(
            Front(azimuth[own][order], elevation[own][order], reach[order], colour[own][order], camera_height)
        )
    return fronts


def _legs(seen: SeenFaces, layout: RoomLayout, strip: slice, colour: NDArray[np.float32]) -> Iterator[slice]:
    """Columns of what is thin, before a wall. colour: [n, 3] of the border."""
    before_wall = seen.face[strip][-1] < layout.floor_face
    thing = before_wall & ((~seen.clean & seen.picture.shown)[strip].mean(0) > 0.5)
    bare = before_wall & seen.clean[strip].all(0)
    apart = np.abs(colour - np.median(colour[bare], 0)).max(1) if bare.any() else np.zeros(len(colour))
    for first, last in runs(thing):
        within = [(first, last)]
        if last - first > WIDEST_LEG * len(colour):  # several, and the shadows between them
            limit = max(LEG_LEVELS, LEG_SHARE * float(np.quantile(apart[first:last], 0.95)))
            within = [(first + left, first + right) for left, right in runs(apart[first:last] > limit)]
        for left, right in within:
            if THINNEST_LEG <= (right - left) / len(colour) <= WIDEST_LEG:
                yield slice(left, right)


def draw_fronts(
    fronts: list[Front], heading_rad: float, colour: NDArray[np.uint8], distance: NDArray[np.float32], unit: float
) -> None:
    """Into a panorama's colour [H, W, 3] and distance [h, w], in place."""
    for front in fronts:
        _draw(front, heading_rad, colour, unit)
        rows, columns, at, down = _window(front, heading_rad, distance.shape[1])
        elevation = (0.5 - (rows + 0.5) / len(distance)) * math.pi
        inside = down & (elevation[:, None] > -np.arctan(front.height_m / at(front.reach_m)))
        window = np.ix_(rows, columns)
        own = at(front.reach_m) / np.cos(elevation)[:, None]
        distance[window] = np.where(inside, np.minimum(distance[window], own), distance[window])


def _window(front: Front | CutShadow, heading_rad: float, width: int):
    """Rows and columns of a panorama around a front; a function that spreads its values over the columns; and which
    of these pixels lie below the photo's border."""
    height = width // 2
    pixel = 2 * math.pi / width
    # columns from left to right: azimuth falls
    first = math.ceil((0.5 - (front.azimuth_rad[-1] - heading_rad) / (2 * math.pi)) * width - 0.5)
    last = math.floor((0.5 - (front.azimuth_rad[0] - heading_rad) / (2 * math.pi)) * width - 0.5)
    columns = np.arange(first, last + 1)
    azimuth = heading_rad + (0.5 - (columns + 0.5) / width) * 2 * math.pi

    def at(values: NDArray) -> NDArray:
        if values.ndim == 1:
            return np.interp(azimuth, front.azimuth_rad, values)
        return np.stack([np.interp(azimuth, front.azimuth_rad, values[:, k]) for k in range(values.shape[1])], -1)

    top = math.floor((0.5 - (front.border_rad.max() + UNDERLAP_RAD) / math.pi) * height)
    rows = np.arange(max(0, top), height)
    elevation = (0.5 - (rows + 0.5) / height) * math.pi
    below = elevation[:, None] < at(front.border_rad) + max(UNDERLAP_RAD, 2 * pixel)
    return rows, columns % width, at, below


def _draw(front: Front, heading_rad: float, colour: NDArray[np.uint8], unit: float) -> None:
    height, width = colour.shape[:2]
    rows, columns, at, below = _window(front, heading_rad, width)
    if not columns.size:
        return
    elevation = (0.5 - (rows + 0.5) / height) * math.pi
    reach = at(front.reach_m)
    up = front.height_m + np.tan(elevation)[:, None] * reach  # above the floor, on the front
    size = np.maximum(front.height_m + np.tan(at(front.border_rad)) * reach, 1e-3)
    down = np.clip(1 - up / size, 0, 1)
    # what the border shows dissolves on the way down: drawn out, it would be streaks
    pixel_m = 2 * math.pi / width * float(np.median(reach))
    sharp = at(front.colour)
    wide = cv2.GaussianBlur(
        sharp[None].astype(np.float32), (0, 0), 0.12 * unit / pixel_m, borderType=cv2.BORDER_REPLICATE
    )[0]
    near = cv2.GaussianBlur(
        sharp[None].astype(np.float32), (0, 0), 0.01 * unit / pixel_m, borderType=cv2.BORDER_REPLICATE
    )[0]
    share = np.clip(down / 0.35, 0, 1)[..., None]
    shade = 1 - 0.3 * down - 0.35 * np.exp(-np.maximum(up, 0) / (0.04 * unit))
    made = (near + share * (wide - near)) * shade[..., None]
    window = np.ix_(rows, columns)
    target = colour[window].astype(np.float32)
    cover = below * np.clip(up / (np.abs(np.gradient(up, axis=0)) + 1e-6) + 0.5, 0, 1)
    # before it, on the floor
    with np.errstate(divide="ignore"):
        along = front.height_m / np.tan(np.maximum(-elevation, 1e-3))[:, None]
    before = np.maximum(reach - along, 0)
    ends = np.minimum(np.arange(len(columns)), np.arange(len(columns))[::-1]) * pixel_m
    dark = 0.45 * np.exp(-before / (SHADOW_M * unit)) * np.clip(ends / (0.5 * SHADOW_M * unit), 0, 1)
    target *= 1 - (below * dark)[..., None]
    colour[window] = np.clip(target + cover[..., None] * (made - target) + 0.5, 0, 255).astype(np.uint8)
