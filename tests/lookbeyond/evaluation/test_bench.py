"""The bench's scenes are true, its baselines are what they are called, and it goes on where it was cut off."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lookbeyond import presets
from lookbeyond.evaluation import baselines, bench, metrics
from lookbeyond.evaluation.judge_path import evaluate_path, shoot
from lookbeyond.evaluation.perceptual import FILES, PerceptualNetworks
from lookbeyond.evaluation.scenes import PATHS, Scene, held_out_room, real_scenes
from lookbeyond.evaluation.table import as_markdown, with_tables, worse_than
from lookbeyond.files import write_png
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.pipelines.network_frames import Ablation
from lookbeyond.pipelines.scene import ScenePipeline
from tests.support.tiny import panorama_pipeline, views_pipeline


@pytest.fixture(scope="module")
def room() -> Scene:
    return held_out_room(1)


@pytest.fixture(scope="module")
def pipeline() -> ScenePipeline:
    return ScenePipeline(panorama_pipeline(), views_pipeline(), presets.get("builtin"))


def test_a_photo_of_a_room_is_the_room(room):
    """Rendered through the photo's camera it is the crop of the panorama."""
    (view,) = room.views([room.camera])
    everywhere = np.ones(room.photo.shape[:2], bool)
    assert metrics.psnr(room.photo, view.colour, everywhere) > 25
    assert metrics.psnr(room.placed[0], room.truth, room.seen) > 25
    assert not (room.hidden & room.seen).any()


@pytest.mark.parametrize("kind", PATHS)
def test_paths_can_be_shot(room, kind):
    path = room.path(kind, 12, 96, 64)
    plan = plan_shot(path, room.sharp_panorama)
    assert plan.clips[-1].last == 11
    length = max(np.linalg.norm(camera.position) for camera in path)
    assert length == 0 if kind == "turn" else 0.5 < length <= 2.001
    if kind != "walk":
        np.testing.assert_allclose(path[0].camera_to_world, path[-1].camera_to_world, atol=1e-9)


def test_long_walks_end_where_a_shot_may(room):
    for scene in (room, held_out_room(5)):  # longer ways are open in the other than may be shot
        for reach_m in (4.0, 9.0):
            plan_shot(scene.path("walk", 5, 96, 64, reach_m), scene.sharp_panorama)


def test_a_wrong_distance_spoils_the_frames_and_not_the_path(room, pipeline, networks):
    options = bench.parse(["--out", "nowhere", "--quick", "--frames", "4", "--size", "96x64"])
    right, _ = evaluate_path(pipeline, room, "walk", options, networks)
    options.distance_noise = 1.0
    wrong, _ = evaluate_path(pipeline, room, "walk", options, networks)
    wrong_db, right_db = (result.figures["walk: from photo PSNR"]["ours"] for result in (wrong, right))
    assert wrong_db < right_db - 1


def test_every_baseline_keeps_the_photo_and_covers_the_sphere(room):
    canvas, seen = room.placed
    inside = ~np.pad(~seen, 2)[2:-2, 2:-2] & seen
    for picture in (
        baselines.mean_colour(room),
        baselines.mirrored(room),
        baselines.inpainted(canvas, seen, wraps=True),
    ):
        assert np.array_equal(picture[inside], canvas[inside])
        assert picture[~seen].std() > 0 or np.ptp(picture[~seen].reshape(-1, 3), axis=0).max() == 0
        assert picture.any(2).mean() > 0.95


def test_the_mirrored_photo_goes_on_at_its_border(room):
    """Two pixels outside the photo its reflection shows what lies two pixels inside."""
    mirrored, seen = baselines.mirrored(room).astype(float), room.seen
    row = 128
    right = np.flatnonzero(seen[row]).max()
    assert np.abs(mirrored[row, right + 2] - mirrored[row, right - 2]).max() < 40


def test_a_box_is_found_by_fitting_a_box():
    directions = equirectangular_directions(128, 64)
    truth = baselines._box(directions, np.array([0.9, 1.2, 0.5, 0.7, 0.1, 0.2]), 1.5)
    seen = np.zeros((64, 128), bool)
    seen[10:54, 20:110] = True
    fit = baselines.fitted_box(truth, seen, 1.5)
    assert metrics.absrel(fit, truth, seen) < 0.05


class Lpips(torch.nn.Module):
    def forward(self, x: torch.Tensor, resize_images: bool = False, return_lpips: bool = False) -> torch.Tensor:
        return x.mean([2, 3]) / 255


class Inception(torch.nn.Module):
    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert x.dtype == torch.uint8
        return torch.cat([x.float().mean([2, 3]), x.float().std([2, 3])], 1)


class Video(torch.nn.Module):
    def forward(
        self, x: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False
    ) -> torch.Tensor:
        assert x.size(1) == 3 and x.size(3) == 224 and x.size(4) == 224 and bool(x.abs().max() < 1.1)
        return x.mean([3, 4]).flatten(1)[:, :6]


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> PerceptualNetworks:
    """Files called as the published ones are; what they compute is easily known."""
    folder = tmp_path_factory.mktemp("networks")
    for figure, network in (("LPIPS", Lpips()), ("FID", Inception()), ("FVD", Video())):
        torch.jit.script(network).save(folder / FILES[figure])
    return PerceptualNetworks.load(folder, "cpu")


def test_perceptual_figures_are_those_of_the_networks_given(networks, tmp_path):
    frames = list(np.random.default_rng(0).integers(0, 255, (12, 16, 24, 3)).astype(np.uint8))
    darker = [frame // 2 for frame in frames]
    expected = [float(((a.mean((0, 1)) - b.mean((0, 1))) / 255) ** 2 @ np.ones(3)) for a, b in zip(frames, darker)]
    assert networks.lpips(frames, darker) == pytest.approx(expected, rel=1e-4)
    assert networks.lpips(frames, frames) == [0] * 12
    features = networks.features(frames)
    assert features["FID"].shape == (12, 6) and features["FVD"].shape == (1, 6)
    assert "FVD" not in networks.features(frames[:9]), "too short for the video network"

    assert PerceptualNetworks.load(None, "cpu").skipped == ["LPIPS", "FID", "FVD"]
    assert PerceptualNetworks.load(tmp_path, "cpu").skipped == ["LPIPS", "FID", "FVD"]
    with pytest.raises(Exception, match="there is no such folder"):
        PerceptualNetworks.load(tmp_path / "none", "cpu")
    (tmp_path / FILES["FID"]).write_bytes(b"<html>not found</html>")
    with pytest.raises(Exception, match="not a TorchScript file"):
        PerceptualNetworks.load(tmp_path, "cpu")


def test_an_interrupted_run_goes_on_and_worse_figures_are_named(room, pipeline, networks, tmp_path, monkeypatch):
    options = bench.parse(["--quick", "--rooms", "2", "--frames", "4", "--size", "96x64", "--out", str(tmp_path)])
    options.samples = 2
    monkeypatch.setattr(pipeline, "settings", presets.get("builtin"))
    rooms = {0: room, 1: held_out_room(2)}
    monkeypatch.setattr(bench, "held_out_room", rooms.get)
    table, walks = bench.evaluate(pipeline, options, tmp_path, networks)
    monkeypatch.setattr(bench, "evaluate_panorama", None)
    monkeypatch.setattr(bench, "evaluate_path", None)
    again, _ = bench.evaluate(pipeline, options, tmp_path, networks)
    assert json.dumps(table) == json.dumps(again)
    assert len(list(tmp_path.glob("*.png"))) == 4
    assert len(walks["there and back"]) == 2
    loop = table["there and back: loop closure PSNR"]["ours"]["mean"]
    assert loop == 100, "the last frame is the first"
    assert table["there and back: mTSED"]["truth"]["mean"] >= table["there and back: mTSED"]["ours"]["mean"]
    assert table["LPIPS, one sample"]["ours"]["mean"] >= 0 and table["there and back: LPIPS"]["ours"]["scenes"] == 2
    assert table["there and back: FID"]["warp only"]["mean"] > table["there and back: FID"]["ours"]["mean"] > 0
    assert "hidden Fréchet excess" in table and "| hidden Fréchet excess ↓ |" in as_markdown(table)

    assert worse_than(table, table) == []
    better = json.loads(json.dumps(table))
    better["hidden PSNR, one sample"]["ours"] |= {"mean": 60.0, "interval": [59.0, 61.0]}
    better["hidden AbsRel, one sample"]["ours"] |= {"mean": 1e-3, "interval": [1e-3, 1e-3]}
    assert [line.split(":")[0] for line in worse_than(table, better)] == [
        "hidden PSNR, one sample",
        "hidden AbsRel, one sample",
    ]


def test_switches_change_the_frames(room, pipeline, monkeypatch):
    path = room.path("walk", 6, 96, 64, reach_m=0.4)

    def frames(*switches: str) -> np.ndarray:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "ablation", Ablation())
            patch.setattr(pipeline, "settings", pipeline.settings)
            bench.set_switches(pipeline, bench.parse(["--out", "nowhere", *switches]))
            views = shoot(pipeline, room.sharp_panorama, path, 0.2, 0.2)
        return np.stack([view.colour for view in views])

    usual = frames()
    assert np.array_equal(usual, frames()) and usual.shape == (6, 64, 96, 3)
    for switches in (
        "--weights temporal",
        "--raymap off",
        "--anchors rotation",
        "--guidance off",
        "--steps 3",
        "--strength 1",
    ):
        assert not np.array_equal(usual, frames(*switches.split())), switches


def test_a_switch_sets_the_steps_of_the_panorama(room, pipeline, monkeypatch):
    monkeypatch.setattr(pipeline, "settings", pipeline.settings)
    worlds = []
    for steps in ("1", "1", "3"):
        bench.set_switches(pipeline, bench.parse(["--out", "nowhere", "--panorama-steps", steps]))
        worlds.append(pipeline.build_world(room.photo, room.camera, camera_height=1.6, width=256, seed=0).colour)
    assert np.array_equal(worlds[0], worlds[1]) and not np.array_equal(worlds[0], worlds[2])


def test_without_samples_only_views_are_judged(room, pipeline, networks, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "held_out_room", lambda seed: room)
    monkeypatch.setattr(bench, "evaluate_panorama", None)
    options = bench.parse(["--quick", "--rooms", "1", "--frames", "4", "--size", "96x64", "--out", str(tmp_path)])
    options.samples = 0
    table, _ = bench.evaluate(pipeline, options, tmp_path, networks)
    assert table and all(metric.startswith("there and back") for metric in table)


def test_real_panoramas_are_read_and_missing_ones_named(tmp_path):
    with pytest.raises(Exception, match="no panoramas there"):
        next(real_scenes(tmp_path))
    picture = np.random.default_rng(0).integers(0, 255, (128, 256, 3)).astype(np.uint8)
    write_png(tmp_path / "place.png", picture)
    scenes = list(real_scenes(tmp_path, photos=2))
    assert [scene.name for scene in scenes] == ["place 1", "place 2"]
    assert np.array_equal(np.roll(scenes[0].truth, 256, 1), scenes[1].truth)


def test_the_tables_of_the_docs_are_those_of_their_json():
    root = Path(__file__).parents[3]
    marked = {}
    for document in [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "lookbeyond").rglob("README.md")]:
        text = document.read_text("utf-8")
        if marks := re.findall(r"<!-- (?:table|study): (.+) -->", text):
            marked |= dict.fromkeys(marks, text)
            assert with_tables(text, document.parent) == text, document
    assert {
        "bench_rooms.json",
        "monitors.json faults",
        "monitors.json cost",
        "study.json",
        "speed.json warp",
        "research/service.json proven",
        "research/service.json scaling",
    } <= set(marked)
    monitors, text = marked["monitors.json faults"], marked["quick_bench.json"]
    assert "| fault | found |" in monitors and "## Panorama quality: rooms" in marked["study.json"]
    assert with_tables(monitors.replace(" of ", " off "), root / "docs") != monitors.replace(" of ", " off ")
    above, marker, table = text.partition("<!-- table: quick_bench.json -->")
    changed = above + marker + table.replace("| seam ↓ |", "| seam ↑ |")
    assert with_tables(changed, root / "docs" / "research") == text
