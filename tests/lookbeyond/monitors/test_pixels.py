"""What the monitors compile, held to NumPy, OpenCV and the cameras' own projection."""

import math

import cv2
import numpy as np
import pytest

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.monitors import pixels

ANYTHING = np.random.default_rng(0)


def _to_rays(camera: Camera) -> np.ndarray:
    return np.linalg.inv(camera.intrinsics).astype(np.float32)


@pytest.mark.parametrize("step", [2, 3, 15])
def test_shrunk_pixels_are_means_of_blocks(step):
    image = ANYTHING.integers(0, 256, (5 * step + 1, 7 * step + 1, 3), np.uint8)
    shrunk = np.empty((5, 7, 3), np.uint8)
    pixels.shrink(image.reshape(len(image), -1), step, shrunk.reshape(5, -1))
    expected = cv2.resize(image[: 5 * step, : 7 * step], (7, 5), interpolation=cv2.INTER_AREA)
    assert np.array_equal(shrunk, expected)


@pytest.mark.parametrize("every", [1, 7])
def test_the_tone_is_the_median_difference_of_judged_pixels(every):
    colour, reference = ANYTHING.integers(0, 256, (2, 20, 30, 3), np.uint8)
    judged = ANYTHING.random((20, 30)) > 0.3
    few = np.flatnonzero(judged)[::every]
    differences = colour.reshape(-1, 3)[few].astype(int) - reference.reshape(-1, 3)[few]
    assert np.array_equal(pixels.tone_between(colour, reference, judged, every), np.median(differences, 0))


def test_texels_grow_as_the_camera_nears_what_it_sees():
    """Of a wall two metres from the panorama, seen from one metre: each of its pixels covers twice as much there."""
    camera = placed_camera(40, 30, math.radians(60), position=(1.0, 0.0, 0.0))
    rays = camera.rays()
    distance = (1 / rays[..., 0]).astype(np.float32)  # the wall x = 2
    found = np.empty((8, 10), np.float32)
    offset = (camera.rotation.T @ camera.position).astype(np.float32)
    pixels.texels(distance, _to_rays(camera), offset, np.float32(3), 4, found)
    away = np.linalg.norm(camera.position + rays * distance[..., None], axis=-1)
    assert found == pytest.approx((3 * away / distance)[::4, ::4], rel=1e-5)


def test_a_surface_of_both_frames_is_compared_where_the_camera_before_saw_it():
    before = placed_camera(40, 30, math.radians(60))
    after = placed_camera(40, 30, math.radians(60), heading_rad=0.2, position=(0.3, 0.1, 0.05))
    distances = [((4 - camera.position[0]) / camera.rays()[..., 0]).astype(np.float32) for camera in (before, after)]
    points = after.position + after.rays() * distances[1][..., None]
    seen, _ = before.project(points)
    inside = (seen >= 0).all(-1) & (seen[..., 0] < 40) & (seen[..., 1] < 30)
    greys = [np.full((30, 40), 100, np.uint8), np.full((30, 40), 100, np.uint8)]
    greys[1][:, 20:] = 130
    turn = before.rotation.T @ after.rotation
    offset = before.rotation.T @ (after.position - before.position)
    shown, changed = pixels.flicker(
        distances[1],
        greys[1],
        _to_rays(after),
        distances[0],
        greys[0],
        (before.intrinsics @ turn @ np.linalg.inv(after.intrinsics)).astype(np.float32),
        (before.intrinsics @ offset).astype(np.float32),
        (-turn.T @ offset).astype(np.float32),
        np.float32(0.04),
        16,
    )
    # a pixel near the border may round either way
    assert shown == pytest.approx(np.count_nonzero(inside), abs=2)
    assert changed == pytest.approx(np.count_nonzero(inside[:, 20:]), abs=2)
    assert 0 < changed < shown


def test_what_differs_as_a_shift_would():
    expected = ANYTHING.integers(0, 256, (10, 12, 3), np.uint8)
    shown = ANYTHING.integers(0, 256, (10, 12, 3), np.uint8)
    slope, off_px = ANYTHING.random((2, 10, 12), np.float32) * np.float32(100)
    inside = ANYTHING.random((10, 12)) > 0.5
    differences, found = np.zeros((10, 12), np.uint8), np.empty((10, 12), bool)
    limits = np.float32(40), np.float32(0.05), np.float32(2)
    counts = pixels.shifted(expected, shown, slope, inside, off_px, *limits, differences, found)
    most = np.abs(expected.astype(int) - shown).max(-1)
    textured = inside & (slope > 40)
    assert np.array_equal(differences, most * textured)
    assert np.array_equal(found, textured & (most >= np.maximum(0.05 * slope * off_px, 2)))
    assert counts == (np.count_nonzero(textured), np.count_nonzero(found))
    assert 0 < counts[1] < counts[0]
