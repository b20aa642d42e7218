"""A distance map as a mesh: it hides every direction once, and spans no tear."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.surface import BLOCK, surface_of
from tests.support.box_room import BoxRoom

ROOM = BoxRoom()
PANORAMA = ROOM.panorama(256, 256)
VIEW = ROOM.view(placed_camera(96, 60, 1.3, heading_rad=-0.5, position=(0.1, 0.5, 0)))
RNG = np.random.default_rng(0)
NOISE = replace(PANORAMA, distance=RNG.uniform(1, 3, (20, 40)).astype(np.float32))  # every side of a cell may be torn


def triangles(surface) -> np.ndarray:
    """All of them, [T, 3, 3]."""
    a, b = surface.points[:-1, :-1][surface.whole], surface.points[:-1, 1:][surface.whole]
    c, d = surface.points[1:, 1:][surface.whole], surface.points[1:, :-1][surface.whole]
    return np.concatenate([np.stack([a, b, d], 1), np.stack([b, c, d], 1), surface.loose]).astype(float)


def solid_angles(corners: np.ndarray) -> np.ndarray:
    """Of triangles seen from the origin, steradians, positive when they are clockwise (van Oosterom and Strackee)."""
    a, b, c = (corners / np.linalg.norm(corners, axis=-1, keepdims=True)).transpose(1, 0, 2)
    volume = (a * np.cross(b, c)).sum(-1)
    return 2 * np.arctan2(volume, 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1))


@pytest.mark.parametrize("source", [PANORAMA, NOISE], ids=["room", "noise"])
def test_a_panoramas_surface_hides_the_whole_sphere_once(source):
    angles = solid_angles(triangles(surface_of(source)))
    assert angles.min() > -1e-6
    assert angles.sum() == pytest.approx(4 * math.pi, rel=1e-5)


def test_a_views_surface_hides_its_frame_once():
    angles = solid_angles(triangles(surface_of(VIEW)))
    corners = np.linalg.inv(VIEW.camera.intrinsics) @ [[0, 96, 96, 0], [0, 0, 60, 60], [1, 1, 1, 1]]
    corners = (VIEW.camera.rotation @ corners).T
    frame = solid_angles(np.stack([corners[[0, 1, 3]], corners[[1, 2, 3]]]))
    assert angles.min() > -1e-9
    assert angles.sum() == pytest.approx(frame.sum(), rel=1e-5)


def test_no_triangle_spans_a_tear():
    """Something near before something far: every triangle is either."""
    distance = np.full((64, 128), 4.0, np.float32)
    distance[20:40, 50:70] = 1.0
    blank = np.zeros((64, 128, 3), np.uint8)
    surface = surface_of(Panorama(blank, distance, blank[..., 0]))
    assert len(surface.loose)
    lengths = np.linalg.norm(triangles(surface), axis=-1)
    np.testing.assert_allclose(lengths.min(1), lengths.max(1), rtol=1e-5)
    assert set(np.unique(lengths.round(4))) == {1.0, 4.0}


@pytest.mark.parametrize("source", [PANORAMA, VIEW, NOISE], ids=["panorama", "view", "noise"])
def test_blocks_hold_what_they_say(source):
    surface = surface_of(source)
    rows, columns = surface.whole.shape
    across = -(-columns // BLOCK)
    assert len(surface.boxes) == -(-rows // BLOCK) * across and surface.loose_from[-1] == len(surface.loose)
    for number, (low, high) in enumerate(surface.boxes):
        row, column = number // across * BLOCK, number % across * BLOCK
        inside = surface.points[row : row + BLOCK + 1, column : column + BLOCK + 1].reshape(-1, 3)
        loose = surface.loose[surface.loose_from[number] : surface.loose_from[number + 1]].reshape(-1, 3)
        everything = np.concatenate([inside, loose])
        np.testing.assert_array_equal(low, everything.min(0))
        np.testing.assert_array_equal(high, everything.max(0))
