"""What stands in front keeps its edge, and cracks inside of things are closed."""

from dataclasses import replace

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama, Plate
from lookbeyond.models.edges import bridge_cracks, with_rims
from lookbeyond.pipelines.full_size import warp_frames

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)


def sphere(distance: np.ndarray) -> Panorama:
    height, width = distance.shape
    colour = np.full((height, width, 3), RED, np.uint8)
    return Panorama(colour, distance.astype(np.float32), np.zeros((height, width), np.uint8), camera_height=1.6)


def before_a_wall(near: float = 1.0, far: float = 3.0) -> np.ndarray:
    distance = np.full((64, 128), far)
    distance[24:40, 50:70] = near
    return distance


def test_the_nearer_side_of_a_tear_grows_and_nothing_else_changes():
    grown = with_rims(sphere(before_a_wall())).distance
    expected = np.full((64, 128), 3.0)
    expected[22:42, 48:72] = 1
    assert np.allclose(grown, expected) and (grown[expected == 3] == 3).all()
    slope = np.broadcast_to(3 + 0.02 * np.abs(np.arange(128) - 64), (64, 128))
    assert np.allclose(with_rims(sphere(slope)).distance[4:-4], slope[4:-4])  # at the poles it is torn


def test_what_grows_goes_on_around_the_wrap():
    distance = np.roll(before_a_wall(), 64 - 50 + 64, 1)  # it begins in the first column
    assert np.isclose(with_rims(sphere(distance)).distance[30], 1).sum() == 24


@pytest.mark.parametrize("width, is_crack", [(1, True), (4, True), (5, False), (12, False)])
def test_only_narrow_gaps_are_bridged(width, is_crack):
    colour = np.full((40, 60, 3), RED, np.uint8)
    colour[:, 30:] = BLUE
    distance = np.where(np.arange(60) < 30, 1.0, 4.0).astype(np.float32) * np.ones((40, 1), np.float32)
    known = np.ones((40, 60), bool)
    known[:, 30 - width // 2 : 30 - width // 2 + width] = False
    holes = ~known
    colour[holes], distance[holes] = 0, 0
    bridge_cracks(colour, distance, known, 2)
    assert known[holes].all() == is_crack and known[holes].any() == is_crack
    if is_crack:  # by what is farther
        assert np.abs(colour[holes].astype(int) - BLUE).max() < 6 and distance[holes].min() > 3.9
    else:
        assert (colour[holes] == 0).all()


def test_a_crack_does_not_show_what_lies_far_behind_and_a_wide_gap_does():
    plate = Plate(np.full((512, 1024, 3), GREEN, np.uint8), np.full((256, 512), 6.0, np.float32))
    distance = np.full((256, 512), 2.0)
    distance[100:156, 250:262] = 1.8  # steps so little that the gap beside it is narrow
    distance[100:156, 160:200] = 0.7
    colour = np.full((512, 1024, 3), RED, np.uint8)
    world = replace(sphere(distance), colour=colour, from_photo=np.zeros((512, 1024), np.uint8), plate=plate)
    ahead, aside = (
        placed_camera(300, 200, 1.2, heading_rad=heading, position=(0.0, 0.1, 0.0)) for heading in (0.0, 0.9)
    )
    (cracked,), (open_,) = warp_frames(world, [ahead]), warp_frames(world, [aside])
    assert cracked.known.all() and not cracked.behind.any() and (cracked.colour == RED).all()
    assert open_.behind.sum() > 500 and (open_.colour[open_.behind] == GREEN).all()
