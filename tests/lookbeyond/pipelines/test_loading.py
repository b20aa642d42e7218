"""Presets made of saved parts, loaded by the code that loads public weights; networks are tiny and random."""

import inspect
import json
import math
import subprocess
import sys
import types
from functools import partialmethod

import numpy as np
import pytest
import torch

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.pipelines import loading
from lookbeyond.pipelines.depth import MeasuredPanorama
from lookbeyond.pipelines.loading import load_component, optimise, place
from lookbeyond.pipelines.outpaint import OutpaintPipeline
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.presets import Component
from lookbeyond.presets.memory import MemoryPlan
from tests.lookbeyond.pipelines.test_views import denoised, path, shoot, two_passes
from tests.support.tiny import panorama_pipeline, svd_views_pipeline, views_pipeline
from tests.support.tiny_public import tiny_depth_anything, tiny_inpainting

SETTINGS = {
    "title": "",
    "description": "",
    "licence": "",
    "memory_gb": 1,
    "frames_per_clip": 4,
    "panorama_steps": 2,
    "views_steps": 2,
    "strength": 1.0,
    "min_guidance_scale": 1.0,
    "max_guidance_scale": 1.0,
}
INPAINT = {
    "loads": "diffusers.StableDiffusionInpaintPipeline",
    "folder": "inpaint",
    "parts": ["unet", "vae", "text_encoder", "tokenizer", "scheduler"],
}
MODEL = {"loads": "transformers.AutoModelForDepthEstimation", "folder": "depth"}
PHOTO, CAMERA = np.full((96, 128, 3), 100, np.uint8), placed_camera(128, 96, math.radians(80))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`small`: a saved preset; `painted`: outpainting and a depth estimator of its own, views of `small`."""
    root = tmp_path_factory.mktemp("presets")
    torch.manual_seed(0)
    panorama, views = panorama_pipeline(), views_pipeline()
    panorama.save_pretrained(root / "small/panorama")
    views.save_pretrained(root / "small/views")
    tiny_inpainting().save_pretrained(root / "painted/inpaint")
    tiny_depth_anything().save_pretrained(root / "painted/depth")
    write(root, "small")
    write(
        root,
        "painted",
        panorama={
            "pipeline": "outpaint",
            "components": {"inpaint": INPAINT},
            "settings": {"size": 64, "fov_deg": 100, "way": "canvas", "guidance_scale": 1.0},
        },
    )
    write(root, "measured", panorama={"preset": "small"}, distance={"preset": "painted"})
    return root


def write(root, name, **stages):
    if stages:
        stages = {
            "views": {"preset": "small"},
            "distance": {"pipeline": "depth", "components": {"model": MODEL}, "settings": {"size": 56}},
        } | stages
    (root / name).mkdir(exist_ok=True)
    (root / name / "preset.json").write_text(json.dumps(SETTINGS | {"stages": stages}))


@pytest.fixture(autouse=True)
def only_these(folder, monkeypatch):
    monkeypatch.setattr(presets, "ROOT", folder)
    monkeypatch.setattr(presets, "weights_dtype", lambda device: torch.float32)
    presets.revision.cache_clear()
    yield
    presets.revision.cache_clear()


def test_outpainting_and_a_depth_estimator_make_a_world():
    scene, events = ScenePipeline.from_preset("painted"), []
    world = scene.build_world(PHOTO, CAMERA, camera_height=1.3, width=256, callback=lambda *event: events.append(event))
    assert (world.preset, world.camera_height, world.revision) == ("painted", 1.3, presets.revision("painted"))
    assert world.distance_model == "DepthAnythingForDepthEstimation" and world.photo_camera is CAMERA
    fractions = [fraction for fraction, _, _ in events]
    assert fractions == sorted(fractions) and any(preview is not None for *_, preview in events)
    assert scene.memory_plan.offload == "none" and "cpu" in str(scene.memory_plan)
    view = scene.fill_anchor(world, placed_camera(64, 32, 1.2), [], seed=0)
    assert view.colour.shape == (32, 64, 3)


def test_a_prompt_reaches_the_network_that_reads_it_and_is_refused_by_the_others():
    scene, heard = ScenePipeline.from_preset("painted"), []
    scene.panorama.inpaint.register_modules(tokenizer=Listening(scene.panorama.inpaint.tokenizer, heard))
    scene.build_world(PHOTO, CAMERA, width=256, prompt="a boat shed")
    assert heard and all("a boat shed" in words for words in heard)
    with pytest.raises(InputError, match="'small' takes no prompt; leave it out, or choose one that does: painted"):
        ScenePipeline.from_preset("small").build_world(PHOTO, CAMERA, width=256, prompt="a boat shed")
    with pytest.raises(InputError, match="at most 1000 characters"):
        scene.build_world(PHOTO, CAMERA, width=256, prompt="x" * 1001)


class Listening:
    """A tokenizer that notes what it is given."""

    def __init__(self, tokenizer, heard: list[str]):
        self.tokenizer, self.heard = tokenizer, heard

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def __call__(self, text, *arguments, **options):
        self.heard += [text] if isinstance(text, str) else text
        return self.tokenizer(text, *arguments, **options)


def test_a_depth_estimator_measures_another_presets_panorama():
    scene = ScenePipeline.from_preset("measured")
    assert isinstance(scene.panorama, MeasuredPanorama)
    world = scene.build_world(PHOTO, CAMERA, width=256)
    alone = ScenePipeline.from_preset("small").build_world(PHOTO, CAMERA, width=256)
    assert np.array_equal(world.colour, alone.colour) and not np.array_equal(world.distance, alone.distance)
    measured = scene.measure_world(world.colour, camera_height=world.camera_height)
    assert np.array_equal(measured.distance, world.distance)


def test_what_measures_does_so_in_float32_whatever_the_other_networks_compute_in(monkeypatch):
    """A surface that recedes by millimetres: in bfloat16 the network would see steps of centimetres."""
    monkeypatch.setattr(presets, "weights_dtype", lambda device: torch.bfloat16)
    scene = ScenePipeline.from_preset("measured")
    assert scene.panorama.panorama.transformer.dtype == torch.bfloat16
    model = scene.panorama.depth_estimator.model
    assert model.dtype == torch.float32 and scene.views.depth_estimator.model is model
    head = model.head
    head.conv3.register_forward_hook(lambda *_: torch.linspace(2.0, 2.1, 56 * 56).view(1, 1, 56, 56).to(model.dtype))
    depth = scene.panorama.depth_estimator._estimate(np.zeros((56, 56, 3), np.uint8), placed_camera(56, 56, 1.0))
    assert 0 < np.diff(np.unique(depth)).max() < 0.001


def test_an_outpainting_preset_wants_to_be_told_what_measures(folder):
    write(folder, "blind", panorama={"pipeline": "outpaint", "components": {"inpaint": INPAINT}})
    plain = json.loads((folder / "blind/preset.json").read_text())
    del plain["stages"]["distance"]
    (folder / "blind/preset.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match="needs a distance stage"):
        presets.get("blind")
    (folder / "blind/preset.json").unlink()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"folder": "inpaint", "subfolder": "vae"}, "holds a AutoencoderKL, not a UNet2DConditionModel"),
        ({"folder": "depth"}, "DepthAnythingForDepthEstimation, not a UNet2DConditionModel"),
        (INPAINT | {"loads": "diffusers.FluxFillPipeline"}, "without .*transformer"),
        (
            {"loads": "transformers.AutoModelForDepthEstimation", "folder": "inpaint", "subfolder": "text_encoder"},
            "cannot be loaded as transformers.AutoModel",
        ),
        ({"loads": "diffusers.NoSuchModel", "folder": "depth"}, "no diffusers.NoSuchModel"),
        ({"loads": "subprocess.Popen", "folder": "depth"}, "give a class of diffusers"),
        ({"folder": "nowhere"}, "no folder nowhere"),
    ],
)
def test_other_weights_than_were_expected_are_named(change, words):
    component = Component(**({"loads": "diffusers.UNet2DConditionModel"} | change))
    with pytest.raises(InputError, match=words) as error:
        load_component(presets.get("painted"), "panorama/unet", component, torch.float32)
    assert "panorama/unet" in str(error.value) or "painted" in str(error.value)


def test_weights_of_another_size_are_named(folder):
    config = folder / "painted/inpaint/unet/config.json"
    whole = config.read_text()
    config.write_text(whole.replace('"cross_attention_dim": 32', '"cross_attention_dim": 48'))
    component = Component(loads="diffusers.UNet2DConditionModel", folder="inpaint", subfolder="unet")
    with pytest.raises(InputError, match=r"cannot be loaded as diffusers.UNet2DConditionModel"):
        load_component(presets.get("painted"), "panorama/unet", component, torch.float32)
    config.write_text(whole)


def test_a_device_that_is_too_small_is_refused_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("lookbeyond.presets.memory.free_memory", lambda device: 1 << 10)
    monkeypatch.setattr(loading, "load_stage", lambda *_: pytest.fail("nothing may be loaded"))
    with pytest.raises(InputError, match=r"'painted' does not fit: at least .* GB"):
        ScenePipeline.from_preset("painted")


def test_a_lora_is_loaded_and_one_for_another_model_is_named(folder):
    from safetensors.torch import save_file

    def load(**tensors):
        save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, folder / "painted/lora.safetensors")
        return ScenePipeline.from_preset("with_lora").panorama

    components = {
        "inpaint": INPAINT | {"folder": "../painted/inpaint"},
        "lora": {"folder": "../painted", "files": ["lora.safetensors"]},
    }
    write(
        folder, "with_lora", panorama={"pipeline": "outpaint", "components": components}, distance={"preset": "painted"}
    )
    layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    loaded = load(**{f"{layer}.lora_A.weight": (2, 64), f"{layer}.lora_B.weight": (64, 2)})
    assert loaded.inpaint.get_active_adapters()
    for wrong in (
        {"transformer.block.lora_A.weight": (2, 2)},
        {f"{layer}.lora_A.weight": (2, 48), f"{layer}.lora_B.weight": (48, 2)},
    ):
        with pytest.raises(InputError, match=r"panorama/lora: .* is not a LoRA for StableDiffusionInpaint"):
            load(**wrong)


def test_outpainting_presets_say_only_what_their_classes_understand(monkeypatch):
    """Without their weights: the class is there, takes pictures as all of them do, and knows the preset's settings."""
    monkeypatch.undo()
    painted = [preset for preset in presets.available() if preset.stages and preset.stage("panorama")[1].components]
    assert {"flux-klein", "flux-klein-360", "flux-fill", "sdxl", "sd"} <= {preset.name for preset in painted}
    for preset in painted:
        _, stage = preset.stage("panorama")
        component = stage.components["inpaint"]
        kind = loading._class_of("panorama/inpaint", component)
        words = {"prompt", "image", "height", "width", "generator", "num_inference_steps", "output_type"}
        canvas = stage.settings.get("way") == "canvas"  # shows its holes in green
        words |= set() if canvas else {"mask_image"}
        assert words | {"callback_on_step_end"} <= set(inspect.signature(kind.__call__).parameters)
        OutpaintPipeline(object.__new__(kind), None, stage.settings)  # InputError for a setting it does not know
        needed, _ = kind._get_signature_keys(kind)
        assert set(needed) - set(kind._optional_components) <= set(component.parts)
        assert stage.settings["size"] % (16 if canvas else 32) == 0


@pytest.mark.parametrize("build", [tiny_inpainting, svd_views_pipeline])
def test_groups_of_blocks_are_brought_as_they_are_needed(build):
    """On a processor, which has nowhere to bring them from: the hooks run, the results are the same."""
    straight, grouped = build(), build()
    for source, copy in zip(_networks(straight), _networks(grouped), strict=True):
        copy.load_state_dict(source.state_dict())
    place(straight, None, "cpu")
    place(grouped, MemoryPlan("cpu", "float32", "group", True, 1.0, 2.0), "cpu")
    unet = grouped.unet
    assert any(hasattr(module, "_diffusers_hook") for module in unet.modules())
    assert not any(hasattr(module, "_diffusers_hook") for module in grouped.vae.modules())
    shape = (1, unet.config.in_channels, 8, 8) if build is tiny_inpainting else (1, 3, unet.config.in_channels, 8, 8)
    width = unet.config.cross_attention_dim
    inputs = {"encoder_hidden_states": torch.randn(1, 1, width)}
    if build is svd_views_pipeline:
        inputs["added_time_ids"] = torch.zeros(1, 3)
        assert grouped.rows_at_once == grouped.frames_decoded_at_once == 1
    latents = torch.randn(shape)
    with torch.no_grad():
        one, other = (p.unet(latents, torch.tensor(5.0), **inputs).sample for p in (straight, grouped))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_networks_in_another_order_of_memory_make_the_same_frames():
    pipeline, passes = svd_views_pipeline(), two_passes(path())
    weights = np.full((len(passes[0].cameras), 2), 0.5)
    before = denoised(pipeline, passes, weights)
    optimise(pipeline)
    assert pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(denoised(pipeline, passes, weights), before, atol=1e-3, rtol=1e-3)


@pytest.fixture
def compiled_by(monkeypatch):
    """Has networks compiled by another backend: the machine code of even a tiny UNet takes minutes to make."""
    usual = torch.nn.Module.compile
    torch._dynamo.reset()

    def choose(backend):
        monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(usual, backend=backend))

    yield choose
    torch._dynamo.reset()


def test_compiled_networks_make_the_same_frames_of_clips_of_any_length(compiled_by):
    compiled_by("eager")
    plain, pipeline = svd_views_pipeline(), svd_views_pipeline()
    for source, copy in zip(_networks(plain), _networks(pipeline), strict=True):
        copy.load_state_dict(source.state_dict())
    optimise(pipeline, compiled=True)
    graphs = []
    for count in (4, 6, 4):
        passes, weights = two_passes(path(frames=count)), np.full((count, 2), 0.5)
        expected = shoot(plain, passes, weights).colour
        torch.testing.assert_close(shoot(pipeline, passes, weights).colour, expected, atol=1e-3, rtol=1e-3)
        graphs.append(torch._dynamo.utils.counters["frames"]["ok"])
    assert graphs[0] < graphs[1] == graphs[2], "of each length once"


def test_networks_that_cannot_be_compiled_go_on_and_say_so(compiled_by, caplog):
    def no_compiler(graph, inputs):
        raise RuntimeError("no C++ compiler found")

    compiled_by(no_compiler)
    pipeline, passes, weights = svd_views_pipeline(), two_passes(path()), np.full((5, 2), 0.5)
    expected = shoot(pipeline, passes, weights).colour
    optimise(pipeline, channels_last=False, compiled=True)
    assert torch.equal(shoot(pipeline, passes, weights).colour, expected)
    assert torch.equal(shoot(pipeline, passes, weights).colour, expected)
    sentences = [record.getMessage() for record in caplog.records if record.name == "lookbeyond.pipelines.loading"]
    assert [sentence.split()[0] for sentence in sentences] == ["UNetSpatioTemporalConditionModel", "TemporalDecoder"]
    assert all("no C++ compiler found); it runs uncompiled" in sentence for sentence in sentences)


def _networks(pipeline):
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


def test_the_plan_is_carried_out_by_the_pipelines_own_means():
    called = []

    class Part(torch.nn.Module):
        def enable_tiling(self):
            called.append("tiling")

        def enable_forward_chunking(self):
            called.append("chunking")

    class Pipeline:
        components = types.MappingProxyType({"vae": Part(), "scheduler": object()})

        def __getattr__(self, name):
            return lambda *_, **options: called.append((name, *options))

    for offload, expected in (
        ("none", ["tiling", "chunking", ("to",)]),
        ("model", ["tiling", "chunking", ("enable_model_cpu_offload", "device")]),
    ):
        called.clear()
        plan = MemoryPlan("cuda:0", "bfloat16", offload, True, 1.0, 2.0)
        place(Pipeline(), plan, "cuda:0")
        assert [c for c in called if c[0] != "enable_attention_slicing"] == expected


def test_nobody_is_told_to_install_what_is_not_used():
    """By transformers, of an image processor that diffusers imports; in a program of its own, for it says so once."""
    program = "import transformers; import lookbeyond.pipelines.loading"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True)
    assert "torchvision" not in done.stderr
