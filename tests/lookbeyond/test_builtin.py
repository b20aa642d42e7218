"""What the built-in weights must show on rooms they never saw; the bench says it in full."""

import numpy as np
import pytest

from lookbeyond import presets
from lookbeyond.evaluation.bench import HeldOutRoom, evaluate_room
from lookbeyond.pipelines.scene import ScenePipeline

ROOMS, SAMPLES = 3, 4


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    scene = ScenePipeline.from_preset("builtin")
    results = [evaluate_room(scene, HeldOutRoom.from_seed(seed), SAMPLES)[0] for seed in range(ROOMS)]
    return {name: float(np.mean([result[name] for result in results])) for name in results[0]}


def test_they_are_there_and_small():
    preset = presets.get("builtin")
    assert preset.installed
    assert sum(path.stat().st_size for path in preset.folder.rglob("*.safetensors")) <= 60e6
    assert (preset.folder / "README.md").exists()


def test_what_nobody_saw_is_nearer_to_the_truth_than_the_photos_mean_colour(figures):
    assert figures[f"hidden PSNR, mean of {SAMPLES}"] > figures["hidden PSNR, mean colour"] + 1


def test_distance_is_learned(figures):
    assert figures["hidden AbsRel, one sample"] < 0.5 * figures["hidden AbsRel, seen mean"]
    assert figures["seen AbsRel, one sample"] < 0.5


def test_there_is_no_seam(figures):
    assert figures["seam"] < 1.2
