"""Two results side by side: figures say how far apart they are, and what stands in the way of comparing them."""

import json
import math

import cv2
import numpy as np
import pytest

from lookbeyond.errors import InputError
from lookbeyond.exchange.compare import ENTRIES, LOOK_FRAMES, compare
from lookbeyond.files import save_panorama, write_distance, write_json, write_png
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.transforms import write_transforms


def make_shot(folder, level, frames=5, seed=0, turn=0.0, size=(96, 64)):
    cameras = [placed_camera(*size, 1.2, heading_rad=turn, position=(0.1 * k, 0, 0)) for k in range(frames)]
    names = {kind: [f"{kind}/{k + 1:04d}" for k in range(frames)] for kind in ("frames", "depth")}
    for kind in names:
        (folder / kind).mkdir(parents=True)
    for frame, depth in zip(*names.values(), strict=True):
        write_png(folder / f"{frame}.png", np.full((size[1], size[0], 3), level, np.uint8))
        write_distance(folder / f"{depth}.exr", np.full(size[::-1], 2.5, np.float32))
    write_transforms(
        folder / "transforms.json",
        cameras,
        [f"{name}.png" for name in names["frames"]],
        [f"{name}.exr" for name in names["depth"]],
    )
    monitors = {"frames": {"misaligned": [0.0, None, 0.3]}, "findings": [{"text": "Frame 3 drifts"}]}
    about = {"settings": {"seed": seed, "preset": "builtin"}, "timings": {"work_s": 4.5}, "monitors": monitors}
    write_json(folder / "shot.json", {"first_frame": 1, "world": {}} | about)
    return folder


def make_world(folder, colour, heading_rad=0.0, seed=0):
    from_photo = np.zeros(colour.shape[:2], np.uint8)
    distance = np.full((64, 128), 3.0, np.float32)
    save_panorama(folder, Panorama(colour, distance, from_photo, heading_rad=heading_rad, seed=seed, preset="builtin"))
    return folder


@pytest.fixture(scope="module")
def colour():
    noise = np.random.default_rng(0).integers(0, 256, (16, 32, 3), np.uint8)
    return cv2.resize(noise, (512, 256), interpolation=cv2.INTER_LINEAR)


def frames_of(video):
    capture = cv2.VideoCapture(str(video))
    shape = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), shape


def test_two_shots(tmp_path):
    one, other = make_shot(tmp_path / "A", 100), make_shot(tmp_path / "B", 120, seed=7)
    made = compare(one, other, tmp_path / "C")
    assert sorted(path.name for path in (tmp_path / "C").iterdir()) == sorted(ENTRIES)
    assert made.settings == {"seed": (0, 7)} and made.notes == []
    assert made.figures["PSNR of all frames together (dB)"] == pytest.approx(20 * math.log10(255 / 20), abs=1e-3)
    assert made.figures["share of pixels that differ by more than 16 levels"] == 1
    assert made.own["found"] == (["Frame 3 drifts"], ["Frame 3 drifts"])
    assert made.own["misaligned, worst frame"] == (0.3, 0.3)
    assert frames_of(tmp_path / "C/compare.mp4") == (5, (192, 128))
    assert json.loads((tmp_path / "C/figures.json").read_text())["frames"]["PSNR (dB)"][0] == pytest.approx(22.11)
    assert "| seed | 0 | 7 |" in (tmp_path / "C/compare.md").read_text()
    compare(one, other, tmp_path / "C")  # an earlier comparison is replaced


def test_other_paths_lengths_and_sizes_are_said(tmp_path):
    one = make_shot(tmp_path / "A", 100)
    other = make_shot(tmp_path / "B", 100, frames=3, turn=0.2, size=(48, 32))
    made = compare(one, other, tmp_path / "C")
    assert any("first 3 of both" in note for note in made.notes) and any("3 frames" in note for note in made.notes)
    assert made.figures["PSNR of all frames together (dB)"] == 100
    same = compare(one, make_shot(tmp_path / "D", 100, size=(48, 32)), tmp_path / "E")
    assert same.notes == ["Both were made with the same settings."]  # fewer pixels of the same view


def test_two_worlds_are_compared_in_the_same_directions(tmp_path, colour):
    one = make_world(tmp_path / "A", colour)
    # the same place, its picture's centre looking a quarter to the left
    turned = make_world(tmp_path / "B", np.roll(colour, 128, 1), heading_rad=math.pi / 2, seed=3)
    made = compare(one, turned, tmp_path / "C")
    assert made.figures["PSNR, all of it (dB)"] == 100 and made.figures["distance, median of the ratio"] == 1
    assert made.settings == {"seed": (0, 3)}
    assert frames_of(tmp_path / "C/compare.mp4")[0] == LOOK_FRAMES
    other = compare(one, make_world(tmp_path / "D", 255 - colour), tmp_path / "E")
    assert other.figures["PSNR, all of it (dB)"] < 15


def test_what_cannot_be_compared_is_named(tmp_path, colour):
    shot, world = make_shot(tmp_path / "A", 100), make_world(tmp_path / "B", colour)
    with pytest.raises(InputError, match="one is a shot and the other a world"):
        compare(shot, world, tmp_path / "C")
    with pytest.raises(InputError, match="There is no folder"):
        compare(shot, tmp_path / "nowhere", tmp_path / "C")
    (tmp_path / "D").mkdir()
    (tmp_path / "D/mine.txt").write_text("kept")
    with pytest.raises(InputError):
        compare(shot, shot, tmp_path / "D")
    assert (tmp_path / "D/mine.txt").read_text() == "kept"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a world"):
        compare(world, tmp_path / "empty", tmp_path / "C")
