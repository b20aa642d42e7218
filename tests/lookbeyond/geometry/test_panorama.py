"""The panorama and view as values."""

import json
import math

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.projection import equirectangular_directions


def panorama(width=64, distance=None, **values):
    colour = np.random.default_rng(0).integers(0, 256, (width // 2, width, 3), np.uint8)
    if distance is None:
        distance = np.full((16, 32), 2.0, np.float32)
    return Panorama(colour, distance, colour[..., 0], **values)


def test_the_description_survives_json():
    photo = placed_camera(40, 30, 1.1, heading_rad=0.3, pitch_rad=0.2, roll_rad=-0.1, position=(1, 2, 1.7))
    first = panorama(
        heading_rad=0.3, origin=(1, 2, 1.7), camera_height=1.7, photo_camera=photo, preset="builtin", seed=7
    )
    values = json.loads(json.dumps(first.to_json_dict()))
    assert values["heading"] == pytest.approx(math.degrees(0.3))
    assert values["photo_camera"]["pitch"] == pytest.approx(math.degrees(0.2))
    assert values["photo_camera"]["roll"] == pytest.approx(math.degrees(-0.1))
    again = Panorama.from_json_dict(values, first.colour, first.distance, first.from_photo)
    assert again.photo_camera == photo
    assert again.heading_rad == pytest.approx(0.3)
    for name in ("origin", "camera_height", "preset", "seed", "revision", "distance_model"):
        assert getattr(again, name) == getattr(first, name)


@pytest.mark.parametrize("values", [{}, {"version": 99}, {"version": 1, "photo_camera": None}])
def test_foreign_descriptions_are_refused(values):
    given = panorama()
    with pytest.raises(ValueError, match="build"):
        Panorama.from_json_dict(values, given.colour, given.distance, given.from_photo)


def test_the_median_counts_area_not_pixels():
    """Far within 30 degrees of the horizon: half of the sphere, but a third of its rows."""
    distance = np.ones((300, 600), np.float32)
    distance[99:201] = 5.0
    assert panorama(distance=distance).median_distance == 5.0
    distance[:] = 1
    distance[101:199] = 5.0
    assert panorama(distance=distance).median_distance == 1.0


def test_distance_is_looked_up_by_direction():
    directions = equirectangular_directions(64, 32, 0.5)
    given = panorama(distance=2 + directions[..., 2].copy(), heading_rad=0.5)
    np.testing.assert_allclose(given.distance_at(directions[5, 7]), 2 + directions[5, 7, 2], atol=1e-4)


@pytest.mark.parametrize(("width", "expected"), [(64, 64), (63, 32), (32, 32), (16, 16), (17, 16), (200, 64)])
def test_shrinking_averages_whole_blocks(width, expected):
    given = panorama()
    small = given.shrunk(width)
    assert small.colour.shape == (expected // 2, expected, 3) and small.from_photo.shape == small.colour.shape[:2]
    assert small.distance is given.distance
    step = 64 // expected
    mean = given.colour[:step, :step].mean((0, 1))
    assert np.abs(small.colour[0, 0] - mean).max() <= 0.5


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_distances_are_positive_metres(bad):
    distance = np.ones((16, 32), np.float32)
    distance[3, 4] = bad
    with pytest.raises(ValueError, match="distance"):
        panorama(distance=distance)
    camera = placed_camera(32, 16, 1.0)
    with pytest.raises(ValueError, match="view's distance"):
        View(camera, np.zeros((16, 32, 3), np.uint8), distance, np.zeros((16, 32), np.uint8))


def test_shapes_are_checked():
    square = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="twice as wide"):
        Panorama(square, np.ones((16, 32), np.float32), square[..., 0])
    with pytest.raises(ValueError, match="float64"):
        panorama(distance=np.ones((16, 32)))
