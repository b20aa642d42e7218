"""Colours by formula agree with LittleCMS, with published numbers, and with themselves."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from lookbeyond.photo.colour_tags import Chromaticities, Cicp, ColourTags
from lookbeyond.photo.pixels import (
    TableProfile,
    colour_space,
    developed,
    encoded,
    linear_light,
    linear_to_srgb,
    rolled_off,
    srgb_to_linear,
    to_srgb,
    turn,
)

FIELD = Path(__file__).parents[2] / "field"


def profile(name: str) -> bytes:
    return Image.open(FIELD / name).info["icc_profile"]


@pytest.mark.parametrize("name", ["photo_display_p3.jpg", "photo_prophoto.jpg"])
def test_profiles_become_srgb_as_littlecms_has_them(name):
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (64, 64, 3), np.uint8)
    by_library = ImageCms.profileToProfile(
        Image.fromarray(colours),
        ImageCms.ImageCmsProfile(io.BytesIO(profile(name))),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    ours = to_srgb(colours, colour_space(ColourTags(profile=profile(name))))
    assert np.abs(ours.astype(int) - np.asarray(by_library)).max() <= 1


def test_srgb_is_left_alone():
    assert colour_space(ColourTags()) is None
    assert colour_space(ColourTags(profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())) is None
    assert colour_space(ColourTags(cicp=Cicp(1, 13))) is None
    assert colour_space(ColourTags(gamma=0.45455)) is None
    assert colour_space(ColourTags(profile=b"no profile")) is None


def test_cicp_profile_and_chromaticities_have_the_same_primaries_of_p3():
    """SMPTE EG 432-1 with D65; the matrix to sRGB as CSS Color 4 prints it for display-p3."""
    p3 = Chromaticities((0.3127, 0.3290), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
    printed = [[1.2249, -0.2249, 0], [-0.0420, 1.0420, 0], [-0.0197, -0.0786, 1.0979]]
    for tags in (
        ColourTags(cicp=Cicp(12, 13)),
        ColourTags(profile=profile("photo_display_p3.jpg")),
        ColourTags(chromaticities=p3),
    ):
        np.testing.assert_allclose(colour_space(tags).matrix, printed, atol=6e-4)


def test_the_order_in_which_they_count():
    """PNG, third edition: cICP, then iCCP, then sRGB, then gAMA and cHRM."""
    everything = {"profile": profile("photo_prophoto.jpg"), "srgb": True, "gamma": 1.0}
    assert np.allclose(
        colour_space(ColourTags(cicp=Cicp(12, 13), **everything)).matrix,
        colour_space(ColourTags(cicp=Cicp(12, 13))).matrix,
    )
    assert colour_space(ColourTags(**everything)) is not None
    del everything["profile"]
    assert colour_space(ColourTags(**everything)) is None


def test_white_stays_white_and_grey_grey():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    for tags in (
        ColourTags(cicp=Cicp(9, 13)),
        ColourTags(cicp=Cicp(11, 13)),
        ColourTags(profile=profile("photo_prophoto.jpg")),
        ColourTags(adobe_rgb=True),
        ColourTags(cicp=Cicp(12, 1)),
    ):
        ours = to_srgb(greys, colour_space(tags)).astype(int)
        assert (ours[0, -1] == 255).all() and np.ptp(ours, axis=-1).max() <= 1


def test_adobe_rgbs_green_lies_outside_of_srgb():
    space = colour_space(ColourTags(adobe_rgb=True))
    assert to_srgb(np.uint8([[[0, 255, 0]]]), space)[0, 0].tolist() == [0, 255, 0]
    assert linear_light(np.uint8([[[0, 255, 0]]]), space)[0, 0, 0] < -0.3


@pytest.mark.parametrize(("nits", "code"), [(100, 0.5081), (203, 0.5807), (1000, 0.7518), (10000, 1.0)])
def test_pq_has_the_values_of_bt_2408(nits, code):
    light = linear_light(np.full((1, 1, 3), code, np.float32), colour_space(ColourTags(cicp=Cicp(9, 16))))
    assert light.mean() * 203 == pytest.approx(nits, rel=0.01)


def test_hlg_reference_white_is_white():
    """75 % of the signal is 203 cd/m² on a display of 1000 (BT.2408)."""
    light = linear_light(np.full((1, 1, 3), 0.75, np.float32), colour_space(ColourTags(cicp=Cicp(9, 18))))
    assert light.mean() == pytest.approx(1, rel=0.01)


def test_a_profile_of_tables_is_for_the_library():
    made = bytearray(profile("photo_display_p3.jpg"))
    where = made.index(b"rXYZ", 128)
    made[where : where + 4] = b"A2B0"
    with pytest.raises(TableProfile):
        colour_space(ColourTags(profile=bytes(made)))


@given(data=st.data())
def test_a_damaged_profile_is_none_or_a_space(data):
    made = bytearray(profile("photo_display_p3.jpg"))
    for _ in range(data.draw(st.integers(1, 6))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    made = made[: data.draw(st.integers(0, len(made)))]
    try:
        space = colour_space(ColourTags(profile=bytes(made)))
    except TableProfile:
        return
    if space is not None:
        assert to_srgb(np.zeros((2, 2, 3), np.uint8), space).shape == (2, 2, 3)


def test_the_exposure_found_makes_the_middle_grey_and_the_one_given_is_kept():
    light = np.exp(np.random.default_rng(3).normal(2.0, 0.6, (50, 60, 1))).astype(np.float32) * np.ones(3, np.float32)
    pixels, stops = developed(light)
    assert np.median(srgb_to_linear(pixels / 255)) == pytest.approx(0.18, rel=0.05)
    assert developed(light * 8)[1] == pytest.approx(stops - 3)
    plain = np.linspace(0, 0.6, 100, dtype=np.float32)[:, None, None] * np.ones((1, 3), np.float32)
    pixels, stops = developed(plain, stops=0)
    assert stops == 0
    np.testing.assert_allclose(pixels, 255 * linear_to_srgb(plain), atol=0.6)


def test_what_is_not_known_has_no_say_in_the_exposure():
    light = np.full((40, 40, 3), 0.18, np.float32)
    light[:, 20:] = 50
    known = np.zeros((40, 40), bool)
    known[:, :10] = True
    assert developed(light, known)[1] == 0


def test_highlights_keep_their_order_and_their_hue():
    light = np.linspace(0, 20, 500, dtype=np.float32)[:, None] * np.float32([1, 0.5, 0.25])
    rolled = rolled_off(light)
    assert (np.diff(rolled[:, 0]) > -1e-6).all() and rolled.max() <= 1
    np.testing.assert_allclose(rolled[1:, 1] / rolled[1:, 0], 0.5, rtol=1e-5)
    np.testing.assert_array_equal(rolled[light.max(1) <= 0.6], light[light.max(1) <= 0.6])
    assert developed(np.full((2, 2, 3), [np.nan, np.inf, -np.inf], np.float32), stops=0)[0].dtype == np.uint8


def test_srgb_round_trip():
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    np.testing.assert_array_equal(encoded(srgb_to_linear(levels / 255)), levels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_follows_the_exif_standard(orientation):
    """EXIF 2.3, Orientation: where the stored row 0 and column 0 stand in the upright picture."""
    rows, columns = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = np.arange(6).reshape(2, 3)
    upright = turn(stored, orientation)
    side = {"top": upright[0], "bottom": upright[-1], "left": upright[:, 0], "right": upright[:, -1]}
    assert sorted(side[rows]) == sorted(stored[0]) and sorted(side[columns]) == sorted(stored[:, 0])
