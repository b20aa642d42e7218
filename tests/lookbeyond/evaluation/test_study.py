"""The study: what cannot be made is named and the rest goes on; what is done is not done again."""

import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from lookbeyond.data.captures import read_capture
from lookbeyond.data.other_rooms import OTHER_KINDS
from lookbeyond.data.rooms import Rooms, _rotate
from lookbeyond.errors import InputError
from lookbeyond.evaluation import study, study_report
from lookbeyond.evaluation.perceptual import PerceptualNetworks
from lookbeyond.evaluation.results import OURS, Result
from lookbeyond.evaluation.scenes import held_out_room, other_scene, training_room
from lookbeyond.evaluation.study import Study
from lookbeyond.evaluation.study_captures import CAPTURED, _scale
from lookbeyond.evaluation.study_claims import said_of
from lookbeyond.evaluation.study_settings import SHIPPED, Setting, experiments
from lookbeyond.evaluation.study_walks import INPAINTED, consistency, path_of, spoiled
from lookbeyond.files import write_png
from lookbeyond.geometry.keyframes import Reach
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.pipelines.scene import ScenePipeline


@pytest.fixture(scope="module")
def scene():
    return held_out_room(100)


@pytest.fixture(scope="module")
def pipeline():
    return ScenePipeline.from_preset("builtin", "cpu")


@pytest.mark.parametrize("size", ["quick", "default", "full"])
def test_every_experiment_has_a_reference_and_its_own_labels(size):
    asked = experiments(size)
    names = ["keyframes", "overlap", "walk-in", "weights", "tau", "tau guided", "distance", "paths"]
    assert [each.name for each in asked] == names
    for each in asked:
        labels = [setting.label for setting in each.settings]
        assert len(set(labels)) == len(labels) and each.reference == each.settings[0]
    assert 0.8 in [setting.reach for setting in asked[2].settings]
    assert replace(SHIPPED, label="another", x=3.0).key == SHIPPED.key != replace(SHIPPED, raymap="off").key


def test_paths_are_what_they_are_called(scene):
    walk = path_of(scene, Setting("", most_m=9.0), 9, 96, 64)
    far = path_of(scene, Setting("", most_m=9.0, reach=0.4), 9, 96, 64)
    assert np.allclose(far[-1].position, walk[-1].position / 2)
    uneven = path_of(scene, Setting("", path="uneven"), 9, 96, 64)
    steps = np.linalg.norm(np.diff([camera.position for camera in uneven], axis=0), axis=1)
    assert (np.diff(steps) > 0).all() and steps[-1] > 5 * steps[0]
    turns = [float(one.forward @ other.forward) for one, other in pairwise(uneven)]
    assert (np.diff(turns) < 0).all() and abs(uneven[0].forward @ uneven[-1].forward) < 1e-6  # τ of turns matters too
    assert len(path_of(scene, Setting("", speed=2.0), 9, 96, 64)) == 4
    crane = path_of(scene, Setting("", path="crane"), 9, 96, 64)
    assert 0 < crane[-1].position[2] < Reach(scene.sharp_panorama).free((0, 0, 1))


def test_a_wrong_distance_is_wrong_as_it_says(scene):
    panorama = scene.sharp_panorama
    ratio = np.log(spoiled(panorama, "noise", 0.2).distance / panorama.distance)
    assert 0.05 < ratio.std() < 0.3
    assert np.allclose(spoiled(panorama, "scale", 0.2).distance, 1.2 * panorama.distance)
    edges = spoiled(panorama, "edges", 2.0).distance
    assert (edges <= panorama.distance).all() and (edges < 0.9 * panorama.distance).mean() > 0.005
    blurred = spoiled(panorama, "blur", 4.0).distance
    assert blurred.shape == panorama.distance.shape
    assert np.abs(np.diff(blurred[:, [-1, 0]])).max() < 0.5  # it goes on around the wrap


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_rooms_can_be_walked_in_and_are_other_rooms(kind):
    other = other_scene(kind, 100)
    assert other.room is not None and other.distance is not None
    if kind == "attic":  # all of it lies below a roof
        points = torch.from_numpy(other.distance[..., None] * equirectangular_directions(512, 256)).reshape(1, -1, 3)
        turned = _rotate(points.float(), -other.room.yaw[:, None])
        above = turned @ other.room.slopes[..., :3].mT + other.room.slopes[:, None, :, 3]
        indoors = ((turned - other.room.shell[:, None, 0]).abs() < other.room.shell[:, None, 1] + 1e-3).all(-1)
        assert float(above[indoors].min()) > -1e-3 and float((above.abs() < 1e-3).any(-1).float().mean()) > 0.1
        assert not other.room.free_positions(torch.tensor([[[0.0, 0.0, 4.0]]])).any()
    else:
        assert float(other.room.shell[0, 1, :2].max()) > 4.4  # the rooms of training end at 4.2 m
    assert np.isfinite(other.distance).all() and other.distance.min() > 0.1
    assert np.linalg.norm(path_of(other, SHIPPED, 3, 96, 64)[-1].position) > 0.2


def test_rooms_of_training_are_those_that_training_draws():
    (drawn,) = Rooms.from_seeds([3]).shell
    room = training_room(3).room
    assert room is not None and torch.equal(room.shell[0], drawn)
    assert not torch.equal(room.shell[0], held_out_room(3).room.shell[0])


def test_few_matches_are_no_figure():
    camera = path_of_turns()
    flat = [np.full((64, 96, 3), 128, np.uint8)] * 3
    assert all(math.isnan(value) for value in consistency(flat, camera))


def path_of_turns():
    from lookbeyond.geometry.cameras import placed_camera

    return [placed_camera(96, 64, 1.2, heading_rad=0.1 * k) for k in range(3)]


def test_what_cannot_be_made_is_named_and_what_is_done_is_kept(tmp_path):
    kept, calls = Study("", {}), []

    def make():
        calls.append(1)
        return Result({"PSNR": {OURS: 20.0}}, {"PSNR": {OURS: [20.0]}})

    def fail():
        raise InputError("the photo cannot be read; give another")

    for _ in range(2):
        assert study._kept(kept, tmp_path, "one", make, "room 1").figures["PSNR"][OURS] == 20.0
    assert len(calls) == 1
    assert study._kept(kept, tmp_path, "two", fail, "room 2") is None
    assert kept.left_out == ["room 2: the photo cannot be read; give another"]


def test_an_interrupted_study_counts_all_of_its_runs(tmp_path):
    assert study.took(tmp_path, 600.0, 90.0) == "10 minutes, 1.5 minutes of a processor"
    assert study.took(tmp_path, 300.0, 30.0) == "15 minutes, 2.0 minutes of a processor, in 2 runs"


def test_a_broken_panorama_is_named_and_the_others_are_used(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "good.png"), np.full((64, 128, 3), 90, np.uint8))
    options, kept = study.parse(["--out", "x", "--quick", "--panoramas", str(tmp_path)]), Study("", {})
    assert [name for _, name, _ in study._real_places(kept, options)] == ["good 1"]
    assert len(kept.left_out) == 1 and "broken.png" in kept.left_out[0]


def write_capture(folder, scene, with_depth: bool) -> None:
    """A walk that was filmed in a room, in a unit of half a metre and with another origin."""
    cameras = path_of(scene, Setting("", most_m=0.6), 4, 96, 64)
    views = scene.views(cameras)
    folder.mkdir()
    names = [f"{number}.png" for number in range(len(views))]
    moved = []
    for name, view in zip(names, views, strict=True):
        write_png(folder / name, view.colour)
        cosine = view.camera.rays() @ view.camera.forward
        np.save(folder / f"{name}.npy", (2 * view.distance * cosine).astype(np.float32))
        pose = view.camera.camera_to_world.copy()
        pose[:3, 3] = 2 * pose[:3, 3] + (5, 3, 1)
        moved.append(replace(view.camera, camera_to_world=pose))
    depths = [f"{name}.npy" for name in names] if with_depth else None
    write_transforms(folder / "transforms.json", moved, names, depths, {"depth_unit_scale_factor": 1.0})


def test_captures_are_compared_with_what_was_filmed_and_broken_ones_are_named(tmp_path, scene, pipeline):
    write_capture(tmp_path / "filmed", scene, True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/transforms.json").write_text("no capture")
    options = study.parse(["--out", "x", "--quick", "--captures", str(tmp_path), "--first-room", "100"])
    kept = Study("", {})
    study.run_captures(kept, pipeline, PerceptualNetworks({}, "cpu"), options, tmp_path)
    assert len(kept.left_out) == 1 and "broken" in kept.left_out[0]
    assert kept.captures["frames"][OURS] == [4.0]
    assert kept.captures["PSNR"][OURS][0] > 12 and {*kept.captures["mTSED"]} == {OURS, INPAINTED, CAPTURED}
    study_report.write(tmp_path / "out", kept, experiments("quick"))
    assert "Captures (1)" in (tmp_path / "out/report.md").read_text()


def test_a_captures_depth_says_its_scale(tmp_path, scene, pipeline):
    write_capture(tmp_path / "filmed", scene, True)
    _, distance, camera = read_capture(tmp_path / "filmed/transforms.json").frames[0].read()
    camera = replace(camera, camera_to_world=np.block([[camera.rotation, np.zeros((3, 1))], [np.array([0, 0, 0, 1])]]))
    true = scene.sharp_panorama
    assert _scale(true, camera, distance) == pytest.approx(2, rel=0.01)


def finished(rooms: int) -> Study:
    rng = np.random.default_rng(0)
    walks = {
        experiment.name: {
            setting.label: {
                "PSNR": rng.normal(25, 1, rooms).tolist(),
                "mTSED": [math.nan, *rng.uniform(0, 1, rooms - 1)],
                "drift": rng.uniform(0, 3, rooms).tolist(),
            }
            for setting in experiment.settings
        }
        for experiment in experiments("quick")
    }
    panoramas = {"rooms": {"hidden PSNR, one sample": {OURS: [17.0] * rooms, "mirrored": [14.0] * rooms}}}
    return Study(
        "lookbeyond study --quick",
        {"machine": "a <machine>"},
        walks,
        {"PSNR": [20.0] * rooms},
        {"PSNR": {OURS: [30.0, 29.0, 28.0]}, "mTSED": {OURS: [1.0, math.nan]}},
        panoramas,
        {"rooms": {OURS: 3.0}},
        ["LPIPS: no file"],
    )


def test_the_page_needs_nothing_else_and_says_what_is_missing(tmp_path):
    study_report.write(tmp_path, finished(6), experiments("quick"))
    page, text = (tmp_path / "index.html").read_text(), (tmp_path / "report.md").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "<script" not in page
    assert page.count("<img") == 1 + len(experiments("quick")) + 1
    assert "LPIPS: no file" in page and "LPIPS: no file" in text and "a &lt;machine&gt;" in page
    for name in re.findall(r"\(plots/(\d+\.png)\)", text):
        assert cv2.imread(str(tmp_path / "plots" / name)) is not None
    known = json.loads((tmp_path / "study.json").read_text())
    assert known["walks"]["keyframes"]["as shipped"]["mTSED"][0] is None
    assert "(of 5)" in text  # one room had too few matches
    assert "ours is better than mirrored (+3.00 dB [+3.00, +3.00], 6 rooms)" in text


def test_a_report_is_made_again_from_its_json(tmp_path):
    study_report.write(tmp_path, finished(6), experiments("quick"))
    report = (tmp_path / "report.md").read_text()
    without_plots = re.sub(r"!\[[^\n]*\n\n", "", report.removeprefix("# Study\n\n"))
    assert study_report.markdown_of(tmp_path / "study.json") == without_plots


def test_where_a_figure_falls_off_is_said_outside_of_its_interval_only(tmp_path):
    kept = finished(6)
    for at, label in enumerate(("as shipped", "noise 0.1", "noise 0.3")):
        kept.walks["distance"][label]["PSNR"] = [25.0 + 0.1 * room - 3 * at * (at > 1) for room in range(6)]
    study_report.write(tmp_path, kept, experiments("quick"))
    text = (tmp_path / "report.md").read_text()
    assert "- Noise, σ of its logarithm (as shipped): PSNR falls off from 0.3 on;" in text
    assert not re.search("does not fall", text)  # nobody knows that


def test_turns_are_compared_with_the_least_of_them_and_walks_with_the_shipped_one():
    paths = experiments("default")[-1]
    by_label = {each.label: each for each in paths.settings}
    assert paths.reference_of(by_label["turn 270°"]).label == "turn 10°"
    assert paths.reference_of(by_label["walk 4 m"]).label == paths.reference_of(by_label["crane"]).label == "walk 2 m"
    said = said_of(paths, {label: {"PSNR": [30.0 + at] * 6} for at, label in enumerate(by_label)})
    assert any("turn 270° is better than turn 10°" in each for each in said.others)
    assert not any("turn 10° is" in each or each.startswith("PSNR: speed x 1 ") for each in said.others)
    assert "PSNR: crane is better than walk 2 m (+16.00 dB [+16.00, +16.00], 6 rooms)." in said.found


def test_a_map_is_told_in_a_few_sentences():
    grid = experiments("default")[4]
    table = {
        each.label: {"PSNR": [20.0 + 1e-4 * at * (1 + room) for room in range(6)]}
        for at, each in enumerate(grid.settings)
    }
    claims = said_of(grid, table).found
    assert claims == [
        "PSNR: from 20.00 to 20.01 dB over the whole map. "
        "The best of its 25 places is τ_T 1, τ_q 1: +0.01 dB beside τ_T 0.2, τ_q 0.2, which claims nothing."
    ]


def test_an_empty_run_has_a_report_too(tmp_path):
    study_report.write(
        tmp_path, Study("lookbeyond study", {}, left_out=["The run was interrupted"]), experiments("quick")
    )
    assert "interrupted" in (tmp_path / "index.html").read_text()
