"""`lookbeyond link` joins two worlds at a door, `shot --through` goes through it, `world --from-frame` makes the second
one; what cannot be is said in a line, and nothing is written."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from inference_service.cli import local_run
from lookbeyond.files import load_panorama, read_json, read_png, save_panorama
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.transforms import write_transforms
from tests.lookbeyond.linking.test_linking import SEED, layout
from tests.support.double import DoublePipeline, DoublePresets
from tests.support.service import contents
from tests.support.two_rooms import draw_two_rooms


@pytest.fixture(scope="module")
def rooms():
    return draw_two_rooms(SEED)


@pytest.fixture(scope="module")
def saved(rooms, tmp_path_factory):
    """Both photographers' worlds, the second one in the first one's frame (S) and in its own (O)."""
    folder = tmp_path_factory.mktemp("worlds")
    second = rooms.panorama(rooms.second_to_first[:3, 3], 256)
    save_panorama(folder / "F", replace(rooms.panorama(np.zeros(3), 256), layout=layout()))
    save_panorama(folder / "S", second)
    turn = math.atan2(*rooms.second_to_first[1::-1, 0])
    save_panorama(folder / "O", replace(second, origin=(0.0, 0.0, 0.0), heading_rad=-turn))
    camera = placed_camera(64, 48, 1.2)
    write_transforms(folder / "path.json", walk(rooms, (1.2, -1.2), 5), [f"frames/{i:04d}.png" for i in range(5)])
    write_transforms(folder / "near.json", walk(rooms, (1.7, 1.2), 3), [f"frames/{i:04d}.png" for i in range(3)])
    write_transforms(folder / "one.json", [camera], ["a.png"])
    return folder


def walk(rooms, ends, frames):
    opening = rooms.opening
    heading = math.atan2(-opening.normal[1], -opening.normal[0])
    return [
        placed_camera(128, 72, 1.3, heading_rad=heading, position=[*opening.centre[:2], 0] + away * opening.normal)
        for away in np.linspace(*ends, frames)
    ]


@pytest.fixture
def lookbeyond(lookbeyond, tmp_path, monkeypatch, runtime, saved):
    monkeypatch.setattr(local_run, "Presets", DoublePresets)
    monkeypatch.setattr(local_run, "default_store", lambda: tmp_path / "store")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda preset, device: WarpingDouble())
    monkeypatch.chdir(saved)
    return lookbeyond


class WarpingDouble(DoublePipeline):
    """Its frames are what the worlds show."""

    def fill_anchor(self, panorama, camera, before, **settings):
        return self._views(panorama, [camera])[0]

    def shoot_clip(self, panorama, source, target, cameras, **settings):
        return self._views(panorama, cameras)

    @staticmethod
    def _views(panorama, cameras):
        from lookbeyond.pipelines.full_size import warp_frames

        frames = list(warp_frames(panorama.shrunk_for(cameras[0]), cameras))
        return [replace(frame, distance=np.maximum(frame.distance, 0.1)).view() for frame in frames]


def test_a_link_is_found_said_and_shot_through(lookbeyond, rooms, tmp_path, saved):
    code, out, err = lookbeyond("link", "F", "S", "--out", tmp_path / "door.json")
    assert code == 0, err
    assert "wide" in out and "both worlds show" in out
    record = read_json(tmp_path / "door.json")
    assert record["second_to_first"] == np.eye(4).tolist() and record["gain"] == pytest.approx([1, 1, 1], abs=0.1)
    code, _, err = lookbeyond(
        "shot", "F", "--cameras", "path.json", "--through", tmp_path / "door.json", "--out", tmp_path / "shot"
    )
    assert code == 0, err
    camera = walk(rooms, (1.2, -1.2), 5)[-1]
    truth = rooms.view(camera).colour.astype(int)
    last = read_png(tmp_path / "shot/frames/0005.png")
    known = last.any(-1)
    assert known.mean() > 0.8
    assert np.abs(truth - last)[known].mean() < 12  # of a world 256 pixels wide
    summary = read_json(tmp_path / "shot/shot.json")
    assert summary["beyond"]["link"]["opening"]["top_z"] == pytest.approx(record["opening"]["top_z"], abs=1e-5)
    # again, all of it is in the store
    before = contents(tmp_path / "store/units")
    code, _, err = lookbeyond(
        "shot", "F", "--cameras", "path.json", "--through", tmp_path / "door.json", "--out", tmp_path / "again"
    )
    assert code == 0, err
    assert contents(tmp_path / "store/units").keys() == before.keys()
    assert contents(tmp_path / "again/frames") == contents(tmp_path / "shot/frames")


def test_a_second_world_in_its_own_frame_is_placed(lookbeyond, rooms, tmp_path):
    place, turn = rooms.second_to_first[:3, 3], math.degrees(math.atan2(*rooms.second_to_first[1::-1, 0]))
    code, _, err = lookbeyond("link", "F", "O", "--at", *place, turn, "--out", tmp_path / "door.json")
    assert code == 0, err
    found = np.array(read_json(tmp_path / "door.json")["second_to_first"])
    np.testing.assert_allclose(found, rooms.second_to_first, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["F", "O"], "stands where F does"),
        (["F", "O", "--at", 40, 3, 0, 0], "overlap|No wall"),
        (["F", "O", "--at", 40, 3, 0, 0, "--opening", 5, -0.5, 5, 0.5], "do not overlap"),
        (["F", "S", "--match", "--camera", "one.json"], "Give one of"),
        (["F", "S", "--opening", 5, 0, 5, 0.01], "wide is impossible"),
        (["F", "O", "--camera", "path.json"], "has 5 cameras"),
        (["F", "S", "--camera", "one.json"], "not made from a photo"),
        (["S", "F"], "no walls"),
        (["F", "nowhere"], "is not a world"),
    ],
)
def test_what_cannot_be_linked_is_said(lookbeyond, tmp_path, arguments, said):
    code, _, err = lookbeyond("link", *arguments, "--out", tmp_path / "door.json")
    assert code == 2 and err.count("\n") == 1
    assert re.search(said, err), err
    assert not (tmp_path / "door.json").exists()


def test_a_path_that_never_goes_through_is_refused(lookbeyond, tmp_path):
    lookbeyond("link", "F", "S", "--out", tmp_path / "door.json")
    code, _, err = lookbeyond(
        "shot", "F", "--cameras", "near.json", "--through", tmp_path / "door.json", "--out", tmp_path / "shot"
    )
    assert code == 2 and re.search(r"never goes through the opening .*, \d\.\d\d m wide around \(", err)
    assert not (tmp_path / "shot").exists()


def test_another_world_is_not_the_links(lookbeyond, tmp_path):
    lookbeyond("link", "F", "S", "--out", tmp_path / "door.json")
    code, _, err = lookbeyond(
        "shot", "S", "--cameras", "path.json", "--through", tmp_path / "door.json", "--out", tmp_path / "shot"
    )
    assert code == 2 and "is not the first world of the link" in err
    (tmp_path / "bad.json").write_text(json.dumps({"version": 7}))
    code, _, err = lookbeyond(
        "shot", "F", "--cameras", "path.json", "--through", tmp_path / "bad.json", "--out", tmp_path / "shot"
    )
    assert code == 2 and "cannot be used" in err


def test_a_second_world_is_made_of_a_frame_where_it_was_taken(lookbeyond, rooms, tmp_path):
    code, _, err = lookbeyond("shot", "F", "--cameras", "near.json", "--out", tmp_path / "shot")
    assert code == 0, err
    code, _, err = lookbeyond(
        "world", "--from-frame", tmp_path / "shot/frames/0003.png", "--out", tmp_path / "N", "--width", 512
    )
    assert code == 0, err
    made, taken = load_panorama(tmp_path / "N"), walk(rooms, (1.7, 1.2), 3)[-1]
    np.testing.assert_allclose(made.photo_camera.camera_to_world, taken.camera_to_world, atol=1e-5)
    assert made.camera_height == pytest.approx(float(rooms.first.camera_height[0]), abs=1e-4)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--from-frame", "one.json"], "not a frame of a shot"),
        (["--from-frame", "nowhere/frames/0001.png"], "not a frame of a shot"),
        (["--from-frame", "x.png", "--fov-x", 60], "leave --fov-x out"),
        (["--from-frame", "x.png", "--panorama", "y.png"], "Give either --from-frame"),
    ],
)
def test_what_is_no_frame_is_said(lookbeyond, tmp_path, arguments, said):
    code, _, err = lookbeyond("world", *arguments, "--out", tmp_path / "N")
    assert code == 2 and said in err


def test_a_link_that_is_not_there_is_said(lookbeyond, tmp_path):
    code, _, err = lookbeyond(
        "shot", "F", "--cameras", "path.json", "--through", tmp_path / "door.json", "--out", tmp_path / "shot"
    )
    assert code == 2 and "There is no link" in err and err.count("\n") == 1
