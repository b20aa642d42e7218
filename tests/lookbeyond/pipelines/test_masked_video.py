"""Wan VACE as the views stage: its own pipeline as the oracle, and what goes beyond it. Networks are tiny, random."""

import gc
import math

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanVACEPipeline
from PIL import Image

from lookbeyond.errors import InputError, OutOfMemory
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import View
from lookbeyond.pipelines.fusion import Pass, fused_guidance, spatial_weights
from lookbeyond.pipelines.guidance import Guidance
from lookbeyond.pipelines.masked_video import MaskedVideoPipeline
from lookbeyond.pipelines.video_mask import MASKED
from lookbeyond.presets.memory import PIXEL_VALUES
from tests.support.tiny import wan_vace

WIDTH, HEIGHT, FRAMES = 64, 32, 9


@pytest.fixture(scope="module")
def components():
    return wan_vace().components


@pytest.fixture
def ours(components):
    pipeline = MaskedVideoPipeline(**components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def path(frames: int = FRAMES) -> list[Camera]:
    return [
        placed_camera(WIDTH, HEIGHT, math.radians(65), heading_rad=0.5 * s, position=(s, 0, 0))
        for s in np.linspace(0, 1, frames)
    ]


def view(camera: Camera, seed: int) -> View:
    rng = np.random.default_rng(seed)
    colour = np.kron(rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    return View(camera, colour, np.full((HEIGHT, WIDTH), 2, np.float32), np.zeros((HEIGHT, WIDTH), np.uint8))


def known_of(kind: str, frames: int = FRAMES) -> torch.Tensor:
    known = torch.zeros(frames, 1, HEIGHT, WIDTH) if kind == "full" else torch.ones(frames, 1, HEIGHT, WIDTH)
    if kind == "mixed":
        known[3:6, :, 10:21, 30:49] = 0
    return known


def known_guidance(kind: str, frames: int = FRAMES, seed: int = 0) -> Guidance:
    colour = torch.rand(frames, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Guidance(colour, torch.full((frames, 1, HEIGHT, WIDTH), 2.0), known_of(kind, frames))


def two_passes(kind: str = "mixed") -> tuple[list[Pass], np.ndarray]:
    cameras = path()
    forward, backward = (known_guidance(kind, seed=seed) for seed in (0, 1))
    passes = [
        Pass(view(cameras[0], 0), cameras, forward),
        Pass(view(cameras[-1], 1), cameras[::-1], backward[list(range(FRAMES))[::-1]]),
    ]
    return passes, spatial_weights(cameras, [cameras[0], cameras[-1]], 2.0)


def shoot(pipeline, passes, weights, seed=0, **options):
    options = {"num_inference_steps": 3, "max_guidance_scale": 1.0} | options
    return pipeline(passes, weights, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("references", ["anchors", "none"])
@pytest.mark.parametrize("kind, scale", [("empty", 1.0), ("full", 5.0), ("mixed", 5.0)])
def test_one_pass_without_fusion_is_diffusers_own_pipeline_bit_for_bit(ours, components, kind, scale, references):
    (forward, backward), weights = two_passes(kind)
    video, mask = ours.masking.video_and_mask(forward)
    theirs = WanVACEPipeline(**components)
    theirs.set_progress_bar_config(disable=True)
    kept, latents = [], []
    expected = theirs(
        prompt="a room",
        negative_prompt="blur",
        video=video[None],
        mask=mask.expand(-1, 3, -1, -1)[None],
        reference_images=[Image.fromarray(forward.anchor.colour)] if references == "anchors" else None,
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        num_inference_steps=4,
        guidance_scale=scale,
        output_type="pt",
        generator=torch.Generator().manual_seed(7),
        callback_on_step_end=lambda pipe, step, time, state: kept.append(state["latents"]) or {},
    ).frames[0]
    output = shoot(
        ours,
        [forward, backward],
        weights,
        seed=7,
        fusion="off",
        num_inference_steps=4,
        max_guidance_scale=scale,
        prompt="a room",
        negative_prompt="blur",
        references=references,
        callback_on_step_end=lambda pipe, step, time, state: latents.append(state["latents"]),
    )
    ahead = kept[0].shape[2] - latents[0].shape[2]
    assert len(kept) == len(latents) == 4 and ahead == (references == "anchors")
    assert all(torch.equal(one[:, :, ahead:], other) for one, other in zip(kept, latents, strict=True))
    assert torch.equal((output.colour / 2 + 0.5).clamp(0, 1), expected)


def test_holes_are_grown_to_latents_and_joined_over_the_frames_of_each(ours):
    (forward, _), _ = two_passes("mixed")
    video, holes = ours.masking.video_and_mask(forward)
    # frames 3 to 5 have holes; a latent stands for frames 1 to 4, the next for 5 to 8, of which the last is an anchor
    assert [bool(frame.any()) for frame in holes] == [False, *[True] * 7, False]
    assert holes[4, 0, 8:24, 24:56].all() and holes[4].sum() == 16 * 32
    assert (video.permute(0, 2, 3, 1)[holes[:, 0] > 0] == MASKED).all()
    anchor = torch.from_numpy(forward.anchor.colour).permute(2, 0, 1) / 255
    torch.testing.assert_close(video[0], anchor, atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [5, 9, 17, 81])
def test_a_hole_in_any_one_frame_is_read_for_the_latent_of_that_frame(ours, count):
    """The model looks at one frame's mask in four, not always at one of the latent's own."""
    cameras = path(count)
    for frame in range(1, count - 1, 1 if count < 80 else 13):
        guidance = known_guidance("empty", count)
        guidance.known[frame, :, 5, 5] = 0
        _, holes = ours.masking.video_and_mask(Pass(view(cameras[0], 0), cameras, guidance))
        read = ours.prepare_masks(holes.expand(-1, 3, -1, -1).transpose(0, 1)[None], [[]])
        assert read.shape == (1, 64, (count + 3) // 4, HEIGHT // 8, WIDTH // 8)
        assert read[0, :, 1 + (frame - 1) // 4, 0, 0].all() and not read[..., 1:, 1:].any()


def test_both_ends_of_a_clip_are_its_anchors_in_both_passes(ours):
    (forward, backward), _ = two_passes("full")
    for one, is_backward, place in ((forward, False, 0), (backward, True, -1)):
        video, holes = ours.masking.video_and_mask(one, is_backward)
        anchor = torch.from_numpy(one.anchor.colour).permute(2, 0, 1) / 255
        torch.testing.assert_close(video[place], anchor, atol=1e-6, rtol=0)
        assert not holes[[0, -1]].any() and holes[1:-1].all()


def test_velocities_are_fused_by_the_weights_of_the_frames_of_each_latent(ours, components):
    """What the network says of one pass and of the other, mixed by hand, is what the scheduler is given."""
    passes, weights = two_passes()
    said, given = [], []
    handle = components["transformer"].register_forward_hook(lambda module, args, result: said.append(result[0]))
    step = ours.scheduler.step
    try:
        ours.scheduler.step = lambda velocity, *args, **options: (
            given.append(velocity) or step(velocity, *args, **options)
        )
        shoot(ours, passes, weights)
    finally:
        handle.remove()
        del ours.scheduler.step
    assert len(said) == len(given) == 3
    mean = np.array([weights[0], weights[1:5].mean(0), weights[5:9].mean(0)])
    assert mean[0, 0] > 0.9 > mean[1, 0] > 0.5 > mean[2, 0]
    for both, fused in zip(said, given, strict=True):
        forward, backward = both[:, :, 1:]
        share = torch.tensor(mean[:, 0], dtype=torch.float32)[:, None, None]
        torch.testing.assert_close(fused[0, :, 2:], share * forward + (1 - share) * backward)
        torch.testing.assert_close(fused[0, :, :2], both[:, :, 0].transpose(0, 1))  # each its own reference


def test_a_pass_that_weighs_nothing_changes_nothing(ours):
    passes, _ = two_passes()
    alone = np.tile([1.0, 0.0], (FRAMES, 1))
    options = {"references": "none"}  # with references the noise has other places
    one = shoot(ours, passes, alone, **options).colour
    torch.testing.assert_close(one, shoot(ours, passes, alone, fusion="off", **options).colour, atol=1e-4, rtol=0)
    even = np.full((FRAMES, 2), 0.5)
    assert (one - shoot(ours, passes, even, **options).colour).abs().max() > 1e-3


def test_both_passes_one_after_the_other_are_the_same_pictures(ours):
    passes, weights = two_passes()
    together = shoot(ours, passes, weights).colour
    ours.rows_at_once = 1
    torch.testing.assert_close(shoot(ours, passes, weights).colour, together, atol=1e-4, rtol=0)


def test_a_warm_start_takes_its_share_of_the_steps_from_the_noised_guidance(ours):
    passes, weights = two_passes()
    near = []
    for strength, taken in ((0.25, 2), (0.5, 4), (1.0, 8)):
        latents, levels = [], []

        def keep(pipeline, step, timestep, state, latents=latents, levels=levels):
            latents.append(state["latents"])
            levels.append(float(timestep))

        shoot(ours, passes, weights, num_inference_steps=8, strength=strength, callback_on_step_end=keep)
        assert len(latents) == taken
        clean = ours.latents.encode(ours_guidance(ours, passes, weights))
        near.append((latents[-1] - clean).detach().abs().mean().item())
        ours.scheduler.set_timesteps(8)
        assert levels == ours.scheduler.timesteps[8 - taken :].tolist()
    assert near[0] < near[1] < near[2]


def ours_guidance(pipeline, passes, weights) -> torch.Tensor:

    return fused_guidance(passes, weights).colour


def test_guidance_costs_twice_only_where_it_is_asked_for(ours, components):
    passes, weights = two_passes()
    counts = {}
    for share in (1.0, 1 / 3):
        calls = []
        handle = components["transformer"].register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        shoot(ours, passes, weights, num_inference_steps=6, max_guidance_scale=5.0, guided_share=share)
        handle.remove()
        counts[share] = len(calls)
    assert counts == {1.0: 12, 1 / 3: 8}


def test_known_frames_and_margins_are_skipped_and_nothing_else(ours, components):
    cameras, frames = path(17), 17
    guidance = known_guidance("empty", 17)
    guidance.known[9:11, :, 4:6, 4:6] = 0
    passes = [
        Pass(view(cameras[0], 0), cameras, guidance),
        Pass(view(cameras[-1], 1), cameras[::-1], guidance[list(range(17))[::-1]]),
    ]
    weights = spatial_weights(cameras, [cameras[0], cameras[-1]], 2.0)
    _, holes = ours.masking.video_and_mask(passes[0])
    part = ours.masking.work_part(holes, "frames")
    assert (part.frames.stop - part.frames.start) % 4 == 1
    torn = [place for place in range(frames) if holes[place].any()]
    assert part.frames.start < torn[0] and torn[-1] < part.frames.stop - 1  # a known frame on each side
    seen = []
    handle = components["transformer"].register_forward_pre_hook(
        lambda module, args, options: seen.append(options["hidden_states"].shape), with_kwargs=True
    )
    whole, cut = (shoot(ours, passes, weights, skip=skip).colour for skip in ("nothing", "frames"))
    handle.remove()
    assert {shape[2] for shape in seen} == {1 + 5, 1 + (part.frames.stop - part.frames.start - 1) // 4 + 1}
    outside = [place for place in range(frames) if not part.frames.start <= place < part.frames.stop]
    fused = ours_guidance(ours, passes, weights)
    assert torch.equal(cut[outside], fused[outside]) and not torch.equal(whole[outside], fused[outside])


def test_a_part_of_the_picture_holds_all_holes_with_what_surrounds_them(ours):
    holes = torch.zeros(9, 1, 480, 832)
    holes[2:5, :, 200:240, 600:680] = 1
    part = ours.masking.work_part(holes, "frames and tiles")
    assert (part.frames.start, part.frames.stop) == (1, 6)
    for span, (first, end), side in ((part.rows, (200, 240), 480), (part.columns, (600, 680), 832)):
        assert (
            span.start % 16 == span.stop % 16 == 0 and 0 <= span.start <= first - 64 and end + 64 <= span.stop <= side
        )
        assert span.stop - span.start >= 256
    assert ours.masking.work_part(torch.zeros(9, 1, 480, 832), "frames and tiles") is None
    corner = torch.zeros(9, 1, 480, 832)
    corner[4, :, :8, :8] = 1
    part = ours.masking.work_part(corner, "frames and tiles")
    assert part.rows.start == part.columns.start == 0 and part.rows.stop >= 256 and part.columns.stop >= 256
    wide = ours.masking.work_part(torch.ones(9, 1, 64, 96), "frames and tiles")
    assert wide.rows == slice(0, 64) and wide.columns == slice(0, 96)


def test_nothing_hidden_is_nothing_to_do(ours, components):
    passes, weights = two_passes("empty")
    handle = components["transformer"].register_forward_pre_hook(lambda *_: pytest.fail("the network was asked"))
    output = shoot(ours, passes, weights, skip="frames")
    handle.remove()
    assert torch.equal(output.colour, ours_guidance(ours, passes, weights))


@pytest.mark.parametrize("count, length", [(1, 1), (2, 5), (5, 5), (6, 9), (80, 81), (81, 81)])
def test_passes_have_4_k_plus_1_frames(ours, count, length):
    assert ours.pass_length(count) == length


def test_frames_that_are_no_multiple_of_16_are_padded_and_come_back_in_their_size(ours):
    def cut(one: Pass) -> Pass:
        parts = (one.anchor.colour, one.anchor.distance, one.anchor.from_photo)
        anchor = View(one.anchor.camera.resized(50, 30), *(part[:30, :50] for part in parts))
        guidance = (one.guidance.colour, one.guidance.distance, one.guidance.known)
        return Pass(anchor, one.cameras, Guidance(*(part[..., :30, :50] for part in guidance)))

    passes, weights = two_passes()
    small = [cut(one) for one in passes]
    assert shoot(ours, small, weights).colour.shape == (FRAMES, 3, 30, 50)


def test_bad_input_is_named_with_the_remedy(ours, components):
    passes, weights = two_passes()
    with pytest.raises(InputError, match=r"8 frames are no pass .*4 k \+ 1\); give 9"):
        shoot(ours, passes, weights[:8])
    with pytest.raises(InputError, match="9 frames and 9 masks where there are 5 weights; give as many"):
        shoot(ours, passes, weights[:5])
    guidance = passes[0].guidance
    other = Pass(
        passes[0].anchor, passes[0].cameras, Guidance(guidance.colour, guidance.distance, guidance.known[..., :16, :16])
    )
    with pytest.raises(InputError, match="the mask is 16 x 16 pixels and its frames are 64 x 32; give them one size"):
        shoot(ours, [other, passes[1]], weights)

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = components["text_encoder"].register_forward_pre_hook(full)
    with pytest.raises(OutOfMemory, match=r"too little memory for the text encoder .*; close other programs"):
        shoot(ours, passes, weights, prompt="something not said before")
    handle.remove()


def test_a_clips_pixels_are_counted_in_its_plan(ours, monkeypatch):
    """While the autoencoder works, as many floats of every pixel are alive as plans say, and no more."""
    passes, weights = two_passes()
    counts, encode = [], ours.vae.encode

    def watched(video):
        gc.collect()
        tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
        clips = {
            each.untyped_storage().data_ptr(): each.untyped_storage().nbytes()
            for each in tensors
            if each.ndim >= 4 and each.shape[-2:] == (HEIGHT, WIDTH) and FRAMES in each.shape
        }
        counts.append(sum(clips.values()) / 4 / (FRAMES * HEIGHT * WIDTH))
        return encode(video)

    monkeypatch.setattr(ours.vae, "encode", watched)
    shoot(ours, passes, weights)
    assert 0.9 * PIXEL_VALUES["masked-video"] < max(counts) <= PIXEL_VALUES["masked-video"]


def test_each_text_is_read_once(ours, components):
    passes, weights = two_passes()
    calls = []
    handle = components["text_encoder"].register_forward_pre_hook(lambda *_: calls.append(1))
    for _ in range(2):
        shoot(ours, passes, weights, max_guidance_scale=5.0)
    handle.remove()
    assert len(calls) == 2
    assert isinstance(ours.scheduler, UniPCMultistepScheduler)
