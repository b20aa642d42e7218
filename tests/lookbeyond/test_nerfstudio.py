"""What we write is what nerfstudio's own parser reads: run where nerfstudio is installed (its `--no-deps` will do)."""

import json

import numpy as np
import pytest

from lookbeyond.files import DEPTH_PNG_UNIT_M, read_distance, save_frames
from lookbeyond.geometry.cameras import Camera, opencv_to_opengl, placed_camera
from lookbeyond.geometry.panorama import View
from lookbeyond.geometry.transforms import read_camera_path, write_transforms

parser = pytest.importorskip("nerfstudio.data.dataparsers.nerfstudio_dataparser")


def shot(folder, count: int = 5) -> list[View]:
    """Frames as a finished shot has them, each with its own depth."""
    rng = np.random.default_rng(0)
    lens = Camera(96, 64, np.array([[70.0, 0, 47], [0, 72, 33], [0, 0, 1]]), np.eye(4))
    views = []
    for number in range(count):
        camera = lens.placed(0.2 * number, 0.1, position=(0.3 * number, 0.1, 1.5))
        colour = rng.integers(0, 255, (64, 96, 3), np.uint8)
        distance = rng.uniform(0.5, 9, (64, 96)).astype(np.float32)
        views.append(View(camera, colour, distance, np.zeros((64, 96), np.uint8)))
    save_frames(folder, views)
    write_transforms(
        folder / "transforms.json",
        [view.camera for view in views],
        [f"frames/{number + 1:04d}.png" for number in range(count)],
        [f"depth/{number + 1:04d}.png" for number in range(count)],
        {"depth_unit_scale_factor": DEPTH_PNG_UNIT_M},
    )
    return views


def parsed(folder):
    config = parser.NerfstudioDataParserConfig(
        data=folder, orientation_method="none", center_method="none", auto_scale_poses=False, eval_mode="all"
    )
    return config.setup().get_dataparser_outputs(split="train")


def test_a_finished_shot_is_read_as_it_is(tmp_path):
    from nerfstudio.data.utils.data_utils import get_depth_image_from_path

    views = shot(tmp_path)
    outputs = parsed(tmp_path)
    assert [path.name for path in outputs.image_filenames] == [f"{number:04d}.png" for number in range(1, 6)]
    poses = outputs.cameras.camera_to_worlds.numpy()
    for number, view in enumerate(views):
        np.testing.assert_allclose(poses[number], opencv_to_opengl(view.camera.camera_to_world)[:3], atol=1e-6)
        for name, wanted in (("fx", 70), ("fy", 72), ("cx", 47), ("cy", 33), ("width", 96), ("height", 64)):
            assert float(getattr(outputs.cameras, name)[number]) == wanted
        unit = outputs.metadata["depth_unit_scale_factor"]
        path = outputs.metadata["depth_filenames"][number]
        depth = get_depth_image_from_path(path, 64, 96, unit)[..., 0].numpy()
        np.testing.assert_allclose(depth, read_distance(tmp_path / f"depth/{number + 1:04d}.exr"), atol=0.00051)


def test_both_order_the_frames_of_an_unsorted_file_alike(tmp_path):
    shot(tmp_path)
    content = json.loads((tmp_path / "transforms.json").read_text())
    content["frames"] = [content["frames"][i] for i in (3, 0, 4, 1, 2)]
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    ours = [frame.file_path.split("/")[1] for frame in read_camera_path(tmp_path / "transforms.json").frames]
    assert ours == [path.name for path in parsed(tmp_path).image_filenames]


def test_both_see_the_viewers_path_alike(tmp_path):
    import torch
    from nerfstudio.cameras.camera_paths import get_path_from_json

    truth = placed_camera(192, 108, 1.1, heading_rad=0.4, pitch_rad=-0.2, position=(1, 2, 3))
    keyframe = {
        "camera_to_world": opencv_to_opengl(truth.camera_to_world).ravel().tolist(),
        "fov": 50.0,
        "aspect": 16 / 9,
    }
    content = {"render_width": 192, "render_height": 108, "camera_type": "perspective", "camera_path": [keyframe]}
    theirs = get_path_from_json(content)
    (tmp_path / "camera_path.json").write_text(json.dumps(content))
    (ours,) = read_camera_path(tmp_path / "camera_path.json").cameras
    assert isinstance(theirs.fx, torch.Tensor)
    np.testing.assert_allclose(theirs.camera_to_worlds[0], opencv_to_opengl(ours.camera_to_world)[:3], atol=1e-6)
    assert float(theirs.fx[0]) == pytest.approx(ours.intrinsics[0, 0])
    assert (float(theirs.cx[0]), float(theirs.cy[0])) == (96, 54)
