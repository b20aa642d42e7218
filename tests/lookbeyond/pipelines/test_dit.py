"""The paper's panorama network as a configuration of ours: its size, and a small one from photo to panorama."""

import math

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.models.panorama_transformer import DIT_XL_2, PanoramaTransformer, rolled
from lookbeyond.pipelines.depth import DepthPipeline, MeasuredPanorama
from lookbeyond.pipelines.panorama import PanoramaPipeline
from lookbeyond.training.panorama import flow_loss
from tests.support.tiny import image_encoder, randomized
from tests.support.tiny_public import tiny_depth_anything

SMALL = DIT_XL_2 | {
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "local_channels": 16,
    "image_embed_dim": 16,
}


def small_dit() -> PanoramaTransformer:
    torch.manual_seed(0)
    return randomized(PanoramaTransformer(**SMALL))


def pipeline() -> PanoramaPipeline:
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    network = small_dit()
    vae = AutoencoderKL(block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4, **blocks)
    return PanoramaPipeline(vae.eval(), image_encoder(), network, FlowMatchEulerDiscreteScheduler())


def test_its_size_is_the_papers():
    with torch.device("meta"):
        network = PanoramaTransformer(**DIT_XL_2)
    width, blocks = 1152, 24
    assert len(network.blocks) == blocks
    # attention 4 and feed-forward 8 matrices of the width's square in each block, as in DiT
    matrices = sum(
        layer.weight.numel() for block in network.blocks for layer in (block.qkv, block.out, block.up, block.down)
    )
    assert matrices == blocks * 12 * width**2
    total = sum(parameter.numel() for parameter in network.parameters())
    print(f"{total / 1e6:.1f} million parameters, {matrices / 1e6:.1f} of them in the blocks' matrices")
    assert matrices < total < 1.1 * matrices
    # latents of 32 x 64 (a panorama of 256 x 512) become 16 x 32 tokens
    tokens = network.patch(torch.empty(1, DIT_XL_2["local_channels"], 32, 64, device="meta"))
    assert tokens.shape == (1, width, 16, 32)


def test_it_cannot_make_a_seam():
    """What the paper's cycle-consistency loss trains for holds by construction: a roll passes through."""
    network, shift = small_dit(), 10
    latents, known = torch.randn(1, 4, 16, 32), torch.zeros(1, 1, 16, 32)
    known[..., 4:12, 10:20] = 1
    image = torch.randn(1, 16)
    with torch.no_grad():
        straight = network(latents, torch.tensor(500.0), image, latents, known)
        rolled = network(
            latents.roll(shift, -1), torch.tensor(500.0), image, latents.roll(shift, -1), known.roll(shift, -1)
        )
    torch.testing.assert_close(rolled, straight.roll(shift, -1), rtol=0, atol=1e-4)
    assert straight.std() > 0.1


def told_of(network, seed: int = 0) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, 4, 16, 32, generator=generator)
    known = torch.zeros(2, 1, 16, 32)
    known[..., 4:12, 10:20] = 1
    return latents, torch.full((2,), 500.0), torch.randn(2, 16, generator=generator), latents, known


def test_the_plain_one_has_a_seam_until_the_cycle_loss_has_taught_it():
    """The paper's own embedding of places: a turn does not pass through, and less so the longer the loss is trained."""
    losses = {}
    for weight in (0.0, 3.0):
        torch.manual_seed(0)
        network = randomized(PanoramaTransformer(**SMALL | {"wraps": False}))
        with torch.no_grad():
            apart = rolled(network, 10, *told_of(network)) - network(*told_of(network))
            assert apart.std() > 0.02 and rolled(network, 0, *told_of(network)).equal(network(*told_of(network)))
        encoder = image_encoder()
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
        latents, _, _, _, known = told_of(network)
        batch = {"clean": latents, "known": known, "photos": torch.rand(2, 3, 32, 32) * 2 - 1}
        for _ in range(25):
            loss = flow_loss(network, encoder, batch, weight)
            optimizer.zero_grad()
            loss["loss"].backward()
            optimizer.step()
            assert ("cycle" in loss) == (weight > 0)
        torch.manual_seed(7)
        losses[weight] = float(flow_loss(network, encoder, batch, 1.0)["cycle"].detach())
    print(f"what a turn changes: {losses[0.0]:.4f} without the loss, {losses[3.0]:.4f} with it")
    assert losses[3.0] < 0.7 * losses[0.0]
    # nothing to be learned where nothing can be broken
    assert flow_loss(small_dit(), encoder, batch, 1.0)["cycle"] < 1e-8


def test_a_network_with_a_seam_is_sampled_without_one():
    """Each step has it elsewhere. In the network's place one that does nothing but draw a line at the left edge."""

    def edge(hidden_states, *_):
        line = torch.zeros_like(hidden_states)
        line[..., 0] = 1
        return line

    made, known = pipeline(), torch.zeros(1, 1, 16, 32)
    made.transformer.forward = edge
    marks = {}
    for wraps in (True, False):
        made.transformer.register_to_config(wraps=wraps)
        sample = made._denoise(
            torch.zeros(1, 4, 16, 32),
            known,
            torch.zeros(1, 16),
            1,
            16,
            torch.Generator().manual_seed(0),
            lambda latents: None,
        )
        start = torch.randn((1, 4, 16, 32), generator=torch.Generator().manual_seed(0))
        marks[wraps] = (sample - start).abs().mean((0, 1, 2))
    assert marks[True].argmax() == 0 and marks[True][1:].max() < 1e-6, "one line, where the edge is"
    assert marks[False].max() < 0.3 * marks[True].max() and (marks[False] > 0).sum() > 12, "a trace of it everywhere"


def test_a_small_one_makes_a_panorama_that_a_depth_estimator_measures(tmp_path):
    made, camera = pipeline(), placed_camera(128, 96, math.radians(75))
    made.set_progress_bar_config(disable=True)
    photo = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    options = {"width": 512, "height": 128, "num_inference_steps": 2}
    with pytest.raises(InputError, match="give its preset a distance stage"):
        made(photo, camera, **options)
    made.save_pretrained(tmp_path)
    loaded = PanoramaPipeline.from_pretrained(tmp_path, local_files_only=True)
    depth_estimator = DepthPipeline(tiny_depth_anything()).with_settings({"size": 56})
    first, again = (
        MeasuredPanorama(one, depth_estimator)(
            photo, camera, generator=torch.Generator().manual_seed(0), **options
        ).panorama
        for one in (made, loaded)
    )
    assert first.colour.shape == (256, 512, 3)
    assert np.abs(first.colour.astype(int) - again.colour).max() <= 2  # the same sums, in memory laid out another way
    assert first.distance_model == "DepthAnythingForDepthEstimation"
