"""Things cut out of photos, and how they stand in the world."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lookbeyond.cards.card import Card, behind, load_cards, save_cards, stand, with_cards
from lookbeyond.cards.cutting import cut_out, marked_pixels, without
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama, View

FAR_M = 6.0


def figure() -> Card:
    """A striped figure of 0.6 by 1.7 metres, head and body, that faces the photo from three metres away."""
    height, width = 680, 240
    rows, columns = np.mgrid[:height, :width]
    shape = ((columns - 120) / 110) ** 2 + ((rows - 420) / 260) ** 2 < 1
    shape |= (columns - 120) ** 2 + (rows - 90) ** 2 < 85**2
    shape[640:] = np.abs(columns[640:] - 120) < 70
    colour = np.where((rows // 40 % 2 == 0)[..., None], (200, 40, 60), (150, 20, 110))
    alpha = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 2) * 255
    picture = np.dstack([colour, alpha]).round().astype(np.uint8)
    return Card(picture, np.array([3.0, 0.4, 0.0]), 0.6, 1.7, np.pi + np.arctan2(0.4, 3.0))


def view_of(camera: Camera) -> View:
    """A greenish wall with some grain, far away."""
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0, 12, (camera.height, camera.width, 3)), (0, 0), 3)
    colour = (np.array([120, 160, 130]) + grain).clip(0, 255).astype(np.uint8)
    shape = camera.height, camera.width
    return View(camera, colour, np.full(shape, FAR_M, np.float32), np.zeros(shape, np.uint8))


@pytest.fixture(scope="module")
def camera() -> Camera:
    return placed_camera(640, 480, 1.2, heading_rad=0.05, pitch_rad=-0.12, position=(0, 0, 1.6))


@pytest.fixture(scope="module")
def photo(camera) -> np.ndarray:
    return with_cards(view_of(camera), [figure()]).colour


@pytest.fixture(scope="module")
def marked(camera) -> np.ndarray:
    """A wide stroke around the figure."""
    bare = replace(view_of(camera), colour=np.zeros((480, 640, 3), np.uint8))
    shown = with_cards(bare, [figure()]).colour.any(-1).astype(np.uint8)
    return cv2.dilate(shown, np.ones((31, 31), np.uint8)) > 0


def truth(camera: Camera) -> np.ndarray:
    """Alpha of the figure in the photo."""
    white = replace(
        figure(), picture=np.dstack([np.full((680, 240, 3), 255), figure().picture[..., 3]]).astype(np.uint8)
    )
    black = replace(view_of(camera), colour=np.zeros((480, 640, 3), np.uint8))
    return with_cards(black, [white]).colour[..., 0] / 255


def whole(cut, shape) -> np.ndarray:
    alpha = np.zeros(shape)
    alpha[cut.top : cut.top + len(cut.alpha), cut.left : cut.left + cut.alpha.shape[1]] = cut.alpha
    return alpha


def test_a_rough_marking_becomes_the_thing_itself(photo, marked, camera):
    found = whole(cut_out(photo, marked), marked.shape)
    expected = truth(camera)
    both, either = ((found > 0.5) & (expected > 0.5)).sum(), ((found > 0.5) | (expected > 0.5)).sum()
    assert both / either > 0.97
    assert np.abs(found - expected).mean() < 0.005


def test_it_stands_where_it_stood_and_looks_as_it_did(photo, marked, camera):
    card = stand(cut_out(photo, marked), camera, (640, 480), 1.6, behind_m=5.0)
    assert card.sure
    np.testing.assert_allclose(card.base[:2], figure().base[:2], atol=0.08)
    assert card.base[2] == pytest.approx(0, abs=0.03)
    assert card.height_m == pytest.approx(1.7, rel=0.04)
    again = with_cards(view_of(camera), [card]).colour
    error = (again.astype(float) - photo)[truth(camera) > 0.99]
    assert 10 * np.log10(255**2 / (error**2).mean()) > 30


def test_from_elsewhere_it_is_where_the_truth_is(photo, marked, camera):
    card = stand(cut_out(photo, marked), camera, (640, 480), 1.6, behind_m=5.0)
    elsewhere = placed_camera(640, 480, 1.2, heading_rad=0.4, pitch_rad=-0.1, position=(0.8, -0.9, 1.5))
    middles = [
        np.argwhere(np.abs(with_cards(view_of(elsewhere), [one]).distance - FAR_M) > 0.5).mean(0)
        for one in (card, figure())
    ]
    np.testing.assert_allclose(*middles, atol=8)


def test_what_is_nearer_hides_a_card_and_a_card_what_is_farther(camera):
    view = view_of(camera)
    wall = view.distance.copy()
    wall[:, :320] = 1.0
    shown = with_cards(replace(view, distance=wall), [figure()])
    changed = np.abs(shown.colour.astype(int) - view.colour).max(-1) > 30
    assert not changed[:, :320].any()
    assert with_cards(view, [figure()]).distance.min() == pytest.approx(np.hypot(3, 0.4), rel=0.1)


def test_two_cards_are_laid_over_each_other_by_distance(camera):
    far = replace(figure(), base=np.array([4.5, 0.6, 0.0]), picture=figure().picture[..., [1, 0, 2, 3]])
    one, other = with_cards(view_of(camera), [far, figure()]), with_cards(view_of(camera), [figure(), far])
    np.testing.assert_array_equal(one.colour, other.colour)


def test_the_photo_without_it_knows_nothing_there(photo, marked, camera):
    left = without(photo, [cut_out(photo, marked)])
    assert (left[..., 3][truth(camera) > 0.02] == 0).all()
    assert left[..., 3][~cv2.dilate(marked.astype(np.uint8), np.ones((9, 9))).astype(bool)].min() == 255
    np.testing.assert_array_equal(left[..., :3], photo)


def test_a_thing_cut_by_the_lower_border_stands_at_a_guess(camera, marked):
    low = placed_camera(640, 480, 1.2, heading_rad=0.05, pitch_rad=0.25, position=(0, 0, 1.6))
    photo = with_cards(view_of(low), [figure()]).colour
    bare = replace(view_of(low), colour=np.zeros((480, 640, 3), np.uint8))
    around = cv2.dilate(with_cards(bare, [figure()]).colour.any(-1).astype(np.uint8), np.ones((31, 31))) > 0
    card = stand(cut_out(photo, around), low, (640, 480), 1.6, behind_m=5.0)
    assert not card.sure
    assert 0.5 < np.hypot(*card.base[:2]) < 5


def test_how_far_what_lies_behind_is(photo, marked, camera):
    cut = cut_out(photo, marked)
    sphere = np.zeros((64, 128, 3), np.uint8)
    world = Panorama(sphere, np.full((32, 64), 4, np.float32), sphere[..., 0])
    assert behind(cut, camera, (640, 480), world) == pytest.approx(4, rel=0.1)


def test_cards_come_back_from_their_folder(tmp_path):
    save_cards(tmp_path, [figure()])
    (card,) = load_cards(tmp_path)
    np.testing.assert_array_equal(card.picture, figure().picture)
    np.testing.assert_allclose(card.base, figure().base)
    assert load_cards(tmp_path / "elsewhere") == []
    (tmp_path / "cards.json").write_text('{"cards": [{"file": "../x.png"}]}')
    with pytest.raises(InputError, match="damaged"):
        load_cards(tmp_path)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.zeros((480, 640), np.uint8), "marks nothing"),
        (np.full((480, 640), 255, np.uint8), "marks 100%"),
        (np.zeros((10, 10), np.uint8), "10 x 10"),
    ],
)
def test_markings_that_cannot_be_cut_out(photo, mask, says):
    with pytest.raises(InputError, match=says):
        marked_pixels(mask, photo)


def test_a_marking_in_which_nothing_differs():
    flat = np.full((200, 200, 3), 128, np.uint8)
    marked = np.zeros((200, 200), bool)
    marked[60:140, 60:140] = True
    with pytest.raises(InputError, match="differs"):
        cut_out(flat, marked)
