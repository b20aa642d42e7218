"""Folders in any order; a shot finds its world, or says that it is gone."""

import hashlib

import numpy as np
import pytest

from lookbeyond.errors import InputError
from lookbeyond.exchange.given import sorted_out, splats_of, tour_of
from lookbeyond.files import save_panorama, write_distance, write_json, write_png
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.transforms import write_transforms


def make_world(folder, value):
    colour = np.full((64, 128, 3), value, np.uint8)
    save_panorama(folder, Panorama(colour, np.full((64, 128), 3, np.float32), colour[..., 0] * 0))


def make_shot(folder, world):
    cameras = [placed_camera(32, 24, 1.2, position=(0.1 * k, 0, 0)) for k in range(2)]
    for name in ("frames", "depth"):
        (folder / name).mkdir(parents=True)
    for k in range(2):
        write_png(folder / f"frames/{k}.png", np.full((24, 32, 3), 90, np.uint8))
        write_distance(folder / f"depth/{k}.exr", np.full((24, 32), 2.5, np.float32))
    write_transforms(
        folder / "transforms.json", cameras, ["frames/0.png", "frames/1.png"], ["depth/0.exr", "depth/1.exr"]
    )
    digest = hashlib.sha256((world / "panorama.png").read_bytes()).hexdigest()
    write_json(folder / "shot.json", {"first_frame": 1, "world": {"panorama.png": digest}})


@pytest.fixture
def folders(tmp_path):
    for name, value in (("kitchen", 50), ("hall", 150)):
        make_world(tmp_path / name, value)
    make_shot(tmp_path / "walk", tmp_path / "hall")
    return tmp_path


def test_a_shot_finds_its_world_whatever_the_order(folders):
    given = sorted_out([folders / "walk", folders / "kitchen", folders / "hall"])
    assert [folder.name for folder in given.folders] == ["kitchen", "hall"] and given.made_in == [1]
    rooms, films = tour_of(given, [], 25)
    assert [room.name for room in rooms] == ["kitchen", "hall"]
    assert (films[0].name, films[0].room, films[0].fps) == ("walk", 1, 25)
    rooms, _ = tour_of(given, ["Küche", "Flur"], 25)
    assert [room.name for room in rooms] == ["Küche", "Flur"]
    splats = splats_of(given, 128)
    assert len(splats) == 2 * len(splats_of(sorted_out([folders / "hall"]), 128))  # the shot sees nothing new
    depth = given.shots[0].view(1)
    np.testing.assert_allclose((depth.distance * (depth.camera.rays() @ depth.camera.forward)), 2.5, rtol=1e-5)


def test_what_does_not_belong_together_is_said(folders):
    with pytest.raises(InputError, match=r"another world than those given.*kitchen.*give the folder of its world"):
        sorted_out([folders / "walk", folders / "kitchen"])
    with pytest.raises(InputError, match="none was given"):
        sorted_out([folders / "walk"])
    with pytest.raises(InputError, match="There is no folder"):
        sorted_out([folders / "cellar"])
    with pytest.raises(InputError, match="not a world"):
        sorted_out([folders / "walk" / "frames"])
    with pytest.raises(InputError, match="No world was given"):
        sorted_out([])
    with pytest.raises(InputError, match="1 names for 2 worlds"):
        tour_of(sorted_out([folders / "kitchen", folders / "hall"]), ["one"], 24)


def test_a_frame_of_another_size_or_without_depth_is_said(folders):
    given = sorted_out([folders / "hall", folders / "walk"])
    write_distance(folders / "walk/depth/0.exr", np.ones((12, 16), np.float32))
    with pytest.raises(InputError, match="32 x 24 pixels, as its camera; shoot again"):
        given.shots[0].view(0)
    (folders / "walk/depth/1.exr").write_bytes(b"no EXR")
    with pytest.raises(InputError, match=r"1.exr cannot be read as an OpenEXR image with a channel Y"):
        given.shots[0].view(1)
