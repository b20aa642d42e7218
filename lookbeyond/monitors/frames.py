"""Compares frames with the panorama, projected into their cameras again, and with each other.

Nothing that made the frames is used again: the panorama is drawn into every camera once more, coarser than it was for
the frames. Everything is judged on frames of WATCHED_WIDTH pixels; a "pixel" of a threshold is one of a frame 384 wide.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.models.warping import warp_to_views

from .findings import WatchedFrame

WATCHED_WIDTH = 128
"""Of the frames that are watched: a whole part of most widths, which averages fastest."""
LEAST_HEIGHT = 32
"""Of watched frames. Strips are stretched to it, and no flow is looked for in them."""
SURFACE_WIDTH = 512
"""Width of the distance map that the panorama is drawn by."""
OFF_PX = 2.0 * WATCHED_WIDTH / 384
"""What counts as off its place: two pixels of a frame 384 wide, in pixels of a watched frame."""
TEXTURE = 0.6
"""Slope, grey levels a pixel, from which on a place has something that a flow can hold on to."""
LEAST_DIFFERENCE = 3
"""Levels of a smoothed channel; smaller differences are rounding."""
BETTER_BY = 0.5
"""A flow is believed where it takes away this share of the difference."""
OTHER_COLOUR = 16
"""Levels of a smoothed channel, the frame's tone taken away, from which on a frame shows another thing."""
FLICKER = 16
"""Smoothed grey levels by which a surface changes from one frame to the next."""
SAME_SURFACE = 0.04
"""Relative difference of distances up to which two frames show one surface."""
LEAST_TEXTURED = 0.1
"""Of a frame's pixels; of fewer textured ones the share is that of so many: a few pixels make no drift."""
LEAST_JUDGED = 0.01
"""Below this share of a frame's pixels there is nothing to judge."""
AT_ONCE = 16
"""Cameras that the panorama is drawn into at a time."""
SMOOTH = (5, 5)
"""Pixels of a watched frame."""


def watch_frames(panorama: Panorama, views: Sequence[View]) -> list[WatchedFrame]:
    """What can be said of frames, in the order of the path, that were made from a panorama."""
    small = [_Small.of(view) for view in views]
    flickers = [None, *(_flicker(before, after) for before, after in pairwise(small))]
    frames = []
    for frame, told, flicker in zip(small, _told(panorama, [frame.camera for frame in small]), flickers, strict=True):
        reference, distance = told
        known = distance > 0
        misaligned, contradicted = _compare(frame.colour, reference, _inside(known, distance))
        misaligned = misaligned if frame.whole else None
        hole = 1 - float(known.mean())
        photo = min(frame.photo, 1 - hole)
        frames.append(WatchedFrame(misaligned, contradicted, flicker, photo, 1 - hole - photo, hole))
    return frames


@dataclass(frozen=True, eq=False)
class _Small:
    """A frame at the size at which it is watched."""

    camera: Camera
    colour: NDArray[np.uint8]
    """[h, w, 3]"""
    distance: NDArray[np.float32]
    """[h, w] along the ray, metres."""
    photo: float
    """Share of the whole frame that the photo saw."""
    whole: bool
    """Whether it has the frame's own shape."""

    @classmethod
    def of(cls, view: View) -> "_Small":
        width, height = WATCHED_WIDTH, max(LEAST_HEIGHT, round(view.camera.height * WATCHED_WIDTH / view.camera.width))
        way = cv2.INTER_AREA if view.camera.width > width else cv2.INTER_LINEAR
        return cls(
            view.camera.resized(width, height),
            np.asarray(cv2.resize(view.colour, (width, height), interpolation=way), np.uint8),
            np.asarray(cv2.resize(view.distance, (width, height), interpolation=cv2.INTER_NEAREST), np.float32),
            cv2.mean(view.from_photo)[0] / 255,
            height > LEAST_HEIGHT,
        )


_coarse: "WeakKeyDictionary[Panorama, Panorama]" = WeakKeyDictionary()


def _told(panorama: Panorama, cameras: Sequence[Camera]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """What the panorama shows to each camera: colour [h, w, 3] and distance [h, w], 0 in holes."""
    fine = panorama.shrunk_for(cameras[0])
    if fine not in _coarse:
        step = max(1, fine.distance.shape[1] // SURFACE_WIDTH)
        step = step if fine.distance.shape[0] % step == 0 else 1
        # picked, not averaged: no surface between two others
        picked = np.ascontiguousarray(fine.distance[step // 2 :: step, step // 2 :: step])
        _coarse[fine] = replace(fine, distance=picked, plate=None, layout=None)
    coarse = _coarse[fine]
    for first in range(0, len(cameras), AT_ONCE):
        warped = warp_to_views(coarse, cameras[first : first + AT_ONCE])
        yield from zip(warped.sample_bytes(coarse.colour), warped.distance.numpy(), strict=True)


def _inside(known: NDArray[np.bool_], distance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Known pixels away from holes and from edges of what stands in front: a coarse surface is not exact there."""
    steep = cv2.morphologyEx(distance, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0.1 * distance
    doubtful = (~known | steep).astype(np.uint8)
    return cv2.dilate(doubtful, np.ones((5, 5), np.uint8)) == 0


def _compare(
    colour: NDArray[np.uint8], reference: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """`misaligned` and `contradicted` of a frame [h, w, 3] beside what it is to show where it is `inside`."""
    judged = int(np.count_nonzero(inside))
    if judged < LEAST_JUDGED * inside.size:
        return None, None
    few = (inside.ravel().nonzero()[0])[:: max(1, judged // 1000)]
    tone = np.median(colour.reshape(-1, 3)[few].astype(np.int16) - reference.reshape(-1, 3)[few], 0)
    reference = np.where(inside[..., None], cv2.add(reference, (*tone, 0)), colour)
    told, shown = (cv2.blur(image, SMOOTH) for image in (reference, colour))
    slope = _slope(cv2.cvtColor(told, cv2.COLOR_RGB2GRAY))
    textured = inside & (slope > TEXTURE)
    countable = int(np.count_nonzero(textured))
    enough = countable >= LEAST_JUDGED * inside.size
    before = _largest(cv2.absdiff(told, shown))
    if before.max() < LEAST_DIFFERENCE:  # nothing is anywhere else
        return 0.0 if enough else None, 0.0
    images = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (reference, colour))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(*images, None)
    moved = cv2.remap(shown, _grid(*flow.shape[:2]) + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    after = _largest(cv2.absdiff(told, moved))
    far = cv2.magnitude(flow[..., 0], flow[..., 1]) > OFF_PX
    believed = (before >= LEAST_DIFFERENCE) & (after <= (1 - BETTER_BY) * before)
    other = inside & (np.minimum(before, after) >= OTHER_COLOUR)
    off = int(np.count_nonzero(textured & far & believed))
    misaligned = off / max(countable, LEAST_TEXTURED * inside.size) if enough else None
    return misaligned, int(np.count_nonzero(other)) / judged


def _slope(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels a pixel, [h, w]."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    return np.asarray(cv2.blur(cv2.magnitude(across, down), SMOOTH), np.float32)


def _largest(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest channel of [h, w, 3]."""
    red, green, blue = cv2.split(channels)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


@functools.lru_cache(maxsize=4)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    """[h, w, 2] column and row of every pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def _flicker(before: _Small, after: _Small) -> float | None:
    """Share of the surfaces that both frames show whose brightness differs."""
    column, row, away = _project(after, before.camera)
    there = cv2.remap(before.distance, column, row, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    same = cv2.absdiff(there, away) < SAME_SURFACE * away
    shown = int(np.count_nonzero(same))
    if shown < LEAST_JUDGED * same.size:
        return None
    was = cv2.remap(before.colour, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    was, now = (cv2.blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), SMOOTH) for image in (was, after.colour))
    return int(np.count_nonzero(same & (cv2.absdiff(was, now) >= FLICKER))) / shown


def _project(frame: _Small, camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Where another camera of the same size sees a frame's surfaces: column, row, distance [h, w] each."""
    height, width = frame.distance.shape
    to_rays = np.linalg.inv(frame.camera.intrinsics)
    u, v = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    lines = (to_rays[:, 0, None, None] * u + to_rays[:, 1, None, None] * v + to_rays[:, 2, None, None]).astype(
        np.float32
    )
    lines *= frame.distance / np.sqrt((lines * lines).sum(0))
    turn = (camera.rotation.T @ frame.camera.rotation).astype(np.float32)
    offset = (camera.rotation.T @ (frame.camera.position - camera.position)).astype(np.float32)
    points = (turn @ lines.reshape(3, -1) + offset[:, None]).reshape(3, height, width)
    depth = np.where(points[2] > 1e-3, points[2], np.float32(1e6))
    to_pixels = camera.intrinsics.astype(np.float32)
    # pixel centres lie at half-integers, but remap's at integers
    column = (to_pixels[0, 0] * points[0] + to_pixels[0, 1] * points[1]) / depth + (to_pixels[0, 2] - 0.5)
    row = to_pixels[1, 1] * points[1] / depth + (to_pixels[1, 2] - 0.5)
    column[points[2] <= 1e-3] = -1e4
    return column, row, np.sqrt((points * points).sum(0))
