import math

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.layout.segments import find_segments, segment_normals


def half_plane(width, height, angle, through, samples=6):
    """An edge whose normal has `angle`, through a point in continuous pixels; every pixel's mean is exact enough."""
    x = (np.arange(width * samples) + 0.5) / samples - through[0]
    y = (np.arange(height * samples) + 0.5) / samples - through[1]
    bright = x * math.cos(angle) + y[:, None] * math.sin(angle) > 0
    grey = bright.reshape(height, samples, width, samples).mean((1, 3)) * 150 + 50
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.8, 1.57, 2.5, 4.0, 5.5])
@pytest.mark.parametrize("through", [(100, 70), (101.3, 68.6)])
def test_an_edge_lies_where_it_is_in_continuous_pixels(angle, through):
    segments = find_segments(half_plane(200, 140, angle, through))
    off = (segments[0].reshape(2, 2) - through) @ [math.cos(angle), math.sin(angle)]
    assert len(segments) == 1
    assert np.abs(off).max() < 0.1


def test_segments_of_a_large_photo_are_in_its_own_pixels():
    photo = half_plane(5120, 3200, 0.3, (2600, 1500), samples=1)
    segments = find_segments(photo)
    off = (segments.reshape(-1, 2) - (2600, 1500)) @ [math.cos(0.3), math.sin(0.3)]
    assert np.abs(off).max() < 1.5
    assert np.linalg.norm(segments[0, 2:] - segments[0, :2]) > 3000


def test_the_shortest_length_is_kept_to_and_a_plain_photo_has_none():
    photo = np.full((120, 200, 3), 90, np.uint8)
    photo[30:90, 50:150] = 200
    lengths = np.diff(find_segments(photo, 80.0).reshape(-1, 2, 2), axis=1)[:, 0]
    assert len(lengths) == 2 and (np.linalg.norm(lengths, axis=1) > 80).all()
    assert find_segments(np.full((64, 64, 3), 128, np.uint8)).shape == (0, 4)


def test_normals_are_across_the_3d_line_and_lengths_are_the_angle_between_the_ends():
    camera = placed_camera(800, 600, 1.2, heading_rad=0.7, pitch_rad=-0.3, roll_rad=0.1, position=(1, 2, 3))
    ahead, up = camera.forward, np.array([0.0, 0.0, 1.0])
    ends = camera.position + np.stack([3 * ahead - 0.5 * up, 3 * ahead + 0.9 * up])
    pixels, _ = camera.project(ends)
    normals, lengths = segment_normals(pixels.reshape(1, 4), camera)
    rays = (ends - camera.position) / np.linalg.norm(ends - camera.position, axis=1)[:, None]
    assert abs(normals[0] @ up) < 1e-9
    assert np.isclose(np.linalg.norm(normals[0]), 1)
    assert np.isclose(lengths[0], math.acos(rays[0] @ rays[1]))
    assert segment_normals(np.zeros((0, 4)), camera)[0].shape == (0, 3)
