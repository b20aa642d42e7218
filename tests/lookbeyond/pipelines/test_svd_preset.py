"""The presets of Stable Video Diffusion, run with tiny random components in the layout that the hub has them in."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.models.lora import add_lora, save_lora
from lookbeyond.models.raymap_encoder import RaymapEncoder
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.models.sampling import ConsistencyScheduler
from lookbeyond.pipelines.depth import DepthPipeline
from lookbeyond.pipelines.loading import load_stage
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.warped_world import warp_world
from lookbeyond.presets import memory
from lookbeyond.presets.memory import parts_of
from tests.lookbeyond.models.test_reversed_motion import reversed_unet
from tests.support.tiny import randomized, shoot_plan, svd_unet, svd_views_pipeline
from tests.support.tiny_public import tiny_depth_anything

FRAMES = 5
SHIPPED = ("svd", "svd-xt", "svd-xt-lcm")


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """One folder per hub id that the shipped presets name, laid out as it is there, with tiny weights."""
    root = tmp_path_factory.mktemp("hub")
    pipeline = svd_views_pipeline()
    pipeline.unet.register_to_config(num_frames=FRAMES)
    for name in ("svd", "xt"):
        for part in ("vae", "image_encoder", "unet"):
            getattr(pipeline, part).save_pretrained(root / name / part, variant="fp16")
        pipeline.scheduler.save_pretrained(root / name / "scheduler")
    reversed_unet().save_pretrained(root / "reversed" / "svd_reverse_motion_with_attnflip" / "unet")
    distilled = svd_unet()
    with torch.no_grad():
        distilled.conv_out.bias.add_(1)
    distilled.save_pretrained(root / "distilled")
    (root / "distilled" / "diffusion_pytorch_model.safetensors").rename(
        root / "distilled" / "AnimateLCM-SVD-xt.safetensors"
    )
    torch.manual_seed(0)
    encoder = RaymapEncoder.for_unet(pipeline.unet, token_channels=16, block_out_channels=(8, 16), heads=2)
    randomized(encoder).save_pretrained(root / "own" / "raymap_encoder")
    trained = svd_unet()
    for parameter in add_lora(trained, rank=2):
        torch.nn.init.normal_(parameter, std=0.3)
    save_lora(trained, root / "own" / "lora")
    tiny_depth_anything().save_pretrained(root / "depth")
    return root


@pytest.fixture
def local(tmp_path, monkeypatch, repositories):
    """A shipped preset whose hub ids are these folders; `own`: with a raymap encoder and a LoRA of one's own."""
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path))
    presets.revision.cache_clear()
    folders = {
        "stabilityai/stable-video-diffusion-img2vid": "svd",
        "stabilityai/stable-video-diffusion-img2vid-xt": "xt",
        "fffiloni/svd_keyframe_interpolation": "reversed",
        "wangfuyun/AnimateLCM-SVD-xt": "distilled",
        "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf": "depth",
    }

    def make(name: str, own: bool = False) -> str:
        values = json.loads((presets.ROOT / name / "preset.json").read_text("utf-8"))
        values |= {"frames_per_clip": FRAMES, "views_steps": 2}
        measured = json.loads((presets.ROOT / "depth-anything" / "preset.json").read_text("utf-8"))["stages"][
            "distance"
        ]
        values["stages"]["distance"] = measured | {"settings": {"size": 56}}
        for component in (*values["stages"]["views"]["components"].values(), *measured["components"].values()):
            if hub := component.pop("hub", None):
                component["folder"] = str(repositories / folders[hub])
        mine = tmp_path / f"my-{name}"
        mine.mkdir()
        (mine / "preset.json").write_text(json.dumps(values))
        if own:
            shutil.copytree(repositories / "own", mine, dirs_exist_ok=True)
        return mine.name

    yield make
    presets.revision.cache_clear()


@pytest.fixture(scope="module")
def room() -> Panorama:
    rng = np.random.default_rng(0)
    colour = np.kron(rng.integers(0, 255, (16, 32, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    return Panorama(colour, np.full((64, 128), 2.5, np.float32), np.zeros((256, 512), np.uint8), camera_height=1.5)


def shoot(scene: ScenePipeline, room: Panorama, frames: int):
    cameras = [
        placed_camera(64, 32, math.radians(70), heading_rad=0.05 * k, position=(0.03 * k, 0, 0)) for k in range(frames)
    ]
    plan = plan_shot(cameras, room, frames_per_clip=scene.frames_per_clip)
    return cameras, plan, shoot_plan(scene, room, cameras, plan)


@pytest.mark.parametrize("name, own", [("svd", False), ("svd-xt", True), ("svd-xt-lcm", False)])
def test_a_path_of_any_length_is_shot_from_local_folders(local, room, name, own):
    """7 frames with 5 a pass: two clips, the second shorter than a pass, and three anchors, each the end of a walk."""
    scene = ScenePipeline.from_preset(local(name, own))
    counts = []
    scene.views.unet.register_forward_pre_hook(lambda module, args: counts.append(args[0].shape[1]))
    cameras, plan, shot = shoot(scene, room, 7)
    assert len(plan.anchors) == 3 and [clip.last - clip.first for clip in plan.clips] == [4, 2]
    assert set(counts) == {FRAMES}  # as many frames a pass as the network was made for
    assert [view.camera for view in shot] == cameras
    assert all(view.colour.shape == (32, 64, 3) and np.isfinite(view.distance).all() for view in shot)
    views = scene.views
    assert isinstance(views.unet_backward, ReversedMotion) == (name == "svd-xt")
    assert (views.raymap_encoder is not None) == own
    assert isinstance(views.scheduler, ConsistencyScheduler) == (name == "svd-xt-lcm")
    assert views.depth_estimator is scene.panorama.depth_estimator and isinstance(views.depth_estimator, DepthPipeline)


def test_holes_of_a_shot_are_measured_where_the_preset_has_a_depth_estimator(local, room):
    """A walk past a near box: what it hid has the estimator's distance, and without one what surrounds it has."""
    scene = ScenePipeline.from_preset(local("svd"))
    distance = room.distance.copy()
    distance[20:44, 50:60] = 0.8
    room = replace(room, distance=distance)
    camera = placed_camera(64, 32, math.radians(70), position=(0, 0.3, 0))
    hole = warp_world(room, [camera], scene.device)[0].known[0, 0].numpy() == 0
    assert hole.any()
    measured = scene.fill_anchor(room, camera, []).distance
    scene.views.depth_estimator = None
    continued = scene.fill_anchor(room, camera, []).distance
    np.testing.assert_array_equal(measured[~hole], continued[~hole])
    assert not np.allclose(measured[hole], continued[hole], rtol=1e-3)


def test_what_one_trained_oneself_makes_a_difference_and_its_absence_no_harm(local, repositories):
    load = lambda name: load_stage(presets.get(name), "views", torch.float32)  # noqa: E731
    plain = load(local("svd"))
    assert plain.raymap_encoder is None
    torch.testing.assert_close(plain.unet.state_dict(), svd_unet().state_dict())
    own = load(local("svd-xt", own=True))
    changed = [k for k, v in own.unet.state_dict().items() if not torch.equal(v, plain.unet.state_dict()[k])]
    assert changed and all("attn" in name for name in changed)
    assert own.unet.state_dict().keys() == plain.unet.state_dict().keys()
    distilled = load(local("svd-xt-lcm")).unet
    torch.testing.assert_close(distilled.conv_out.bias, plain.unet.conv_out.bias + 1)


def test_what_one_trained_oneself_goes_into_a_borrowed_stage(local, repositories, tmp_path):
    """The example of docs/presets.md, with folders that are here: as if the borrowed preset had them itself."""
    guide = (Path(__file__).parents[3] / "docs" / "presets.md").read_text("utf-8")
    examples = [json.loads(part.partition("```")[0]) for part in guide.split("```json")[1:]]
    (example,) = [one for one in examples if one["title"] == "SVD that follows cameras"]
    borrowed = local("svd")
    for stage in example["stages"].values():
        stage["preset"] = borrowed
        for name, component in stage.get("components", {}).items():
            component["folder"] = str(repositories / "own" / Path(component["folder"]).name)
            assert component["folder"].endswith(name)
    (tmp_path / "my-cameras").mkdir()
    (tmp_path / "my-cameras" / "preset.json").write_text(json.dumps(example))
    assert presets.get("my-cameras").installed
    mine = load_stage(presets.get("my-cameras"), "views", torch.float32)
    plain = load_stage(presets.get(borrowed), "views", torch.float32)
    assert mine.raymap_encoder is not None and plain.raymap_encoder is None
    changed = [k for k, v in mine.unet.state_dict().items() if not torch.equal(v, plain.unet.state_dict()[k])]
    assert changed and all("attn" in name for name in changed)
    names = {part.name for part in parts_of(presets.get("my-cameras"))}
    assert "views/raymap_encoder" in names, "it is counted"


@pytest.mark.parametrize("name, own", [("svd", False), ("svd-xt", True), ("svd-xt-lcm", False)])
def test_memory_is_planned_for_what_is_loaded_and_no_more(local, repositories, name, own):
    """Of the reversed-motion UNet a small part is kept; the count is that of the networks as they stand in memory."""
    preset = presets.get(local(name, own))
    pipeline = load_stage(preset, "views", torch.float32)
    loaded = {
        f"views/{role}": sum(value.numel() for value in part.state_dict().values())
        for role, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
    }
    views = {part.name: part for part in parts_of(preset) if part.name.startswith("views/")}
    assert {name: part.parameters for name, part in views.items()} == loaded
    largest = sorted(parameter.numel() for parameter in pipeline.unet.parameters())[-2:]
    assert views["views/unet"].layers == sum(largest)
    if own:
        whole = sum(value.numel() for value in reversed_unet().state_dict().values())
        assert loaded["views/unet_backward"] < whole / 10


def test_frames_of_another_size_are_planned_before_they_are_made(local, room, monkeypatch, caplog):
    """Memory that is too small for the preset's own size, enough for small frames, in slices for larger ones."""
    name = local("svd")
    monkeypatch.setattr(presets, "weights_dtype", lambda device: torch.float32)

    def needed(chunked: bool, *size: int) -> float:
        parts = parts_of(presets.get(name), size)
        working = [part.chunked_values if chunked else part.working_values for part in parts]
        values = sum(part.parameters for part in parts) + memory.PROCESSOR_WORKING * max(working)
        return (4 * values + memory.CONTEXT_GB * memory.GB) / (1 - memory.RESERVE)

    own, free = presets.get(name).stage("views")[1].size, 1.01 * needed(True, 128, 96)
    assert needed(False, 64, 32) < free < min(needed(False, 128, 96), needed(True, *own))
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    scene, worked = ScenePipeline.from_preset(name), []
    scene.views.unet.register_forward_pre_hook(lambda *_: worked.append(scene.views.rows_at_once))

    def anchor(width: int, height: int):
        worked.clear()
        camera = placed_camera(width, height, math.radians(70), position=(0, 0.3, 0))
        return scene.fill_anchor(room, camera, []), set(worked)

    before, at_once = anchor(64, 32)
    assert at_once == {2}
    assert anchor(128, 96)[1] == {1}
    with pytest.raises(InputError, match="does not fit for frames of 1024 x 576: at least"):
        anchor(1024, 576)
    assert not worked
    again, at_once = anchor(64, 32)
    assert at_once == {2} and np.array_equal(again.colour, before.colour), "whatever came between"
    said = [record.getMessage() for record in caplog.records if record.name == "lookbeyond.pipelines.loading"]
    assert [line.partition(". Memory: ")[0].rpartition("frames of ")[2] for line in said] == [
        "64 x 32",
        "128 x 96",
        "64 x 32",
    ]
    assert "in slices" in said[1] and "in slices" not in said[2]


def test_the_reversed_motion_of_the_real_shapes_is_what_the_preset_expects(repositories):
    with FakeTensorMode():
        unet = UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
        kept = [value.numel() for name, value in unet.state_dict().items() if ReversedMotion.keeps.fullmatch(name)]
    expected = presets.get("svd-xt").stages["views"].components["unet_backward"].parameters_m
    assert sum(kept) / 1e6 == pytest.approx(expected["unet_backward"], abs=0.05)


def test_weights_of_another_network_are_named(local, repositories):
    name = local("svd", own=True)
    folder = presets.get(name).folder
    other = svd_unet(block_out_channels=(64, 64))
    add_lora(other, rank=2)
    save_lora(other, folder / "lora")
    with pytest.raises(InputError, match=r"lora.*another model"):
        load_stage(presets.get(name), "views", torch.float32)
    distilled = local("svd-xt-lcm")
    values = json.loads((presets.get(distilled).folder / "preset.json").read_text())
    other.save_pretrained(folder / "bare")
    values["stages"]["views"]["components"]["unet_weights"] = {
        "folder": str(folder / "bare"),
        "files": ["diffusion_pytorch_model.safetensors"],
    }
    (presets.get(distilled).folder / "preset.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="another network"):
        load_stage(presets.get(distilled), "views", torch.float32)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_presets_say_what_is_missing(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    preset = presets.get(name)
    owner, stage = preset.stage("views")
    assert owner is preset and f"lookbeyond fetch {name}" in preset.missing
    assert all(component.licence for component in stage.components.values())
    with pytest.raises(InputError, match="stabilityai/stable-video-diffusion"):
        ScenePipeline.from_preset(name)
