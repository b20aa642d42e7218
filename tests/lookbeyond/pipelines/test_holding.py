"""How networks are held on a device: what is on it at once by diffusers' hooks, and what other frames change in it."""

import contextlib

import diffusers
import pytest
import torch
import transformers
from diffusers import DiffusionPipeline
from diffusers.hooks import group_offloading
from torch._subclasses.fake_tensor import FakeTensorMode

from lookbeyond.pipelines.loading import place, release
from lookbeyond.presets.memory import LAYERS, LAYERS_OF_OTHERS, MemoryPlan
from tests.support.tiny import svd_views_pipeline
from tests.support.tiny_public import tiny_inpainting

IN_LAYERS = MemoryPlan("cuda", "bfloat16", "group", False, 1.0, 2.0)


class Backend:
    """A device whose streams do at once what they are told: what they hold at once stays the same."""

    def __init__(self, device):
        self.Stream = lambda: self

    def synchronize(self):
        pass

    def current_stream(self):
        return self

    def stream(self, _):
        return contextlib.nullcontext()


@pytest.fixture
def brought(monkeypatch):
    """Most parameters on the device at once since the list was emptied; the device is the processor in disguise."""
    here, most = {}, []
    onload, offload = group_offloading.ModuleGroup.onload_, group_offloading.ModuleGroup.offload_

    def tensors(group):
        own = [*group.parameters, *group.buffers]
        return own + [tensor for module in group.modules for tensor in (*module.parameters(), *module.buffers())]

    def watched_onload(group):
        onload(group)
        here.update({id(tensor): tensor.numel() for tensor in tensors(group)})
        most.append(sum(here.values()))

    def watched_offload(group):
        offload(group)
        for tensor in tensors(group):
            here.pop(id(tensor), None)

    def apply(module, onload_device, offload_type, use_stream, **_):
        assert onload_device.type == "cuda" and use_stream
        device = torch.device("cpu")
        kind = group_offloading.GroupOffloadingType(offload_type)
        config = group_offloading.GroupOffloadingConfig(
            device, device, kind, True, False, True, num_blocks_per_group=1, stream=Backend(device)
        )
        group_offloading._apply_group_offloading(module, config)

    def pinned(group):
        return contextlib.nullcontext(group.cpu_param_dict)

    monkeypatch.setattr(group_offloading, "TorchDeviceBackend", Backend)
    monkeypatch.setattr(group_offloading.ModuleGroup, "_pinned_memory_tensors", pinned)
    monkeypatch.setattr(group_offloading.ModuleGroup, "onload_", watched_onload)
    monkeypatch.setattr(group_offloading.ModuleGroup, "offload_", watched_offload)
    monkeypatch.setattr(diffusers.hooks, "apply_group_offloading", apply)
    return most


class Alone(DiffusionPipeline):
    def __init__(self, network):
        super().__init__()
        self.register_modules(network=network)


def svd():
    network = diffusers.UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
    inputs = torch.tensor(1.0), torch.empty(1, 1, 1024), torch.empty(1, 3)
    return network, lambda: network(torch.empty(1, 2, 8, 16, 16), *inputs)


def svd_image_encoder():
    config = transformers.CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=16,
        patch_size=14,
        projection_dim=1024,
    )
    network = transformers.CLIPVisionModelWithProjection(config)
    return network, lambda: network(torch.empty(1, 3, 224, 224))


def klein():
    network = diffusers.Flux2Transformer2DModel(
        num_layers=5, num_single_layers=20, num_attention_heads=24, joint_attention_dim=7680, guidance_embeds=False
    )
    places = torch.zeros(64, 4), torch.zeros(16, 4)
    return network, lambda: network(
        torch.empty(1, 64, 128), torch.empty(1, 16, 7680), torch.tensor([0.5]), *places, None
    )


def klein_text_encoder():
    config = transformers.Qwen3Config(
        hidden_size=2560, num_hidden_layers=36, intermediate_size=9728, num_key_value_heads=8, tie_word_embeddings=True
    )
    network = transformers.Qwen3ForCausalLM(config)
    return network, lambda: network(input_ids=torch.zeros(1, 16, dtype=torch.long), use_cache=False)


def wan_vace_transformer():
    network = diffusers.WanVACETransformer3DModel(
        num_attention_heads=12, ffn_dim=8960, num_layers=30, vace_layers=list(range(0, 30, 2))
    )
    return network, lambda: network(
        torch.empty(1, 16, 2, 4, 4),
        torch.tensor([500]),
        torch.empty(1, 16, 4096),
        control_hidden_states=torch.empty(1, 96, 2, 4, 4),
    )


def wan_text_encoder():
    config = transformers.UMT5Config(
        vocab_size=256384, d_model=4096, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"
    )
    network = transformers.UMT5EncoderModel(config)
    return network, lambda: network(torch.zeros(1, 16, dtype=torch.long))


def flux_text_encoder():
    config = transformers.T5Config(
        d_model=4096, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"
    )
    network = transformers.T5EncoderModel(config)
    return network, lambda: network(torch.zeros(1, 16, dtype=torch.long))


def clip_text_encoder():
    config = transformers.CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)
    network = transformers.CLIPTextModel(config)
    return network, lambda: network(torch.zeros(1, 77, dtype=torch.long))


@pytest.mark.parametrize(
    "kind, build, millions",
    [
        ("UNetSpatioTemporalConditionModel", svd, 1524.6),
        ("CLIPVisionModelWithProjection", svd_image_encoder, 632.1),
        ("Flux2KleinInpaintPipeline/transformer", klein, 3875.5),
        ("Flux2KleinInpaintPipeline/text_encoder", klein_text_encoder, 4022.5),
        ("FluxFillPipeline/text_encoder_2", flux_text_encoder, 4762.3),
        ("WanVACEPipeline/transformer", wan_vace_transformer, 2154.0),
        ("WanVACEPipeline/text_encoder", wan_text_encoder, 5680.9),
        ("", clip_text_encoder, 123.1),
    ],
)
def test_two_layers_of_the_real_networks_are_on_the_device_at_once(brought, kind, build, millions):
    """Without data. In the first forward the hooks learn the order; from the second on they bring the next layer."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        network, call = build()
        sizes = sorted(parameter.numel() for parameter in network.parameters())
        assert sum(sizes) / 1e6 == pytest.approx(millions, rel=1e-3)
        place(Alone(network.eval()), IN_LAYERS, "cuda")
        for _ in range(2):
            brought.clear()
            call()
    assert sizes[-1] <= max(brought) <= 1.001 * sum(sizes[-2:]), "what is counted where files are here"
    expected = LAYERS[kind] if kind else LAYERS_OF_OTHERS
    assert max(brought) / sum(sizes) <= expected == pytest.approx(sum(sizes[-2:]) / sum(sizes), rel=0.08)


@pytest.mark.parametrize("build", [tiny_inpainting, svd_views_pipeline])
def test_nothing_but_the_autoencoder_stays_while_layers_are_brought(brought, build):
    pipeline = build()
    pipeline.vae.to = lambda device: pipeline.vae  # there is no such device
    place(pipeline, IN_LAYERS, "cuda")
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    for name, part in parts.items():
        hooked = {
            id(tensor)
            for module in part.modules()
            if hasattr(module, "_diffusers_hook") and (hook := module._diffusers_hook.get_hook("group_offloading"))
            for tensor in (*hook.group.parameters, *(p for inner in hook.group.modules for p in inner.parameters()))
        }
        assert hooked == (set() if name == "vae" else {id(parameter) for parameter in part.parameters()}), name


def test_networks_may_be_held_in_one_way_after_another():
    """On a processor, which has nowhere to bring them from: the hooks come and go, the results are the same."""
    pipeline, results = svd_views_pipeline(), []
    torch.manual_seed(0)
    latents, inputs = torch.randn(1, 3, 8, 8, 8), (torch.tensor(5.0), torch.randn(1, 1, 16), torch.zeros(1, 3))
    for offload, chunked in (("none", False), ("model", True), ("group", True), ("model", False), ("none", False)):
        place(pipeline, MemoryPlan("cpu", "float32", offload, chunked, 1.0, 2.0), "cpu")
        hooked = [hasattr(pipeline.unet, "_hf_hook"), any(_grouped(m) for m in pipeline.unet.modules())]
        assert hooked == [offload == "model", offload == "group"]
        assert (pipeline.rows_at_once, pipeline.frames_decoded_at_once) == ((1, 1) if chunked else (2, 4))
        with torch.no_grad():
            results.append(pipeline.unet(latents, *inputs).sample)
        release(pipeline)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-4, atol=1e-4)
    assert torch.equal(results[-1], results[0])


def _grouped(module) -> bool:
    return hasattr(module, "_diffusers_hook") and module._diffusers_hook.get_hook("group_offloading") is not None


def test_previews_do_not_send_the_unet_away():
    """Between two steps the autoencoder decodes. What has a hook sends the network before it away: it has none."""
    pipeline = svd_views_pipeline()
    place(pipeline, MemoryPlan("cpu", "float32", "model", False, 1.0, 2.0), "cpu")
    hooked = {name for name, part in pipeline.components.items() if hasattr(part, "_hf_hook")}
    assert hooked == {"image_encoder", "unet"}
