"""Which frames of a path show anything that the second of two worlds tells."""

from collections.abc import Sequence

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.pipelines.full_size import shares_of_second

WIDTH = 96
"""Pixels of the small frames that are looked at."""


def shows_second(panorama: Panorama, cameras: Sequence[Camera]) -> list[bool]:
    """By camera, whether the world beyond a panorama tells a part of its frame."""
    small = [camera.resized(WIDTH, max(1, round(WIDTH * camera.height / camera.width))) for camera in cameras]
    return [bool((share > 0).any()) for share in shares_of_second(panorama.shrunk(512), small)]
