"""Few rooms claim nothing, many rooms only what lies outside of their interval."""

import math

import numpy as np
import pytest

from lookbeyond.evaluation.paired import LEAST_ROOMS, claim, difference


def figures(rooms: int, apart: float, spread: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    other = rng.normal(20, 3, rooms)
    return other + apart + rng.normal(0, spread, rooms), other


def test_rooms_are_paired():
    """Rooms differ by far more than the methods do."""
    found = difference(*figures(16, 0.5, 0.1))
    assert found.mean == pytest.approx(0.5, abs=0.1) and found.is_told and found.rooms == 16


def test_nothing_is_claimed_inside_of_the_interval():
    found = difference(*figures(16, 0.1, 2.0))
    assert found.interval[0] < 0 < found.interval[1] and not found.is_told
    said = claim("A", "B", "PSNR", "dB", True, found)
    assert "cannot be told apart" in said and "better" not in said and f"about {found.rooms_wanted} rooms" in said


def test_few_rooms_claim_nothing_however_far_apart():
    found = difference(*figures(LEAST_ROOMS - 1, 9.0, 0.1))
    assert found.interval is None and not found.is_told
    assert f"{LEAST_ROOMS - 1} of the {LEAST_ROOMS} rooms" in claim("A", "B", "PSNR", "dB", True, found)


def test_the_rooms_wanted_do_find_half_a_decibel():
    """Of that many rooms about four fifths of all studies tell the difference: by drawing them."""
    wanted = difference(*figures(200, 0.5, 1.0)).rooms_wanted
    assert 20 < wanted < 50  # (2.8 x 1 / 0.5)² = 31
    told = np.mean([difference(*figures(wanted, 0.5, 1.0, seed)).is_told for seed in range(1, 201)])
    assert 0.7 < told < 0.93


def test_what_is_less_can_be_better():
    found = difference(*figures(16, -0.5, 0.1))
    assert "A is better than B" in claim("A", "B", "drift", "%", False, found)
    assert "A is worse than B" in claim("A", "B", "PSNR", "dB", True, found)


def test_rooms_without_a_figure_are_left_out():
    found = difference([1.0, math.nan, 3.0], [0.0, 1.0, math.nan])
    assert (found.rooms, found.mean) == (1, 1.0) and found.rooms_wanted is None
    assert "no figure" in claim("A", "B", "mTSED", "", True, difference([math.nan], [1.0]))


def test_small_differences_are_not_written_as_none():
    told = claim("A", "B", "PSNR", "dB", True, difference(*figures(16, 0.001, 0.0001)))
    assert "A is better than B (+0.001 dB [+0.001, +0.001], 16 rooms)" in told
    same = difference(*figures(16, 0.0, 0.0))
    assert claim("A", "B", "PSNR", "dB", True, same) == "PSNR: A and B are the same in each of 16 rooms."
