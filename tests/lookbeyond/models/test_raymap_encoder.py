"""Laws of the ray adapters and of LoRA, on a tiny UNet of Stable Video Diffusion's class."""

import json

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import nn

from lookbeyond.errors import InputError
from lookbeyond.models.lora import WEIGHTS, add_lora, fuse_lora, load_lora, lora_parameters, save_lora
from lookbeyond.models.raymap_encoder import SVD_CHANNELS, RaymapEncoder
from tests.support.tiny import randomized, svd_unet

FRAMES, HEIGHT, WIDTH = 3, 8, 12


def inputs(batch: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "sample": torch.randn(batch, FRAMES, 8, HEIGHT, WIDTH, generator=generator),
        "timestep": torch.tensor(0.5),
        "encoder_hidden_states": torch.randn(batch, 1, 16, generator=generator),
        "added_time_ids": torch.tensor([[6.0, 127.0, 0.0]]).expand(batch, -1),
    }


def rays(batch: int = 2, seed: int = 1, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(batch, FRAMES, 6, height, width, generator=torch.Generator().manual_seed(seed))


def small_encoder(unet: nn.Module) -> RaymapEncoder:
    torch.manual_seed(0)
    return RaymapEncoder.for_unet(unet, token_channels=16, block_out_channels=(8, 16), heads=2)


def trained(encoder: RaymapEncoder) -> RaymapEncoder:
    randomized(encoder)
    return encoder


@torch.no_grad()
def predict(unet: nn.Module, raymap: torch.Tensor | None = None, **changes) -> torch.Tensor:
    arguments = inputs() | changes
    return unet(**arguments, **({} if raymap is None else {"raymap": raymap})).sample


def test_without_rays_and_before_training_nothing_changes():
    unet = svd_unet()
    plain = predict(unet)
    small_encoder(unet).install(unet)
    assert torch.equal(predict(unet), plain)
    assert torch.equal(predict(unet, rays()), plain)


def test_trained_adapters_hear_the_rays_of_each_frame():
    unet = svd_unet()
    plain = predict(unet)
    trained(small_encoder(unet)).install(unet)
    predicted, other = predict(unet, rays()), predict(unet, rays(seed=2))
    assert not torch.allclose(predicted, plain) and not torch.allclose(predicted, other)
    assert torch.equal(predict(unet), plain)  # nothing stays behind
    swapped = rays()[:, [1, 0, 2]]
    assert not torch.allclose(predict(unet, swapped), predicted)


def test_a_batch_is_its_items():
    unet = svd_unet()
    trained(small_encoder(unet)).install(unet)
    both, arguments = predict(unet, rays()), inputs()
    for k in range(2):
        one = {name: value[k : k + 1] if value.ndim else value for name, value in arguments.items()}
        torch.testing.assert_close(predict(unet, rays()[k : k + 1], **one), both[k : k + 1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("height, width", [(8, 12), (9, 7), (10, 16)])
def test_any_size_of_frame(height, width):
    unet = svd_unet()
    trained(small_encoder(unet)).install(unet)
    sample = torch.zeros(2, FRAMES, 8, height, width)
    assert predict(unet, rays(height=height, width=width), sample=sample).isfinite().all()


def test_gradients_reach_every_trainable_weight_and_no_other_and_checkpointing_keeps_them():
    unet = svd_unet()
    unet.requires_grad_(False)
    encoder = trained(small_encoder(unet)).install(unet)
    lora = add_lora(unet, rank=2)
    for parameter in lora:
        nn.init.normal_(parameter, std=0.1)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            unet.enable_gradient_checkpointing()
            unet.train()
        unet.zero_grad()
        encoder.zero_grad()
        unet(**inputs(), raymap=rays()).sample.square().mean().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())
        trained_names = {name for name, parameter in unet.named_parameters() if parameter.grad is not None}
        assert trained_names and all("lora_" in name for name in trained_names)
        gradients.append([parameter.grad.clone() for parameter in [*encoder.parameters(), *lora]])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_saved_and_loaded_it_adds_the_same(tmp_path):
    unet = svd_unet()
    encoder = trained(small_encoder(unet)).install(unet)
    predicted = predict(unet, rays())
    encoder.save_pretrained(tmp_path)
    fresh = svd_unet()
    RaymapEncoder.from_pretrained(tmp_path).install(fresh)
    assert torch.equal(predict(fresh, rays()), predicted)
    # the UNet's own weights are as they were published
    assert unet.state_dict().keys() == svd_unet().state_dict().keys()


def test_an_encoder_of_another_unet_is_refused():
    encoder = small_encoder(svd_unet())
    with pytest.raises(InputError, match=r"\(32, .*\(64, "):
        encoder.install(svd_unet(block_out_channels=(64, 64)))


def test_installing_twice_adds_once():
    unet = svd_unet()
    encoder = trained(small_encoder(unet)).install(unet)
    once = predict(unet, rays())
    encoder.install(unet)
    assert torch.equal(predict(unet, rays()), once)


def test_the_full_sizes_fit_stable_video_diffusion():
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
        encoder = RaymapEncoder.for_unet(unet)
    assert encoder.config.adapter_channels == SVD_CHANNELS


def with_lora(seed: int = 0, **options) -> nn.Module:
    unet = svd_unet()
    parameters = add_lora(unet, rank=2, **options)
    torch.manual_seed(seed)
    for parameter in parameters:
        nn.init.normal_(parameter, std=0.3)
    return unet


def test_a_new_lora_changes_nothing_and_a_trained_one_something():
    unet = svd_unet()
    plain = predict(unet)
    parameters = add_lora(unet, rank=2)
    assert torch.equal(predict(unet), plain)
    assert {id(p) for p in parameters} == {id(p) for p in unet.parameters() if p.requires_grad}
    assert not torch.allclose(predict(with_lora()), plain, atol=1e-4)


def test_lora_saved_and_loaded_is_the_same_and_fused_costs_nothing(tmp_path):
    unet = with_lora()
    predicted = predict(unet)
    save_lora(unet, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", WEIGHTS]
    fresh = svd_unet()
    load_lora(fresh, tmp_path)
    assert torch.equal(predict(fresh), predicted)
    assert len(lora_parameters(fresh)) == len(lora_parameters(unet)) > 0
    fuse_lora(fresh)
    torch.testing.assert_close(predict(fresh), predicted, atol=1e-5, rtol=1e-4)
    assert fresh.state_dict().keys() == svd_unet().state_dict().keys()


def test_lora_goes_with_rays_and_the_reverse_order_of_loading(tmp_path):
    unet = with_lora()
    save_lora(unet, tmp_path)
    trained(small_encoder(unet)).install(unet)
    predicted = predict(unet, rays())
    fresh = svd_unet()
    trained(small_encoder(fresh)).install(fresh)
    load_lora(fresh, tmp_path)
    torch.testing.assert_close(predict(fresh, rays()), predicted, atol=1e-5, rtol=1e-4)


def test_a_lora_of_another_model_is_named(tmp_path):
    save_lora(with_lora(), tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path.name}.*another model.*32 wide there and 64 here"):
        load_lora(svd_unet(block_out_channels=(64, 64)), tmp_path)
    other = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(InputError, match="no layer"):
        load_lora(other, tmp_path)


def test_a_damaged_lora_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no LoRA"):
        load_lora(svd_unet(), tmp_path)
    save_lora(with_lora(), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 2
    weights = tmp_path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be read"):
        load_lora(svd_unet(), tmp_path)
