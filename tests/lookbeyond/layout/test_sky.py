"""Sky is found where it is blue or outshines the place, smooth and above the horizon, and nowhere else."""

import math

import cv2
import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.layout.sky import evidence_of_sky, measure_sky, measure_white_sky

CAMERA = placed_camera(320, 240, math.radians(70), pitch_rad=0.05)


def street(seed: int = 0) -> np.ndarray:
    """Blue sky with clouds over houses of several heights and a textured ground."""
    rng = np.random.default_rng(seed)
    photo = np.zeros((240, 320, 3), np.uint8)
    fade = np.linspace(0, 1, 240)[:, None]
    photo[:] = ((1 - fade) * (90, 140, 215) + fade * (190, 215, 240))[:, None].astype(np.uint8)
    for _ in range(3):
        middle = int(rng.integers(320)), int(rng.integers(20, 70))
        cv2.ellipse(photo, middle, (40, 10), 0, 0, 360, (235, 238, 242), -1)
    photo = cv2.GaussianBlur(photo, (0, 0), 3)
    for x in range(0, 320, 40):
        top = int(rng.integers(90, 125))
        photo[top:, x : x + 40] = rng.integers(70, 160, 3)
    photo[150:] = rng.integers(60, 140, (90, 320, 1))
    return photo


@pytest.mark.parametrize("seed", range(4))
def test_sky_over_a_street_is_found(seed):
    sky = measure_sky(street(seed), CAMERA)
    assert 0.3 < sky.share < 0.55 and sky.top > 0.95 and sky.bluer > 5 and sky.evidence > 0.8


def test_a_blue_wall_down_to_the_floor_is_no_sky():
    photo = street()
    photo[:200] = (120, 150, 215)
    assert measure_sky(photo, CAMERA).evidence == 0


def test_a_window_is_too_little_of_the_border_and_a_white_ceiling_is_not_blue():
    photo = np.full((240, 320, 3), (190, 180, 165), np.uint8)
    photo[:100, 120:200] = street()[:100, 120:200]
    assert measure_sky(photo, CAMERA).evidence < 0.35
    photo[:100] = (228, 228, 224)
    assert measure_sky(photo, CAMERA).evidence == 0


def test_the_horizon_is_the_cameras():
    """The same picture taken looking up: what is blue then lies above the horizon, and the other way round."""
    photo = street()
    photo[:140] = (110, 150, 220)
    assert measure_sky(photo, placed_camera(320, 240, math.radians(70), pitch_rad=0.3)).evidence > 0.8
    assert measure_sky(photo, placed_camera(320, 240, math.radians(70), pitch_rad=-0.3)).evidence == 0


@pytest.mark.parametrize("level", [0, 255])
def test_one_flat_colour_is_no_sky(level):
    photo, camera = np.full((64, 64, 3), level, np.uint8), placed_camera(64, 64, 1.0)
    assert measure_sky(photo, camera).share == 0 and measure_white_sky(photo, camera).evidence == 0


def overcast(level: float, seed: int = 0) -> np.ndarray:
    """The street under a white or grey sky, with the grain of a sensor."""
    photo = street(seed)
    sky = (photo[..., 2] > 175)[..., None] & (np.arange(240) < 150)[:, None, None]
    photo = np.where(sky, level, 0.8 * photo)
    return np.clip(photo + np.random.default_rng(seed).normal(0, 1.5, photo.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [185, 225, 255])
def test_an_overcast_sky_is_brighter_than_what_stands_before_it(seed, level):
    sky = measure_white_sky(overcast(level, seed), CAMERA)
    assert 0.3 < sky.share < 0.55 and sky.top > 0.95 and sky.brighter > 15 and sky.outlined > 0.9
    evidence = evidence_of_sky(overcast(level, seed), CAMERA)
    assert evidence.blue == 0 and evidence.white == sky.evidence > 0.8


def room(ceiling: float, wall: float) -> np.ndarray:
    """A wall straight ahead, side walls, a wooden floor, and a window that is as bright as can be."""
    photo = np.full((240, 320, 3), wall, np.float64)
    cv2.fillPoly(photo, [np.array([[0, 0], [320, 0], [250, 70], [70, 70]])], (ceiling,) * 3)
    cv2.fillPoly(photo, [np.array([[0, 240], [320, 240], [250, 180], [70, 180]])], (130, 95, 60))
    cv2.rectangle(photo, (130, 90), (210, 150), (255, 255, 255), -1)
    return np.clip(photo + np.random.default_rng(0).normal(0, 1.5, photo.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("ceiling", "wall"), [(225, 205), (215, 150), (240, 235), (200, 100), (250, 120)])
def test_a_white_ceiling_is_lit_by_its_room(ceiling, wall):
    assert measure_white_sky(room(ceiling, wall), CAMERA).evidence < 0.1


def test_a_white_wall_down_to_the_floor_and_a_bright_window_are_no_white_sky():
    photo = overcast(235)
    photo[:170] = 235
    assert measure_white_sky(photo, CAMERA).evidence == 0
    photo = np.full((240, 320, 3), (120, 110, 100), np.uint8)
    photo[:100, 100:220] = 255
    assert measure_white_sky(photo, CAMERA).evidence < 0.1
