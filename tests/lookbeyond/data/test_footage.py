"""Camera moves from all their sources: the cameras and distances they mean, and a bad file is named and left out."""

import json
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from lookbeyond.data.captures import captures, read_capture
from lookbeyond.data.footage import Frame
from lookbeyond.data.reading import read_each
from lookbeyond.data.realestate10k import annotations, read_move
from lookbeyond.errors import InputError
from lookbeyond.files import write_distance, write_png
from lookbeyond.geometry.cameras import Camera, PathError
from lookbeyond.geometry.transforms import write_transforms

INTRINSICS = np.array([[90.0, 0, 66], [0, 88, 46], [0, 0, 1]])


def cameras(count: int = 4) -> list[Camera]:
    return [
        Camera(128, 96, INTRINSICS, np.eye(4)).placed(0.1 * k, 0.05, position=(0.1 * k, 0.02, 0)) for k in range(count)
    ]


def write_capture(folder, count: int = 4, depth: bool = False, extra: dict | None = None) -> None:
    (folder / "images").mkdir(parents=True)
    names = [f"images/{k + 1}.png" for k in range(count)]
    for k, name in enumerate(names):
        write_png(folder / name, np.full((96, 128, 3), 10 * k, np.uint8))
        if depth:
            cv2.imwrite(str(folder / f"{k + 1}.png"), np.full((96, 128), 2000 + k, np.uint16))
    depths = [f"{k + 1}.png" for k in range(count)] if depth else None
    write_transforms(folder / "transforms.json", cameras(count), names, depths, extra)


def test_a_captures_frames_and_cameras(tmp_path):
    write_capture(tmp_path / "a", 12)
    (path,) = captures(tmp_path)
    move = read_capture(path)
    assert [frame.image.name for frame in move.frames] == [f"{k}.png" for k in range(1, 13)], "2 comes before 10"
    assert [frame.camera for frame in move.frames] == cameras(12)
    colour, distance, camera = move.frames[3].read()
    assert colour[0, 0, 0] == 30 and distance is None and camera == cameras()[3]


def test_depth_becomes_distance_along_the_ray(tmp_path):
    """16-bit millimetres, as nerfstudio has them: a wall two metres ahead."""
    write_capture(tmp_path / "a", depth=True)
    _, distance, camera = read_capture(tmp_path / "a" / "transforms.json").frames[0].read()
    np.testing.assert_allclose((camera.rays() * distance[..., None]) @ camera.forward, 2, rtol=1e-5)
    assert distance[0, 0] > 2.3


def test_frames_that_were_scaled_down_keep_their_field_of_view(tmp_path):
    write_capture(tmp_path / "a")
    write_png(tmp_path / "a" / "images" / "1.png", np.zeros((72, 96, 3), np.uint8))
    first = read_capture(tmp_path / "a" / "transforms.json").frames[0]
    _, _, camera = first.read()
    assert camera.width == 96 and math.isclose(camera.fov_x, first.camera.fov_x)
    write_png(tmp_path / "a" / "images" / "1.png", np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(InputError, match=r"1\.png is 96x96 pixels but its camera 128x96"):
        first.read()


def test_distortion_is_taken_out_as_opencv_means_it(tmp_path):
    """A picture whose every pixel holds the direction that its distorted lens sees, by OpenCV's undistortPoints."""
    coefficients = (-0.2, 0.05, 0.004, -0.003)
    columns, rows = np.meshgrid(np.arange(128.0), np.arange(96.0))
    matrix = INTRINSICS - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    points = np.stack([columns, rows], -1).reshape(-1, 1, 2)
    seen = cv2.undistortPoints(points, matrix, np.array(coefficients)).reshape(96, 128, 2)
    Image.fromarray((np.dstack([seen, seen[..., :1]]) * 80 + 127.5).round().astype(np.uint8)).save(tmp_path / "a.png")
    image = Frame(Camera(128, 96, INTRINSICS, np.eye(4)), tmp_path / "a.png", distortion=coefficients).read()[0]
    rays = Camera(128, 96, INTRINSICS, np.eye(4)).rays()
    truth = rays[..., :2] / rays[..., 2:] * 80 + 127.5
    assert np.abs(image[..., :2] - truth)[8:-8, 8:-8].max() < 1.6, "levels of 1/80 each; a pixel is one"
    assert np.abs(image[..., :2] - truth)[8:-8, 8:-8].mean() < 0.5


def test_distortion_is_read_and_a_fisheye_refused(tmp_path):
    write_capture(tmp_path / "a", extra={"camera_model": "OPENCV", "k1": 0.1, "p2": 0.01})
    assert read_capture(tmp_path / "a" / "transforms.json").frames[0].distortion == (0.1, 0, 0, 0.01, 0, 0, 0, 0)
    write_capture(tmp_path / "b", extra={"camera_model": "OPENCV_FISHEYE", "k1": 0.1})
    with pytest.raises(PathError, match="OPENCV_FISHEYE is not a pinhole"):
        read_capture(tmp_path / "b" / "transforms.json")
    write_capture(tmp_path / "c", extra={"camera_model": "OPENCV", "k1": "much"})
    with pytest.raises(PathError, match="distortion coefficients are not numbers"):
        read_capture(tmp_path / "c" / "transforms.json")


def test_missing_frames_are_named_and_the_rest_is_used(tmp_path, caplog):
    write_capture(tmp_path / "a", depth=True)
    (tmp_path / "a" / "images" / "2.png").unlink()
    (tmp_path / "a" / "3.png").unlink()
    move = read_capture(tmp_path / "a" / "transforms.json")
    assert [frame.image.name for frame in move.frames] == ["1.png", "4.png"]
    assert "2 of 4 frames" in caplog.text and "images/2.png" in caplog.text and "3.png" in caplog.text
    for path in (tmp_path / "a" / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="None of the 4 frames"):
        read_capture(tmp_path / "a" / "transforms.json")


def test_a_bad_capture_is_named_and_the_others_are_read(tmp_path, caplog):
    write_capture(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "transforms.json").write_text("{")
    moves = list(read_each(captures(tmp_path), read_capture))
    assert [move.name for move in moves] == [str(tmp_path / "good")] and "bad" in caplog.text
    with pytest.raises(InputError, match=r"holds no transforms\.json"):
        captures(tmp_path / "good" / "images")


@pytest.mark.parametrize(("unit", "factor"), [(None, 1000), (0.01, 100)])
def test_npy_and_png_depth_have_nerfstudios_unit_and_a_finished_shots_exr_metres(tmp_path, unit, factor):
    """nerfstudio multiplies both by depth_unit_scale_factor, which is 0.001 where the file does not say it."""
    metres = np.random.default_rng(0).uniform(1, 6, (96, 128)).round(2).astype(np.float32)
    write_distance(tmp_path / "d.exr", metres if unit is None else metres / unit)
    np.save(tmp_path / "d.npy", metres[..., None] * factor)
    cv2.imwrite(str(tmp_path / "d.png"), np.rint(metres * factor).astype(np.uint16))
    write_png(tmp_path / "a.png", np.zeros((96, 128, 3), np.uint8))
    names = ["d.exr", "d.npy", "d.png"]
    extra = {} if unit is None else {"depth_unit_scale_factor": unit}
    write_transforms(tmp_path / "transforms.json", cameras(3), ["a.png"] * 3, names, extra)
    for frame in read_capture(tmp_path / "transforms.json").frames:
        _, distance, camera = frame.read()
        depth = distance * (camera.rays() @ camera.forward)
        np.testing.assert_allclose(depth, metres, rtol=1e-4, err_msg=str(frame.depth))
    (tmp_path / "d.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"d\.npy cannot be read"):
        Frame(cameras(1)[0], tmp_path / "a.png", tmp_path / "d.npy").read()


def test_frames_past_9999_are_in_their_order(tmp_path):
    (tmp_path / "images").mkdir()
    numbers = [9998, 9999, 10000, 10001]
    for number in numbers:
        write_png(tmp_path / f"images/{number:04d}.png", np.zeros((96, 128, 3), np.uint8))
    names = sorted(f"images/{number:04d}.png" for number in numbers)
    assert names[0] == "images/10000.png"
    write_transforms(tmp_path / "transforms.json", cameras(4), names)
    move = read_capture(tmp_path / "transforms.json")
    assert [int(frame.image.stem) for frame in move.frames] == numbers


def write_real_estate(folder, name: str, count: int = 3, rotation_of_world=None) -> list[Camera]:
    """Text and frames as the data set has them: shares of the frame, world to camera, a world whose y looks down."""
    (folder / "frames" / name).mkdir(parents=True)
    (folder / "test").mkdir(exist_ok=True)
    truth, lines = cameras(count), ["https://www.youtube.com/watch?v=" + name]
    for k, camera in enumerate(truth):
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
        pose = np.linalg.inv(camera.camera_to_world)[:3]
        shares = [fx / 128, fy / 96, cx / 128, cy / 96, 0, 0]
        time = 45979267 + 33367 * k
        lines.append(" ".join(map(repr, [time, *map(float, shares), *map(float, pose.ravel())])))
        write_png(folder / "frames" / name / f"{time}.png", np.full((96, 128, 3), k, np.uint8))
    (folder / "test" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return truth


def test_real_estate_moves_have_the_cameras_that_were_written(tmp_path):
    truth = write_real_estate(tmp_path, "0000cc6d8b108390")
    (annotation,) = annotations(tmp_path)
    move = read_move(annotation)
    assert [frame.read()[0][0, 0, 0] for frame in move.frames] == [0, 1, 2]
    np.testing.assert_allclose(move.frames[0].camera.intrinsics, INTRINSICS, atol=1e-6)
    for k in (1, 2):  # the world may be turned, what one camera sees of another may not
        relative, expected = (
            np.linalg.inv(some[0].camera_to_world) @ some[k].camera_to_world
            for some in ([frame.camera for frame in move.frames], truth)
        )
        np.testing.assert_allclose(relative, expected, atol=1e-9)


def test_what_is_missing_or_wrong_in_real_estate_is_named(tmp_path, caplog):
    write_real_estate(tmp_path, "aaaa")
    (tmp_path / "frames" / "aaaa" / "46012634.png").unlink()
    write_real_estate(tmp_path, "bbbb")
    (tmp_path / "test" / "bbbb.txt").write_text("https://x\n1 2 3\n")
    (tmp_path / "frames" / "bbbb" / "1.png").write_bytes((tmp_path / "frames" / "aaaa" / "45979267.png").read_bytes())
    (tmp_path / "test" / "cccc.txt").write_text("https://x\n1 2 3\n")
    (move,) = read_each(annotations(tmp_path), read_move)
    assert len(move.frames) == 2
    for words in ("46012634.png", "bbbb.txt, line 2 is not 19 numbers", "There is no folder cccc"):
        assert words in caplog.text
    with pytest.raises(InputError, match="holds no RealEstate10K text files"):
        annotations(tmp_path / "frames")


def test_json_that_is_no_object_is_named(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps([1]))
    with pytest.raises((InputError, PathError), match=r"transforms\.json"):
        read_capture(tmp_path / "transforms.json")
