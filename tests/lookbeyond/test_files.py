"""Files at the edge: round trips, the user's mistakes said in a sentence, outputs whole or not at all."""

import errno
import os
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lookbeyond import files
from lookbeyond.errors import InputError, LookBeyondError, StorageError
from lookbeyond.files import (
    load_panorama,
    load_view,
    read_distance,
    read_png,
    save_panorama,
    save_view,
    view_depth,
    write_distance,
    write_png,
    write_video,
)
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.whole import require_space, whole_file, whole_folder

Usage = namedtuple("Usage", "total used free")


# --- round trips -----------------------------------------------------------------------------------------


@given(npst.arrays(np.uint8, st.sampled_from([(5, 7, 3), (5, 7), (1, 1, 3)])))
def test_png_is_lossless_and_always_the_same(tmp_path_factory, pixels):
    folder = tmp_path_factory.getbasetemp()
    write_png(folder / "a.png", pixels)
    write_png(folder / "b.png", np.asfortranarray(pixels))
    np.testing.assert_array_equal(read_png(folder / "a.png"), pixels)
    by_opencv = cv2.imread(str(folder / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(by_opencv[..., ::-1] if pixels.ndim == 3 else by_opencv, pixels)
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_distance_is_lossless_one_channel_y_and_always_the_same(tmp_path):
    distance = np.random.default_rng(0).uniform(0.1, 100, (33, 47)).astype(np.float32)
    for name in ("a.exr", "b.exr"):
        write_distance(tmp_path / name, distance)
    np.testing.assert_array_equal(read_distance(tmp_path / "a.exr"), distance)
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()
    file = OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True)
    assert list(file.channels()) == ["Y"] and file.channels()["Y"].pixels.dtype == np.float32


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"x", lambda b: b[:200], lambda b: b[: len(b) // 2]])
def test_a_damaged_distance_is_an_input_error_and_prints_nothing(tmp_path, capfd, damage):
    path = tmp_path / "d.exr"
    write_distance(path, np.random.default_rng(0).uniform(1, 2, (64, 64)).astype(np.float32))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"d.exr"):
        read_distance(path)
    assert capfd.readouterr().err == ""


def _panorama():
    rng = np.random.default_rng(1)
    return Panorama(
        rng.integers(0, 255, (64, 128, 3), np.uint8),
        rng.uniform(1, 5, (32, 64)).astype(np.float32),
        rng.integers(0, 255, (64, 128), np.uint8),
        heading_rad=0.3,
        origin=(1.0, 2.0, 1.5),
        camera_height=1.5,
        photo_camera=placed_camera(64, 48, 1.0, heading_rad=0.3, pitch_rad=0.1, position=(1, 2, 1.5)),
        preset="builtin",
        seed=7,
        revision="r",
    )


def test_a_world_comes_back_from_its_folder(tmp_path):
    panorama = _panorama()
    save_panorama(tmp_path / "W", panorama)
    again = load_panorama(tmp_path / "W")
    for name in ("colour", "distance", "from_photo"):
        np.testing.assert_array_equal(getattr(again, name), getattr(panorama, name))
    for name in ("origin", "camera_height", "photo_camera", "preset", "seed", "revision"):
        assert getattr(again, name) == getattr(panorama, name)
    assert again.heading_rad == pytest.approx(panorama.heading_rad)
    save_panorama(tmp_path / "W2", panorama)
    for name in files.WORLD_FILES:
        assert (tmp_path / "W" / name).read_bytes() == (tmp_path / "W2" / name).read_bytes()


@pytest.mark.parametrize("name", files.WORLD_FILES)
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 5000])
def test_a_damaged_world_is_an_input_error_with_the_remedy(tmp_path, name, content):
    save_panorama(tmp_path, _panorama())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"again|lookbeyond world"):
        load_panorama(tmp_path)


def _view():
    rng = np.random.default_rng(2)
    camera = placed_camera(32, 24, 1.2, heading_rad=1.0, pitch_rad=0.2, position=(0.5, 0, 1))
    return View(
        camera,
        rng.integers(0, 255, (24, 32, 3), np.uint8),
        rng.uniform(1, 5, (24, 32)).astype(np.float32),
        rng.integers(0, 255, (24, 32), np.uint8),
    )


def test_a_view_comes_back_from_its_folder(tmp_path):
    view = _view()
    save_view(tmp_path, view)
    again = load_view(tmp_path)
    assert again.camera == view.camera
    for name in ("colour", "distance", "from_photo"):
        np.testing.assert_array_equal(getattr(again, name), getattr(view, name))
    (tmp_path / "view.json").write_text('{"camera": {}}')
    with pytest.raises(InputError, match="damaged"):
        load_view(tmp_path)


def test_depth_of_a_view_is_the_depth_of_its_points():
    view = _view()
    points = view.camera.position + view.camera.rays() * view.distance[..., None]
    np.testing.assert_allclose(view_depth(view), view.camera.project(points)[1], rtol=1e-5)


def test_the_standard_error_is_back_when_the_last_of_many_threads_no_longer_wants_it_quiet(capfd):
    def quiet(number):
        with files.quiet_stderr():
            os.write(2, b"quiet")
            if number % 5 == 0:
                os.write(2, b"still quiet")

    def open_files():
        descriptors = Path("/proc/self/fd")
        return len(list(descriptors.iterdir())) if descriptors.exists() else 0

    before = os.fstat(2).st_ino, open_files()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(quiet, range(400)))
    after = os.fstat(2).st_ino, open_files()
    os.write(2, b"loud")
    assert capfd.readouterr().err == "loud" and after == before


def test_a_video_has_the_frames(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    for i in range(5):
        write_png(tmp_path / f"{i:04d}.png", np.full((50, 66, 3), 40 * i, np.uint8))
    write_video(tmp_path / "shot.mp4", tmp_path, fps=12)
    frames = imageio.imread(tmp_path / "shot.mp4", plugin="FFMPEG")
    assert frames.shape == (5, 50, 66, 3)
    assert np.abs(frames.mean((1, 2, 3)) - 40 * np.arange(5)).max() < 4
    with pytest.raises(InputError, match="no PNG frames"):
        write_video(tmp_path / "none.mp4", tmp_path / "empty")
    assert not (tmp_path / "none.mp4").exists()


def test_a_video_goes_on_past_frame_9999(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    for number in (9998, 9999, 10000, 10001):
        write_png(tmp_path / f"{number:04d}.png", np.full((48, 64, 3), 50 * (number - 9998), np.uint8))
    write_video(tmp_path / "shot.mp4", tmp_path, fps=12)
    frames = imageio.imread(tmp_path / "shot.mp4", plugin="FFMPEG")
    assert np.abs(frames.mean((1, 2, 3)) - 50 * np.arange(4)).max() < 5


def test_depth_in_millimetres_is_what_opencv_reads(tmp_path):
    """As nerfstudio's `get_depth_image_from_path` does: imread with IMREAD_ANYDEPTH, times the unit."""
    depth = np.random.default_rng(0).uniform(0.0001, 80, (33, 47)).astype(np.float32)
    files.write_depth_png(tmp_path / "a.png", depth)
    read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_ANYDEPTH).astype(np.float32) * files.DEPTH_PNG_UNIT_M
    near = depth < 65.5
    assert np.abs(read - depth)[near].max() < 0.00101 and not read[depth > 65.536].any() and (read[near] > 0).all()


def test_frames_have_their_depth_in_metres_and_in_millimetres(tmp_path):
    view = _view()
    files.save_frames(tmp_path, [view, view])
    assert sorted(path.name for path in (tmp_path / "depth").iterdir()) == [
        "0001.exr",
        "0001.png",
        "0002.exr",
        "0002.png",
    ]
    metres = read_distance(tmp_path / "depth/0002.exr")
    steps = cv2.imread(str(tmp_path / "depth/0002.png"), cv2.IMREAD_UNCHANGED)
    assert steps.dtype == np.uint16 and np.abs(steps / 1000 - metres).max() < 0.00051


# --- whole or not at all ---------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_stays(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with whole_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_is_replaced_whole_or_stays(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(RuntimeError), whole_folder(out, ("a",)) as temporary:
        (temporary / "a").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    for text in ("first", "second"):
        with whole_folder(out, ("a",)) as temporary:
            (temporary / "a").write_text(text)
        assert (out / "a").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nobodys_files_are_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=r"thesis.txt"), whole_folder(tmp_path, ("a",)):
        pytest.fail("entered")
    with pytest.raises(InputError, match="is a file"), whole_folder(tmp_path / "thesis.txt", ("a",)):
        pytest.fail("entered")
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with (
        pytest.raises(StorageError, match=r"no space left for .*out; free some"),
        whole_folder(tmp_path / "out", ("a",)) as temporary,
    ):
        (temporary / "a").write_text("x")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 99, 1))
    with pytest.raises(StorageError, match="1000 MB are needed"):
        require_space(tmp_path / "not" / "yet", 10**9)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_writing_to_a_full_device_is_a_storage_error(capfd):
    for write, value in (
        (write_png, np.zeros((64, 64, 3), np.uint8)),
        (files.write_json, {"a": 1}),
        (write_distance, np.random.default_rng(0).uniform(1, 2, (256, 256)).astype(np.float32)),
    ):
        with pytest.raises(StorageError, match=r"/dev/full.*free some"):
            write(Path("/dev/full"), value)
    assert capfd.readouterr().err == ""


def test_files_written_side_by_side_leave_the_standard_error_where_it_was(tmp_path):
    def open_files():
        descriptors = Path("/proc/self/fd")
        return len(list(descriptors.iterdir())) if descriptors.exists() else 0

    before = os.fstat(2)
    with ThreadPoolExecutor(8) as writers:
        writing = [writers.submit(write_distance, tmp_path / f"{i}.exr", np.ones((64, 64))) for i in range(64)]
    assert all(written.result() is None for written in writing)
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)


def test_every_error_has_a_code_of_its_own():
    codes = [cls.code for cls in LookBeyondError.__subclasses__()]
    assert len(set(codes)) == len(codes)
