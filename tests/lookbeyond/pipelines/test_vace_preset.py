"""The presets of Wan VACE, run with tiny random components in the layout that the hub has them in."""

import json
import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from transformers import UMT5EncoderModel

from lookbeyond import presets
from lookbeyond.errors import InputError, OutOfMemory
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.pipelines import loading
from lookbeyond.pipelines.full_size import faded, warp_frames
from lookbeyond.pipelines.loading import load_stage
from lookbeyond.pipelines.masked_video import MaskedVideoPipeline
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.presets import memory
from lookbeyond.presets.memory import GB, parts_of, plan
from tests.support.public_presets import SMALL_WIDE, save_tiny_vace, write_local
from tests.support.tiny import shoot_plan, wan_vace

FRAMES = 9


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_tiny_vace(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def local(tmp_path, monkeypatch, folders):
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path / "presets"))
    monkeypatch.setattr(presets, "weights_dtype", lambda device: torch.float32)
    presets.revision.cache_clear()
    yield lambda **changes: write_local(
        "vace", folders, tmp_path / "presets", **({"frames_per_clip": FRAMES, "views_steps": 4} | changes)
    )
    presets.revision.cache_clear()


@pytest.fixture(scope="module")
def room() -> Panorama:
    """A wall at 2.5 m with a column in front of it."""
    rng = np.random.default_rng(0)
    colour = np.kron(rng.integers(0, 255, (16, 32, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    distance = np.full((128, 256), 2.5, np.float32)
    distance[40:88, 118:128] = 0.9
    return Panorama(colour, distance, np.zeros((256, 512), np.uint8), camera_height=1.5)


def shoot(scene: ScenePipeline, room: Panorama, frames: int):
    width, height = SMALL_WIDE
    cameras = [
        placed_camera(width, height, math.radians(70), heading_rad=0.02 * k, position=(0.03 * k, 0.02 * k, 0))
        for k in range(frames)
    ]
    planned = plan_shot(cameras, room, frames_per_clip=scene.frames_per_clip)
    return cameras, shoot_plan(scene, room, cameras, planned)


def test_a_path_of_any_length_is_shot_and_what_is_known_stays_as_it_was(local, room):
    """12 frames are no 4 k + 1, nor are the clips; frames come in their order, and known pixels are the panorama's."""
    scene = ScenePipeline.from_preset(local())
    assert (
        isinstance(scene.views, MaskedVideoPipeline) and scene.views.depth_estimator is scene.panorama.depth_estimator
    )
    seen = []
    scene.views.transformer.register_forward_pre_hook(
        lambda module, args, options: seen.append(options["hidden_states"].shape), with_kwargs=True
    )
    cameras, shot = shoot(scene, room, 12)
    assert [view.camera for view in shot] == cameras
    assert seen and all(shape[-2:] == (4, 8) for shape in seen)
    for view, warped in zip(shot, warp_frames(room.shrunk_for(cameras[0]), cameras), strict=True):
        inside = np.asarray(warped.known) & (np.abs(view.distance - warped.distance) < 1e-3)
        whole = np.asarray(warped.whole)
        if whole:
            assert np.array_equal(view.colour, warped.colour)
        assert inside[warped.known].all() and np.isfinite(view.distance).all()
    again = shoot(ScenePipeline.from_preset(scene.preset), room, 12)[1]
    assert all(np.array_equal(one.colour, other.colour) for one, other in zip(shot, again, strict=True))


LEVERS = (
    {"strength": 1.0, "strength_in_holes": 1.0},
    {"strength": 0.25, "strength_in_holes": 0.25},
    {"skip": "nothing"},
    {"views_steps": 2},
    {"guided_share": 1.0},
    {"fusion": "off"},
)


def test_under_every_lever_frames_keep_their_order_and_their_known_pixels(local, room):
    scene, pictures = ScenePipeline.from_preset(local()), []
    shipped, stage = scene.settings, scene.settings.stages["views"]
    # what leaves out known frames or margins has nothing to leave out here, one pass after the other rounds otherwise
    for changes in (*LEVERS, {}, {"skip": "frames"}, {"rows_at_once": 1}):
        scene.views.rows_at_once = changes.pop("rows_at_once", 2)
        settings = {key: value for key, value in changes.items() if key in ("skip", "guided_share", "fusion")}
        views = msgspec.structs.replace(stage, settings=stage.settings | settings)
        fields = {key: value for key, value in changes.items() if key not in settings}
        scene.settings = replace(shipped, stages=shipped.stages | {"views": views}, **fields)
        cameras, shot = shoot(scene, room, 5)
        assert [view.camera for view in shot] == cameras
        pictures.append(np.stack([view.colour for view in shot]))
    warped = list(warp_frames(room.shrunk_for(cameras[0]), cameras))
    assert not all(frame.whole for frame in warped)
    # inside the feathered rim of the holes nothing but the panorama is left, whatever the network made
    for place, frame in enumerate(warped):
        deep = faded(frame.known) == 1
        assert deep.any() and all(np.array_equal(made[place][deep], frame.colour[deep]) for made in pictures)
    assert len({made.tobytes() for made in pictures[: len(LEVERS)]}) == len(LEVERS)  # and each lever does something
    assert np.abs(pictures[-1].astype(int) - pictures[len(LEVERS)]).max() <= 1


def test_the_autoencoder_keeps_its_own_type_and_the_prompt_can_be_ones_own(local, monkeypatch):
    monkeypatch.setattr(presets, "weights_dtype", lambda device: torch.bfloat16)
    name = local()
    pipeline = load_stage(presets.get(name), "views", torch.bfloat16)
    assert pipeline.vae.dtype == torch.float32
    assert pipeline.transformer.dtype == pipeline.text_encoder.dtype == torch.bfloat16
    settings = presets.get("vace").stages["views"].settings
    assert settings["prompt"] and settings["negative_prompt"] and settings["skip"] == "frames and tiles"


@pytest.mark.parametrize("held", ["whole", "layers"])
def test_texts_are_read_before_anything_else_is_loaded_and_their_encoder_is_gone(local, monkeypatch, folders, held):
    """With whatever else the preset has beside it in memory, the largest network would be there for nothing."""
    loaded, plan_first = [], memory._texts_first
    load = loading.load_component

    def watched(preset, role, component, dtype):
        loaded.append((role, component.parts))
        return load(preset, role, component, dtype)

    monkeypatch.setattr(loading, "load_component", watched)
    monkeypatch.setattr(memory, "_texts_first", lambda *given: (held, plan_first(*given)[1]))
    scene = ScenePipeline.from_preset(local())
    assert scene.memory_plan.texts == held
    first, *others = loaded
    assert first == ("views/video", ("tokenizer", "text_encoder", "scheduler"))
    assert others and not any("text_encoder" in parts for _, parts in others)
    assert scene.views.text_encoder is None
    settings = scene.settings.stages["views"].settings
    assert list(scene.views.words) == [settings["prompt"], settings["negative_prompt"]]
    whole = type(wan_vace()).from_pretrained(next(iter(folders.values())))
    for text in (*scene.views.words, "a boat shed"):  # the last one is read when it comes
        expected, _ = whole.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=512)
        (read,) = scene.views._embedded([text])
        torch.testing.assert_close(read, expected)
    assert len(loaded) == 1 + len(others) + 1 and scene.views.text_encoder is None


def test_too_little_memory_for_the_text_encoder_is_named_before_anything_is_made(local, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(UMT5EncoderModel, "forward", full)
    with pytest.raises(OutOfMemory, match=r"too little memory for the text encoder .*; close other programs"):
        ScenePipeline.from_preset(local())


def lora_for(tmp_path, transformer, name: str, rank: int = 2):
    """A LoRA of diffusers' own making for a transformer, in a folder."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    transformer.add_adapter(LoraConfig(r=rank, target_modules=["to_q", "to_v"], init_lora_weights=False))
    folder = tmp_path / name
    type(wan_vace()).save_lora_weights(folder, get_peft_model_state_dict(transformer))
    return folder


def test_a_lora_changes_the_network_and_one_of_another_size_is_refused_by_name(local, tmp_path):
    name = local()
    file = tmp_path / "presets" / name / "preset.json"
    values = json.loads(file.read_text())

    def with_lora(folder):
        values["stages"]["views"]["components"]["lora"] = {
            "folder": str(folder),
            "files": ["pytorch_lora_weights.safetensors"],
        }
        file.write_text(json.dumps(values))
        presets.revision.cache_clear()
        return load_stage(presets.get(name), "views", torch.float32)

    torch.manual_seed(3)
    fitting = with_lora(lora_for(tmp_path, wan_vace().transformer, "fits"))
    assert fitting.get_active_adapters()
    plain = wan_vace().transformer
    inputs = {
        "hidden_states": torch.ones(1, 16, 2, 4, 8),
        "timestep": torch.tensor([500]),
        "encoder_hidden_states": torch.ones(1, 5, 16),
        "control_hidden_states": torch.ones(1, 96, 2, 4, 8),
    }
    with torch.no_grad():
        assert not torch.allclose(fitting.transformer(**inputs).sample, plain(**inputs).sample)
    larger = wan_vace(num_attention_heads=4).transformer
    with pytest.raises(
        InputError, match=r"views/lora: .*larger.* is not a LoRA for WanVACEPipeline .*take one that was"
    ):
        with_lora(lora_for(tmp_path, larger, "larger"))


def test_a_distilled_preset_is_the_larger_one_with_its_lora_in_four_steps():
    fast = presets.get("vace-14b-fast")
    owner, stage = fast.stage("views")
    assert owner.name == "vace-14b" and set(stage.components) == {"video", "lora"}
    assert (fast.views_steps, fast.max_guidance_scale, fast.frames_per_clip) == (4, 1.0, 81)
    assert stage.components["lora"].licence == stage.components["video"].licence == "Apache-2.0"


def test_memory_is_planned_for_both_sizes(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    small, large = (parts_of(presets.get(name)) for name in ("vace", "vace-14b"))
    assert {part.dtype for part in small if part.name.endswith("vae")} == {"float32"}
    assert (plan(small, 9 * GB).offload, plan(large, 24 * GB).offload) == ("group", "group")
    assert plan(small, 16 * GB).offload == plan(small, 48 * GB).offload == plan(large, 80 * GB).offload == "none"
    for name in ("vace", "vace-14b", "vace-14b-fast"):
        preset = presets.get(name)
        assert plan(parts_of(preset), 200 * GB).peak_gb == pytest.approx(preset.memory_gb, rel=0.02)
