"""Compares frames with the panorama, projected into their cameras again, and with each other.

Nothing that made the frames is used again: the panorama is drawn into every camera once more, coarser than it was for
the frames. Everything is judged on frames about WATCHED_WIDTH pixels wide.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.joining import ShownFrame, mixed, share_of_second
from lookbeyond.models.warping import warp_to_views

from . import pixels
from .findings import WatchedFrame

WATCHED_WIDTH = 128
"""About as wide are the frames that are watched: whole blocks of a frame's pixels, which average fastest."""
LEAST_HEIGHT = 32
"""Of watched frames. Strips are stretched to it and, like frames narrower than LEAST_WIDTH, not held against the
panorama."""
LEAST_WIDTH = 64
SURFACE_WIDTH, FLAT_SURFACE_WIDTH = 512, 256
"""Widths of the distance map that the panorama is drawn by; a drawn room's surfaces are flat and need no more."""
OFF = 2 / 384
"""What counts as off its place, as a share of the frame's width: two pixels of a frame 384 wide."""
TEXELS = 1.5
"""And in pixels of the panorama, where those are larger: a frame close to a wall shows fewer of them than it has."""
SHIFTED = 0.5
"""What is off its place differs by the slope there times the way: at least by this share of it."""
TEXTURE = 0.4
"""Slope, grey levels a pixel, from which on a place has something that a flow can hold on to."""
LEAST_DIFFERENCE = 2
"""Levels of a smoothed channel; smaller differences are rounding."""
BETTER_BY = 0.5
"""A flow is believed where it takes away this share of the difference."""
OTHER_COLOUR = 10
"""Levels of a channel, the frame's tone taken away, from which on a colour is another one."""
FLICKER = 16
"""Smoothed grey levels by which a surface changes from one frame to the next."""
SAME_SURFACE = 0.04
"""Relative difference of distances up to which two frames show one surface."""
LEAST_TEXTURED = 0.1
"""Of a frame's pixels; of fewer textured ones the share is that of so many: a few pixels make no drift."""
LEAST_JUDGED = 0.01
"""Below this share of a frame's pixels there is nothing to judge."""
LEAST_OFF = 0.005
"""Where a smaller share can be off at all, no flow is looked for."""
SAMPLED_WIDTH = 1024
"""Width of the panorama that the watched frames are held against, at most: finer than they are where a camera stands
near to what it sees."""
FINER = 0.8
"""Deviation, in pixels of that panorama, of the blur that makes it as fine as frames of usual angles are."""
AT_ONCE = 16
"""Cameras that the panorama is drawn into at a time."""
SMOOTH = (5, 5)
"""Pixels of a watched frame."""
SPARSE = 4
"""One in so many rows and columns tells how fine the panorama is at a place."""
BORDER = 3
"""Pixels along a watched frame's border that are not judged: a flow from outside cannot be seen there."""
EVERY = 23
"""One in so many judged pixels says what a frame's tone is."""


def watch_frames(panorama: Panorama, views: Sequence[View]) -> list[WatchedFrame]:
    """What can be said of frames, in the order of the path, that were made from a panorama."""
    small = [_Small.of(view) for view in views]
    flickers = [None, *(_flicker(before, after) for before, after in pairwise(small))]
    frames = []
    for frame, expected, flicker in zip(
        small, _expected(panorama, [frame.camera for frame in small]), flickers, strict=True
    ):
        misaligned, contradicted = _compare(frame, expected) if frame.whole else (None, None)
        known = expected.distance > 0
        hole = 1 - float(np.count_nonzero(known)) / known.size
        photo = min(float(frame.photo), 1 - hole)
        frames.append(WatchedFrame(misaligned, contradicted, flicker, photo, 1 - hole - photo, hole))
    return frames


@dataclass(frozen=True, eq=False)
class _Small:
    """A frame at the size at which it is watched."""

    camera: Camera
    colour: NDArray[np.uint8]
    """[h, w, 3]"""
    soft: NDArray[np.uint8]
    """[h, w, 3] smoothed."""
    grey: NDArray[np.uint8]
    """[h // 2, w // 2] smoothed."""
    distance: NDArray[np.float32]
    """[h // 2, w // 2] along the ray, metres; 0 at the edges of what stands in front, whose smoothed grey is mixed."""
    photo: float
    """Share of the whole frame that the photo saw."""
    whole: bool
    """Whether it has the frame's own shape, and enough of its pixels."""

    @classmethod
    def of(cls, view: View) -> "_Small":
        width, height, part = _watched_size(view.camera)
        image, distance = (whole[: part[1], : part[0]] for whole in (view.colour, view.distance))
        if part[0] > width:
            lines = np.ascontiguousarray(view.colour).reshape(len(view.colour), -1)
            colour = np.empty((height, width, 3), np.uint8)
            pixels.shrink(lines, part[0] // width, colour.reshape(height, -1))
        else:
            colour = np.asarray(cv2.resize(image, (width, height)), np.uint8)
        soft = np.asarray(cv2.blur(colour, SMOOTH), np.uint8)
        half = (width // 2, height // 2)
        grey = cv2.resize(cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY), half, interpolation=cv2.INTER_AREA)
        distance = np.asarray(cv2.resize(distance, half, interpolation=cv2.INTER_NEAREST), np.float32)
        distance[_steep(distance)] = 0
        return cls(
            view.camera.scaled(width, height, width / part[0], height / part[1]),
            colour,
            soft,
            np.asarray(grey, np.uint8),
            distance,
            photo=cv2.mean(view.from_photo)[0] / 255,
            whole=height > LEAST_HEIGHT and part[0] >= LEAST_WIDTH,
        )


def _watched_size(camera: Camera) -> tuple[int, int, tuple[int, int]]:
    """Width and height at which a camera's frames are watched, and width and height of the part of them that is: what
    is left over beside whole blocks of pixels, at the right and below, is not."""
    step = round(camera.width / WATCHED_WIDTH)
    width, height = camera.width // max(step, 1), camera.height // max(step, 1)
    if step > 1 and height > LEAST_HEIGHT:
        return width, height, (step * width, step * height)
    height = max(LEAST_HEIGHT, round(camera.height * WATCHED_WIDTH / camera.width))
    return WATCHED_WIDTH, height, (camera.width, camera.height)


_coarse: "WeakKeyDictionary[Panorama, tuple[Panorama, NDArray[np.uint8]]]" = WeakKeyDictionary()
"""By the panorama shrunk to SAMPLED_WIDTH: the same with a coarser distance, and [H, W, 4] its colour, made a little
softer, and what the photo saw."""


@dataclass(frozen=True, eq=False)
class _Expected:
    """What a panorama shows to a camera."""

    colour: NDArray[np.uint8]
    """[h, w, 3]"""
    distance: NDArray[np.float32]
    """[h, w], 0 in holes."""
    texel_px: NDArray[np.float32]
    """[h, w], of `_texel_px`."""
    photo: NDArray[np.uint8]
    """[h, w]: 255 where the photo saw it."""

    def of(self, panorama: Panorama) -> ShownFrame:
        behind = np.zeros(self.distance.shape, bool)
        return ShownFrame(panorama, self.distance, behind, self.photo.astype(np.float32) / 255)


def _expected(panorama: Panorama, cameras: Sequence[Camera]) -> Iterator[_Expected]:
    """What the panorama, and the one beyond it, shows to each camera."""
    if panorama.beyond is None:
        yield from _expected_of(panorama, cameras)
        return
    second, opening = panorama.beyond.panorama, panorama.beyond.opening
    both = (_expected_of(each, cameras) for each in (panorama, second))
    for camera, one, other in zip(cameras, *both, strict=True):
        share = share_of_second(camera, opening, one.of(panorama), other.of(second))
        yield _Expected(*(mixed(*parts, share) for parts in zip(vars(one).values(), vars(other).values(), strict=True)))


def _expected_of(panorama: Panorama, cameras: Sequence[Camera]) -> Iterator[_Expected]:
    fine = panorama.shrunk(SAMPLED_WIDTH)
    if fine not in _coarse:
        step = max(1, fine.distance.shape[1] // (SURFACE_WIDTH if panorama.plate is None else FLAT_SURFACE_WIDTH))
        step = step if fine.distance.shape[0] % step == 0 else 1
        # picked, not averaged: no surface between two others
        picked = np.ascontiguousarray(fine.distance[step // 2 :: step, step // 2 :: step])
        # frames average what they show; a reference that picks single pixels loses the frame of a picture on the wall
        soft = np.asarray(cv2.GaussianBlur(fine.colour, (3, 3), FINER), np.uint8)
        coarse = replace(fine, distance=picked, plate=None, layout=None, beyond=None)
        _coarse[fine] = coarse, np.dstack([soft, fine.from_photo])
    coarse, layers = _coarse[fine]
    for first in range(0, len(cameras), AT_ONCE):
        some = cameras[first : first + AT_ONCE]
        warped = warp_to_views(coarse, some, threads=1)
        parts = zip(some, warped.sample_bytes(layers, threads=1), warped.distance.numpy(), strict=True)
        for camera, shown, distance in parts:
            colour = np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB), np.uint8)
            yield _Expected(colour, distance, _texel_px(panorama, camera, distance), shown[..., 3])


def _texel_px(panorama: Panorama, camera: Camera, distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels of a camera, across its line of sight, that a pixel of the panorama covers: [h, w]; of a hole any."""
    offset = camera.rotation.T @ (camera.position - panorama.position)
    size = camera.intrinsics[0, 0] * 2 * math.pi / panorama.colour.shape[1]
    found = np.empty([-(-side // SPARSE) for side in distance.shape], np.float32)
    to_rays = _to_rays(camera.intrinsics.tobytes())
    pixels.texels(distance, to_rays, offset.astype(np.float32), np.float32(size), SPARSE, found)
    return np.asarray(cv2.resize(found, distance.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


@functools.lru_cache(maxsize=8)
def _to_rays(intrinsics: bytes) -> NDArray[np.float32]:
    """[3, 3], from pixels (column, row, 1) to rays one metre deep, in the camera's axes."""
    return np.ascontiguousarray(np.linalg.inv(np.frombuffer(intrinsics).reshape(3, 3)), np.float32)


def _away_from_holes(distance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Known pixels away from the border and from holes."""
    clear = cv2.erode((distance > 0).astype(np.uint8), _NEARBY)
    clear[:BORDER] = clear[-BORDER:] = 0
    clear[:, :BORDER] = clear[:, -BORDER:] = 0
    return clear > 0


def _steep(distance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where distances [h, w] jump by more than a tenth."""
    return cv2.morphologyEx(distance, cv2.MORPH_GRADIENT, _NEIGHBOURS) > 0.1 * distance


_NEIGHBOURS, _NEARBY = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


def _compare(frame: _Small, expected: _Expected) -> tuple[float | None, float | None]:
    """`misaligned` and `contradicted` of a frame beside what it is to show, where the distance of that is known."""
    reference, distance = expected.colour, expected.distance
    judged = _away_from_holes(distance)
    count = np.count_nonzero(judged)
    if count < LEAST_JUDGED * judged.size:
        return None, None
    tone = pixels.tone_between(frame.colour, reference, judged, min(EVERY, max(1, count // 100)))
    reference = np.asarray(cv2.add(reference, (*tone, 0)), np.uint8)
    other = _shows_other(frame.colour, reference, judged)
    contradicted = 0.0 if other is None else np.count_nonzero(other) / judged.size
    # a coarse surface is not exact at edges of what stands in front
    inside = judged & (cv2.dilate(_steep(distance).view(np.uint8), _NEARBY) == 0)
    off_px = np.maximum(TEXELS * expected.texel_px, np.float32(OFF * frame.camera.width))
    return _misaligned(frame, reference, inside, off_px), float(contradicted)


def _shows_other(
    colour: NDArray[np.uint8], reference: NDArray[np.uint8], judged: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """Judged pixels [h, w] whose colour is shown nowhere within a pixel of where it should be; None for none at all."""
    near, shown = (cv2.blur(image, _NEIGHBOURS.shape) for image in (reference, colour))
    if cv2.norm(near, shown, cv2.NORM_INF, judged.view(np.uint8)) < OTHER_COLOUR:
        return None  # they are shown even where they should be
    beyond = cv2.max(
        cv2.subtract(shown, cv2.dilate(near, _NEIGHBOURS)), cv2.subtract(cv2.erode(near, _NEIGHBOURS), shown)
    )
    return judged & (_largest(beyond) >= OTHER_COLOUR)


def _misaligned(
    frame: _Small, reference: NDArray[np.uint8], inside: NDArray[np.bool_], off_px: NDArray[np.float32]
) -> float | None:
    """Share of the textured pixels `inside` that are off by more than `off_px`."""
    expected = frame.colour.copy()
    cv2.copyTo(reference, inside.view(np.uint8), expected)
    expected = np.asarray(cv2.blur(expected, SMOOTH), np.uint8)
    expected_grey = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)
    slope = _slope(expected_grey)
    before, shifted = np.zeros(inside.shape, np.uint8), np.empty(inside.shape, bool)
    limits = np.float32(TEXTURE), np.float32(SHIFTED), np.float32(LEAST_DIFFERENCE)
    countable, count = pixels.shifted(expected, frame.soft, slope, inside, off_px, *limits, before, shifted)
    if countable < LEAST_JUDGED * inside.size:
        return None
    countable = max(countable, LEAST_TEXTURED * inside.size)
    if count < LEAST_OFF * countable:
        return 0.0
    shown_grey = cv2.cvtColor(frame.soft, cv2.COLOR_RGB2GRAY)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(expected_grey, shown_grey, None)
    moved = cv2.remap(
        frame.soft, _grid(*flow.shape[:2]) + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    after = _largest(cv2.absdiff(expected, moved))
    far = cv2.magnitude(flow[..., 0], flow[..., 1]) > off_px
    return float(np.count_nonzero(shifted & far & (after <= (1 - BETTER_BY) * before)) / countable)


def _slope(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels a pixel, [h, w]."""
    across, down = cv2.spatialGradient(grey)
    slope = np.empty(grey.shape, np.float32)
    pixels.lengths(across, down, np.float32(1 / 8), slope)
    return np.asarray(cv2.blur(slope, SMOOTH), np.float32)


def _largest(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest channel of [h, w, 3]."""
    red, green, blue = cv2.split(channels)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


@functools.lru_cache(maxsize=4)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    """[h, w, 2] column and row of every pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


_HALF = np.array([[0.5], [0.5], [1.0]])


def _flicker(before: _Small, after: _Small) -> float | None:
    """Share of the surfaces that both frames show whose brightness differs."""
    own, other = after.camera, before.camera
    to_rays = _to_rays((_HALF * own.intrinsics).tobytes())
    to_pixels = _HALF * other.intrinsics
    turn, offset = other.rotation.T @ own.rotation, other.rotation.T @ (own.position - other.position)
    shown, changed = pixels.flicker(
        after.distance,
        after.grey,
        to_rays,
        before.distance,
        before.grey,
        (to_pixels @ turn @ to_rays).astype(np.float32),
        (to_pixels @ offset).astype(np.float32),
        (-turn.T @ offset).astype(np.float32),
        np.float32(SAME_SURFACE),
        FLICKER,
    )
    return changed / shown if shown >= LEAST_JUDGED * after.distance.size else None
