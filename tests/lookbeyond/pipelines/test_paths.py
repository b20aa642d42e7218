"""Cameras in between, against scipy's interpolation of rotations."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.pipelines.paths import between, resampled


def cameras(count: int) -> list:
    rng = np.random.default_rng(3)
    return [
        placed_camera(
            64,
            32,
            math.radians(50 + 5 * k),
            heading_rad=0.4 * k,
            pitch_rad=0.2 * math.sin(k),
            position=rng.normal(size=3),
        )
        for k in range(count)
    ]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_between_turns_evenly_and_goes_straight(share):
    first, last = cameras(2)
    middle = between(first, last, share)
    expected = Slerp([0, 1], Rotation.from_matrix(np.stack([first.rotation, last.rotation])))(share).as_matrix()
    np.testing.assert_allclose(middle.rotation, expected, atol=1e-9)
    np.testing.assert_allclose(middle.position, (1 - share) * first.position + share * last.position)
    np.testing.assert_allclose(middle.intrinsics, (1 - share) * first.intrinsics + share * last.intrinsics)


@pytest.mark.parametrize("given, count", [(2, 14), (5, 14), (9, 14), (13, 14), (14, 14), (20, 14), (1, 14), (3, 0)])
def test_a_denser_path_goes_through_every_given_camera(given, count):
    path = cameras(given)
    dense, places = resampled(path, count)
    assert len(dense) == (max(count, given) if given > 1 else given)
    assert [dense[place] for place in places] == path and places == sorted(set(places))
    gaps = np.diff(places)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
