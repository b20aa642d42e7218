"""Several photos of one place: cut from one known sphere, so that what comes out can be held to it."""

import math

import cv2
import numpy as np
import pytest

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, placed_camera, rotation_angle
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.photo.align import align_photos
from lookbeyond.photo.join import join_photos

WIDTH = 1024


@pytest.fixture(scope="module")
def sphere() -> np.ndarray:
    """[H, 2H, 3]: blotches of every size, the same from any side."""
    rng = np.random.default_rng(0)
    picture = np.full((1024, 2048, 3), 128, np.float32)
    for size in (8, 16, 32, 64, 128, 256):
        noise = rng.normal(size=(1024 // size, 2048 // size, 3)).astype(np.float32)
        wrapped = np.concatenate([noise, noise[:, :1]], 1)
        picture += 14 * cv2.resize(wrapped, (2048 + 2048 * size // 2048, 1024), interpolation=cv2.INTER_CUBIC)[:, :2048]
    return np.clip(picture, 20, 235).astype(np.uint8)


def look(heading_deg: float, pitch_deg: float = 0.0, fov_deg: float = 70.0, size=(320, 240), at=(0, 0, 0)) -> Camera:
    return placed_camera(
        *size,
        math.radians(fov_deg),
        heading_rad=math.radians(heading_deg),
        pitch_rad=math.radians(pitch_deg),
        position=at,
    )


def shots(sphere, cameras) -> list[np.ndarray]:
    return [extract_perspective(sphere, camera, interpolation="cubic") for camera in cameras]


def darker(photo: np.ndarray, stops: float) -> np.ndarray:
    light = (photo / 255.0) ** 2.2 * 2.0**-stops
    return np.clip(255 * light ** (1 / 2.2) + 0.5, 0, 255).astype(np.uint8)


def test_photos_of_one_sphere_are_that_sphere_at_their_true_directions(sphere):
    cameras = [look(0), look(45, 10), look(-40, -15, 60), look(170)]
    joined = join_photos(shots(sphere, cameras), cameras, WIDTH)
    truth = cv2.resize(sphere, (WIDTH, WIDTH // 2), interpolation=cv2.INTER_AREA)
    error = np.abs(joined.colour.astype(float) - truth)[joined.known]
    assert np.median(error) < 3 and np.quantile(error, 0.99) < 16
    assert {int(index) for index in np.unique(joined.source[joined.known])} == {0, 1, 2, 3}
    assert (joined.colour[~joined.known] == 0).all() and (joined.source[~joined.known] == -1).all()
    seen = joined.known[WIDTH // 4]
    assert seen[0] and seen[-1] and not seen.all()  # the last one looks across the seam
    assert any("photo 4 shows nothing that another photo shows" in sentence for sentence in joined.said)


@pytest.mark.parametrize("stops", [-1.0, 0.7])
def test_exposure_is_brought_to_that_of_the_first(sphere, stops):
    cameras = [look(0), look(40), look(80)]
    photos = shots(sphere, cameras)
    photos[1], photos[2] = darker(photos[1], stops), darker(photos[2], stops / 2)
    joined = join_photos(photos, cameras, WIDTH)
    assert joined.stops[0] == pytest.approx((0, 0, 0), abs=1e-3)
    assert np.mean(joined.stops[1]) == pytest.approx(stops, abs=0.1)
    assert np.mean(joined.stops[2]) == pytest.approx(stops / 2, abs=0.1)
    truth = cv2.resize(sphere, (WIDTH, WIDTH // 2), interpolation=cv2.INTER_AREA)
    unclipped = joined.known & (truth.max(-1) < 180)
    assert np.median(np.abs(joined.colour.astype(float) - truth)[unclipped]) < 5
    assert any("to match" in sentence for sentence in joined.said)


def test_the_finer_photo_wins_but_for_a_band_inside_its_border(sphere):
    """A telephoto in the middle of a wide photo: all of its inside is seen, whichever comes first."""
    wide, fine = look(0, fov_deg=90), look(0, fov_deg=40)
    photos = shots(sphere, [wide, fine])
    for order in ((0, 1), (1, 0)):
        joined = join_photos([photos[k] for k in order], [(wide, fine)[k] for k in order], WIDTH)
        own = order.index(1)
        middle = joined.source[WIDTH // 4 - 12 : WIDTH // 4 + 12, WIDTH // 2 - 30 : WIDTH // 2 + 30]
        assert (middle == own).all()
        assert set(np.unique(joined.source[joined.known])) == {0, 1}


def test_the_seam_goes_around_what_has_moved(sphere):
    """Somebody stands in one photo's border and not in the other's: the cut does not go through them."""
    cameras = [look(0, size=(480, 360)), look(50)]
    photos = shots(sphere, cameras)
    clean = join_photos(photos, cameras, WIDTH)
    photos[0] = photos[0].copy()
    photos[0][120:240, 20:45] = (250, 20, 20)  # inside the band in which the seam may lie
    joined = join_photos(photos, cameras, WIDTH)
    red = (joined.colour[..., 0] > 220) & (joined.colour[..., 1] < 60)
    whole = join_photos([photos[0], photos[0]], [cameras[0]] * 2, WIDTH).colour
    figure = ((whole[..., 0] > 220) & (whole[..., 1] < 60)).sum()
    assert clean.known.sum() == joined.known.sum()
    assert red.sum() < 0.1 * figure or red.sum() > 0.9 * figure


def test_what_cannot_be_joined_is_refused_with_the_reason(sphere):
    cameras = [look(0), look(30)]
    photos = shots(sphere, cameras)
    with pytest.raises(InputError, match=r"1 photos and 1 cameras .*2 to 8"):
        join_photos(photos[:1], cameras[:1], WIDTH)
    apart = [look(0), look(30, at=(1.2, 0, 0))]
    with pytest.raises(InputError, match=r"b.jpg was taken 1.20 m from where a.jpg was.*build the world of one"):
        join_photos(photos, apart, WIDTH, names=["a.jpg", "b.jpg"])
    with pytest.raises(InputError, match=r"a.jpg and b.jpg do not show the same .*lookbeyond photos align"):
        join_photos([photos[0], shots(sphere, [look(120, 20)])[0]], cameras, WIDTH, names=["a.jpg", "b.jpg"])
    with pytest.raises(InputError, match=r"b.jpg differs from a.jpg by [34]\.\d stops"):
        join_photos([photos[0], darker(photos[1], 3.6)], cameras, WIDTH, names=["a.jpg", "b.jpg"])


def test_photos_are_aligned_by_what_they_share(sphere):
    """Where the others look is forgotten; it is found again from the pixels, along a chain of overlaps."""
    truth = [
        look(5, 8, size=(640, 480)),
        look(45, -4, size=(640, 480)),
        look(-35, 12, 60, size=(480, 640)),
        look(85, 0, size=(640, 480)),
    ]
    photos = shots(sphere, truth)
    guesses = [truth[0], *(look(0, 0, math.degrees(c.fov_x), (c.width, c.height)) for c in truth[1:])]
    cameras, how = align_photos(photos, guesses, ["a", "b", "c", "d"])
    for camera, true in zip(cameras, truth, strict=True):
        assert math.degrees(rotation_angle(camera.rotation, true.rotation)) < 0.15
    assert all(each.residual_deg < 0.2 and each.matches >= 15 for each in how) and how[2].to == 1


def test_photos_that_see_away_from_each_other_are_refused_by_name(sphere):
    cameras = [look(0, size=(640, 480)), look(180, size=(640, 480))]
    with pytest.raises(InputError, match=r"b.jpg shares too little with a.jpg.*overlap by a quarter"):
        align_photos(shots(sphere, cameras), [cameras[0]] * 2, ["a.jpg", "b.jpg"])
    with pytest.raises(InputError, match=r"b.jpg shares too little"):
        align_photos([np.full((480, 640, 3), 99, np.uint8)] * 2, [cameras[0]] * 2, ["a.jpg", "b.jpg"])
