"""The quick estimate of what is known stays near the exact walk, in rooms and at every turn."""

import dataclasses
import math

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.coverage import Coverage
from lookbeyond.geometry.keyframes import Reach
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.geometry.warping import warp_to_view
from tests.support.box_room import BoxRoom


@pytest.fixture(scope="module")
def panorama():
    return BoxRoom().panorama(width=256, distance_width=256, origin=(0.1, -0.2, 0.1))


@pytest.fixture(scope="module")
def quick(panorama):
    return Coverage(panorama)


def test_it_agrees_with_the_exact_walk(panorama, quick):
    random = np.random.default_rng(3)
    shares = []
    for _ in range(40):
        position = random.uniform(-1, 1, 3) * (1.6, 1.6, 0.9)
        turn = {"heading_rad": random.uniform(0, 2 * math.pi), "pitch_rad": random.uniform(-0.5, 0.5)}
        camera = placed_camera(192, 128, math.radians(65), position=position, **turn)
        walked = warp_to_view(panorama, camera.resized(48, 32))
        shares.append((quick.known(camera).share, walked.known.mean()))
    estimated, exact = np.array(shares).T
    assert exact.min() < 0.6  # there is something to be found out
    assert np.abs(estimated - exact).max() < 0.12
    assert np.abs(estimated - exact).mean() < 0.03


def test_everything_is_known_from_the_origin_whatever_the_frame(panorama, quick):
    for heading, pitch, size in ((0, 0, (192, 128)), (2, 1.5, (90, 160)), (4, -1.5, (100, 100))):
        camera = placed_camera(*size, math.radians(90), heading_rad=heading, pitch_rad=pitch, position=panorama.origin)
        assert quick.known(camera).share > 0.98


def test_it_goes_as_far_as_a_shot_may(panorama, quick):
    for direction in ((1, 0, 0), (-1, 1, 0), (0, -1, 0.4)):
        direction = np.array(direction) / np.linalg.norm(direction)
        free = Reach(panorama).free(direction)
        assert quick.reach.free(3 * direction) == pytest.approx(free)
        assert quick.reach.too_far(panorama.position + 1.2 * free * direction) == pytest.approx(0.2 * free)
        assert quick.reach.too_far(panorama.position + 0.9 * free * direction) < 0


@pytest.fixture(scope="module")
def half_seen(panorama):
    """The same room, of which the photo saw what lies within 45 degrees of +X."""
    height, width = panorama.from_photo.shape
    ahead = equirectangular_directions(width, height, panorama.heading_rad)
    mask = np.where(ahead[..., 0] > np.abs(ahead[..., 1]), 255, 0).astype(np.uint8)
    return Coverage(dataclasses.replace(panorama, from_photo=mask))


@pytest.mark.parametrize(("heading_deg", "photo"), [(0, 1.0), (180, 0.0), (45, 0.5), (-45, 0.5)])
def test_what_the_photo_saw_is_told_from_what_was_made_up(panorama, half_seen, heading_deg, photo):
    heading_rad = math.radians(heading_deg)
    camera = placed_camera(192, 128, math.radians(65), heading_rad=heading_rad, position=panorama.origin)
    known = half_seen.known(camera)
    assert known.photo == pytest.approx(photo, abs=0.05)
    assert known.invented == pytest.approx(1 - photo, abs=0.05) and known.hole < 0.02


def test_the_three_shares_are_the_whole_view(panorama, half_seen, quick):
    random = np.random.default_rng(4)
    for _ in range(20):
        position = random.uniform(-1, 1, 3) * (1.6, 1.6, 0.9)
        camera = placed_camera(96, 64, 1.1, position=position, heading_rad=random.uniform(0, 6))
        known = half_seen.known(camera)
        assert known.photo + known.invented + known.hole == pytest.approx(1)
        assert known.share == pytest.approx(quick.known(camera).share), "which kind it is changes nothing of how much"


def test_of_two_surfaces_in_a_pixel_the_nearer_counts():
    """A post that the photo saw stands before a wall that was made up: seen from the side, past it, the wall shows."""
    width, height = 256, 128
    ahead = equirectangular_directions(width, height, 0.0)
    post = (ahead[..., 0] > 0) & (np.abs(ahead[..., 1]) < 0.25)
    distance = np.where(post, 1.0, 6.0).astype(np.float32)
    mask = np.where(post, 255, 0).astype(np.uint8)
    coverage = Coverage(Panorama(np.zeros((height, width, 3), np.uint8), distance, mask))
    camera = placed_camera(96, 96, math.radians(25), position=(-0.3, 0.0, 0.0))
    assert coverage.known(camera).photo > 0.9
