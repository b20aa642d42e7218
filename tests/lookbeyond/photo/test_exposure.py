"""Dark photos are known by what is not clipped, and become brighter and darker without loss that matters."""

import cv2
import numpy as np
import pytest

from lookbeyond.photo.exposure import USUAL_STOPS, exposed, missing_stops


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A grey picture of usual light, with detail."""
    rng = np.random.default_rng(0)
    light = 2 ** (USUAL_STOPS + cv2.GaussianBlur(rng.normal(0, 6, (96, 128)), (0, 0), 4))
    level = np.where(light < 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (np.dstack([level] * 3) * 255).clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("stops", [-3, -2, -1.5])
def test_a_dark_photo_misses_what_it_was_darkened_by(photo, stops):
    assert missing_stops(exposed(photo, stops)) == pytest.approx(-stops, abs=0.25)


def test_usual_and_bright_photos_miss_nothing(photo):
    assert [missing_stops(exposed(photo, stops)) for stops in (0, -0.6, 1, 3)] == [0, 0, 0, 0]
    assert missing_stops(np.full((20, 20, 3), 255, np.uint8)) == 0


def test_a_window_in_a_dark_room_does_not_hide_that_it_is_dark(photo):
    dark = exposed(photo, -2)
    dark[20:60, 20:70] = 255
    assert missing_stops(dark) == pytest.approx(2, abs=0.3)


def test_what_a_photo_does_not_know_does_not_count(photo):
    holed = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    holed[:60] = 0
    assert missing_stops(holed) == missing_stops(photo) == 0
    assert missing_stops(np.zeros((8, 8, 4), np.uint8)) == 0


def test_black_is_black_at_any_exposure():
    black = np.zeros((30, 40, 3), np.uint8)
    assert missing_stops(black) == 3 and not exposed(black, 3).any()


def test_brighter_and_darker_again_is_the_same_picture(photo):
    dark = exposed(photo, -2)
    again = exposed(exposed(dark, 2), -2)
    assert np.abs(again.astype(int) - dark).max() <= 1
    with_alpha = np.dstack([photo, photo[..., 0]])
    assert (exposed(with_alpha, 1)[..., 3] == photo[..., 0]).all() and exposed(photo, 0) is photo
