"""Camera paths in the files of other tools."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lookbeyond.geometry.cameras import Camera, PathError, opencv_to_opengl, placed_camera
from lookbeyond.geometry.transforms import (
    in_numbers_order,
    read_camera_path,
    read_realestate10k,
    read_transforms,
    write_transforms,
)

PATH = [placed_camera(48, 32, 1.2, heading_rad=0.1 * i, pitch_rad=0.05, position=(i, 2, 3)) for i in range(4)]
NAMES = [f"frames/{i:04d}.png" for i in range(1, 5)]


@pytest.mark.parametrize("zoom", [0.0, 0.1])
def test_what_is_written_is_read(tmp_path, zoom):
    """With one focal length for all frames, and with an animated one."""
    cameras = [
        placed_camera(48, 32, 1.2 - zoom * i, heading_rad=0.1 * i, roll_rad=0.2, position=(i, 0, 0)) for i in range(4)
    ]
    write_transforms(tmp_path / "transforms.json", cameras, NAMES, [f"depth/{i}.exr" for i in range(4)], {"note": 1})
    assert read_transforms(tmp_path / "transforms.json") == cameras
    content = json.loads((tmp_path / "transforms.json").read_text())
    assert ("fl_x" in content) == (zoom == 0)
    assert content["note"] == 1 and content["frames"][2]["depth_file_path"] == "depth/2.exr"
    assert [frame["file_path"] for frame in content["frames"]] == NAMES
    assert [file.name for file in tmp_path.iterdir()] == ["transforms.json"]


def test_the_matrix_is_blenders_own(tmp_path):
    """A Blender camera that was turned upright (90 degrees about X) looks along +Y, with Z up."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    file = tmp_path / "t.json"
    frame = {"transform_matrix": matrix.tolist(), "camera_angle_x": math.radians(60), "w": 40, "h": 30}
    file.write_text(json.dumps({"frames": [frame]}))
    (camera,) = read_transforms(file)
    np.testing.assert_allclose(camera.forward, [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(camera.rotation[:, 1], [0, 0, -1], atol=1e-12)
    assert camera.fov_x == pytest.approx(math.radians(60))
    np.testing.assert_allclose(camera.intrinsics[:2, 2], [20, 15])


FIELD = Path(__file__).parents[2] / "field"
GOOD = {"transform_matrix": np.eye(4).tolist(), "fl_x": 50, "w": 40, "h": 30}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "not JSON"),
        ("[]", "no frames"),
        ('{"frames": []}', "no frames"),
        ({"frames": [GOOD, {**GOOD, "transform_matrix": [[math.nan] * 4] * 4}]}, "frame 2: .*NaN"),
        (
            {"frames": [GOOD, GOOD, {**GOOD, "transform_matrix": np.diag([1.0, 2, 1, 1]).tolist()}]},
            "frame 3: .*rotation",
        ),
        ({"frames": [{"transform_matrix": np.eye(4).tolist()}]}, "frame 1: intrinsics are missing"),
        ({"frames": [{k: v for k, v in GOOD.items() if k != "transform_matrix"}]}, "no transform_matrix"),
        ({"frames": [{**GOOD, "transform_matrix": "up"}]}, "numbers"),
        ({"frames": [{**GOOD, "transform_matrix": [1, 2]}]}, "4 x 4"),
        ({"frames": [{**GOOD, "fl_x": "wide"}]}, "pixels"),
        ({"frames": [{**GOOD, "w": 0}]}, "width"),
        ({"frames": ["x"]}, "frame 1"),
        ({"camera_model": "OPENCV_FISHEYE", "frames": [GOOD]}, "pinhole"),
        ({"is_fisheye": True, "frames": [GOOD]}, "is_fisheye.*pinhole"),
        ({"frames": [GOOD, {**GOOD, "latlong": True}]}, "frame 2: latlong.*pinhole"),
        ({"equirectangular": True, "frames": [GOOD]}, "equirectangular.*pinhole"),
        ({"ftheta_p0": 0.1, "frames": [GOOD]}, "ftheta_p0.*pinhole"),
        ({"k1": -0.2, "frames": [GOOD]}, "frame 1: the lens bends lines .k1=-0.2.*undistorted"),
        ({"frames": [GOOD, {**GOOD, "file_path": "b.png", "p2": 0.01}]}, "frame b.png: the lens bends lines"),
        ({"distortion_params": [0, 0, 0, 0, 0.1, 0], "frames": [GOOD]}, "bends lines .p1=0.1"),
        ({"k1": "much", "frames": [GOOD]}, "distortion coefficients are not numbers"),
        ({"frames": [{**GOOD, "camera_angle_x": 1.5}]}, "fl_x and camera_angle_x give two focal lengths"),
        ({"depth_unit_scale_factor": "mm", "frames": [GOOD]}, "depth_unit_scale_factor"),
        ([{"id": 0, "img_name": "a", "position": [0, 0, 0], "rotation": []}], "cameras.json of 3D Gaussian Splatting"),
        ([{"file_path": "a.png", "transform": []}], "ns-export cameras"),
        ({"camera_path": [], "render_width": 4, "render_height": 3}, "no cameras"),
        ({"camera_path": [{}], "camera_type": "fisheye"}, "fisheye is not a pinhole"),
        (
            {"camera_path": [{"fov": 50}], "render_width": 4, "render_height": 3},
            "camera 1: it has no 'camera_to_world'",
        ),
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path, content, words):
    file = tmp_path / "path.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PathError, match=words) as error:
        read_transforms(file)
    assert "path.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["path_is_fisheye", "path_distorted"])
def test_what_is_no_pinhole_is_never_shot_as_one(name):
    with pytest.raises(PathError, match=r"pinhole|bends lines"):
        read_transforms(FIELD / f"{name}.json")


def test_frames_are_in_the_order_of_their_names_as_nerfstudio_has_them(tmp_path):
    """The order that nerfstudio's parser gave for the same file, and, past 9999, that of the numbers."""
    assert read_transforms(FIELD / "path_unsorted.json") == read_transforms(FIELD / "path_plain.json")
    (said,) = read_camera_path(FIELD / "path_unsorted.json").said
    assert "order of their file names" in said and not read_camera_path(FIELD / "path_plain.json").said
    numbers = [2, 10, 9999, 10000, 10001]
    frames = [{**GOOD, "file_path": f"f/{n:04d}.png", "fl_x": n} for n in sorted(numbers, key=str)]
    (tmp_path / "path.json").write_text(json.dumps({"frames": frames}))
    assert [camera.intrinsics[0, 0] for camera in read_transforms(tmp_path / "path.json")] == numbers
    nameless = [GOOD | {"fl_x": n} for n in (3, 1, 2)]
    (tmp_path / "path.json").write_text(json.dumps({"frames": nameless}))
    assert [camera.intrinsics[0, 0] for camera in read_transforms(tmp_path / "path.json")] == [3, 1, 2]


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_names_are_sorted_by_their_numbers(numbers):
    names = [f"frames/{number:04d}.png" for number in numbers]
    assert sorted(names, key=in_numbers_order) == [f"frames/{number:04d}.png" for number in sorted(numbers)]


def test_a_frames_own_values_count_and_that_is_said(tmp_path):
    file = tmp_path / "path.json"
    frames = [GOOD | {"fl_x": 60}, {"transform_matrix": GOOD["transform_matrix"], "camera_angle_x": math.pi / 2}]
    file.write_text(json.dumps({"fl_x": 50, "w": 40, "h": 30, "frames": frames}))
    path = read_camera_path(file)
    assert [camera.intrinsics[0, 0] for camera in path.cameras] == pytest.approx([60, 20])
    assert any("fl_x of frames differ" in said and "those of the frames are used" in said for said in path.said)


def test_the_angle_across_the_height_is_read_and_so_are_degrees(tmp_path):
    file = tmp_path / "path.json"
    frame = {"transform_matrix": np.eye(4).tolist(), "w": 40, "h": 30}
    file.write_text(
        json.dumps({"camera_angle_x": math.pi / 2, "camera_angle_y": 2 * math.atan(15 / 25), "frames": [frame]})
    )
    np.testing.assert_allclose(np.diag(read_transforms(file)[0].intrinsics), [20, 25, 1])
    file.write_text("\ufeff" + json.dumps({"x_fov": 90, "frames": [frame]}), encoding="utf-8")
    np.testing.assert_allclose(np.diag(read_transforms(file)[0].intrinsics), [20, 20, 1])


def test_the_path_of_nerfstudios_viewer_is_read(tmp_path):
    """Its own conventions: OpenGL axes, row after row, a vertical field of view in degrees."""
    lens = Camera(192, 108, [[90, 0, 96], [0, 90, 54], [0, 0, 1]], np.eye(4))
    truth = lens.placed(0.4, position=(1, 2, 3))
    fov = math.degrees(2 * math.atan(54 / 90))
    pose = opencv_to_opengl(truth.camera_to_world).ravel().tolist()
    content = {
        "render_width": 192,
        "render_height": 108,
        "camera_type": "perspective",
        "fps": 24,
        "keyframes": [{}],
        "camera_path": [{"camera_to_world": pose, "fov": fov, "aspect": 16 / 9}] * 2,
    }
    (tmp_path / "camera_path.json").write_text(json.dumps(content))
    path = read_camera_path(tmp_path / "camera_path.json")
    assert path.cameras == [truth, truth] and "coordinates of nerfstudio's viewer" in path.said[0]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PathError, match=r"nowhere.json"):
        read_transforms(tmp_path / "nowhere.json")


def test_realestate10k(tmp_path):
    """World-to-camera rows: the second camera moved 1 m forward (their +z), which is our +X."""
    lines = ["https://example.org/video"]
    for forward in (0, 1):
        pose = np.hstack([np.eye(3), [[0], [0], [-forward]]])
        lines.append(" ".join(map(str, [forward, 0.5, 0.9, 0.5, 0.5, 0, 0, *pose.ravel()])))
    file = tmp_path / "clip.txt"
    file.write_text("\n".join(lines))
    first, second = read_realestate10k(file, 640, 360)
    np.testing.assert_allclose(first.intrinsics, [[320, 0, 320], [0, 324, 180], [0, 0, 1]])
    np.testing.assert_allclose(first.camera_to_world, placed_camera(640, 360, 1.0).camera_to_world, atol=1e-12)
    np.testing.assert_allclose(second.position, [1, 0, 0], atol=1e-12)
    file.write_text("\n".join([*lines, "1 2 three"]))
    with pytest.raises(PathError, match=r"clip.txt, line 4"):
        read_realestate10k(file, 640, 360)
    file.write_text("\n".join([lines[0], lines[1].replace(" 0.5 0.5 0 0 ", " 0.5 0.5 0.1 0 ")]))
    with pytest.raises(PathError, match=r"clip.txt, line 2: the lens bends lines"):
        read_realestate10k(file, 640, 360)
    file.write_text("https://example.org/video\n")
    with pytest.raises(PathError, match="no cameras"):
        read_realestate10k(file, 640, 360)
