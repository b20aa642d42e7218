"""Stable Video Diffusion's fine-tuning, with tiny random components in the hub's layout."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lookbeyond.errors import InputError
from lookbeyond.files import write_png
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.models.lora import lora_parameters
from lookbeyond.models.raymap_encoder import RaymapEncoder
from lookbeyond.pipelines.views import ViewsPipeline
from lookbeyond.training import svd
from tests.lookbeyond.training.test_loop import begin_anew, fresh_state  # noqa: F401, a fixture
from tests.support.tiny import svd_unet, svd_views_pipeline

FRAMES = 3


def save_model(folder, variant: str | None = "fp16", **unet) -> None:
    """As `lookbeyond fetch svd` brings it: the files of half precision, and no others."""
    pipeline = svd_views_pipeline()
    parts = {"unet": svd_unet(**unet), "vae": pipeline.vae, "image_encoder": pipeline.image_encoder}
    for name, part in parts.items():
        part.save_pretrained(folder / name, variant=variant)


def write_capture(folder, count: int = 5) -> None:
    (folder / "images").mkdir(parents=True)
    cameras = [placed_camera(72, 64, 1.2, heading_rad=0.1 * k, position=(0.1 * k, 0, 0)) for k in range(count)]
    names = [f"images/{k}.png" for k in range(count)]
    rng = np.random.default_rng(0)
    for name in names:
        write_png(folder / name, rng.integers(0, 255, (64, 72, 3), np.uint8))
    write_transforms(folder / "transforms.json", cameras, names)


def arguments(tmp_path, *more: str) -> list[str]:
    return [
        "--model",
        str(tmp_path / "model"),
        "--captures",
        str(tmp_path / "capture"),
        "--width",
        "64",
        "--height",
        "64",
        "--frames",
        str(FRAMES),
        "--rank",
        "2",
        "--device",
        "cpu",
        *more,
    ]


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"frames": torch.rand(1, FRAMES, 3, 32, 32) * 2 - 1, "rays": torch.randn(1, FRAMES, 6, 16, 16)}


def test_the_loss_falls_on_a_fixed_batch_and_the_backbone_stays(tmp_path):
    save_model(tmp_path / "model")
    backbone = svd.load_backbone(str(tmp_path / "model"), "cpu", torch.float32)
    before = {name: value.clone() for name, value in backbone.unet.state_dict().items()}
    trained = svd.adapters(backbone, rank=4)
    parameters = [p for module in trained.values() for p in module.parameters()]
    assert all(p.requires_grad for p in parameters)
    own = {id(p) for p in parameters}
    assert not [name for name, p in backbone.unet.named_parameters() if p.requires_grad and id(p) not in own]
    optimizer, losses, data = torch.optim.AdamW(parameters, lr=1e-2), [], batch()
    for _ in range(12):
        torch.manual_seed(1)
        loss = svd.denoising_loss(backbone, data)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    after = {name.replace(".base_layer", ""): value for name, value in backbone.unet.state_dict().items()}
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_objective_is_least_for_a_network_that_knows_the_clean_frames(tmp_path, monkeypatch):
    """An oracle in the network's place: SVD's preconditioning, from the clean latents and the noise level."""
    save_model(tmp_path / "model")
    backbone = svd.load_backbone(str(tmp_path / "model"), "cpu", torch.float32)
    data = batch()
    with torch.no_grad():
        clean = torch.stack([svd.encode_images(backbone.vae, frames) for frames in data["frames"]])

    class Oracle:
        def __call__(self, sample, timestep, embedding, ids, raymap):
            sigma = (4 * timestep).exp()[:, None, None, None, None]
            noisy = sample[:, :, :4] * (sigma**2 + 1).sqrt()
            # denoised = c_skip · noisy + c_out · output (Karras et al. 2022, with v-prediction)
            output = (clean - noisy / (sigma**2 + 1)) / (-sigma / (sigma**2 + 1).sqrt())
            return type("Output", (), {"sample": output})

    perfect = svd.PublishedNetworks(Oracle(), backbone.vae, backbone.image_encoder)  # type: ignore[arg-type]
    assert svd.denoising_loss(perfect, data)["loss"] < 1e-6


def test_a_run_saves_what_the_pipeline_loads_and_resumes(tmp_path):
    save_model(tmp_path / "model")
    write_capture(tmp_path / "capture")
    options = arguments(tmp_path, "--out", str(tmp_path / "out"), "--gradient-checkpointing")
    svd.main([*options, "--steps", "2"])
    begin_anew()
    svd.main([*options, "--steps", "3"])
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.safetensors")) == [
        "adapter_model.safetensors",
        "checkpoint.safetensors",
        "diffusion_pytorch_model.safetensors",
    ]
    assert not list((tmp_path / "out").rglob("*.pt")) and not list((tmp_path / "out").rglob("*.bin"))
    saved = load_file(tmp_path / "out" / "lora" / "adapter_model.safetensors")
    assert any(value.any() for name, value in saved.items() if "lora_B" in name), "it has learned something"
    tiny = svd_views_pipeline()
    unet = svd_unet()
    encoder = RaymapEncoder.from_pretrained(tmp_path / "out" / "raymap_encoder")
    pipeline = ViewsPipeline(
        tiny.vae, tiny.image_encoder, unet, tiny.scheduler, raymap_encoder=encoder, lora=tmp_path / "out" / "lora"
    )
    plain = {name: value for name, value in svd_unet().state_dict().items()}
    changed = [name for name, value in pipeline.unet.state_dict().items() if not torch.equal(value, plain[name])]
    assert changed and all("attn" in name for name in changed)


def test_what_was_trained_is_trained_on_and_for_another_model_refused(tmp_path):
    save_model(tmp_path / "model")
    write_capture(tmp_path / "capture")
    svd.main(arguments(tmp_path, "--out", str(tmp_path / "one"), "--steps", "1"))
    backbone = svd.load_backbone(str(tmp_path / "model"), "cpu", torch.float32)
    svd.adapters(backbone, 2, tmp_path / "one")
    saved = load_file(tmp_path / "one" / "lora" / "adapter_model.safetensors")
    assert sum(map(torch.Tensor.sum, lora_parameters(backbone.unet))).isclose(
        sum(map(torch.Tensor.sum, saved.values()))
    )
    save_model(tmp_path / "other", block_out_channels=(64, 64))
    other = svd.load_backbone(str(tmp_path / "other"), "cpu", torch.float32)
    with pytest.raises(InputError, match="trained for another model"):
        svd.adapters(other, 2, tmp_path / "one")
    with pytest.raises(InputError, match="holds no raymap_encoder"):
        svd.adapters(backbone, 2, tmp_path)


def test_files_of_full_precision_are_taken_where_they_are(tmp_path):
    save_model(tmp_path / "model", variant=None)
    whole = svd.load_backbone(str(tmp_path / "model"), "cpu", torch.float32)
    for name in ("unet", "vae", "image_encoder"):
        getattr(whole, name).half().save_pretrained(tmp_path / "model" / name, variant="fp16")
    again = svd.load_backbone(str(tmp_path / "model"), "cpu", torch.float32)
    assert torch.equal(again.unet.conv_in.weight, svd_unet().conv_in.weight), "not rounded"


def test_a_model_that_was_fetched_into_the_hubs_cache_is_found_by_its_id(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--someone--svd"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    save_model(cached / "snapshots" / ("0" * 40))
    backbone = svd.load_backbone("someone/svd", "cpu", torch.float32)
    assert torch.equal(backbone.unet.conv_in.weight, svd_unet().conv_in.weight)


def test_a_model_that_is_not_there_or_another_one_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none cannot be loaded as Stable Video Diffusion .* fetch"):
        svd.load_backbone(str(tmp_path / "none"), "cpu", torch.float32)
    save_model(tmp_path / "model", in_channels=4)
    with pytest.raises(InputError, match="is not conditioned on an image"):
        svd.load_backbone(str(tmp_path / "model"), "cpu", torch.float32)
    write_capture(tmp_path / "capture", count=2)
    begin_anew()
    save_model(tmp_path / "model")
    with pytest.raises(InputError, match="None of the 1 camera moves has 3 frames"):
        svd.main(arguments(tmp_path, "--out", str(tmp_path / "out"), "--steps", "1"))
    with pytest.raises(InputError, match="--width is 100; give a multiple of 64"):
        svd.main(arguments(tmp_path, "--out", str(tmp_path / "out"), "--width", "100"))


def test_half_of_the_clips_are_read_from_their_end(tmp_path):
    from lookbeyond.data.captures import read_capture

    write_capture(tmp_path / "capture")
    source = svd.MovingFrames(
        [read_capture(tmp_path / "capture" / "transforms.json")],
        count=FRAMES,
        size=(64, 64),
        factor=2,
        batch=16,
        device="cpu",
    )
    made = source(0, np.random.default_rng(0))
    assert made["frames"].shape == (16, FRAMES, 3, 64, 64) and made["rays"].shape == (16, FRAMES, 6, 32, 32)
    assert made["rays"][:, 0, 3:].abs().max() < 1e-6, "rays are told in the frame of the pass's first camera"
    to_the_right = made["rays"][:, -1, 0].mean((-1, -2))  # the camera turns left; read from its end, right
    assert to_the_right.abs().min() > 0.1 and 3 < int((to_the_right > 0).sum()) < 13
    assert torch.equal(made["frames"], source(5, np.random.default_rng(0))["frames"])
