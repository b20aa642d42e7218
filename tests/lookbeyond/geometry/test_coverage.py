"""The quick estimate of what is known stays near the exact walk, in rooms and at every turn."""

import math

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.coverage import Coverage
from lookbeyond.geometry.keyframes import coverage as walked_share
from lookbeyond.geometry.keyframes import reach
from tests.lookbeyond.geometry.box_room import BoxRoom


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
        shares.append((quick.share(camera), walked_share(panorama, camera)))
    estimated, exact = np.array(shares).T
    assert exact.min() < 0.6  # there is something to be found out
    assert np.abs(estimated - exact).max() < 0.12
    assert np.abs(estimated - exact).mean() < 0.03


def test_everything_is_known_from_the_origin_whatever_the_frame(panorama, quick):
    for heading, pitch, size in ((0, 0, (192, 128)), (2, 1.5, (90, 160)), (4, -1.5, (100, 100))):
        camera = placed_camera(*size, math.radians(90), heading_rad=heading, pitch_rad=pitch, position=panorama.origin)
        assert quick.share(camera) > 0.98


def test_it_goes_as_far_as_a_shot_may(panorama, quick):
    for direction in ((1, 0, 0), (-1, 1, 0), (0, -1, 0.4)):
        direction = np.array(direction) / np.linalg.norm(direction)
        free = reach(panorama, direction)
        assert quick.reach(3 * direction) == pytest.approx(free)
        assert quick.too_far(panorama.position + 1.2 * free * direction) == pytest.approx(0.2 * free)
        assert quick.too_far(panorama.position + 0.9 * free * direction) < 0
