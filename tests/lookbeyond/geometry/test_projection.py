"""Panoramas and frames against py360convert, direction by direction, and the laws of rays."""

import math

import cv2
import numpy as np
import py360convert
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.projection import (
    directions_to_equirectangular,
    equirectangular_directions,
    extract_perspective,
    place_photo,
    plucker_rays,
    sample_equirectangular,
)
from tests.support.box_room import psnr


def degrees_between(first, second):
    """Angles between two fields of directions of any length."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second), axis=-1), (first * second).sum(-1)))


def test_where_the_axes_lie():
    """Centre +X, right of it -Y, left edge -X, top +Z: as Cycles samples an environment texture."""
    directions = [[1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]]
    pixels = directions_to_equirectangular(np.array(directions, float), 400, 200)
    np.testing.assert_allclose(pixels, [[200, 100], [300, 100], [100, 100], [200, 0], [200, 200]], atol=1e-9)
    turned = directions_to_equirectangular(np.array([[0.0, 1.0, 0.0]]), 400, 200, heading_rad=math.pi / 2)
    np.testing.assert_allclose(turned, [[200, 100]], atol=1e-9)


@given(st.integers(0, 400), st.floats(-7, 7))
def test_pixels_and_directions_are_inverse(seed, heading):
    rng = np.random.default_rng(seed)
    directions = equirectangular_directions(64, 32, heading).astype(float)
    directions *= rng.uniform(0.1, 9, (32, 64, 1))
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(32) + 0.5)
    pixels = directions_to_equirectangular(directions, 64, 32, heading)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1), atol=2e-4)


@pytest.mark.parametrize("heading", [0.0, 2.0])
@pytest.mark.parametrize("interpolation", ["bilinear", "cubic"])
def test_sampling_crosses_the_seam_and_the_poles(heading, interpolation):
    """A panorama that holds its own directions answers every direction with itself."""
    panorama = equirectangular_directions(512, 256, heading)
    rng = np.random.default_rng(0)
    anywhere = rng.normal(size=(2000, 3))
    poles = np.array([0, 0, 1]) * rng.choice([-1, 1], (500, 1)) + 0.01 * rng.normal(size=(500, 3))
    seam = np.array([-math.cos(heading), -math.sin(heading), 0]) + 0.01 * rng.normal(size=(500, 3))
    for directions in (anywhere, poles, seam):
        seen = sample_equirectangular(panorama, directions.astype(np.float32), heading, interpolation)
        assert degrees_between(seen.astype(float), directions).max() < 0.05


def test_nearest_takes_whole_pixels():
    panorama = np.arange(64 * 32, dtype=np.int32).reshape(32, 64)
    directions = equirectangular_directions(64, 32)
    np.testing.assert_array_equal(sample_equirectangular(panorama, directions, 0.0, "nearest"), panorama)


@pytest.mark.parametrize(
    ("heading", "pitch", "roll"),
    [(0, 0, 0), (40, 20, 0), (-170, -35, 0), (90, 80, 0), (30, 10, 25), (180, 0, -60)],
)
def test_extraction_agrees_with_py360convert(heading, pitch, roll):
    """Both look at a panorama of directions; their field of view ends at the outermost pixels' centres."""
    width, height, fov_x = 97, 65, math.radians(75)
    camera = placed_camera(
        width,
        height,
        fov_x,
        heading_rad=-math.radians(heading),
        pitch_rad=math.radians(pitch),
        roll_rad=math.radians(roll),
    )
    panorama = equirectangular_directions(1024, 512)
    focal = camera.intrinsics[0, 0]
    ends = [2 * math.degrees(math.atan((size - 1) / 2 / focal)) for size in (width, height)]
    theirs = py360convert.e2p(panorama, tuple(ends), heading, pitch, (height, width), in_rot_deg=roll)
    ours = extract_perspective(panorama, camera)
    assert degrees_between(ours, theirs).max() < 0.05
    assert degrees_between(ours, camera.rays()).max() < 0.05


def test_extraction_agrees_with_opencv_remap_on_pixels():
    panorama = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)
    camera = placed_camera(96, 64, 1.0, heading_rad=0.4, pitch_rad=0.2, roll_rad=0.1)
    pixels = directions_to_equirectangular(camera.rays(), 256, 128, 0.1).astype(np.float32) - 0.5
    expected = cv2.remap(
        panorama.astype(np.float32),
        pixels[..., 0],
        pixels[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    seen = extract_perspective(panorama, camera, 0.1)
    assert seen.dtype == np.uint8
    assert np.abs(seen - expected).max() < 6  # OpenCV weighs in steps of 1/32 pixel


def test_turning_panorama_and_camera_alike_changes_nothing():
    panorama = np.random.default_rng(1).random((64, 128, 2), np.float32)
    first = extract_perspective(panorama, placed_camera(40, 30, 1.2, heading_rad=0.3, pitch_rad=0.2), 0.0)
    second = extract_perspective(panorama, placed_camera(40, 30, 1.2, heading_rad=1.3, pitch_rad=0.2), 1.0)
    np.testing.assert_allclose(first, second, atol=2e-3)
    rolled = extract_perspective(
        np.roll(panorama, 32, 1), placed_camera(40, 30, 1.2, heading_rad=0.3, pitch_rad=0.2), math.pi / 2
    )
    np.testing.assert_allclose(first, rolled, atol=2e-3)


def test_one_channel_needs_no_axis():
    panorama = np.random.default_rng(2).random((64, 128), np.float32)
    camera = placed_camera(40, 30, 1.2)
    np.testing.assert_array_equal(
        extract_perspective(panorama, camera), extract_perspective(panorama[..., None], camera)[..., 0]
    )


def photo_like(height, width, blur):
    """Noise with a picture's spectrum (amplitude falls as 1 / frequency), low-passed, uint8."""
    rng = np.random.default_rng(3)
    image = np.zeros((height, width, 3), np.float32)
    for scale in (2, 4, 8, 16, 32, 64):
        coarse = rng.normal(size=(height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        image += scale * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = 127 + image * 45 / image.std()
    return cv2.GaussianBlur(image, (0, 0), blur).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (-8, 0), (12, 15), (35, -30)])
def test_a_placed_photo_comes_back(pitch, roll):
    """Low-passed to the texture's resolution, over 40 dB on all its pixels, the border's too."""
    camera = placed_camera(
        256,
        170,
        math.radians(75),
        heading_rad=0.5,
        pitch_rad=math.radians(pitch),
        roll_rad=math.radians(roll),
    )
    photo = photo_like(170, 256, 0.8)
    canvas, mask = place_photo(photo, camera, 1024, heading_rad=0.5)
    assert canvas.shape == (512, 1024, 3) and canvas.dtype == np.uint8
    assert psnr(extract_perspective(canvas, camera, 0.5), photo) > 40
    assert (canvas[~mask] == 0).all()
    pixels, _ = camera.project(camera.position + equirectangular_directions(1024, 512, 0.5).astype(float))
    inside = (pixels > 0).all(-1) & (pixels < [256, 170]).all(-1)
    assert mask[inside].all()
    assert mask.sum() < 1.03 * inside.sum()


def test_a_fine_photo_is_averaged_not_aliased():
    """A checkerboard of single pixels, eight to a texture pixel, is grey in the panorama."""
    photo = np.indices((1600, 2400)).sum(0)[..., None] % 2 * np.full(3, 255, np.uint8)
    canvas, mask = place_photo(photo.astype(np.uint8), placed_camera(2400, 1600, 1.2), 1024)
    assert np.abs(canvas[mask].astype(float) - 127.5).max() < 20


def test_a_photo_over_the_pole_and_the_seam_is_whole():
    camera = placed_camera(256, 256, 1.4, heading_rad=math.pi, pitch_rad=math.radians(70))
    canvas, mask = place_photo(np.full((256, 256, 3), 200, np.uint8), camera, 1024)
    assert mask[0].all() and mask[:, 0].any() and mask[:, -1].any()
    assert (extract_perspective(canvas, camera) == 200).all()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_pluecker_laws(seed, scale):
    """d . m = 0; every point of the ray has the same moment; the reference camera's own moments are 0."""
    rng = np.random.default_rng(seed)
    poses = [dict(zip(("heading_rad", "pitch_rad", "roll_rad"), rng.uniform(-1, 1, 3), strict=True)) for _ in range(2)]
    first, second = (placed_camera(7, 5, 1.0, position=rng.normal(size=3), **pose) for pose in poses)
    rays = plucker_rays([first, second], first, scale)
    assert rays.shape == (2, 5, 7, 6) and rays.dtype == np.float32
    direction, moment = rays[..., :3].astype(float), rays[..., 3:].astype(float)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose((direction * moment).sum(-1), 0, atol=1e-5 * (1 + np.abs(moment).max()))
    np.testing.assert_array_equal(moment[0], 0)
    along = second.position + rng.uniform(0.1, 5) * second.rays()[2, 3]
    origin = (along - first.position) @ first.rotation / scale
    np.testing.assert_allclose(np.cross(origin, direction[1, 2, 3]), moment[1, 2, 3], atol=1e-4 * (1 + 1 / scale))


def test_pluecker_rays_do_not_depend_on_the_world():
    rng = np.random.default_rng(5)
    cameras = [placed_camera(7, 5, 1.0, heading_rad=h, position=rng.normal(size=3)) for h in (0.1, 0.4, 0.8)]
    move = placed_camera(1, 1, 1.0, heading_rad=2, pitch_rad=0.5, position=(3, 1, 2)).camera_to_world
    moved = [Camera(7, 5, camera.intrinsics, move @ camera.camera_to_world) for camera in cameras]
    np.testing.assert_allclose(plucker_rays(cameras, cameras[1], 2.0), plucker_rays(moved, moved[1], 2.0), atol=1e-5)


def test_what_a_photo_does_not_know_is_not_laid_down():
    """A hole of hidden magenta: out of the mask with all that touches it, and no trace of it in the canvas."""
    photo = np.full((192, 256, 4), (40, 90, 60, 255), np.uint8)
    photo[60:120, 100:180] = (255, 0, 255, 0)
    camera = placed_camera(256, 192, 1.2)
    for width in (256, 1024, 4096):
        canvas, mask = place_photo(photo, camera, width)
        whole = place_photo(photo[..., :3], camera, width)[1]
        assert canvas.shape == (width // 2, width, 3) and not (mask & ~whole).any() and mask.any()
        assert np.abs(canvas[mask].astype(int) - (40, 90, 60)).max() <= 1
        assert 0.1 < (whole & ~mask).sum() / whole.sum() < 0.16, "the hole is a tenth of the photo, in its middle"
        assert not canvas[~mask].any()
