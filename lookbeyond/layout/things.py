"""Doors, windows and pictures on unseen walls: drawn cleanly where diffusion painted them."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .faces import Face
from .surfaces import FaceLight

ThingKind = Literal["door", "window", "picture"]
STANDS_OUT, SHARE = 6.0, 0.12
"""Least difference of lightness from the wall around: absolute, and as a share of the wall's own."""
FILLED = 0.6
"""How much of its rectangle a blob must fill."""
LEAST_M = 0.40, 0.45
"""Width and height of the smallest thing."""
DOOR_M = 0.90, 2.05
DOOR_WIDTHS_M = 0.45, 1.9
"""Widths of blobs that may be doors."""
FRAME_M = 0.07
MARGIN_M = 0.12
"""Between a thing and the wall's ends, what was seen, and other things."""
FROM_PHOTO_M = 0.35
"""Between a thing and the photo: what the photo cuts at its border may continue, such as a screen."""
FROM_FLOOR_M = 0.45
"""A blob that comes as near to the floor stands on it."""


@dataclass(frozen=True)
class Thing:
    """A rectangle on a wall, in units of a room whose camera stands at 1.6 m."""

    kind: ThingKind
    left_m: float
    right_m: float
    top_m: float
    """Below the ceiling."""
    bottom_m: float
    colour: tuple[float, float, float]
    """L*a*b*, as diffusion painted it."""


def find_things(face: Face, light: FaceLight, texel_m: float) -> list[Thing]:
    """What stands out from the light of a wall. texel_m: of the light's grid, in units as above."""
    if face.kind != "wall":
        return []
    rows, columns = light.visible.shape
    height, width = rows * texel_m, columns * texel_m
    margin = round(MARGIN_M / texel_m)
    reach = np.ones((2 * round(FROM_PHOTO_M / texel_m) + 1,) * 2, np.uint8)
    near = cv2.dilate((light.in_photo & light.visible).astype(np.uint8), reach) > 0
    unseen = (light.seen < 0.05) & light.visible & ~near
    free = cv2.erode(unseen.astype(np.uint8), np.ones((2 * margin + 1,) * 2)) > 0
    change = light.believed[..., 0] - light.smooth[..., 0]
    limit = np.maximum(STANDS_OUT, SHARE * light.smooth[..., 0])
    found: list[Thing] = []
    for sign in (-1, 1):
        mask = ((sign * change > limit) & unseen).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for number in range(1, count):
            x, y, w, h, area = (int(value) for value in boxes[number])
            if w * texel_m < LEAST_M[0] or h * texel_m < LEAST_M[1] or area < FILLED * w * h:
                continue
            colour = np.median(light.believed[labels == number], 0)
            left, right, top, bottom = (value * texel_m for value in (x, x + w, y, y + h))
            thing = _made_plausible(sign, left, right, top, bottom, width, height, colour)
            if thing and _fits(thing, free, texel_m) and not any(_overlap(thing, other) for other in found):
                found.append(thing)
    return found


def _made_plausible(sign, left, right, top, bottom, width, height, colour) -> Thing | None:
    """A blob as the thing that it most likely is; None where nothing like it would hang or stand there."""
    colour = tuple(float(value) for value in colour)
    stands = bottom > height - FROM_FLOOR_M
    if sign < 0 and stands:
        if not (bottom - top > 1.3 and DOOR_WIDTHS_M[0] <= right - left <= DOOR_WIDTHS_M[1]):
            return None
        wide, tall = DOOR_M
        middle = np.clip((left + right) / 2, wide / 2 + MARGIN_M, width - wide / 2 - MARGIN_M)
        top = height - min(tall, height - 0.15)
        return Thing("door", middle - wide / 2, middle + wide / 2, top, height, colour)
    if stands or top < 0.1:
        return None
    # at a height where one would look out of it, or at it
    low, high = (0.8, 2.2) if sign > 0 else (1.0, 2.1)
    top, bottom = max(top, height - high), min(bottom, height - low)
    if bottom - top < LEAST_M[1]:
        return None
    if sign < 0:
        right = left + min(right - left, 1.2)
    return Thing("window" if sign > 0 else "picture", left, min(right, left + 2.4), top, bottom, colour)


def _fits(thing: Thing, free: NDArray[np.bool_], texel_m: float) -> bool:
    rows = slice(round(thing.top_m / texel_m), max(1, round(min(thing.bottom_m, 1e9) / texel_m) - 4))
    columns = slice(round(thing.left_m / texel_m), round(thing.right_m / texel_m))
    window = free[rows, columns]
    # the margin itself hugs floor and ceiling
    return bool(window.size) and float(window[3:-3].mean() if window.shape[0] > 8 else window.mean()) > 0.9


def _overlap(one: Thing, other: Thing) -> bool:
    apart = one.right_m + MARGIN_M < other.left_m or other.right_m + MARGIN_M < one.left_m
    return not (apart or one.bottom_m < other.top_m or other.bottom_m < one.top_m)


def draw_thing(
    colour: NDArray[np.float32], light: NDArray, thing: Thing, texel_m: float, softness_m: float, frame: NDArray
) -> None:
    """Draw a thing into a wall's texture [rows, columns, 3], 0..1, in place.

    light: [rows, columns, 1], how light the bare wall is; softness_m: how wide the thing's edges are; frame: colour [3]
    of its frame.
    """
    rows, columns = colour.shape[:2]
    y, x = (np.arange(rows) + 0.5)[:, None] * texel_m, (np.arange(columns) + 0.5)[None] * texel_m
    left, right, top, bottom = thing.left_m, thing.right_m, thing.top_m, thing.bottom_m
    light = light / max(float(light.mean()), 1e-3)  # how the wall's light varies, so that the thing hangs in it

    def fill(x0, x1, y0, y1, what) -> None:
        share = box(x, x0, x1, softness_m) * box(y, y0, y1, softness_m)
        colour[:] += share[..., None] * (what - colour)

    def shade(x0, x1, y0, y1, strength, softness) -> None:
        softness = max(softness, softness_m)
        share = box(x, x0, x1, softness) * box(y, y0, y1, softness)
        colour[:] *= (1 - strength * share)[..., None]

    own = cv2.cvtColor(np.float32([[thing.colour]]), cv2.COLOR_LAB2RGB)[0, 0]
    if thing.kind == "door":
        shade(left - FRAME_M - 0.03, right + FRAME_M + 0.03, top - FRAME_M, bottom, 0.14, 0.05)
        fill(left - FRAME_M, right + FRAME_M, top - FRAME_M, bottom, frame * light)
        fill(left - 0.01, right + 0.01, top - 0.01, bottom, 0.55 * own * light)
        fill(left, right, top, bottom - 0.008, own * light * (1.03 - 0.06 * (y - top) / (bottom - top))[..., None])
        for y0, y1 in ((top + 0.16, top + 0.95), (top + 1.10, bottom - 0.20)):
            shade(left + 0.13, right - 0.13, y0, y1, 0.10, 0.012)
            fill(left + 0.145, right - 0.145, y0 + 0.015, y1 - 0.015, own * light)
        handle = 0.35 * own + 0.4
        shade(left + 0.05, left + 0.19, bottom - 1.06, bottom - 1.02, 0.3, 0.02)
        fill(left + 0.05, left + 0.09, bottom - 1.13, bottom - 0.97, handle)
        fill(left + 0.05, left + 0.18, bottom - 1.075, bottom - 1.05, 0.9 * handle)
    elif thing.kind == "window":
        pane = np.clip(1.15 * own + 0.08, 0, 1)
        shade(left - FRAME_M, right + FRAME_M, bottom, bottom + 0.12, 0.10, 0.06)
        fill(left - FRAME_M, right + FRAME_M, top - FRAME_M, bottom + FRAME_M, frame * light)
        height = max(bottom - top, 1e-3)
        sky = pane * (1.04 - 0.14 * np.clip((y - top) / height, 0, 1))[..., None]
        fill(left, right, top, bottom, np.clip(sky, 0, 1))
        bars = max(1, round((right - left) / 0.9))
        for bar in range(1, bars):
            middle = left + (right - left) * bar / bars
            fill(middle - 0.025, middle + 0.025, top, bottom, 0.94 * frame * light)
        shade(left, right, top, top + 0.03, 0.2, 0.02)
        fill(left - FRAME_M - 0.03, right + FRAME_M + 0.03, bottom + 0.02, bottom + 0.055, frame * light)
    else:
        shade(left, right + 0.02, top + 0.02, bottom + 0.03, 0.22, 0.03)
        fill(left, right, top, bottom, 0.25 * own + 0.04)
        fill(left + 0.025, right - 0.025, top + 0.025, bottom - 0.025, 0.8 * frame * light)
        painting = own * light * (1.1 - 0.2 * (y - top) / (bottom - top))[..., None]
        fill(left + 0.09, right - 0.09, top + 0.09, bottom - 0.09, painting)


def box(position: NDArray, low: float, high: float, softness: float) -> NDArray:
    """1 between low and high, 0 outside, over `softness` metres."""
    return np.clip((position - low) / softness + 0.5, 0, 1) * np.clip((high - position) / softness + 0.5, 0, 1)
