"""Photos that layouts are learned from: what is told of walls, ceiling and distance is what the photo shows."""

import math

import numpy as np
import pytest
import torch

from lookbeyond.data import room_photos
from lookbeyond.data.built_rooms import within
from lookbeyond.data.room_photos import RAYS, WALL_COLUMNS, column_azimuths, draw_photos, trace_walls
from lookbeyond.data.rooms import Rooms, render_panoramas
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.training.layout import as_photographed, sample_of
from lookbeyond.training.photos import pack, read_photos


@pytest.fixture(scope="module")
def photos():
    return draw_photos(range(24))


def test_a_photo_is_the_same_in_every_batch(photos):
    (alone,) = draw_photos([5])
    np.testing.assert_array_equal(alone.photo, photos[5].photo)
    np.testing.assert_array_equal(alone.walls, photos[5].walls)
    assert alone.camera == photos[5].camera


def test_walls_are_those_of_a_room_cast_by_the_geometry_package():
    """An L-shape: a shell with a block in one corner is the polygon with that corner cut out."""
    layout = RoomLayout(np.array([[3, -1.5], [3, 0.5], [1.2, 0.5], [1.2, 2], [-2, 2], [-2, -1.5]]), -1, 100)
    azimuths = column_azimuths()
    level = np.stack([np.cos(azimuths), np.sin(azimuths), 0 * azimuths], -1)
    expected, _ = layout.cast((0, 0, 0), level)
    shell, block = np.array([[0.5, 0.25], [2.5, 1.75]]), np.array([[2.1, 1.25, 0.9, 0.75, 0.0]])
    distance, number, normal = trace_walls(shell, block, azimuths)
    np.testing.assert_allclose(distance, expected, rtol=1e-6)
    assert len(np.unique(number)) == 6
    inward = np.stack([np.cos(normal), np.sin(normal)], -1)
    assert ((inward * level[:, :2]).sum(1) < 0).all(), "walls are seen from their inner side"


def test_nothing_in_a_photo_lies_behind_walls_floor_and_ceiling_but_what_openings_show(photos):
    agree = []
    for photo in (photo for photo in photos if not photo.is_open):
        rays = photo.camera.rays()
        azimuth, level = np.arctan2(rays[..., 1], rays[..., 0]), np.hypot(rays[..., 0], rays[..., 1])
        column = np.floor((0.5 - azimuth / (2 * math.pi)) * WALL_COLUMNS).astype(int) % WALL_COLUMNS
        wall = np.exp(photo.walls)[column] / level
        flat = np.where(rays[..., 2] < 0, 1.0, math.exp(photo.ceiling)) / np.maximum(np.abs(rays[..., 2]), 1e-6)
        ratio = photo.distance / np.minimum(wall, flat)
        agree.append((np.abs(ratio - 1) < 0.03).mean())
        floor = (rays[..., 2] < 0) & (flat < 0.97 * wall)
        assert (ratio[floor] < 1.02).all(), "the floor lies the camera's height below"
    assert np.mean(agree) > 0.5 and max(agree) > 0.95


def test_photos_are_of_many_kinds(photos):
    shapes = {photo.photo.shape[:2] for photo in photos}
    assert len(shapes) > 3 and all(h * w <= RAYS and h * w > 0.97 * RAYS for h, w in shapes)
    corners = [int((photo.wall != np.roll(photo.wall, 1)).sum()) for photo in photos if not photo.is_open]
    assert 4 in corners and max(corners) > 5, "boxes and others"
    many = [room_photos._draw_site(np.random.default_rng((seed, 14)), room_photos.RAYS) for seed in range(150)]
    assert 0.03 < np.mean([site.is_open for site in many]) < 0.15
    assert 0.5 < np.mean([len(site.blocks) > 0 for site in many if not site.is_open]) < 0.8
    for site in many:  # nobody stands in a wall
        distance, *_ = trace_walls(site.shell, site.blocks, column_azimuths())
        assert distance.min() > 0.1
        assert (np.abs(site.shell[0]) < site.shell[1]).all()
        assert not within(site.blocks, np.zeros((1, 2)), 0.0).any()


def test_open_places_have_sky_and_no_ceiling(photos):
    (seed,) = [
        k for k in range(60) if room_photos._draw_site(np.random.default_rng((k, 14)), room_photos.RAYS).is_open
    ][:1]
    (photo,) = draw_photos([seed])
    assert photo.is_open
    up = photo.camera.rays()[..., 2] > 0.25
    if up.any():
        assert (photo.distance[up] > 50).mean() > 0.3


def test_the_rooms_that_other_weights_know_are_left_as_they_were():
    """Drawing photos does not touch the draws of `Rooms`: its rooms are what they were before there were photos."""
    colour, distance = render_panoramas(Rooms.from_seeds([3]), 32, 64)
    assert float(distance.mean()) == pytest.approx(EXPECTED[0], rel=1e-4)
    assert float(colour.mean()) == pytest.approx(EXPECTED[1], rel=1e-4)
    torch.testing.assert_close(Rooms.from_seeds([3]).camera_height[0], torch.tensor(EXPECTED[2]))


EXPECTED = (5.889192, 0.691272, 1.5657296)


def test_a_shard_gives_back_what_was_packed(photos, tmp_path):
    np.savez(tmp_path / "a.npz", **pack(photos[:5]))
    for stored, photo in zip(read_photos(tmp_path / "a.npz"), photos, strict=False):
        np.testing.assert_array_equal(stored.photo, photo.photo)
        assert stored.fov_x_rad == pytest.approx(photo.camera.fov_x, rel=1e-5)
        np.testing.assert_allclose(stored.walls, photo.walls, atol=2e-3)
        assert stored.logs.shape == (photo.photo.shape[0] // 2, photo.photo.shape[1] // 2)


def test_as_photographed_changes_light_and_keeps_what_is_where(photos):
    rng = np.random.default_rng(0)
    image = photos[6].photo
    others = [as_photographed(image, rng) for _ in range(12)]
    assert all(other.dtype == np.uint8 and other.shape == image.shape for other in others)
    assert np.std([other.mean() for other in others]) > 5
    grey, mean = image.mean(-1).ravel(), np.mean(others, 0).mean(-1).ravel()
    assert np.corrcoef(grey, mean)[0, 1] > 0.8


def test_a_sample_tells_on_the_canvas_what_is_true_of_the_photo(photos, tmp_path):
    np.savez(tmp_path / "a.npz", **pack(photos))
    for stored, photo in zip(read_photos(tmp_path / "a.npz"), photos, strict=True):
        sample = sample_of(stored, None)
        assert sample["known"].any() and sample["colour"].shape == (3, 144, 192)
        np.testing.assert_allclose(sample["walls"], photo.walls, atol=2e-3)
        if not photo.is_open:
            corners = np.flatnonzero(sample["corners"])
            np.testing.assert_array_equal(corners, np.flatnonzero(photo.wall != np.roll(photo.wall, -1)))
