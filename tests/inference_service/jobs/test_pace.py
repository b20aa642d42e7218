"""What was measured tells what a shot will take."""

import pytest

from inference_service.jobs.pace import Key, Paces
from inference_service.wire.messages import PriceQuestion
from inference_service.work.units.world import BuildWorld

ANCHOR, CLIP, WORLD = (Key("builtin", kind, 1.0) for kind in ("anchor", "clip", "world"))
HD = 1920 * 1080 / 1e5


@pytest.fixture
def file(tmp_path):
    return tmp_path / "paces.json"


def test_nothing_measured_has_a_size_but_no_time(file):
    seconds, stored = Paces(file).price(PriceQuestion("builtin", 1920, 1080, 2, 13))
    assert seconds is None
    # five bytes or so a pixel of every frame, anchors included
    assert 15 * 1920 * 1080 * 4 < stored < 15 * 1920 * 1080 * 7


def test_a_shot_costs_what_its_units_took(file):
    paces = Paces(file)
    # an anchor of 1e5 pixels took 3 s, a clip of ten such frames 20 s
    paces.measured(ANCHOR, 1.5, 3.0, 6e5, 1.5)
    paces.measured(CLIP, 10.0, 20.0, 5e6, 10.0)
    seconds, stored = paces.price(PriceQuestion("builtin", 400, 250, 3, 20))
    assert seconds == pytest.approx(3 * 3 + 20 * 2)
    assert stored == pytest.approx(3 * 6e5 + 20 * 5e5)
    # the built-in networks work at a size of their own
    assert paces.price(PriceQuestion("builtin", 800, 500, 3, 20))[0] == pytest.approx(2 * seconds)
    assert paces.price(PriceQuestion("builtin", 400, 250, 3, 20), workers=2)[0] == pytest.approx(seconds / 2)
    assert paces.price(PriceQuestion("other", 400, 250, 3, 20))[0] is None


def test_what_was_not_made_yet_costs_as_much_as_what_was(file):
    paces = Paces(file)
    paces.measured(ANCHOR, 1.5, 3.0, 6e5, 1.5)
    assert paces.price(PriceQuestion("builtin", 400, 250, 2, 10))[0] == pytest.approx(2 * 3 + 10 * 2)


def test_it_outlives_the_service_and_a_damaged_file(file):
    Paces(file).measured(CLIP, 10.0, 20.0, 5e6, 10.0)
    again = Paces(file)
    assert again.seconds(CLIP) == pytest.approx(2)
    again.measured(CLIP, 10.0, 40.0, 5e6, 10.0)
    assert Paces(file).seconds(CLIP) == pytest.approx(3)  # half of it is the last one's
    for damaged in (
        "3",
        '{"clip": {"seconds": {"0": -1, "9999999": 2}, "stored_bytes": 1}}',
        '{"clip": {"seconds": {}}}',
    ):
        file.write_text(f'{{"builtin": {damaged}}}')
        assert Paces(file).seconds(CLIP) is None


def test_steps_have_paces_of_their_own(file):
    paces = Paces(file)
    paces.measured(CLIP, 10.0, 20.0, 5e6, 10.0)
    paces.measured(CLIP._replace(kind="clip 4"), 10.0, 12.0, 5e6, 10.0)
    price = {steps: paces.price(PriceQuestion("builtin", 400, 250, 0, 10, steps))[0] for steps in (0, 4, 16)}
    assert price == {0: pytest.approx(20), 4: pytest.approx(12), 16: pytest.approx(20)}


def test_a_world_is_not_priced_by_frames_nor_frames_by_a_world(file):
    paces = Paces(file)
    paces.measured(WORLD, 10.0, 30.0, 2e7, 10.0)
    assert paces.price(PriceQuestion("builtin", 4096, 2048, 0, 0, worlds=1)) == (pytest.approx(30), 20_000_000)
    assert paces.price(PriceQuestion("builtin", 400, 250, 2, 13))[0] is None


def test_a_wider_world_takes_longer_and_stores_more(file):
    """The networks' part stays, the rest grows with the pixels."""
    paces = Paces(file)
    widths = 1024, 4096, 8192
    photo = {"preset": "builtin", "revision": "r", "photo": "a" * 64, "camera": None, "camera_height": 1.6, "seed": 0}
    units = [BuildWorld(**photo, width=width) for width in widths]
    paces.measured(WORLD, units[0].weight, 2.6, 1e6, units[0].stored_size)
    price = {width: paces.price(PriceQuestion("builtin", width, width // 2, 0, 0, worlds=1)) for width in widths}
    assert price[1024] == (pytest.approx(2.6), 1_000_000) and price[8192][1] == 64_000_000
    assert price[4096][0] == pytest.approx(4.0, rel=0.05) and price[8192][0] == pytest.approx(8.6, rel=0.05)
    assert units[1].weight == 10


def test_sizes_that_were_made_tell_those_between(file):
    paces = Paces(file)
    for pixels, seconds in ((1.0, 0.2), (16.0, 0.8)):
        paces.measured(CLIP._replace(pixels=pixels), 10.0, 10 * seconds, 5e6, 10 * pixels)
    assert paces.seconds(CLIP) == pytest.approx(0.2) and paces.seconds(CLIP._replace(pixels=16.0)) == pytest.approx(0.8)
    assert paces.seconds(CLIP._replace(pixels=4.0)) == pytest.approx(0.4)
    assert paces.seconds(CLIP._replace(pixels=64.0)) == pytest.approx(1.6)
    # half a pixel more or less is no size of its own
    assert paces.seconds(CLIP._replace(pixels=1.02)) == pytest.approx(0.2, rel=0.03)


def test_a_small_shot_does_not_say_how_long_a_large_one_takes_once_its_anchors_are_there(file):
    """An anchor that took a tenth of what was expected of it says that of the clips, too."""
    paces = Paces(file)
    for key in (ANCHOR, CLIP):
        paces.measured(key._replace(pixels=0.06), 10.0, 0.4, 5e5, 0.6)
    large = CLIP._replace(pixels=HD)
    expected = paces.seconds(large)
    assert expected == pytest.approx(0.04 * (HD / 0.06) ** 0.5, rel=0.01)
    paces.measured(ANCHOR._replace(pixels=HD), 1.5, 1.5 * expected / 10, 5e6, HD)
    assert paces.seconds(large) == pytest.approx(expected / 10, rel=0.01)
    # other presets' networks see every pixel
    paces.measured(CLIP._replace(preset="svd"), 10.0, 20.0, 5e6, 10.0)
    assert paces.seconds(Key("svd", "clip", 4.0)) == pytest.approx(8)


def test_what_is_at_work_tells_a_size_that_was_never_made(file):
    paces = Paces(file)
    assert paces.seconds(CLIP, {CLIP: 3.0}) == pytest.approx(3) and paces.seconds(CLIP) is None
