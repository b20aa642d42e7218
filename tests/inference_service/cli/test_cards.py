"""`lookbeyond world --cut` takes things out of a photo, `lookbeyond shot --cards` lays them into the frames."""

from typing import ClassVar

import cv2
import numpy as np
import pytest
from PIL import Image

from inference_service.cli import local_run
from lookbeyond.cards.card import load_cards
from lookbeyond.files import read_json, read_png
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.transforms import write_transforms
from tests.support.double import DoublePipeline, DoublePresets

RED = (150, 20, 30)
WHERE = np.s_[40:90, 50:75]


class Recorded(DoublePipeline):
    photos: ClassVar[list[np.ndarray]] = []

    def build_world(self, photo, camera, **settings):
        self.photos.append(photo)
        return super().build_world(photo, camera, **settings)


@pytest.fixture
def lookbeyond(lookbeyond, tmp_path, monkeypatch, runtime):
    """The command with a stand-in for the models, beside a photo of a red post on the floor and its marking."""
    monkeypatch.setattr(local_run, "Presets", DoublePresets)
    monkeypatch.setattr(local_run, "default_store", lambda: tmp_path / "store")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda preset, device: Recorded())
    monkeypatch.setattr(Recorded, "photos", [])
    monkeypatch.chdir(tmp_path)
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 30, (96, 128, 3)), (0, 0), 1)
    photo = (np.array([110, 150, 120]) + grain).clip(0, 255).astype(np.uint8)
    photo[WHERE] = RED
    Image.fromarray(photo).save("photo.png")
    marked = np.zeros((96, 128), np.uint8)
    marked[34:94, 44:81] = 255
    Image.fromarray(marked).save("marked.png")
    Image.new("L", (128, 96), 0).save("nothing.png")
    Image.new("L", (64, 48), 255).save("small.png")
    cameras = [placed_camera(96, 64, 1.2, heading_rad=0.02 * i, pitch_rad=-0.3, position=(0, 0, 0)) for i in range(5)]
    write_transforms("path.json", cameras, [f"{i}.png" for i in range(5)])
    return lookbeyond


def build(lookbeyond, *words):
    return lookbeyond(
        "world",
        "photo.png",
        "--fov-x",
        68,
        "--pitch",
        0,
        "--roll",
        0,
        "--camera-height",
        1,
        "--width",
        512,
        "--out",
        "W",
        *words,
    )


def test_a_thing_becomes_a_card_and_the_world_is_built_without_it(lookbeyond, tmp_path):
    code, _, err = build(lookbeyond, "--cut", "marked.png")
    assert code == 0, err
    (photo,) = Recorded.photos
    assert photo.shape == (96, 128, 4)
    assert (photo[WHERE][..., 3] == 0).all() and photo[..., 3].mean() > 180
    (card,) = load_cards(tmp_path / "W")
    assert card.sure and card.base[2] == pytest.approx(-1.0, abs=0.05)
    np.testing.assert_allclose(np.median(card.picture[card.picture[..., 3] > 250][:, :3], 0), RED, atol=6)


def test_frames_show_the_card_and_depth_knows_it(lookbeyond, tmp_path):
    assert build(lookbeyond, "--cut", "marked.png")[0] == 0
    for out, words in (("without", ()), ("with", ("--cards",))):
        code, _, err = lookbeyond("shot", "W", "--cameras", "path.json", "--out", out, *words)
        assert code == 0, err
    card = load_cards(tmp_path / "W")[0]
    frames = [read_png(tmp_path / out / "frames/0001.png").astype(int) for out in ("without", "with")]
    changed = np.abs(frames[1] - frames[0]).max(-1) > 0
    assert 0.01 < changed.mean() < 0.3
    red = changed & (np.abs(frames[1] - RED).max(-1) < 12)
    assert red.sum() > 0.5 * changed.sum()
    depth = cv2.imread(str(tmp_path / "with/depth/0001.png"), cv2.IMREAD_UNCHANGED)[red] / 1000
    assert np.median(depth) == pytest.approx(np.linalg.norm(card.base), rel=0.2)
    again = lookbeyond("shot", "W", "--cameras", "path.json", "--out", "again")
    assert again[0] == 0  # what is in the store was not changed
    np.testing.assert_array_equal(read_png(tmp_path / "again/frames/0001.png"), frames[0])


def test_a_world_without_cuts_has_no_cards(lookbeyond, tmp_path):
    assert build(lookbeyond)[0] == 0
    assert not (tmp_path / "W/cards.json").exists()
    code, _, err = lookbeyond("shot", "W", "--cameras", "path.json", "--out", "S", "--cards")
    assert code == 2 and "has no cards" in err
    assert build(lookbeyond, "--cut", "marked.png")[0] == 0
    assert build(lookbeyond)[0] == 0  # the one without replaces it whole
    assert not (tmp_path / "W/cards.json").exists() and not (tmp_path / "W/cards").exists()
    assert "edits" not in read_json(tmp_path / "W/world.json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cut", "nothing.png"], "nothing.png marks nothing"),
        (["--cut", "small.png"], "64 x 48 pixels but the photo 128 x 96"),
        (["--cut", "path.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_cut_out_is_said(lookbeyond, tmp_path, words, said):
    code, _, err = build(lookbeyond, *words)
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (tmp_path / "W").exists()
