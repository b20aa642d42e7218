"""Warping in a room of exact truth, and in the cases where the answer is known without one."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions, extract_perspective
from lookbeyond.geometry.warping import warp_to_view
from tests.support.box_room import BoxRoom, psnr

ROOM = BoxRoom()
FOV = math.radians(75)


@pytest.fixture(scope="module")
def panorama():
    return ROOM.panorama()


@pytest.fixture(scope="module")
def coarse():
    """Distance eight times coarser than the colour."""
    return ROOM.panorama(distance_width=256)


def camera_at(position, heading=0.0, pitch=0.0, roll=0.0):
    return placed_camera(192, 128, FOV, heading_rad=heading, pitch_rad=pitch, roll_rad=roll, position=position)


CAMERAS = {
    "forward": camera_at((0.8, 0, 0)),
    "sideways, rolled": camera_at((0.2, 0.7, 0.1), 0.3, -0.1, 0.1),
    "backward": camera_at((0.6, 0.2, 0), math.pi),
    "around the table": camera_at((0.1, 0.9, 0.2), -0.6, -0.3),
    "around the cupboard": camera_at((0.3, -0.6, 0), 2.4),
    "down": camera_at((0.2, 0.1, -0.4), 1.0, -1.4),
}


def truth(camera, source_position):
    """Colour, distance and which pixels' surfaces the source position sees."""
    colour, distance = ROOM.look(camera.position, camera.rays())
    points = camera.position + distance[..., None] * camera.rays()
    return colour, distance, points, ROOM.visible(source_position, points)


@pytest.mark.parametrize("name", CAMERAS)
def test_what_both_see_is_right_and_what_nobody_saw_is_a_hole(name, panorama):
    camera = CAMERAS[name]
    warped = warp_to_view(panorama, camera)
    colour, distance, _, visible = truth(camera, panorama.position)
    both = visible & warped.known
    assert psnr(warped.colour[visible], colour[visible]) > 30
    assert psnr(warped.colour[both], colour[both]) > 34
    assert (visible & ~warped.known).mean() < 0.005
    assert (~visible & warped.known).mean() < 0.005
    error = np.abs(warped.distance - distance)[both] / distance[both]
    assert np.quantile(error, 0.99) < 0.01
    assert (warped.colour[~warped.known] == 0).all() and (warped.distance[~warped.known] == 0).all()


@pytest.mark.parametrize("name", CAMERAS)
def test_a_coarse_distance_map_suffices(name, coarse):
    camera = CAMERAS[name]
    warped = warp_to_view(coarse, camera)
    colour, _, _, visible = truth(camera, coarse.position)
    both = visible & warped.known
    assert psnr(warped.colour[both], colour[both]) > 30
    assert (visible != warped.known).mean() < 0.02


def test_a_view_warps_like_a_panorama_within_its_frame():
    source = ROOM.view(placed_camera(384, 256, FOV, heading_rad=-0.5, position=(0.1, 0.5, 0)))
    camera = camera_at((0.5, 0.9, 0.1), -0.7, -0.1)
    warped = warp_to_view(source, camera)
    colour, _, points, visible = truth(camera, source.camera.position)
    pixels, _ = source.camera.project(points)
    visible &= (pixels > 0).all(-1) & (pixels < [384, 256]).all(-1)
    both = visible & warped.known
    assert psnr(warped.colour[both], colour[both]) > 34
    assert (visible & ~warped.known).mean() < 0.01
    assert (~visible & warped.known).mean() < 0.005
    np.testing.assert_allclose(np.median(np.abs(warped.source_coords - pixels)[both], axis=0), 0, atol=0.05)


def test_without_motion_it_is_a_projection(panorama):
    camera = camera_at((0, 0, 0), 0.7, 0.3, -0.2)
    warped = warp_to_view(panorama, camera)
    assert warped.known.all()
    extracted = extract_perspective(panorama.colour, camera, panorama.heading_rad)
    assert np.abs(warped.colour.astype(int) - extracted).max() <= 1
    view = ROOM.view(camera)
    again = warp_to_view(view, camera)
    assert again.known.all()
    assert np.abs(again.colour.astype(int) - view.colour).max() <= 1


def test_distances_outlive_the_way_there_and_back():
    """A view's surfaces seen from elsewhere, and from there again, lie where they lay."""
    here, there = camera_at((0, 0, 0), 0.2), camera_at((0.3, 0.2, 0), 0.25)
    seen = warp_to_view(ROOM.view(here), there)
    truth_there = ROOM.view(there)
    relative = np.abs(seen.distance - truth_there.distance) / truth_there.distance
    assert np.quantile(relative[seen.known], 0.99) < 0.01


def test_any_image_of_the_source_warps_alike(panorama):
    camera = CAMERAS["around the table"]
    warped = warp_to_view(panorama, camera)
    same = warped.sample(panorama.colour)
    assert np.abs(same.astype(int) - warped.colour).max() <= 1
    distance = warped.sample(panorama.distance, "nearest")
    points = camera.position + warped.distance[..., None] * camera.rays()
    assert np.median(np.abs(np.linalg.norm(points, axis=-1) - distance)[warped.known]) < 0.01


def sphere(radius, width=256):
    """A panorama from the middle of a hollow ball, coloured by direction."""
    directions = equirectangular_directions(width, width // 2)
    colour = np.rint(127.5 + 127 * directions).astype(np.uint8)
    distance = np.full((width // 2, width), radius, np.float32)
    return Panorama(colour, distance, np.zeros(colour.shape[:2], np.uint8))


@pytest.mark.parametrize("position", [(0, 0, 0), (1.9, 0, 0), (-0.5, 1.2, 0.9), (1e-7, 0, 0)])
def test_inside_a_ball(position):
    camera = placed_camera(64, 48, 2.0, heading_rad=0.3, position=position)
    warped = warp_to_view(sphere(2.0), camera)
    assert warped.known.all()
    points = camera.position + warped.distance[..., None] * camera.rays()
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 2.0, atol=0.01)
    np.testing.assert_allclose(warped.colour, 127.5 + 127 * points / 2, atol=2.5)


def test_outside_everything_only_holes():
    """From beyond the ball its wall has only its outer side, which nobody saw."""
    camera = placed_camera(32, 24, 1.0, heading_rad=math.pi / 2, position=(0, 5, 0))
    assert not warp_to_view(sphere(2.0), camera).known.any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 3), (1, 9), (33, 17)])
def test_every_frame_size_has_all_its_pixels(width, height):
    warped = warp_to_view(sphere(2.0), placed_camera(width, height, 1.0, position=(0.5, 0.1, 0)))
    assert warped.colour.shape == (height, width, 3) and warped.known.all()


def test_a_warp_is_a_function(panorama):
    camera = CAMERAS["around the table"]
    np.testing.assert_array_equal(warp_to_view(panorama, camera).colour, warp_to_view(replace(panorama), camera).colour)
