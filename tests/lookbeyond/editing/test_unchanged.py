"""Frames that cannot see a change are told from those that might."""

import math
from dataclasses import replace

import numpy as np

from lookbeyond.editing.edit import remove
from lookbeyond.editing.unchanged import latest_same
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.warping import warp_to_view
from tests.lookbeyond.editing.test_edit import SPOT, world

AHEAD = math.pi * (1 - 2 * 120 / 256)
"""Heading of the spot's middle."""


def looking(heading_rad: float, x: float = 0.0, fov_rad: float = 1.0) -> Camera:
    return placed_camera(64, 48, fov_rad, heading_rad=heading_rad, pitch_rad=-0.1, position=(x, 0.0, 0.0))


def changed() -> Panorama:
    return remove(world(), SPOT)


def test_only_cameras_that_see_the_spot_see_the_change():
    headings = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    cameras = [looking(AHEAD + turn, x) for turn in headings for x in (0.0, 0.4, -0.6)]
    before, after = world(), changed()
    same = latest_same(after, [before], cameras)
    for camera, number in zip(cameras, same, strict=True):
        fine = camera.resized(256, 192)
        frames = [warp_to_view(each, fine) for each in (before, after)]
        # rays are walked from the nearest surface of a world on, so that one level may be rounded otherwise
        levels = np.abs(frames[0].colour.astype(int) - frames[1].colour).max()
        differs = levels > 1 or not np.allclose(frames[0].distance, frames[1].distance, atol=1e-5)
        assert not (number and differs)
    assert 0.5 < np.mean(same) < 0.9  # and most of those that cannot see it are known not to


def test_the_oldest_world_that_shows_the_same():
    first, second = world(), changed()
    other = second.colour.copy()
    other[60:70, 230:240] = 0
    third = replace(second, colour=other)
    headings = [AHEAD, math.pi * (1 - 2 * 235 / 256), AHEAD + math.pi * 0.6]
    assert latest_same(third, [second, first], [looking(each, fov_rad=0.7) for each in headings]) == [1, 0, 2]
    assert latest_same(third, [], [looking(0.0)]) == [0]


def test_worlds_that_differ_in_more_than_pixels_are_not_compared():
    before, after, away = world(), changed(), [looking(AHEAD + math.pi)]
    assert latest_same(after, [before], away) == [1]
    for other in (
        replace(before, heading_rad=0.1),
        replace(before, plate=None),
        replace(before, camera_height=1.0),
        replace(before, distance=before.distance[::2, ::2].copy()),
        world(3.0),
    ):
        assert latest_same(after, [other], away) == [0]
