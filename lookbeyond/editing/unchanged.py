"""Which frames show the same in a changed world as in the one before, so that they need not be made again."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, Plate
from lookbeyond.geometry.warping import Warped, warp_to_view

from .masks import grown

WIDTH = 96
"""Pixels of the small frames that are compared."""
MARGIN = 1 / 240
"""Of a panorama's width, 1.5 degrees: what is so near to a change counts as changed. It is more than a pixel of a small
frame, and covers whatever filters and rims do to the pixels beside it."""
SAME = 1e-3
"""Two distances are the same when they differ by less than this share."""


def latest_same(world: Panorama, former: Sequence[Panorama], cameras: Sequence[Camera]) -> list[int]:
    """By camera, how far back in a line of former worlds (the latest first) it shows the same: 0, only in the world
    itself; n, in the n-th former one, too."""
    result = [0] * len(cameras)
    changes = [changed_pixels(world, each) for each in former]
    for place, camera in enumerate(cameras):
        small = camera.resized(WIDTH, max(1, round(WIDTH * camera.height / camera.width)))
        now = warp_to_view(world, small)
        for number, (before, changed) in enumerate(zip(former, changes, strict=True), 1):
            if changed is not None and not _differs(now, warp_to_view(before, small), changed):
                result[place] = number
    return result


def is_whole(world: Panorama, camera: Camera) -> bool:
    """Whether a camera sees no hole in a world and the plate behind it, at the size of the small frames."""
    small = camera.resized(WIDTH, max(1, round(WIDTH * camera.height / camera.width)))
    known = warp_to_view(world, small).known
    if world.plate is not None and not known.all():
        known = known | warp_to_view(world.plate_panorama, small).known
    return bool(known.all())


def changed_pixels(world: Panorama, former: Panorama) -> NDArray[np.uint8] | None:
    """The pixels [H, W] in which two panoramas differ or nearly do, 1; None where they differ in more than pixels."""
    if (
        any(getattr(world, name).shape != getattr(former, name).shape for name in ("colour", "distance"))
        or any(getattr(world, name) != getattr(former, name) for name in ("heading_rad", "origin", "camera_height"))
        or not _same_plates(world.plate, former.plate)
    ):
        return None
    changed = ((world.colour != former.colour).any(-1) | (world.from_photo != former.from_photo)).astype(np.uint8)
    coarse = (world.distance != former.distance).astype(np.uint8)
    changed |= cv2.resize(coarse, changed.shape[::-1], interpolation=cv2.INTER_NEAREST)
    margin = max(2, round(MARGIN * changed.shape[1]))
    return grown(changed > 0, margin).astype(np.uint8)


def _same_plates(one: Plate | None, other: Plate | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one.colour, other.colour) and np.array_equal(one.distance, other.distance)


def _differs(now: Warped, before: Warped, changed: NDArray[np.uint8]) -> bool:
    if not np.array_equal(now.known, before.known):
        return True
    if (np.abs(now.distance - before.distance) > SAME * now.distance).any():
        return True
    return any(bool(frame.sample(changed, "nearest").any()) for frame in (now, before))
