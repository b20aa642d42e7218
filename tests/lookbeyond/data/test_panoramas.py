"""Panoramas from all their sources: as they are, at the right place, and a bad file is named and left out."""

import argparse

import cv2
import numpy as np
import OpenEXR
import py360convert
import pytest
from accelerate import Accelerator
from PIL import Image

from lookbeyond.data.matterport3d import skyboxes, stitch
from lookbeyond.data.panoramas import panorama_pictures, read_picture, read_shard, shards_in, write_shards
from lookbeyond.errors import InputError
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.training import pictures

# Where each face of a Matterport3D skybox looks, and where its rows go: world axes, face 2 ahead (+X), Z up
FACES = {
    0: ((0, 0, 1), (0, 1, 0)),
    1: ((0, 1, 0), (0, 0, -1)),
    2: ((1, 0, 0), (0, 0, -1)),
    3: ((0, -1, 0), (0, 0, -1)),
    4: ((-1, 0, 0), (0, 0, -1)),
    5: ((0, 0, -1), (0, -1, 0)),
}


def as_colour(directions: np.ndarray) -> np.ndarray:
    return (directions * 127.5 + 127.5).round().astype(np.uint8)


def face_of_directions(number: int, size: int) -> np.ndarray:
    """A face whose every pixel holds the direction that it looks in."""
    ahead, down = (np.array(axis, float) for axis in FACES[number])
    right = np.cross(down, ahead)
    step = (np.arange(size) + 0.5) / size * 2 - 1
    rays = ahead + step[None, :, None] * right + step[:, None, None] * down
    return as_colour(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def test_a_skybox_of_directions_becomes_a_panorama_of_directions():
    made = stitch([face_of_directions(number, 256) for number in range(6)], 128)
    truth = as_colour(equirectangular_directions(256, 128))
    error = np.abs(made.astype(int) - truth)
    assert error.max() <= 3 and error.mean() < 0.7, "levels; one is half a degree"


def test_a_skybox_cut_out_by_another_library_becomes_the_panorama_that_it_was():
    """py360convert's faces, its front as face 2: up and down are seen with face 1 below and above them."""
    rng = np.random.default_rng(0)
    truth = cv2.resize(rng.integers(0, 255, (8, 16, 3), np.uint8), (512, 256), interpolation=cv2.INTER_CUBIC)
    truth = cv2.GaussianBlur(np.hstack([truth] * 3), (0, 0), 12)[:, 512:1024]
    cube = py360convert.e2c(truth.astype(np.float32), 256, cube_format="dict")
    faces = [np.rot90(cube["U"], 1), cube["L"], cube["F"], cube["R"], cube["B"], np.rot90(cube["D"], -1)]
    made = stitch([np.ascontiguousarray(face).clip(0, 255).astype(np.uint8) for face in faces], 256)
    error = np.abs(made.astype(float) - truth)[28:-28]  # near the poles this picture is finer than its faces
    assert error.mean() < 1.5 and np.percentile(error, 99) < 6


def write_skybox(folder, name: str, leave_out: int | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(6):
        if number != leave_out:
            Image.fromarray(face_of_directions(number, 64)).save(folder / f"{name}_skybox{number}_sami.jpg", quality=95)


def test_skyboxes_are_found_below_and_an_incomplete_one_is_named(tmp_path, caplog):
    write_skybox(tmp_path / "scene" / "matterport_skybox_images", "aa")
    write_skybox(tmp_path / "scene" / "matterport_skybox_images", "bb", leave_out=4)
    folder = write_shards(skyboxes(tmp_path), tmp_path / "out", 64)
    (path,) = shards_in([folder])
    colour, distance = read_shard(path)
    assert colour.shape == (1, 64, 128, 3) and distance is None
    assert "bb_skybox4_sami.jpg" in caplog.text and "aa" not in caplog.text
    with pytest.raises(InputError, match="holds no Matterport3D skyboxes"):
        skyboxes(tmp_path / "out")


def write_pictures(folder) -> np.ndarray:
    """Good ones: PNG, JPEG that stands on its head but for its EXIF tag, EXR, HDR; bad ones: no 2:1, damaged."""
    folder.mkdir()
    truth = np.zeros((80, 160, 3), np.uint8)
    truth[:40] = (180, 60, 60)
    Image.fromarray(truth).save(folder / "a.png")
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(truth[::-1, ::-1]).save(folder / "b.jpg", exif=exif, quality=95)
    light = np.where(truth > 0, truth.astype(np.float32) / 40, 0.01)
    OpenEXR.File(
        {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, {"RGB": light.astype(np.float32)}
    ).write(str(folder / "c.exr"))
    cv2.imwrite(str(folder / "d.hdr"), light[..., ::-1])
    Image.fromarray(truth[:, :120]).save(folder / "e.png")
    (folder / "f.jpg").write_bytes((folder / "b.jpg").read_bytes()[:600])
    (folder / "g.exr").write_bytes(b"no such thing")
    (folder / "notes.txt").write_text("not a picture")
    return truth


def test_any_folder_of_panoramas(tmp_path, caplog):
    truth = write_pictures(tmp_path / "in")
    pictures_found = panorama_pictures(tmp_path / "in")
    (path,) = shards_in([write_shards(pictures_found, tmp_path / "out", 64)])
    colour, _ = read_shard(path)
    assert len(colour) == 4
    for name in ("e.png", "f.jpg", "g.exr"):
        assert name in caplog.text
    assert np.abs(colour[0, 5, 5].astype(int) - truth[0, 0]).max() <= 1
    assert np.abs(colour[1, 5, 5].astype(int) - truth[0, 0]).max() <= 6, "upright, as its EXIF tag says"
    assert (colour[2:, 5, 5] > colour[2:, -5, 5] + 60).any(-1).all(), "light above, dark below"
    written = path.stat().st_mtime_ns
    write_shards(pictures_found, tmp_path / "out", 64)
    assert path.stat().st_mtime_ns == written, "read once"


def test_hdr_pictures_show_the_same_whatever_their_exposure(tmp_path):
    light = np.random.default_rng(0).gamma(0.5, 1.0, (64, 128, 3)).astype(np.float32)
    for name, exposure in (("a", 1), ("b", 1024)):
        cv2.imwrite(str(tmp_path / f"{name}.hdr"), light * exposure)
    one, other = (read_picture(tmp_path / f"{name}.hdr").astype(int) for name in "ab")
    assert np.abs(one - other).max() <= 2 and one.std() > 30


def options(tmp_path, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    pictures.add_arguments(parser)
    chosen = parser.parse_args(arguments)
    chosen.out = tmp_path / "out"
    return chosen


def test_a_data_set_of_which_nothing_can_be_read_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    accelerator = Accelerator(cpu=True)
    with pytest.raises(InputError, match="None of the 1 panoramas can be read"):
        pictures.folders(accelerator, options(tmp_path, "--panoramas", str(tmp_path / "in")))
    with pytest.raises(InputError, match="There is no folder"):
        pictures.folders(accelerator, options(tmp_path, "--panoramas", str(tmp_path / "none")))
    with pytest.raises(InputError, match="nothing to train on"):
        pictures.folders(accelerator, options(tmp_path))
    with pytest.raises(InputError, match="not a shard"):
        (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 broken")
        read_shard(tmp_path / "a.npz")


def test_two_processes_share_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("lookbeyond.data.panoramas.PICTURES_PER_SHARD", 1)
    truth = write_pictures(tmp_path / "in")
    found = panorama_pictures(tmp_path / "in")[:2]
    folders = [write_shards(found, tmp_path / "out", 64, share=(rank, 2)) for rank in (0, 1)]
    assert folders[0] == folders[1] and len(shards_in(folders[:1])) == 2 and truth.any()


def test_a_shard_that_is_being_written_is_not_there_yet(tmp_path):
    (tmp_path / "00000.npz").write_bytes(b"whole")
    (tmp_path / ".00001.12ab34cd.npz").write_bytes(b"begun")
    assert shards_in([tmp_path]) == [tmp_path / "00000.npz"]
