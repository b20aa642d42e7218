"""Interpolated cameras, for networks that need passes of a certain number of frames."""

from collections.abc import Sequence

import cv2
import numpy as np

from lookbeyond.geometry.cameras import Camera


def between(first: Camera, last: Camera, share: float) -> Camera:
    """The camera at `share` (0..1) of the way: position, rotation and lens interpolated linearly.

    Both cameras' frames have one size.
    """
    turn, _ = cv2.Rodrigues(first.rotation.T @ last.rotation)
    pose = np.eye(4)
    pose[:3, :3] = first.rotation @ cv2.Rodrigues(turn * share)[0]
    pose[:3, 3] = first.position + share * (last.position - first.position)
    intrinsics = first.intrinsics + share * (last.intrinsics - first.intrinsics)
    return Camera(last.width, last.height, intrinsics, pose)


def resampled(cameras: Sequence[Camera], count: int) -> tuple[list[Camera], list[int]]:
    """A path of at least `count` cameras through all given ones, and the indices of these.

    The steps in between are shared out evenly; a path that is long enough stays as it is.
    """
    steps = len(cameras) - 1
    if steps < 1 or len(cameras) >= count:
        return list(cameras), list(range(len(cameras)))
    places = [round(k * (count - 1) / steps) for k in range(steps + 1)]
    dense = [cameras[0]]
    for start, end, first, last in zip(places, places[1:], cameras, cameras[1:], strict=False):
        dense += [between(first, last, (place - start) / (end - start)) for place in range(start + 1, end)]
        dense.append(last)
    return dense, places
