"""Our cameras and panoramas against Blender itself: world_to_camera_view, and a render by Cycles."""

import json
import math
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from lookbeyond.geometry.cameras import Camera, blender_intrinsics, opencv_to_opengl
from lookbeyond.geometry.projection import equirectangular_directions, extract_perspective
from tests.support.box_room import BoxRoom, psnr

ROOT = Path(__file__).parents[3]
BLENDER = next(
    (path for path in (ROOT / ".venv-blender/bin/python", ROOT / ".venv-blender/Scripts/python.exe") if path.exists()),
    None,
)
pytestmark = [
    pytest.mark.blender,
    pytest.mark.skipif(BLENDER is None, reason="there is no .venv-blender; `python dev.py test` sets it up"),
]
HEADING = math.radians(35)
LENS = dict(lens=28.0, sensor_width=36.0, sensor_height=20.0, shift_x=0.0, shift_y=0.0)
SQUARE = dict(pixel_aspect_x=1.0, pixel_aspect_y=1.0)
CAMERAS = {
    "landscape": LENS | SQUARE | dict(sensor_fit="AUTO", width=192, height=128),
    "shifted": LENS | SQUARE | dict(sensor_fit="HORIZONTAL", width=192, height=128, shift_x=0.2, shift_y=-0.15),
    "vertical": LENS | SQUARE | dict(sensor_fit="VERTICAL", width=192, height=128, shift_x=-0.1, shift_y=0.25),
    "portrait": LENS | SQUARE | dict(sensor_fit="AUTO", width=128, height=192, shift_x=0.1, shift_y=0.2),
    "wide pixels": LENS
    | dict(sensor_fit="AUTO", width=128, height=160, shift_x=0.1, shift_y=0.1, pixel_aspect_x=2.0, pixel_aspect_y=1.0),
    "tall pixels": LENS
    | dict(sensor_fit="AUTO", width=192, height=120, shift_x=0.1, shift_y=0.1, pixel_aspect_x=1.0, pixel_aspect_y=2.0),
    "tall pixels, vertical": LENS
    | dict(sensor_fit="VERTICAL", width=160, height=90, shift_y=0.1, pixel_aspect_x=1.0, pixel_aspect_y=1.5),
}


def camera_of(settings) -> Camera:
    intrinsics = blender_intrinsics(
        settings["lens"],
        settings["sensor_width"],
        settings["sensor_height"],
        settings["sensor_fit"],
        settings["shift_x"],
        settings["shift_y"],
        settings["width"],
        settings["height"],
        settings["pixel_aspect_x"],
        settings["pixel_aspect_y"],
    )
    number = list(CAMERAS.values()).index(settings)
    return Camera(settings["width"], settings["height"], intrinsics, np.eye(4)).placed(
        heading_rad=0.9 * number,
        pitch_rad=0.25 - 0.1 * number,
        roll_rad=0.15 * number,
        position=(0.3, -0.2, 0.1),
    )


@pytest.fixture(scope="module")
def blender(tmp_path_factory):
    """The panorama that Blender was given, its renders by name, the points and where Blender sees them."""
    folder = tmp_path_factory.mktemp("blender")
    directions = equirectangular_directions(1024, 512, HEADING)
    panorama = np.rint(BoxRoom(boxes=()).look((0, 0, 0), directions)[0]).astype(np.uint8)
    cv2.imwrite(str(folder / "panorama.png"), panorama[..., ::-1])
    points = np.random.default_rng(0).normal(size=(200, 3)) * 4
    cameras = [
        settings | {"name": name, "matrix_world": opencv_to_opengl(camera_of(settings).camera_to_world).tolist()}
        for name, settings in CAMERAS.items()
    ]
    cases = {"heading": math.degrees(HEADING), "points": points.tolist(), "cameras": cameras}
    (folder / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("blender_oracle.py")
    command = [BLENDER, script, folder / "cases.json", folder / "panorama.png", folder]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    renders = {name: cv2.imread(str(folder / f"{name}.png"))[..., ::-1] for name in CAMERAS}
    return panorama, renders, points, json.loads((folder / "views.json").read_text())


@pytest.mark.parametrize("name", CAMERAS)
def test_extraction_agrees_with_cycles(name, blender):
    panorama, renders, _, _ = blender
    assert psnr(extract_perspective(panorama, camera_of(CAMERAS[name]), HEADING), renders[name]) > 45


@pytest.mark.parametrize("name", CAMERAS)
def test_points_project_where_blender_sees_them(name, blender):
    _, _, points, views = blender
    camera = camera_of(CAMERAS[name])
    pixels, depth = camera.project(points)
    x, y, z = np.array(views[name]).T
    np.testing.assert_allclose(depth, z, atol=1e-4)
    seen = (z > 0.1) & (np.abs(x - 0.5) < 3) & (np.abs(y - 0.5) < 3)
    expected = np.stack([x * camera.width, (1 - y) * camera.height], -1)
    assert seen.sum() > 20
    assert np.abs(pixels - expected)[seen].max() < 0.01
