"""Camera paths in the files of other tools."""

import json
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lookbeyond.geometry.cameras import PathError, placed_camera
from lookbeyond.geometry.transforms import read_realestate10k, read_transforms, write_transforms

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
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path, content, words):
    file = tmp_path / "path.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PathError, match=words) as error:
        read_transforms(file)
    assert "path.json" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PathError, match="nowhere.json"):
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
    with pytest.raises(PathError, match="clip.txt, line 4"):
        read_realestate10k(file, 640, 360)
    file.write_text("https://example.org/video\n")
    with pytest.raises(PathError, match="no cameras"):
        read_realestate10k(file, 640, 360)
