"""The commands that lead into other programs, and shots in parts."""

import json
import shutil

import numpy as np
import OpenEXR
import pytest

from inference_service.cli import local_run
from lookbeyond.geometry.transforms import read_transforms
from tests.inference_service.cli.test_cli import write_path
from tests.support.double import DoublePipeline, DoublePresets
from tests.support.service import contents, path_cameras, save_photo


@pytest.fixture
def lookbeyond(lookbeyond, tmp_path, monkeypatch, runtime):
    monkeypatch.setattr(local_run, "Presets", DoublePresets)
    monkeypatch.setattr(local_run, "default_store", lambda: tmp_path / "store")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda preset, device: DoublePipeline())
    monkeypatch.chdir(tmp_path)
    write_path(tmp_path / "transforms.json", path_cameras(9))
    photo = save_photo(tmp_path / "photo.png")
    assert lookbeyond("world", photo, "--out", "W", "--width", 512)[0] == 0
    return lookbeyond


def test_parts_of_a_shot_are_put_together_to_the_same_bytes(lookbeyond, tmp_path):
    path = ("W", "--cameras", "transforms.json", "--tau-position", 0.01, "--tau-rotation", 0.01)
    code, out, err = lookbeyond("shot", *path, "--clips", "2")
    assert (code, err) == (0, "") and out.startswith("1 of ")
    count = int(out.split()[2])
    assert count > 1 and not (tmp_path / "S").exists()
    assert lookbeyond("shot", *path, "--clips", f"1-{count}")[1].startswith(f"{count} of ")
    assert lookbeyond("shot", *path, "--clips", f"{count + 1}-{count + 9}")[1].startswith("0 of ")
    assert lookbeyond("shot", *path, "--out", "S")[0] == 0
    shutil.rmtree(tmp_path / "store")
    assert lookbeyond("shot", *path, "--out", "whole")[0] == 0
    parts, whole = contents(tmp_path / "S"), contents(tmp_path / "whole")
    assert {name: data for name, data in parts.items() if name != "shot.json"} == {
        name: data for name, data in whole.items() if name != "shot.json"
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--out FOLDER"),
        (["--clips", "1-2", "--out", "S"], "--clips A-B"),
        (["--clips", "2-1"], "as 3-4"),
        (["--clips", "0"], "as 3-4"),
        (["--clips", "1", "--layers"], "leave --layers and --cards out"),
    ],
)
def test_a_part_that_cannot_be_is_refused(lookbeyond, flags, said):
    code, _, err = lookbeyond("shot", "W", "--cameras", "transforms.json", *flags)
    assert code == 2 and said in err


def test_layers_come_with_the_shot(lookbeyond, tmp_path):
    code, _, err = lookbeyond("shot", "W", "--cameras", "transforms.json", "--out", "S", "--layers")
    assert (code, err) == (0, "")
    assert [path.name for path in sorted((tmp_path / "S/layers").iterdir())] == [f"{n:04d}.exr" for n in range(1, 10)]
    (part,) = OpenEXR.File(str(tmp_path / "S/layers/0005.exr"), separate_channels=True).parts
    assert part.channels["Vector.W"].pixels.shape == (64, 96)
    depth = OpenEXR.File(str(tmp_path / "S/depth/0005.exr"), separate_channels=True).channels()["Y"].pixels
    np.testing.assert_allclose(part.channels["Depth.Z"].pixels, depth, rtol=1e-5)
    assert lookbeyond("shot", "W", "--cameras", "transforms.json", "--out", "S")[0] == 0  # an earlier output is ours


def test_a_shot_and_its_world_go_on_as_splats_geometry_and_a_page(lookbeyond, tmp_path):
    pytest.importorskip("pygltflib")
    assert lookbeyond("shot", "W", "--cameras", "transforms.json", "--out", "S")[0] == 0
    for name in ("s.ply", "s.spz"):
        code, out, err = lookbeyond("splats", "S", "W", "--out", name, "--unseen-width", 256)
        assert (code, err) == (0, "") and "splats" in out and (tmp_path / name).stat().st_size > 10_000
    count = int(out.split()[1])
    assert f"{2 * count} splats" in lookbeyond("splats", "W", "s.ply", "--out", "both.ply", "--unseen-width", 256)[1]
    (tmp_path / "cut.ply").write_bytes((tmp_path / "s.ply").read_bytes()[:-100])
    code, _, err = lookbeyond("splats", "cut.ply", "--out", "x.spz")
    assert code == 2 and "cut short" in err and not (tmp_path / "x.spz").exists()
    code, out, err = lookbeyond("mesh", "W", "--out", "w.glb", "--collider", "c.glb")
    assert (code, err) == (0, "") and (tmp_path / "w.glb").exists() and (tmp_path / "c.glb").exists()
    code, out, err = lookbeyond("page", "W", "S", "--out", "tour", "--title", "A place", "--name", "Hall")
    assert (code, err) == (0, "") and "1 rooms, 1 shots" in out
    assert "<title>A place</title>" in (tmp_path / "tour/index.html").read_text(encoding="utf-8")


def test_camera_moves_are_converted_and_losses_said(lookbeyond, tmp_path):
    code, out, err = lookbeyond("cameras", "convert", "transforms.json", "move.chan")
    assert (code, err) == (0, "") and "9 cameras as Nuke .chan; Y up" in out
    assert "set 96 x 64 pixels yourself" in out
    code, out, _ = lookbeyond("cameras", "convert", "move.chan", "back.json", "--size", "96x64", "--fps", 24)
    assert code == 0 and "yourself" not in out
    for one, other in zip(read_transforms("transforms.json"), read_transforms("back.json"), strict=True):
        np.testing.assert_allclose(one.camera_to_world, other.camera_to_world, atol=1e-5)
    code, _, err = lookbeyond("cameras", "convert", "move.chan", "back.json")
    assert code == 2 and "give --size WIDTHxHEIGHT" in err
    code, _, err = lookbeyond("cameras", "convert", "move.chan", "back.json", "--size", "big")
    assert code == 2 and "as 1920x1080" in err
    (tmp_path / "broken.json").write_text(json.dumps({"frames": []}))
    assert lookbeyond("cameras", "convert", "broken.json", "x.chan")[0] == 2 and not (tmp_path / "x.chan").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["splats", "W", "--out", "s.splat"], ".ply or .spz"),
        (["splats", "nowhere", "--out", "s.ply"], "There is no folder nowhere"),
        (["mesh", "W", "--out", "s.obj"], "end it with .glb"),
        (["page", "W", "--out", "photo.png"], "is a file"),
        (["page", "W", "--out", "t", "--name", "a", "--name", "b"], "2 names for 1 worlds"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(lookbeyond, tmp_path, command, said):
    before = sorted(path.name for path in tmp_path.iterdir())
    code, _, err = lookbeyond(*command)
    assert code == 2 and said in err and err.count("\n") <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
