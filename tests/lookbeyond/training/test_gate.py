"""The gate's calibration: a regression that says as often "right" as fits are right."""

import numpy as np

from lookbeyond.data.room_photos import draw_photos
from lookbeyond.layout.gate import SIGNS
from lookbeyond.layout.prediction import built_in_network
from lookbeyond.training.gate import Judged, cross_validated, fit_gate, judge


def test_confidence_is_how_often_such_fits_are_right():
    rng = np.random.default_rng(0)
    signs = rng.normal(size=(3000, len(SIGNS)))
    chance = 1 / (1 + np.exp(-(0.5 + 2 * signs[:, 0] - signs[:, 3])))
    judged = Judged(signs, rng.uniform(size=3000) < chance)
    confidence = cross_validated(judged, rng)
    for low in (0.0, 0.25, 0.5, 0.75):
        those = (confidence >= low) & (confidence < low + 0.25)
        assert abs(judged.right[those].mean() - confidence[those].mean()) < 0.06
    gate = fit_gate(judged)
    assert gate.weights[0] > 1 and gate.weights[3] < -0.5 and abs(gate.weights[[1, 2, 4, 5, 6, 7, 8]]).max() < 0.2


def test_a_spoiled_photo_is_never_right():
    photos = draw_photos(range(1_000_001_000, 1_000_001_006), as_drawn=True)
    judged = judge(photos, built_in_network(), np.random.default_rng(3))
    assert judged.signs.shape == (len(judged.right), len(SIGNS)) and np.isfinite(judged.signs).all()
    # without spoiled ones there are at most as many rows as photos; those that come after are wrong by definition
    assert judged.right.sum() <= len(photos) <= len(judged.right)
