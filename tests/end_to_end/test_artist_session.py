"""A short real shot, from the photo to the frames: Blender, the extension's zip, the service as a process."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import imageio.v2 as imageio
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from lookbeyond.files import read_distance, read_png
from tests.end_to_end.demo import ROOT, Settings, low_passed, photo_camera, produce

SETTINGS = Settings(
    panorama_width=1024, frames=10, frame_width=192, frame_height=128, walk=0.5, turn=30, fps=12, seed=3
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = Path(os.environ.get("LOOKBEYOND_BLENDER_PYTHON", ROOT / ".venv-blender" / "bin" / "python"))
    folder = tmp_path_factory.mktemp("demo") / "out"
    produce(SETTINGS, folder, python)
    return folder


@pytest.fixture(scope="module")
def report(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


def test_everything_is_delivered_under_the_scenes_frame_numbers(out: Path):
    numbers = [f"{number:04d}" for number in range(1, SETTINGS.frames + 1)]
    assert sorted(path.name for path in (out / "frames").iterdir()) == [f"{n}.png" for n in numbers]
    depths = [f"{n}.{kind}" for n in numbers for kind in ("exr", "png")]
    assert sorted(path.name for path in (out / "depth").iterdir()) == depths
    for name in ("panorama.png", "distance.exr", "transforms.json", "shot.mp4", "scene.blend", "preview.png"):
        assert (out / name).stat().st_size > 0
    assert read_png(out / "panorama.png").shape == (SETTINGS.panorama_width // 2, SETTINGS.panorama_width, 3)
    size = (SETTINGS.frame_height, SETTINGS.frame_width)
    for number in numbers:
        assert read_png(out / "frames" / f"{number}.png").shape == (*size, 3)
        depth = read_distance(out / "depth" / f"{number}.exr")
        assert depth.shape == size
        assert np.isfinite(depth).all() and depth.min() > 0


def test_the_preview_shows_the_photo(out: Path, report: dict):
    assert report["figures"]["preview_psnr_db"] >= 30


def test_the_preview_is_not_shifted_against_the_photo(out: Path):
    """The error has its minimum at no shift at all; a parabola through its neighbours says where."""
    photo = low_passed(read_png(out / "photo.png"), photo_camera(SETTINGS, 0), SETTINGS.panorama_width)
    preview = read_png(out / "preview.png").astype(np.float64)
    for axis in (0, 1):
        errors = []
        for shift in (-2, 0, 2):
            difference = np.roll(preview, shift, axis) - photo
            errors.append(float(np.mean(difference[4:-4, 4:-4] ** 2)))
        before, here, after = errors
        assert here < min(before, after)
        # Pixels of the photo; the texture's own pixels are four times larger.
        assert abs((before - after) / (before - 2 * here + after)) < 0.5


def test_the_first_frame_is_the_photo(out: Path):
    """Its camera is the photo's, so each of its pixels was seen by the photo, and none is imagined anew."""
    photo = read_png(out / "photo.png")
    height = round(SETTINGS.photo_width * SETTINGS.frame_height / SETTINGS.frame_width)
    top = (SETTINGS.photo_height - height) // 2
    seen = cv2.resize(
        photo[top : top + height], (SETTINGS.frame_width, SETTINGS.frame_height), interpolation=cv2.INTER_AREA
    )
    assert peak_signal_noise_ratio(seen, read_png(out / "frames" / "0001.png")) >= 30


def test_the_shots_cameras_are_blenders(out: Path, report: dict):
    """transforms.json holds, frame by frame, the matrix_world that Blender evaluates, and its lens."""
    written = json.loads((out / "transforms.json").read_text())
    matrices = np.array([frame["transform_matrix"] for frame in written["frames"]])
    np.testing.assert_allclose(matrices, report["session"]["matrix_world"], atol=1e-5)
    focal = SETTINGS.frame_width / 2 / math.tan(math.radians(SETTINGS.fov_x) / 2)
    for frame in written["frames"]:
        assert (written | frame)["fl_x"] == pytest.approx(focal, rel=1e-5)  # shared, or the frame's own
    assert report["figures"]["turn_deg"] == pytest.approx(SETTINGS.turn, abs=2)


def test_the_add_on_told_how_it_went(report: dict):
    for title in ("Build World", "Shoot"):
        lines = [line for line in report["session"]["progress"] if line.startswith(title)]
        shares = [int(line.split(":")[1].split("%")[0]) for line in lines]
        assert len(shares) >= 3 and shares == sorted(shares)


def test_the_video_plays(out: Path):
    frames = imageio.mimread(out / "shot.mp4")
    assert len(frames) == SETTINGS.frames
    assert peak_signal_noise_ratio(read_png(out / "frames" / "0001.png"), frames[0]) > 25


def test_the_command_line_makes_the_same_bytes(out: Path, report: dict, tmp_path: Path):
    """The same world, path and seed, without Blender and without the service."""
    world = out / report["session"]["world_folder"]
    program = Path(sys.executable).with_name("lookbeyond.exe" if os.name == "nt" else "lookbeyond")
    command = [program, "shot", world, "--cameras", out / "transforms.json", "--out", tmp_path / "shot"]
    subprocess.run([*command, "--seed", str(SETTINGS.seed), "--store", tmp_path / "store"], check=True)
    other = [path.name for path in sorted((out / "frames").iterdir()) if not same_bytes(path, tmp_path / "shot/frames")]
    assert not other, "these frames differ"


def same_bytes(path: Path, folder: Path) -> bool:
    return path.read_bytes() == (folder / path.name).read_bytes()
