"""Laws of spatial noise diffusion; networks are tiny and random, so nothing here judges pictures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import View
from lookbeyond.pipelines.fusion import Pass, spatial_weights
from lookbeyond.pipelines.guidance import Guidance, fill_holes, image_tensor
from lookbeyond.pipelines.samplers import FlowSampler
from lookbeyond.pipelines.views import ViewsPipeline
from tests.support.tiny import svd_views_pipeline, views_pipeline

WIDTH, HEIGHT, FRAMES = 64, 32, 5


def path(turn_deg: float = 30, move: float = 1.0, frames: int = FRAMES) -> list[Camera]:
    turn = math.radians(turn_deg)
    return [
        placed_camera(WIDTH, HEIGHT, math.radians(65), heading_rad=turn * s, position=(move * s, 0, 0))
        for s in np.linspace(0, 1, frames)
    ]


def view(camera: Camera, seed: int) -> View:
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    return View(camera, colour, np.full((HEIGHT, WIDTH), 2, np.float32), np.zeros((HEIGHT, WIDTH), np.uint8))


def guidance_of(frames: int, seed: int) -> Guidance:
    generator = torch.Generator().manual_seed(seed)
    colour = torch.rand(frames, 3, HEIGHT, WIDTH, generator=generator) * 2 - 1
    known = (torch.rand(frames, 1, HEIGHT, WIDTH, generator=generator) > 0.2).float()
    return Guidance(colour, torch.full((frames, 1, HEIGHT, WIDTH), 2.0), known)


def two_passes(cameras: list[Camera]) -> list[Pass]:
    forward = Pass(view(cameras[0], 0), cameras, guidance_of(len(cameras), 0))
    return [forward, Pass(view(cameras[-1], 1), cameras[::-1], guidance_of(len(cameras), 1))]


def shoot(pipeline: ViewsPipeline, passes, weights, seed=0, **options):
    options = {"num_inference_steps": 2, "unit": 1.6, "scale": 2.0} | options
    return pipeline(passes, weights, generator=torch.Generator().manual_seed(seed), **options)


def denoised(*arguments, **options) -> torch.Tensor:
    """The latents [N, C, h, w] of the last step: what the sampler made, before any decoder."""
    kept = []
    shoot(*arguments, **options, callback_on_step_end=lambda p, s, t, state: kept.append(state["latents"]))
    return kept[-1]


@given(st.floats(-170, 170), st.floats(0, 3), st.floats(0.05, 2), st.floats(0.05, 2))
def test_weights_sum_to_one_and_belong_to_the_nearer_anchor(turn, move, tau_position, tau_rotation):
    cameras = path(turn, move, 9)
    weights = spatial_weights(cameras, [cameras[0], cameras[-1]], 2.0, tau_position, tau_rotation)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (np.diff(weights[:, 0]) <= 1e-9).all()
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-6)  # the path is its own mirror image


def test_weights_are_algorithm_1s():
    cameras = path(turn_deg=20, move=0.5)
    source, target = cameras[0], cameras[-1]
    weights = spatial_weights(cameras, [source, target], 2.0, tau_position=0.3, tau_rotation=0.4)
    tau_t, tau_q = 0.3 * 0.5, 0.4 * math.radians(20)
    for camera, (forward, _) in zip(cameras, weights, strict=True):
        scores = [
            math.exp(-math.dist(camera.position, anchor.position) / tau_t)
            * math.exp(-math.acos(min(1, float(camera.forward @ anchor.forward))) / tau_q)
            for anchor in (source, target)
        ]
        assert forward == pytest.approx(scores[0] / sum(scores))


def test_at_its_anchor_a_frame_hears_the_anchor_only():
    """The published temperatures of 1 gave 0.565 for anchors 15 degrees apart."""
    cameras = path(turn_deg=15, move=0.0)
    assert spatial_weights(cameras, [cameras[0], cameras[-1]], 2.0)[0, 0] > 0.99


@pytest.mark.parametrize("make", [views_pipeline, svd_views_pipeline])
def test_one_pass_alone_decides_where_its_weight_is_one(make):
    """With all weight on one pass, what the other is told makes no difference but at the pinned ends."""
    cameras, pipeline = path(), make()
    passes = two_passes(cameras)
    other = [passes[0], Pass(passes[1].anchor, cameras[::-1], guidance_of(FRAMES, 9))]  # the end is its anchor
    weights = np.tile([1.0, 0.0], (FRAMES, 1))
    first, second = (denoised(pipeline, p, weights) for p in (passes, other))
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("make, scale", [(views_pipeline, 1.0), (svd_views_pipeline, 3.0)])
def test_exchanging_the_passes_and_reversing_time_changes_nothing(make, scale):
    """The traps of the published code (flips of latents, noise or guidance scales mixed up) break this symmetry.

    Noise is equal in all frames here, for the mirrored clip to start from the mirrored noise.
    """
    cameras, pipeline = path(), make()
    forward, backward = two_passes(cameras)
    weights = spatial_weights(cameras, [cameras[0], cameras[-1]], 2.0)
    options = {"max_guidance_scale": scale, "strength": 1.0}
    torch_randn = torch.randn

    def same_for_all(shape, *args, **kwargs):
        return torch_randn((1, *shape[1:]), *args, **kwargs).expand(shape).clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusers.utils.torch_utils.torch.randn", same_for_all)
        straight = denoised(pipeline, [forward, backward], weights, **options)
        mirrored = denoised(pipeline, [backward, forward], weights[::-1, ::-1].copy(), **options)
    torch.testing.assert_close(mirrored.flip(0), straight, atol=2e-3, rtol=1e-3)


def test_guidance_scales_follow_the_frames():
    """Linear along each pass, blended by the same weights: with even weights every frame gets the mean scale."""
    pipeline = svd_views_pipeline()
    passes = two_passes(path())
    even = np.full((FRAMES, 2), 0.5)
    blended = denoised(pipeline, passes, even, min_guidance_scale=1.0, max_guidance_scale=3.0)
    constant = denoised(pipeline, passes, even, min_guidance_scale=2.0, max_guidance_scale=2.0)
    torch.testing.assert_close(blended, constant, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("make", [views_pipeline, svd_views_pipeline])
def test_seeds_decide(make):
    pipeline, passes = make(), two_passes(path())
    weights = np.full((FRAMES, 2), 0.5)
    first, again, other = (denoised(pipeline, passes, weights, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("make", [views_pipeline, svd_views_pipeline])
def test_a_clip_of_any_size_and_a_single_anchor(make):
    pipeline = make()
    camera = placed_camera(52, 30, math.radians(60))  # no multiple of anything
    guidance = Guidance(torch.zeros(1, 3, 30, 52), torch.ones(1, 1, 30, 52), torch.ones(1, 1, 30, 52))
    output = shoot(pipeline, [Pass(None, [camera], guidance)], np.ones((1, 1)))
    assert output.colour.shape == (1, 3, 30, 52) and output.distance.shape == (1, 1, 30, 52)
    assert torch.isfinite(output.colour).all()


def test_known_distance_is_kept_and_holes_meet_it():
    pipeline, guidance = views_pipeline(), guidance_of(1, 0)
    output = shoot(pipeline, [Pass(None, path()[:1], guidance)], np.ones((1, 1)))
    known = guidance.known > 0
    torch.testing.assert_close(output.distance[known], guidance.distance[known])
    assert (output.distance > 0).all()


@pytest.mark.parametrize("make", [views_pipeline, svd_views_pipeline])
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_a_clips_ends_are_its_anchors_even_where_nothing_else_is_told(make, strength):
    """What the network sees at both ends is the anchors' own pictures, at every step's noise level."""
    pipeline, passes = make(), two_passes(path())
    passes = [Pass(one.anchor, one.cameras, one.guidance.nothing()) for one in passes]
    seen = []
    pipeline.unet.register_forward_pre_hook(lambda module, args: seen.append(args[0][0, :, :4]))
    shoot(pipeline, passes, np.full((FRAMES, 2), 0.5), num_inference_steps=4, strength=strength, seed=3)
    generator = torch.Generator().manual_seed(3)
    last = pipeline.scheduler.sigmas[-2]  # they end with a zero
    pictures = torch.stack([image_tensor(one.anchor.colour)[0] for one in passes])
    encoded = pipeline.encode(pictures)
    channels = 4 + getattr(pipeline.unet.config, "distance_channels", 0)
    noise = torch.randn((FRAMES, channels, *encoded.shape[-2:]), generator=generator)[[0, -1], :4]
    flow = isinstance(pipeline.sampler, FlowSampler)
    expected = torch.lerp(encoded, noise, last) if flow else (encoded + last * noise) / (last**2 + 1) ** 0.5
    torch.testing.assert_close(seen[-1][[0, -1]], expected, atol=1e-4, rtol=1e-4)


def test_a_walks_last_frame_is_the_one_that_all_frames_end_with():
    for make in (views_pipeline, svd_views_pipeline):
        pipeline, passes = make(), two_passes(path())[:1]
        pipeline.frames_decoded_at_once = 1
        every, last = (shoot(pipeline, passes, np.ones((FRAMES, 1)), frames=which) for which in ("all", "last"))
        assert torch.equal(last.colour, every.colour[-1:]) and torch.equal(last.distance, every.distance[-1:])


def test_a_low_strength_stays_near_the_guidance():
    pipeline, passes = svd_views_pipeline(), two_passes(path())
    weights = np.full((FRAMES, 2), 0.5)
    clean = pipeline.latents.clean(passes[0].guidance, 1.6, torch.ones(FRAMES, dtype=torch.bool))
    begun = []
    for strength in (0.2, 1.0):
        timesteps, _ = pipeline.sampler.timesteps(2, strength, "scheduler", clean.device)
        begun.append(pipeline.sampler.noised(clean, torch.ones_like(clean), timesteps[0]))
    low, high = begun
    assert (low - clean).abs().mean() < 0.1 * (high - clean).abs().mean()
    assert shoot(pipeline, passes, weights, strength=0.2).colour.isfinite().all()


def test_saved_and_loaded_it_makes_the_same_frames(tmp_path):
    for make in (views_pipeline, svd_views_pipeline):
        pipeline, passes = make(), two_passes(path())
        pipeline.save_pretrained(tmp_path / make.__name__)
        loaded = ViewsPipeline.from_pretrained(tmp_path / make.__name__)
        weights = np.full((FRAMES, 2), 0.5)
        assert torch.equal(shoot(pipeline, passes, weights).colour, shoot(loaded, passes, weights).colour)


def test_both_directions_may_have_networks_of_their_own():
    pipeline, passes = svd_views_pipeline(), two_passes(path())
    weights = np.full((FRAMES, 2), 0.5)
    shared = denoised(pipeline, passes, weights)
    pipeline.register_modules(unet_backward=pipeline.unet)
    torch.testing.assert_close(denoised(pipeline, passes, weights), shared, atol=1e-3, rtol=1e-3)
    pipeline.register_modules(unet_backward=svd_views_pipeline().unet)
    with torch.no_grad():
        for parameter in pipeline.unet_backward.parameters():
            parameter.mul_(0.5)
    assert not torch.allclose(denoised(pipeline, passes, weights), shared, atol=1e-3)


@given(st.integers(0, 2**31 - 1))
def test_filling_holes_keeps_the_known_and_stays_in_range(seed):
    guidance = guidance_of(2, seed)
    filled = fill_holes(guidance.colour, guidance.known)
    known = (guidance.known > 0).expand_as(filled)
    assert torch.equal(filled[known], guidance.colour[known])
    assert filled.abs().max() <= 1 + 1e-5


def test_filling_a_frame_without_any_knowledge_is_finite():
    assert torch.isfinite(fill_holes(torch.rand(1, 3, 20, 30), torch.zeros(1, 1, 20, 30))).all()
