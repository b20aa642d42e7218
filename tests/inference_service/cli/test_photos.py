"""Several photos on the command line: aligned, joined, built into a world."""

import json
import math
import re

import pytest
from PIL import Image

from inference_service.cli import local_run
from lookbeyond.files import load_panorama
from lookbeyond.geometry.cameras import rotation_angle
from lookbeyond.geometry.transforms import read_transforms
from tests.support.double import DoublePipeline, DoublePresets
from tests.support.photos import save_overlapping_photos


@pytest.fixture
def lookbeyond(lookbeyond, tmp_path, monkeypatch, runtime):
    monkeypatch.setattr(local_run, "Presets", DoublePresets)
    monkeypatch.setattr(local_run, "default_store", lambda: tmp_path / "store")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda preset, device: DoublePipeline())
    monkeypatch.chdir(tmp_path)
    return lookbeyond


@pytest.fixture
def photos(tmp_path):
    save_overlapping_photos(tmp_path)
    return "a.png", "b.png"


def test_photos_are_aligned_joined_and_built(lookbeyond, photos, tmp_path):
    code, out, err = lookbeyond("photos", "align", *photos, "--out", "photos.json", "--fov-x", 70)
    assert (code, err) == (0, "")
    assert float(re.search(r"to (\d\.\d\d)° \(median\)", out)[1]) < 0.2
    first, second = read_transforms(tmp_path / "photos.json")
    assert math.degrees(rotation_angle(first.rotation, second.rotation)) == pytest.approx(35, abs=0.3)
    code, out, err = lookbeyond("world", *photos, "--cameras", "photos.json", "--out", "W", "--width", 512)
    assert (code, err) == (0, "") and "b.png is made" in out
    world = load_panorama(tmp_path / "W")
    assert world.colour.shape == (256, 512, 3) and world.heading_rad == pytest.approx(0, abs=1e-6)
    # the double gives back what it was told: a part of a sphere, wider than one photo
    seen = world.from_photo[128] == 255
    assert 105 / 360 * 512 - 8 < seen.sum() < 105 / 360 * 512 + 8
    assert json.loads((tmp_path / "W/world.json").read_text())["origin"] == [0, 0, 0]


def test_what_does_not_fit_together_is_refused_in_a_sentence(lookbeyond, photos, tmp_path):
    assert lookbeyond("photos", "align", *photos, "--out", "new/photos.json", "--fov-x", 70)[0] == 0
    lookbeyond("photos", "align", *photos, "--out", "photos.json", "--fov-x", 70)
    cases = (
        (("world", *photos, "--out", "W"), "Several photos of one place need --cameras"),
        (("world", "a.png", "--cameras", "photos.json", "--out", "W"), "one photo has no use for it"),
        (("world", *photos, "--cameras", "photos.json", "--out", "W", "--pitch", 3), "leave --fov-x"),
        (("world", *photos, "--cameras", "photos.json", "--out", "W", "--prompt", "a hall"), "and no prompt"),
        (("photos", "align", "a.png", "--out", "x.json"), "1 photos cannot be aligned"),
        (("photos", "align", "a.png", "a.png", "--out", "x.json"), "Two of the photos have the same name"),
    )
    for arguments, words in cases:
        code, _, err = lookbeyond(*arguments)
        assert code == 2 and words in err and err.count("\n") == 1
    Image.open("a.png").save("c.png")
    code, _, err = lookbeyond("world", "a.png", "c.png", "--cameras", "photos.json", "--out", "W")
    assert code == 2 and "none for c.png" in err
    values = json.loads((tmp_path / "photos.json").read_text())
    values["frames"][1]["transform_matrix"] = values["frames"][0]["transform_matrix"]
    (tmp_path / "photos.json").write_text(json.dumps(values))
    code, _, err = lookbeyond("world", *photos, "--cameras", "photos.json", "--out", "W")
    assert code == 2 and "a.png and b.png do not show the same where both of them look" in err
