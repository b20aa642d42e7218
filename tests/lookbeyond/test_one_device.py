"""Every step on a GPU: the pipelines, the bench, the benchmark and the trainers, none of which may mix two devices.

Where there is no GPU all of this is done by a process that has a pretended one (`pretend`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_setups import SHIPPED
from lookbeyond.evaluation import bench
from lookbeyond.evaluation.judge_path import evaluate_path
from lookbeyond.evaluation.perceptual import PerceptualNetworks
from lookbeyond.evaluation.scenes import held_out_room
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.pipelines.depth import DepthPipeline, MeasuredPanorama
from lookbeyond.pipelines.guidance import Guidance
from lookbeyond.pipelines.masked_video import MaskedVideoPipeline
from lookbeyond.pipelines.outpaint import OutpaintPipeline
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.views import ViewsPipeline
from lookbeyond.training import loop
from tests.lookbeyond.models.test_reversed_motion import reversed_unet
from tests.lookbeyond.pipelines import test_scene, test_svd
from tests.lookbeyond.pipelines.test_scene import room  # noqa: F401, a fixture
from tests.lookbeyond.training.test_loop import fresh_state  # noqa: F401, a fixture
from tests.lookbeyond.training.test_trainers import TRAINERS, arguments, data, small  # noqa: F401, fixtures
from tests.support.pretend import pretended_gpu
from tests.support.tiny import panorama_pipeline, svd_unet, views_pipeline, wan_vace
from tests.support.tiny_public import tiny_depth_anything, tiny_fill, tiny_inpainting, tiny_xl

PRETENDING = "LOOKBEYOND_TESTS_PRETEND"
SETTINGS = replace(test_scene.SETTINGS, name="builtin")  # a world is signed with a preset that there is


@pytest.fixture(scope="module")
def device() -> Iterator[str]:
    if torch.cuda.is_available():
        yield "cuda:0"
    elif os.environ.get(PRETENDING):
        with pretended_gpu() as name:
            yield name
    else:
        pytest.skip("no GPU is here; test_all_of_this_on_a_pretended_gpu does it on a pretended one")


@pytest.mark.skipif(torch.cuda.is_available() or bool(os.environ.get(PRETENDING)), reason="all the others do it")
def test_all_of_this_on_a_pretended_gpu():
    program = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", str(Path(__file__))]
    done = subprocess.run(program, capture_output=True, text=True, timeout=3000, env=os.environ | {PRETENDING: "1"})
    assert done.returncode == 0, done.stdout[-8000:]


def test_two_devices_in_one_operation_are_refused(device):
    here, there = torch.ones(2, device=device), torch.ones(2)
    with pytest.raises(RuntimeError, match="same device"):
        here + there
    with pytest.raises((RuntimeError, TypeError), match="numpy"):
        here.numpy()
    assert (here + torch.tensor(1.0)).tolist() == [2, 2] and (here.cpu() + there).tolist() == [2, 2]


def test_frames_with_and_without_holes_are_filled(device):
    known = torch.ones(3, 1, 40, 60)
    known[0, :, :, 20:40], known[1] = 0, 0
    generator = torch.Generator().manual_seed(0)
    parts = torch.rand(3, 3, 40, 60, generator=generator), torch.rand(3, 1, 40, 60, generator=generator) + 1, known
    filled = Guidance(*(part.to(device) for part in parts)).filled()
    expected = Guidance(*parts).filled()
    assert filled.colour.device == filled.distance.device == torch.device(device)
    torch.testing.assert_close(filled.colour.cpu(), expected.colour, atol=1e-2, rtol=0)
    torch.testing.assert_close(filled.distance.cpu(), expected.distance, atol=1e-2, rtol=0)


def test_the_backward_passes_weights_are_where_the_networks_are(device):
    forward, backward = (unet.to(device, torch.bfloat16) for unet in (svd_unet(), reversed_unet()))
    motion = ReversedMotion.from_unet(backward, forward)
    assert motion.device == torch.device(device) and motion.dtype == torch.bfloat16


def test_a_photo_becomes_a_shot(device, room):  # noqa: F811
    cameras, photo = test_scene.path(range(0, 60, 12)), np.ascontiguousarray(room.colour[80:170, 170:340])
    camera = placed_camera(170, 90, 1.5)
    shots = []
    for where in ("cpu", device):
        scene = ScenePipeline(panorama_pipeline().to(where), views_pipeline().to(where), SETTINGS)
        world = scene.build_world(photo, camera, width=512, callback=lambda *_: None)
        frames = test_scene.shoot(scene, world, cameras) + test_scene.shoot(scene, room, cameras)
        shots.append(np.stack([world.colour[::4, ::8][:32], *(frame.colour for frame in frames)]).astype(int))
    assert np.abs(shots[0] - shots[1]).mean() < 1


def masked_video_pipeline() -> MaskedVideoPipeline:
    return MaskedVideoPipeline(**wan_vace().components)


@pytest.mark.parametrize("make", [views_pipeline, masked_video_pipeline, *test_svd.MAKERS])
def test_what_was_hidden_is_made_and_measured(device, make, room):  # noqa: F811
    """A walk that uncovers much, with the network's guidance, and the estimator of distance in the holes."""
    views = make().to(device)
    if isinstance(views, ViewsPipeline) and views.whole_clips:
        views.unet.register_to_config(num_frames=4)
    panorama = MeasuredPanorama(panorama_pipeline().to(device), DepthPipeline(tiny_depth_anything()).to(device))
    views.depth_estimator = panorama.depth_estimator.with_settings({"size": 56})
    scene = ScenePipeline(panorama, views, replace(SETTINGS, strength=0.7, max_guidance_scale=3.0))
    frames = test_scene.shoot(scene, room, test_scene.path((0, 8, 16), forward=0.9))
    assert len(frames) == 3 and all(np.isfinite(frame.distance).all() for frame in frames)
    measured = scene.measure_world(room.colour, callback=lambda *_: None)
    assert np.isfinite(measured.distance).all()


@pytest.mark.parametrize("make", [tiny_inpainting, tiny_xl, tiny_fill])
def test_a_public_inpainting_model_paints(device, make):
    inpaint = make().to(device)
    inpaint.set_progress_bar_config(disable=True)
    pipeline = OutpaintPipeline(inpaint, panorama_pipeline().to(device), {"way": "views", "size": 64, "fov_deg": 100})
    photo = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    generator = torch.Generator().manual_seed(0)
    made = pipeline(photo, placed_camera(96, 96, 1.4), width=256, num_inference_steps=2, generator=generator).panorama
    assert np.ptp(made.colour) > 0 and np.isfinite(made.distance).all()


def test_the_bench_judges_a_path(device):
    scene = ScenePipeline(panorama_pipeline().to(device), views_pipeline().to(device), SETTINGS)
    options = bench.parse(["--out", ".", "--quick", "--frames", "3", "--size", "96x64", "--device", device])
    walk, _ = evaluate_path(scene, held_out_room(1), "walk", options, PerceptualNetworks({}, device))
    assert "ours" in walk.figures["walk: mTSED"]


def test_the_benchmark_runs(device, monkeypatch):
    monkeypatch.setattr(gpu, "count_flops", lambda *_: {})  # of tensors without data, on no device
    gpu.main(["--tiny", "--no-compile", "--device", device, "--tables", "clip", "--rows", SHIPPED])


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_takes_a_step(name, device, data, small, tmp_path, monkeypatch):  # noqa: F811
    """From its command to its saved weights, by all of its sources; where the device is pretended, not by autocast."""
    begin = loop.begin

    def begin_there(options, **more):
        accelerator = begin(options, **more)
        accelerator.state.device, options.device = torch.device(device), device
        return accelerator

    monkeypatch.setattr(loop, "begin", begin_there)
    trainer, sources = TRAINERS[name]
    trainer.main([*arguments(name, data, tmp_path, *sources), "--steps", "1", "--precision", "no"])
    assert [path for path in tmp_path.rglob("*.safetensors")]
