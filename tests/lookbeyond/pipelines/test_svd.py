"""Stable Video Diffusion in the views pipeline: its own pipeline as the oracle, and what goes beyond it."""

import itertools

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import CMStochasticIterativeScheduler, EulerDiscreteScheduler, StableVideoDiffusionPipeline
from diffusers.schedulers import AysSchedules
from torch import nn
from transformers import CLIPImageProcessor

from lookbeyond.models.raymap_encoder import RaymapEncoder
from lookbeyond.models.reversed_motion import ReversedMotion
from lookbeyond.models.sampling import ConsistencyScheduler, align_your_steps, shortened
from lookbeyond.pipelines.fusion import Pass, fused_guidance
from lookbeyond.pipelines.guidance import Guidance
from lookbeyond.pipelines.views import ViewsPipeline
from tests.lookbeyond.models.test_reversed_motion import reversed_unet
from tests.lookbeyond.pipelines.test_views import FRAMES, denoised, path, shoot, two_passes, view
from tests.support.tiny import randomized, svd_views_pipeline

EVEN = np.full((FRAMES, 2), 0.5)


def published(pipeline: ViewsPipeline) -> StableVideoDiffusionPipeline:
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    theirs = StableVideoDiffusionPipeline(pipeline.vae, pipeline.image_encoder, pipeline.unet, scheduler, processor)
    theirs.set_progress_bar_config(disable=True)
    return theirs


@pytest.mark.parametrize(
    "scales, steps, sigmas",
    [((1.0, 3.0), 4, "scheduler"), ((1.0, 1.0), 3, "scheduler"), ((1.0, 3.0), 10, "align-your-steps")],
)
def test_one_direction_alone_is_the_published_pipeline_bit_for_bit(monkeypatch, scales, steps, sigmas):
    """Fusion, guidance by warps and everything after the network off: same seed, same latents, same frames."""
    # the tiny encoder takes 32 pixels where the published one takes 224
    module = "diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion"
    resize = __import__(module, fromlist=["x"])._resize_with_antialiasing
    monkeypatch.setattr(f"{module}._resize_with_antialiasing", lambda image, size: resize(image, (32, 32)))
    ours, cameras = svd_views_pipeline(), path()
    anchor = view(cameras[0], 0)
    height, width = anchor.colour.shape[:2]
    given = {"sigmas": AysSchedules["StableDiffusionVideoSigmas"]} if sigmas == "align-your-steps" else {}
    kept = []
    theirs = published(ours)(
        PIL.Image.fromarray(anchor.colour),
        height=height,
        width=width,
        num_frames=FRAMES,
        num_inference_steps=steps,
        min_guidance_scale=scales[0],
        max_guidance_scale=scales[1],
        output_type="pt",
        generator=torch.Generator().manual_seed(5),
        **given,
        callback_on_step_end=lambda pipe, step, time, state: kept.append(state["latents"][0]) or {},
    ).frames[0]

    guidance = Guidance(*(torch.zeros(FRAMES, channels, height, width) for channels in (3, 1, 1)))
    options = {
        "num_inference_steps": steps,
        "sigmas": sigmas,
        "noise_aug_strength": 0.02,
        "min_guidance_scale": scales[0],
        "max_guidance_scale": scales[1],
    }
    ours.frames_decoded_at_once = FRAMES
    passes, alone = [Pass(anchor, cameras, guidance)], np.ones((FRAMES, 1))
    latents = []
    output = shoot(
        ours,
        passes,
        alone,
        seed=5,
        **options,
        callback_on_step_end=lambda pipe, step, time, state: latents.append(state["latents"]),
    )
    assert len(latents) == len(kept) == steps
    assert all(torch.equal(one, other) for one, other in zip(latents, kept, strict=True))
    assert torch.equal((output.colour / 2 + 0.5).clamp(0, 1), theirs)


@pytest.mark.parametrize("steps", [1, 2, 25, 50])
def test_sigmas_are_the_schedulers(steps):
    pipeline = svd_views_pipeline()
    oracle = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    oracle.set_timesteps(steps)
    timesteps, whole = pipeline.sampler.timesteps(steps, 1.0, "scheduler", torch.device("cpu"))
    assert whole == steps and torch.equal(timesteps, oracle.timesteps)
    assert torch.equal(pipeline.scheduler.sigmas, oracle.sigmas)


def test_ten_steps_are_align_your_steps_all_eleven_values():
    sigmas = AysSchedules["StableDiffusionVideoSigmas"]
    assert align_your_steps(10) == sigmas and len(sigmas) == 11 and sigmas[-1] == 0
    pipeline = svd_views_pipeline()
    timesteps, _ = pipeline.sampler.timesteps(10, 1.0, "align-your-steps", torch.device("cpu"))
    torch.testing.assert_close(pipeline.scheduler.sigmas, torch.tensor(sigmas))
    torch.testing.assert_close(timesteps, 0.25 * torch.tensor(sigmas[:-1]).log())


@pytest.mark.parametrize("steps", [1, 4, 19, 25])
def test_other_numbers_of_steps_keep_align_your_steps_ends(steps):
    sigmas = align_your_steps(steps)
    assert len(sigmas) == steps + 1 and sigmas[-1] == 0 and sigmas[0] == pytest.approx(700)
    assert all(one > other for one, other in itertools.pairwise(sigmas))
    if steps > 1:
        assert sigmas[-2] == pytest.approx(0.034)


def test_a_schedule_is_shortened_without_jumps():
    sigmas = align_your_steps(10)
    assert shortened(sigmas, 1.0) == sigmas and shortened(sigmas, 0.5) == sigmas[5:]
    starts = [shortened(sigmas, strength)[0] for strength in np.linspace(0.02, 1, 50)]
    assert all(one <= other for one, other in itertools.pairwise(starts))
    between = shortened(sigmas, 0.55)
    assert between[1:] == sigmas[5:] and between[0] == pytest.approx((sigmas[4] * sigmas[5]) ** 0.5)
    assert shortened(sigmas, 0.0) == sigmas[-2:]  # one step is left


def clean_latents(pipeline: ViewsPipeline, passes: list[Pass]) -> torch.Tensor:
    return pipeline.latents.clean(fused_guidance(passes, EVEN), 1.6, torch.ones(FRAMES, dtype=torch.bool))


def test_a_warm_start_takes_fewer_steps_and_stays_near_the_guidance():
    pipeline, passes = svd_views_pipeline(), two_passes(path())
    clean = clean_latents(pipeline, passes)
    differences = []
    for strength in (0.2, 1.0):
        steps = []
        keep = lambda pipe, step, time, state, steps=steps: steps.append(state["latents"])  # noqa: E731
        options = {"num_inference_steps": 10, "sigmas": "align-your-steps", "strength": strength}
        shoot(pipeline, passes, EVEN, **options, callback_on_step_end=keep)
        differences.append((len(steps), (steps[-1] - clean).abs().mean()))
    assert [count for count, _ in differences] == [2, 10]
    assert differences[0][1] < differences[1][1]


def test_held_latents_are_the_guidance_and_holes_are_free():
    pipeline, cameras = svd_views_pipeline(), path()
    height, width = view(cameras[0], 0).colour.shape[:2]
    known = torch.ones(FRAMES, 1, height, width)
    known[:, :, :, : width // 2] = 0
    generator = torch.Generator().manual_seed(0)
    guidance = Guidance(torch.rand(FRAMES, 3, height, width, generator=generator), known + 1, known)
    passes = [Pass(view(cameras[0], 0), cameras, guidance), Pass(view(cameras[-1], 1), cameras[::-1], guidance)]
    clean = clean_latents(pipeline, passes)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    for hold, expected in ((0.0, []), (0.5, [0, 1]), (1.0, [0, 1, 2, 3])):
        seen = []
        handle = pipeline.unet.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0]))
        shoot(pipeline, passes, EVEN, num_inference_steps=4, hold=hold, strength=0.9)
        handle.remove()
        held = []
        for step, (sigma, rows) in enumerate(zip(pipeline.scheduler.sigmas[:-1], seen, strict=True)):
            expected_latents = (clean + sigma * noise) / (sigma**2 + 1) ** 0.5
            same = [
                torch.allclose(one, other, atol=1e-5)
                for one, other in zip(rows[0, :, :4], expected_latents, strict=True)
            ]
            assert same[0] and same[-1]  # the ends are the anchors
            left, right = (half(rows[0, 1:-1, :4], expected_latents[1:-1]) for half in (left_differs, right_differs))
            if not right:
                held.append(step)
            assert left or step == 0  # a start that is not pure noise is everywhere the guidance
        assert held == (expected or [0])


def left_differs(latents: torch.Tensor, expected_latents: torch.Tensor) -> bool:
    half = expected_latents.shape[-1] // 2
    return not torch.allclose(latents[..., :half], expected_latents[..., :half], atol=1e-5)


def right_differs(latents: torch.Tensor, expected_latents: torch.Tensor) -> bool:
    half = expected_latents.shape[-1] // 2
    return not torch.allclose(latents[..., half:], expected_latents[..., half:], atol=1e-5)


def test_a_consistency_sampler_notes_its_clean_frames_and_ends_with_them():
    pipeline = svd_views_pipeline()
    config = pipeline.scheduler.config
    scheduler, euler = ConsistencyScheduler.from_config(config), EulerDiscreteScheduler.from_config(config)
    for one in (scheduler, euler):
        one.set_timesteps(4)
    distilled = CMStochasticIterativeScheduler(40, sigma_min=0.002, sigma_max=700, sigma_data=1.0, rho=7)
    distilled.set_timesteps(4)
    torch.testing.assert_close(scheduler.sigmas[:4], distilled.sigmas[:4], rtol=1e-4, atol=1e-4)
    assert scheduler.sigmas[3] > 0.01 and scheduler.sigmas[4] == 0
    torch.testing.assert_close(scheduler.timesteps, 0.25 * scheduler.sigmas[:4].log())
    sample, output = torch.randn(2, 3), torch.randn(2, 3)
    for one in (scheduler, euler):
        one.scale_model_input(sample, one.timesteps[0])
    new, clean = scheduler.step(
        output, scheduler.timesteps[0], sample, generator=torch.Generator().manual_seed(0), return_dict=False
    )
    torch.testing.assert_close(clean, euler.step(output, euler.timesteps[0], sample).pred_original_sample)
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(new, clean + noise * scheduler.sigmas[1])
    pipeline.register_modules(scheduler=scheduler)
    passes = two_passes(path())
    first, again, other = (denoised(pipeline, passes, EVEN, seed, num_inference_steps=4) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.allclose(first, other)


def with_reversed_motion() -> ViewsPipeline:
    pipeline = svd_views_pipeline()
    pipeline.register_modules(unet_backward=ReversedMotion.from_unet(reversed_unet(), pipeline.unet))
    return pipeline


def with_rays() -> ViewsPipeline:
    pipeline = svd_views_pipeline()
    torch.manual_seed(0)
    encoder = RaymapEncoder.for_unet(pipeline.unet, token_channels=16, block_out_channels=(8, 16), heads=2)
    pipeline.register_modules(raymap_encoder=randomized(encoder))
    return pipeline


def with_a_network_of_its_own() -> ViewsPipeline:
    pipeline = svd_views_pipeline()
    pipeline.register_modules(unet_backward=reversed_unet())
    return pipeline


MAKERS = [svd_views_pipeline, with_reversed_motion, with_rays, with_a_network_of_its_own]


@pytest.mark.parametrize("make", MAKERS)
def test_how_much_runs_at_once_does_not_matter(make):
    """Both directions and both copies of the guidance in one forward, or as few as can be."""
    pipeline, passes = make(), two_passes(path())
    options = {"max_guidance_scale": 3.0}
    pipeline.rows_at_once = 4
    together = denoised(pipeline, passes, EVEN, **options)
    for rows in (1, 2, 3):
        pipeline.rows_at_once = rows
        apart = denoised(pipeline, passes, EVEN, **options)
        torch.testing.assert_close(apart, together, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("make", MAKERS)
def test_saved_and_loaded_in_hub_layout_it_makes_the_same_frames(make, tmp_path):
    pipeline, passes = make(), two_passes(path())
    frames = shoot(pipeline, passes, EVEN).colour
    pipeline.save_pretrained(tmp_path)
    loaded = ViewsPipeline.from_pretrained(tmp_path)
    # where a weight lies in memory may decide how its products are rounded
    torch.testing.assert_close(shoot(loaded, passes, EVEN).colour, frames, atol=1e-4, rtol=1e-4)


def test_reversed_motion_and_rays_make_a_difference_and_single_passes_do_without_the_former():
    plain, passes = svd_views_pipeline(), two_passes(path())
    usual = denoised(plain, passes, EVEN)
    assert not torch.allclose(denoised(with_reversed_motion(), passes, EVEN), usual, atol=1e-3)
    alone = np.ones((FRAMES, 1))
    assert torch.equal(denoised(with_reversed_motion(), passes[:1], alone), denoised(plain, passes[:1], alone))
    rays = with_rays()
    assert not torch.allclose(denoised(rays, passes, EVEN), usual, atol=1e-3)
    assert torch.equal(denoised(rays, passes, EVEN, raymap="off"), usual)


def test_rays_of_each_pass_are_in_its_own_anchors_frame():
    pipeline, cameras = with_rays(), path()
    forward, backward = two_passes(cameras)
    rays = pipeline.grid.rays([forward, backward], scale=2.0)
    assert rays.shape[:3] == (2, FRAMES, 6)
    ahead = torch.tensor([0.0, 0.0, 1.0])
    centre = rays[:, 0, :3].mean((-1, -2))
    for own in centre:  # an anchor sees itself straight ahead, from the origin
        assert (own / own.norm() - ahead).norm() < 0.1
    assert rays[:, 0, 3:].abs().max() == 0 and rays[:, -1, 3:].abs().max() > 0


@pytest.mark.parametrize("width, height", [(64, 64), (128, 72), (100, 40)])
def test_free_sizes(width, height):
    """576 x 1024, 512 squared and 320 x 576 scaled down; others are padded to the UNet's multiple and cropped."""
    from lookbeyond.geometry.cameras import placed_camera

    pipeline = with_rays()
    cameras = [placed_camera(width, height, 1.0, heading_rad=0.1 * k) for k in range(3)]
    guidance = Guidance(*(torch.ones(3, channels, height, width) for channels in (3, 1, 1)))
    output = shoot(pipeline, [Pass(None, cameras, guidance)], np.ones((3, 1)))
    assert output.colour.shape == (3, 3, height, width) and output.colour.isfinite().all()


def test_the_network_says_how_many_frames_a_pass_has():
    pipeline = svd_views_pipeline()
    assert pipeline.backbone.frames_per_pass == pipeline.unet.config.num_frames
    assert isinstance(pipeline.unet, nn.Module)
