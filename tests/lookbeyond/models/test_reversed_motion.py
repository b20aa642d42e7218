"""The backward pass by the forward pass's attention maps, against maps that are written out and turned."""

import copy

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.attention_processor import Attention
from torch import nn

from benchmarks.gpu_setups import WrittenOut
from lookbeyond.errors import InputError
from lookbeyond.models.raymap_encoder import RaymapEncoder
from lookbeyond.models.reversed_motion import ReversedMotion
from tests.support.tiny import randomized, svd_unet

FRAMES = 5


def reversed_unet(seed: int = 1) -> UNetSpatioTemporalConditionModel:
    """Differs from `svd_unet` in the temporal self-attentions' to_v and to_out, as the published one does."""
    unet = svd_unet()
    torch.manual_seed(seed)
    for name, module in unet.named_modules():
        if name.endswith("attn1") and "temporal" in name:
            assert isinstance(module, Attention)
            nn.init.normal_(module.to_v.weight, std=0.3)
            nn.init.normal_(module.to_out[0].weight, std=0.3)
            nn.init.normal_(module.to_out[0].bias, std=0.3)
    return unet


def inputs(batch: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "sample": torch.randn(batch, FRAMES, 8, 8, 12, generator=generator),
        "timestep": torch.tensor(0.5),
        "encoder_hidden_states": torch.randn(batch, 1, 16, generator=generator),
        "added_time_ids": torch.tensor([[6.0, 127.0, 0.0]]).expand(batch, -1),
    }


def rows(arguments: dict[str, torch.Tensor], which: slice) -> dict[str, torch.Tensor]:
    return {name: value[which] if value.ndim else value for name, value in arguments.items()}


@torch.no_grad()
def one_after_the_other(forward, backward, arguments, pairs: int) -> torch.Tensor:
    """The published way: the forward UNet with its maps kept, then the reversed one with these maps turned."""
    forward, backward, maps = copy.deepcopy(forward), copy.deepcopy(backward), []
    for unet, turned in ((forward, False), (backward, True)):
        for name, module in unet.named_modules():
            if name.endswith("attn1") and "temporal" in name:
                module.set_processor(WrittenOut(maps, turned))
    ahead = forward(**rows(arguments, slice(None, pairs))).sample
    back = backward(**rows(arguments, slice(pairs, None))).sample
    assert not maps  # every map was used
    return torch.cat([ahead, back])


@pytest.mark.parametrize("pairs", [1, 2])
def test_one_batch_of_both_directions_is_two_networks_with_turned_maps(pairs):
    forward, backward, arguments = svd_unet(), reversed_unet(), inputs(2 * pairs)
    expected = one_after_the_other(forward, backward, arguments, pairs)
    ReversedMotion.from_unet(backward, forward).install(forward)
    with torch.no_grad():
        both = forward(**arguments, both_directions=True).sample
    torch.testing.assert_close(both, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(both[pairs:], both[:pairs], atol=1e-2)


def test_the_forward_half_is_the_forward_network():
    unet, arguments = svd_unet(), inputs(2)
    with torch.no_grad():
        plain = unet(**rows(arguments, slice(None, 1))).sample
        ReversedMotion.from_unet(reversed_unet(), unet).install(unet)
        both = unet(**arguments, both_directions=True).sample
        alone = unet(**rows(arguments, slice(None, 1))).sample
    torch.testing.assert_close(both[:1], plain, atol=1e-5, rtol=1e-5)
    assert torch.equal(alone, plain)  # nothing stays behind


def test_the_backward_half_hears_the_forward_half():
    """Its maps are the forward pass's: another forward clip is another backward result."""
    unet = svd_unet()
    ReversedMotion.from_unet(reversed_unet(), unet).install(unet)
    arguments, other = inputs(2), inputs(2)
    other["sample"] = other["sample"].clone()
    other["sample"][0] = inputs(2, seed=5)["sample"][0]
    with torch.no_grad():
        one, another = (unet(**some, both_directions=True).sample[1] for some in (arguments, other))
    assert not torch.allclose(one, another, atol=1e-4)


def test_saved_and_loaded_and_read_from_a_whole_unet_it_is_the_same(tmp_path):
    forward, backward, arguments = svd_unet(), reversed_unet(), inputs(2)
    motion = ReversedMotion.from_unet(backward, forward)
    motion.save_pretrained(tmp_path / "own")
    backward.save_pretrained(tmp_path / "whole" / "unet")
    backward.save_pretrained(tmp_path / "whole" / "unet", variant="fp16")
    sources = (
        motion,
        ReversedMotion.from_pretrained(tmp_path / "own"),
        ReversedMotion.from_pretrained(tmp_path / "whole", subfolder="unet"),
        ReversedMotion.from_pretrained(tmp_path / "whole" / "unet", variant="fp16"),
    )
    results = []
    for source in sources:
        unet = svd_unet()
        source.install(unet)
        with torch.no_grad():
            results.append(unet(**arguments, both_directions=True).sample)
    assert all(torch.equal(result, results[0]) for result in results[1:])
    half = ReversedMotion.from_pretrained(tmp_path / "whole" / "unet", torch_dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16


def test_what_does_not_belong_together_is_refused(tmp_path):
    other = reversed_unet()
    with torch.no_grad():
        other.conv_in.weight[0, 0, 0, 0] += 1
    with pytest.raises(InputError, match=r"conv_in.weight"):
        ReversedMotion.from_unet(other, svd_unet())
    motion = ReversedMotion.from_unet(reversed_unet(), svd_unet())
    with pytest.raises(InputError, match="another architecture"):
        motion.install(svd_unet(block_out_channels=(64, 64)))
    with pytest.raises(InputError, match=r"config.json"):
        ReversedMotion.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(InputError, match="holds a AutoencoderKL"):
        ReversedMotion.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "UNetSpatioTemporalConditionModel"}')
    with pytest.raises(InputError, match="no safetensors"):
        ReversedMotion.from_pretrained(tmp_path)


def test_with_rays_and_both_directions_the_network_still_compiles_as_one_graph():
    unet, arguments = svd_unet(), inputs(2)
    ReversedMotion.from_unet(reversed_unet(), unet).install(unet)
    torch.manual_seed(0)
    encoder = RaymapEncoder.for_unet(unet, token_channels=16, block_out_channels=(8, 16), heads=2)
    randomized(encoder).install(unet)
    rays = torch.randn(2, FRAMES, 6, 8, 12)
    calls = ({"raymap": rays, "both_directions": True}, {}, {"raymap": 2 * rays})
    with torch.no_grad():
        plain = [unet(**arguments, **extra).sample for extra in calls]
        unet.compile(backend="eager", fullgraph=True)
        compiled = [unet(**arguments, **extra).sample for extra in calls]
    torch._dynamo.reset()
    for one, other in zip(compiled, plain, strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.allclose(plain[0], plain[2])
