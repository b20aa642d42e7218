"""The plan of memory: laws of the arithmetic, and the arithmetic against tensors that have shapes but no data."""

import weakref

import pytest
import torch
from diffusers import AutoencoderKL, UNetSpatioTemporalConditionModel
from huggingface_hub import constants
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.pipelines.views import ViewsPipeline
from lookbeyond.presets.memory import GB, STAYS, WORKING, Part, parts_of, plan, plan_for

# Stable Video Diffusion at 576 x 1024, 14 frames; parameters as counted on the meta device below
PIXELS = 576 * 1024
SVD = [
    Part("views/unet", 1524.6e6, 283 * PIXELS * 14, 163 * PIXELS * 14, 59e6),
    Part("views/vae", 97.7e6, 1024 * PIXELS * 4, 1024 * PIXELS, 5e6),
    Part("views/image_encoder", 632.1e6, 0, 0, 13e6),
]
# a whole network of its own
BACKWARD = Part("views/unet_backward", 1524.6e6, 283 * PIXELS * 14, 163 * PIXELS * 14, 59e6)


def test_fourteen_frames_of_576_by_1024_fit_into_12_gb():
    """By arithmetic; what a GPU really takes is measured where there is one."""
    for parts in (SVD, [*SVD, BACKWARD]):
        how = plan(parts, 12 * GB)
        assert how.offload in ("none", "model") and how.peak_gb < 11
    assert plan(SVD, 80 * GB).offload == "none" and not plan(SVD, 80 * GB).chunked
    assert "on cuda" in str(plan(SVD, 80 * GB))


def test_less_memory_never_asks_for_more_and_what_is_needed_is_said():
    ladder = [("none", False), ("none", True), ("model", False), ("model", True), ("group", True)]
    rung, free = 0, 24.0
    while free > 0.5:
        try:
            how = plan([*SVD, BACKWARD], free * GB)
        except InputError as error:
            assert "close other programs" in str(error) and f"{free:.1f} GB are free" in str(error)
            needed = float(str(error).split(" GB")[0].rpartition(" ")[2])
            assert needed > free and plan([*SVD, BACKWARD], (needed + 0.1) * GB).peak_gb < needed
            break
        assert how.peak_gb < free and ladder.index((how.offload, how.chunked)) >= rung
        rung = ladder.index((how.offload, how.chunked))
        free -= 0.25
    assert rung == len(ladder) - 1 and free > 1


def test_a_processor_has_nowhere_to_offload_to_and_its_kernels_take_more():
    assert plan(SVD, 40 * GB, device="cpu", dtype="float32").offload == "none"
    here, there = (plan(SVD, 12 * GB, device=device) for device in ("cpu", "cuda"))
    assert here.chunked and not there.chunked and here.peak_gb < 12
    with pytest.raises(InputError, match="free on cpu"):
        plan(SVD, 8 * GB, device="cpu", dtype="float32")


def test_what_has_a_type_of_its_own_is_counted_in_it():
    half, whole = (plan([Part("distance/model", 1e9, 0, 0, 0, dtype)], 80 * GB) for dtype in ("", "float32"))
    assert whole.peak_gb == 2 * half.peak_gb == 4


def test_a_text_encoder_that_is_gone_before_the_others_does_not_add_to_them():
    encoder = Part("views/video/text_encoder", 5680.9e6, 0, 0, 1096e6, first=True)
    alone, large = plan(SVD, 80 * GB), 2 * 5680.9e6 / GB
    both = plan([encoder, *SVD], 80 * GB)
    assert both.peak_gb == pytest.approx(max(alone.peak_gb, large))
    assert (alone.texts, both.texts) == ("", "whole") and "the text encoder works before the others, all" in str(both)
    small = plan([encoder, *SVD], 12 * GB)  # half of which it would not fit into
    assert small.texts == "layers" and small.peak_gb == plan(SVD, 12 * GB).peak_gb
    assert "two of its layers at a time" in str(small)
    # a processor has no other place for its layers
    with pytest.raises(InputError, match=r"at least 12\.9 GB of free memory are needed"):
        plan([encoder, Part("views/unet", 1e6, 0, 0, 0)], 12 * GB, device="cpu")


def test_what_stays_is_what_the_pipeline_of_the_views_leaves_on_the_device():
    assert set(ViewsPipeline._exclude_from_cpu_offload) == set(STAYS)
    assert not set(STAYS) & set(ViewsPipeline.model_cpu_offload_seq.split("->")), "hooks there come first"
    without_working = [Part(part.name, part.parameters, 0, 0, 0) for part in SVD]
    how = plan(without_working, 5 * GB)
    assert how.offload == "model" and how.peak_gb == pytest.approx(2 * (1524.6e6 + 97.7e6) / GB)


@pytest.fixture
def svd_xt(monkeypatch, tmp_path):
    """The shipped preset without its files."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return presets.get("svd-xt")


def test_the_work_at_hand_is_planned_not_the_largest_there_could_be(svd_xt):
    def planned(width, height, free_gb, frames=0):
        size = (width, height)
        return plan_for(svd_xt, "cuda", "bfloat16", size=size, frames=frames, free_bytes=free_gb * GB)

    assert planned(1024, 576, 80).peak_gb == plan_for(svd_xt, "cuda", "bfloat16", free_bytes=80 * GB).peak_gb
    with pytest.raises(InputError, match=r"'svd-xt' does not fit for frames of 1920 x 1088: at least .* GB") as error:
        planned(1920, 1088, 16)
    assert planned(1920, 1088, error.value.needed_gb + 0.1).offload == "group"
    with pytest.raises(InputError, match="1024 x 576"):
        planned(1024, 576, 5)
    assert planned(576, 320, 5).peak_gb < 5
    assert planned(1024, 576, 80, frames=50).peak_gb > planned(1024, 576, 80, frames=25).peak_gb
    assert planned(1024, 576, 80, frames=14) == planned(1024, 576, 80), "a pass has the preset's frames at least"


def test_text_encoders_that_stand_deep_are_brought_in_layers_too(monkeypatch, tmp_path):
    """FLUX on 8 and 12 GB: of a text encoder of 4 thousand millions a tenth is on the device, no more and no less."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    parts = {part.name: part for part in parts_of(presets.get("flux-klein"))}
    encoder = parts["panorama/inpaint/text_encoder"]
    assert encoder.layers / encoder.parameters == pytest.approx(0.103)
    assert parts["panorama/inpaint/transformer"].layers / encoder.layers < 0.5
    assert plan(list(parts.values()), 6 * GB).offload == "group"


class Peak(TorchDispatchMode):
    """Bytes alive at most, counted by the storages that operations make; `own` ones do not count."""

    def __init__(self, own):
        super().__init__()
        self.alive = dict.fromkeys((tensor.untyped_storage()._cdata for tensor in own), 0)
        self.now = self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    self.now += storage.nbytes()
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._gone, storage._cdata)
        return result

    def _gone(self, key):
        self.now -= self.alive.pop(key)


def count(build, call) -> tuple[int, float]:
    """Parameters of a network, and values alive while it works, without a byte of either."""
    with FakeTensorMode(), torch.no_grad():
        network = build().eval()
        with Peak([*network.parameters(), *network.buffers()]) as peak:
            call(network)
        return sum(p.numel() for p in network.parameters()), peak.most / 4


def test_the_counts_that_plans_use_are_those_of_the_networks():
    def unet():
        return UNetSpatioTemporalConditionModel(
            in_channels=8,
            out_channels=4,
            num_attention_heads=(5, 10, 20, 20),
            cross_attention_dim=1024,
            block_out_channels=(320, 640, 1280, 1280),
            num_frames=14,
        )

    def denoise(network):
        latents = torch.empty(1, 14, 8, 72, 128)
        network(latents, torch.tensor(1.0), torch.empty(1, 1, 1024), torch.empty(1, 3), return_dict=False)

    parameters, values = count(unet, denoise)
    assert parameters == pytest.approx(SVD[0].parameters, rel=1e-3)
    assert 2 * values / (PIXELS * 14) == pytest.approx(WORKING["UNetSpatioTemporalConditionModel"].whole, rel=0.08)

    def vae():
        blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
        return AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, **blocks)

    parameters, values = count(vae, lambda network: network.decode(torch.empty(1, 4, 64, 64)))
    assert parameters == pytest.approx(83.65e6, rel=1e-3)
    assert values / 512**2 == pytest.approx(WORKING["vae"].whole, rel=0.05)
