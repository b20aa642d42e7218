"""`lookbeyond plan` writes what `shot` reads, or says in a line why it cannot and writes nothing."""

import json

import numpy as np
import pytest

from lookbeyond.files import save_panorama
from lookbeyond.geometry.keyframes import check_path
from lookbeyond.geometry.transforms import read_camera_path
from tests.lookbeyond.planning.test_plan import room


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_panorama(tmp_path / "W", room())
    return tmp_path / "W"


@pytest.mark.parametrize("goal", [["--show-room"], ["--to", 2.4, -0.8], ["--end-on", 4, -1, 1.2]])
def test_a_move_is_written_for_shot(lookbeyond, world, goal):
    code, out, _ = lookbeyond("plan", "W", *goal, "--out", "m.json", "--size", "160x90", "--fps", 12)
    assert code == 0 and "m.json:" in out and "photo" in out
    cameras = read_camera_path("m.json").cameras
    assert f"{len(cameras)} frames" in out and (cameras[0].width, cameras[0].height) == (160, 90)
    check_path(cameras, room())
    assert json.loads((world.parent / "m.json").read_text())["fps"] == 12
    assert np.allclose([camera.position[2] for camera in cameras], 1.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one thing to plan"),
        (["--show-room", "--to", 1, 1], "one thing to plan"),
        (["--show-room", "--from", 1, 1], "give --to"),
        (["--to", 6, 0], "inside or behind a wall"),
        (["--to", 2.4, -0.8, "--clearance", 3], "the ceiling is 1.20 m"),
        (["--to", 2.4, -0.8, "--frames", 1], "A move of 1 frames"),
        (["--to", 2.4, -0.8, "--frames", 5], "takes"),
        (["--to", 2.4, -0.8, "--speed", 0], "speed"),
    ],
)
def test_what_cannot_be_planned_is_said(lookbeyond, world, words, said):
    code, _, err = lookbeyond("plan", "W", *words, "--out", "m.json")
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (world.parent / "m.json").exists()


def test_a_folder_for_the_move_is_made_and_none_is_written_over(lookbeyond, world):
    words = ("plan", "W", "--to", 2.4, -0.8, "--size", "160x90", "--out")
    code, _, err = lookbeyond(*words, "moves/m.json")
    assert (code, err) == (0, "") and read_camera_path("moves/m.json").cameras
    code, _, err = lookbeyond(*words, "W")
    assert code != 0 and "W could not be written (Is a directory)" in err and err.count("\n") == 1
    assert sorted(path.name for path in world.parent.iterdir()) == ["W", "moves"]
