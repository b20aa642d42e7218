"""Figures of merit against libraries that nobody here wrote, and against truths known by construction."""

import math

import cv2
import numpy as np
import pytest
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio

from lookbeyond.evaluation import metrics, straightness
from lookbeyond.evaluation.scenes import held_out_room
from lookbeyond.geometry.cameras import Camera, placed_camera


def picture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def cameras(move: tuple[float, float, float]) -> tuple[Camera, Camera]:
    first = placed_camera(256, 192, 1.2, heading_rad=0.1)
    return first, placed_camera(256, 192, 1.2, heading_rad=0.25, pitch_rad=0.05, position=move)


def test_psnr_is_scikit_images_over_the_mask_only():
    image, truth, mask = picture(0), picture(1), np.zeros((96, 128), bool)
    mask[20:60, 30:90] = True
    expected = peak_signal_noise_ratio(truth[20:60, 30:90], image[20:60, 30:90], data_range=255)
    assert metrics.psnr(image, truth, mask) == pytest.approx(expected)
    assert metrics.psnr(truth, truth, mask) == 100
    assert np.isnan(metrics.psnr(image, truth, np.zeros_like(mask)))


def test_epipolar_distance_is_opencvs():
    first, second = cameras((0.3, -0.2, 0.1))
    rng = np.random.default_rng(0)
    p, q = rng.uniform(0, 190, (2, 20, 2))
    relative = second.rotation.T @ first.rotation
    move = second.rotation.T @ (first.position - second.position)
    essential = np.cross(np.eye(3), move) @ relative
    essential = np.array([[0, -move[2], move[1]], [move[2], 0, -move[0]], [-move[1], move[0], 0]]) @ relative
    fundamental = np.linalg.inv(second.intrinsics).T @ essential @ np.linalg.inv(first.intrinsics)
    in_second = cv2.computeCorrespondEpilines(p[:, None], 1, fundamental)[:, 0]
    in_first = cv2.computeCorrespondEpilines(q[:, None], 2, fundamental)[:, 0]
    far = [np.abs((lines[:, :2] * points).sum(1) + lines[:, 2]) for lines, points in ((in_second, q), (in_first, p))]
    np.testing.assert_allclose(metrics.epipolar_distance(p, q, first, second), (far[0] + far[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("move", [(0, 0, 0), (0.3, -0.2, 0.1)])
def test_what_both_cameras_truly_see_has_no_error(move):
    first, second = cameras(move)
    points = np.random.default_rng(0).uniform((2, -1, -1), (5, 1, 1), (30, 3))
    p, q = first.project(points)[0], second.project(points)[0]
    assert metrics.epipolar_distance(p, q, first, second).max() < 1e-6
    assert np.median(metrics.epipolar_distance(p, np.add(q, (0, 3)), first, second)) > 1


def test_matches_of_a_turned_picture_agree_with_the_turn_and_know_the_holes():
    first = placed_camera(256, 192, 1.2)
    second = placed_camera(256, 192, 1.2, heading_rad=0.1)
    image = picture(3, 192, 256)
    turn = second.intrinsics @ second.rotation.T @ first.rotation @ np.linalg.inv(first.intrinsics)
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV counts from pixel centres
    turned = cv2.warpPerspective(image, half @ turn @ np.linalg.inv(half), (256, 192), flags=cv2.INTER_CUBIC)
    left = np.zeros((192, 256), bool)
    left[:, :128] = True
    (pair,) = metrics.match_frames([image, turned], [first, second], [left, np.zeros_like(left)])
    assert len(pair.errors) >= 30 and np.median(pair.errors) < 0.5
    assert 0.1 < pair.in_hole.mean() < 0.9
    assert metrics.tsed([pair], 1.0) == [1.0]
    (wrong,) = metrics.match_frames([image, turned], [first, first], [left, left])
    assert metrics.tsed([wrong], 3.0) == [0.0], "a turn that did not happen"
    (nothing,) = metrics.match_frames([0 * image, 0 * image], [first, second], [left, left])
    assert metrics.tsed([nothing], 3.0) == [0.0], "nothing to match is not consistent"


def test_frechet_distance_is_the_formula_with_scipys_square_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 6)), rng.normal(0.3, 1.4, size=(400, 6)) @ rng.normal(size=(6, 6))
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert metrics.frechet(a, b, np.ones(6)) == pytest.approx(expected, rel=1e-6)


def test_frechet_excess_sees_blur_and_tint_but_not_another_draw():
    truth = [picture(seed, 64, 128) for seed in range(6)]
    masks = [np.ones((64, 128), bool)] * 6
    blurred = [cv2.GaussianBlur(image, (0, 0), 4) for image in truth]
    tinted = [(image * (1.0, 0.7, 0.7)).astype(np.uint8) for image in truth]
    same = metrics.frechet_excess(truth, truth, masks)
    assert abs(same) < 0.1
    assert min(metrics.frechet_excess(blurred, truth, masks), metrics.frechet_excess(tinted, truth, masks)) > 1


def test_a_jump_at_the_wrap_is_a_seam():
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    around = np.concatenate([ramp, ramp[:, ::-1]], 1)
    assert metrics.seam(ramp) > 20 and metrics.seam(around) < 1.5


def test_the_interval_covers_the_mean_and_narrows_with_more_scenes():
    values = np.random.default_rng(0).normal(5, 1, 400)
    low, high = metrics.interval(values)
    few_low, few_high = metrics.interval(values[:10])
    assert low < 5 < high and high - low < few_high - few_low


@pytest.mark.parametrize("number", [1, 5])
def test_the_walls_of_a_picture_without_a_layout_are_found(number):
    """To a degree, of a room that is drawn: as they are found in real panoramas, whose layout nobody knows."""
    room = held_out_room(number)
    assert room.room is not None
    found = math.degrees(straightness.directions_of(room.truth) - float(room.room.yaw[0]))
    assert abs((found + 45) % 90 - 45) < 1
