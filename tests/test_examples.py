"""The examples do what they say: each is run as its docstring tells, at a small size."""

import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from lookbeyond import presets
from lookbeyond.files import load_panorama, read_distance, read_png, write_png
from lookbeyond.geometry.transforms import read_transforms
from tests.support.double import worker_command
from tests.support.service import running

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photo(tmp_path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    write_png(tmp_path / "photo.png", cv2.resize(noise, (256, 192), interpolation=cv2.INTER_CUBIC))
    return tmp_path / "photo.png"


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"python_api", "own_path", "service_client", "preset"}


def test_python_api(photo, tmp_path):
    example("python_api").main(photo, tmp_path / "out", 512)
    world = load_panorama(tmp_path / "out" / "world")
    assert world.colour.shape == (256, 512, 3) and (world.distance > 0).all()
    frames = [read_png(tmp_path / f"out/frames/{number:04d}.png") for number in (1, 2, 3)]
    assert all(frame.shape == (128, 192, 3) for frame in frames)
    assert not np.array_equal(frames[0], frames[2])
    assert (read_distance(tmp_path / "out/depth/0001.exr") > 0).all()


def test_a_path_of_ones_own_looks_at_the_point_ahead_in_every_frame(tmp_path):
    script = example("own_path")
    script.main(tmp_path / "path.json")
    cameras = read_transforms(tmp_path / "path.json")
    point = np.array([script.AHEAD_M, 0.0, 0.0])
    assert len(cameras) == 25
    for camera in cameras:
        towards = point - camera.position
        assert np.linalg.norm(towards) == pytest.approx(script.AHEAD_M)
        assert camera.forward @ towards == pytest.approx(script.AHEAD_M)
    assert cameras[0].position[1] > 0 > cameras[-1].position[1], "from the left to the right"


def test_a_client_of_the_service(photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(tmp_path / "runtime"))
    with running(tmp_path / "service", worker_command()):
        example("service_client").main(photo, tmp_path / "out", 512)
    said = capsys.readouterr().out
    assert "panorama.png" in said and said.endswith("done\n")
    assert load_panorama(tmp_path / "out").colour.shape[1] == 512


def test_a_preset_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path))
    assert example("preset").main() == tmp_path / "patient"
    made, builtin = presets.get("patient"), presets.get("builtin")
    assert made.installed and made.panorama_steps == 40 and made.unseen == "as-painted"
    assert made.frames_per_clip == builtin.frames_per_clip
