"""Noise is told from texture, taken away from what surfaces are made of, and put around the photo again."""

import math

import cv2
import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import place_photo
from lookbeyond.layout.world import as_taken
from lookbeyond.photo.grain import KNEE, denoised, noise_level, with_grain


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Smooth light over a few edges."""
    picture = np.full((240, 320, 3), (150, 140, 125), np.float32) + np.linspace(-30, 30, 320)[None, :, None]
    picture[150:, :] -= 40
    picture[60:120, 80:140] = (90, 60, 50)
    return picture.round().astype(np.uint8)


def noisy(photo: np.ndarray, deviation: float) -> np.ndarray:
    return with_grain(photo, np.full(3, deviation), seed=0)


@pytest.mark.parametrize("deviation", [5, 10, 20])
def test_the_level_is_the_noises(photo, deviation):
    assert noise_level(noisy(photo, deviation)) == pytest.approx(deviation, rel=0.15)


def test_a_large_photo_is_judged_at_the_size_at_which_it_is_used(photo):
    """Sixteen pixels of a camera's sensor make one: a quarter of the noise is left."""
    large = cv2.resize(photo, (4 * 512, 4 * 384), interpolation=cv2.INTER_CUBIC)
    assert noise_level(noisy(large, 20)) == pytest.approx(5, rel=0.25)


def test_texture_is_no_noise(photo):
    """Its channels vary together."""
    grass = np.random.default_rng(0).normal(0, 20, photo.shape[:2])
    assert noise_level((photo + grass[..., None]).clip(0, 255).astype(np.uint8)) < KNEE / 3


def test_a_quiet_photo_stays_the_very_same(photo):
    assert denoised(photo) is photo
    assert noise_level(np.full((40, 40, 3), 255, np.uint8)) == noise_level(np.zeros((2, 2, 3), np.uint8)) == 0


def test_noise_goes_and_edges_stay(photo):
    dirty = np.dstack([noisy(photo, 12), np.full(photo.shape[:2], 255, np.uint8)])
    clean = denoised(dirty)
    assert np.array_equal(clean[..., 3], dirty[..., 3])
    away = np.abs(clean[..., :3].astype(int) - photo)
    assert away.mean() < 0.3 * np.abs(dirty[..., :3].astype(int) - photo).mean()
    edge = clean[130:170, 200, 0].astype(int)
    assert edge[0] - edge[-1] == pytest.approx(40, abs=6)


def test_around_a_noisy_photo_there_is_as_much_noise_as_in_it(photo):
    """At the panorama's size, where several of the photo's pixels make one; the photo itself is not touched."""
    camera = placed_camera(320, 240, math.radians(80))
    grey, distance = np.full((256, 512, 3), 120, np.uint8), np.full((64, 128), 3, np.float32)
    world = Panorama(grey, distance, np.zeros((256, 512), np.uint8), photo_camera=camera)
    dirty = noisy(photo, 15)
    taken = as_taken(world, dirty, photo, 0.0, seed=1)
    placed, mask = place_photo(dirty, camera, 512, 0.0)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((25, 25))) > 0
    assert np.abs(taken.colour[inside].astype(int) - placed[inside]).max() <= 1
    in_photo = (placed.astype(float) - place_photo(photo, camera, 512, 0.0)[0])[inside].std()
    assert 3 < in_photo < 14
    assert (taken.colour[~mask].astype(float) - 120).std() == pytest.approx(in_photo, rel=0.15)
    assert np.array_equal(as_taken(world, dirty, photo, 0.0, seed=1).colour, taken.colour)
    assert as_taken(world, photo, photo, 0.0, seed=1) is world
