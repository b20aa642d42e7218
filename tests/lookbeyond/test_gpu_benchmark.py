"""The benchmark for a GPU, as far as a processor can tell: what is counted, and that all of it runs."""

import json
from dataclasses import replace

import huggingface_hub.constants
import pytest
import torch
from diffusers import WanVACETransformer3DModel
from transformers import UMT5EncoderModel

from benchmarks import counted, full_size, gpu, gpu_setups, random_weights, real_shapes
from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.pipelines import loading
from lookbeyond.pipelines.guidance import warp_guidance
from lookbeyond.presets import memory
from lookbeyond.presets.memory import MEASURES_IN
from tests.support.tiny import svd_views_pipeline, wan_vace


def test_the_shipped_preset_does_an_eighth_of_the_published_work():
    """100 frames of 576 x 1024, anchors and the autoencoder included; a GPU's times are another matter."""
    done = gpu.count_flops((576, 1024), 100)
    first, ours = done[gpu_setups.BASELINE], done[gpu_setups.SHIPPED]
    assert first["UNet"] / ours["UNet"] > 10 and first["all"] / ours["all"] > 8
    # the published description's own figure
    assert counted.flops(True, "UNet", 25, 576, 1024) / 1e12 == pytest.approx(80.0, rel=0.02)


def test_as_shipped_is_the_preset_with_all_of_its_settings():
    preset, rows = presets.get("svd-xt"), dict(gpu_setups.setups(gpu_setups.Setup(), "cpu"))
    ours, stage = rows[gpu_setups.SHIPPED], preset.stages["views"]
    assert gpu_setups.preset_of(ours, preset.frames_per_clip) == preset
    assert gpu_setups.preset_of(gpu_setups.Setup(), preset.frames_per_clip) != preset
    assert rows[gpu_setups.SHIPPED_HIDDEN] == replace(ours, hidden="a quarter")
    # and what no preset says: how it is loaded
    made, plain = gpu_setups.build_views(ours, real_shapes.TINY, 3, "cpu"), svd_views_pipeline()
    for name in ("rows_at_once", "frames_decoded_at_once"):
        assert getattr(made, name) == getattr(plain, name)
    networks = (made.unet, made.vae, made.image_encoder, made.unet_backward)
    assert {network.dtype for network in networks} == {presets.weights_dtype("cpu")}
    assert made.depth_estimator.model.dtype == getattr(torch, MEASURES_IN)
    assert isinstance(made.unet_backward, ReversedMotion)
    assert (made.unet._compiled_call_impl is not None) == ours.compile == stage.compile
    depth_estimator = real_shapes.build_depth_estimator(real_shapes.FULL, "meta").model
    measured_by = presets.get("depth-anything").stages["distance"].components["model"]
    assert depth_estimator.num_parameters() / 1e6 == pytest.approx(measured_by.parameters_m["model"], abs=0.1)
    assert made.depth_estimator.fov_deg == 90 and real_shapes.FULL["depth_estimator"]["backbone"]["image_size"] == 518


def test_every_lever_stands_alone_and_together():
    baseline = gpu_setups.Setup()
    rows = dict(gpu_setups.setups(baseline, "cpu"))
    everything = baseline
    for lever in gpu_setups.LEVERS:
        assert rows[lever.name] == replace(baseline, **lever.changes) != baseline
        everything = replace(everything, **lever.changes)
    assert rows["all"] == everything
    kept = rows[gpu_setups.KEPT]
    assert (kept.dtype, kept.decoded_at_once) == (torch.bfloat16, 4) and kept.steps == baseline.steps
    assert rows["the autoencoder in fp32"] == replace(baseline, autoencoder_dtype=torch.float32)


def test_about_a_quarter_of_a_frame_is_hidden_where_that_is_said():
    cameras = real_shapes.walk(25, 64, 36)
    shares = {}
    for hidden in ("nothing", "a quarter"):
        guidance, _ = warp_guidance(real_shapes.panorama_of_noise(2048, hidden).shrunk(512), cameras)
        shares[hidden] = 1 - float(guidance.known.mean((1, 2, 3)).min())
    assert shares["nothing"] == 0 and 0.2 < shares["a quarter"] < 0.35


def test_every_table_is_made_at_tiny_size(tmp_path, capsys):
    """The same program as on a GPU but for compiling; it asserts for itself that the work done is the work counted."""
    gpu.main(["--tiny", "--device", "cpu", "--json", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md")])
    report = json.loads((tmp_path / "a.json").read_text())
    clip = report["clip"]
    assert report["tiny"] and clip[gpu_setups.KEPT]["flops"] == clip[gpu_setups.BASELINE]["flops"]
    assert set(report["shot"]) == {
        gpu_setups.BASELINE,
        gpu_setups.KEPT,
        "all",
        gpu_setups.SHIPPED,
        gpu_setups.SHIPPED_HIDDEN,
    }
    for row in (*clip.values(), *report["shot"].values()):
        assert all(row["utilisation"][stage] > 0 for stage in ("UNet", "encode", "decode")) and "peak_gb" in row
    # nothing is left to be measured but where something is hidden
    assert clip[gpu_setups.SHIPPED_HIDDEN]["stages"]["distance"] > clip[gpu_setups.SHIPPED]["stages"]["distance"] > 0
    assert len(report["panorama"]) == 2 and report["matrix_product_flops"] > 0
    assert all(row["utilisation"]["DiT"] > 0 and "peak_gb" in row for row in report["panorama"].values())
    table = (tmp_path / "a.md").read_text()
    assert table.count("|---") >= 3 and gpu_setups.KEPT in table and "decode " in table
    assert "still to be measured" in capsys.readouterr().out


def test_tables_and_rows_are_made_one_by_one_too(tmp_path):
    options = ["--tiny", "--device", "cpu", "--json", str(tmp_path / "a.json")]
    gpu.main([*options, "--tables", "panorama"])
    report = json.loads((tmp_path / "a.json").read_text())
    assert "panorama" in report and not {"clip", "shot"} & set(report)
    gpu.main([*options, "--tables", "clip", "--rows", "channels last"])
    assert set(json.loads((tmp_path / "a.json").read_text())["clip"]) == {gpu_setups.BASELINE, "channels last"}


def test_a_preset_of_full_size_runs_from_the_hubs_layout_in_its_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "")
    monkeypatch.setattr(memory, "free_memory", memory.free_memory)
    options = ["--tiny", "--device", "cpu", "--size", "64x64", "--hub", str(tmp_path)]
    full_size.main([*options, "--preset", "svd"])
    said = capsys.readouterr().out
    assert "GB expected of 12.0 GB free on cpu" in said and "2 anchors, then 14 frames of 64 x 64" in said
    with pytest.raises(InputError, match="does not fit"):
        full_size.main([*options, "--preset", "svd", "--memory-gb", "0.01"])


def test_a_masked_video_preset_of_full_size_runs_too_its_memory_beside_its_plan(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "")
    monkeypatch.setattr(memory, "free_memory", memory.free_memory)
    monkeypatch.setattr(loading, "read_texts", loading.read_texts)
    monkeypatch.setenv("LOOKBEYOND_PRESETS_DIR", str(tmp_path / "none"))
    options = ["--tiny", "--device", "cpu", "--size", "32x64", "--frames", "5", "--hub", str(tmp_path / "hub")]
    full_size.main([*options, "--preset", "vace"])
    said = capsys.readouterr().out
    assert "one clip of 5 frames of 64 x 32" in said and "of what was planned" in said
    stages = [said.index(f"  {stage} after") for stage in ("text encoder", "loading the others", "encode", "decode")]
    assert stages == sorted(stages)


def test_random_weights_are_loaded_as_real_ones_would_be(tmp_path, monkeypatch):
    """In several files, of several types, and those that share their numbers once."""
    monkeypatch.setattr(random_weights, "SHARD_BYTES", 2000)
    tiny = wan_vace()

    def half(name: str) -> torch.dtype:
        return torch.bfloat16 if name.startswith("vace_blocks") else torch.float32

    for part, build in (
        ("transformer", lambda: WanVACETransformer3DModel(**real_shapes.VACE["tiny"])),
        ("text_encoder", lambda: UMT5EncoderModel(tiny.text_encoder.config)),
    ):
        millions = random_weights.write_network(build, tmp_path / part, half)
        made = type(build()).from_pretrained(tmp_path / part)
        assert len(list((tmp_path / part).glob("*.safetensors"))) > 1
        assert millions == made.num_parameters() / 1e6 == build().num_parameters() / 1e6
        assert all(torch.isfinite(weight).all() and weight.any() for weight in made.parameters() if weight.ndim > 1)
