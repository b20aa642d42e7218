"""Laws of the panorama stage; networks are tiny and random, so nothing here judges pictures."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.projection import extract_perspective, place_photo
from lookbeyond.models.panorama_transformer import continue_smoothly
from lookbeyond.photo.exposure import exposed, missing_stops
from lookbeyond.pipelines.panorama import (
    PanoramaPipeline,
    enlarge,
    extend_outwards,
    quiet_coarse_noise,
    spread_smoothly,
)
from tests.support.tiny import panorama_pipeline


def photo(width: int = 256, height: int = 192) -> np.ndarray:
    """A smooth, colourful picture with some structure of ten pixels and more."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (height // 16, width // 16, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def build(pipeline, camera, seed=0, picture=None, **options):
    options = {"width": 1024, "height": 64, "num_inference_steps": 2} | options
    picture = photo() if picture is None else picture
    return pipeline(picture, camera, generator=torch.Generator().manual_seed(seed), **options).panorama


@pytest.mark.parametrize("pitch, roll", [(0, 0), (12, 0), (-9, 7)])
def test_photo_pixels_are_the_photos_own(pitch, roll):
    camera = placed_camera(
        256,
        192,
        np.radians(75),
        heading_rad=0.7,
        pitch_rad=np.radians(pitch),
        roll_rad=np.radians(roll),
        position=(1, 2, 1.6),
    )
    panorama = build(panorama_pipeline(), camera)
    seen = extract_perspective(panorama.colour, camera, panorama.heading_rad)
    own = extract_perspective(panorama.from_photo, camera, panorama.heading_rad) == 255
    assert own.mean() > 0.9
    error = (seen.astype(float) - photo())[own] / 255
    assert -10 * np.log10((error**2).mean()) > 40
    assert panorama.origin == (1, 2, 1.6) and panorama.heading_rad == pytest.approx(0.7)


def test_a_saved_pipeline_loads_in_a_program_that_imports_nothing_else(tmp_path):
    panorama_pipeline().save_pretrained(tmp_path)
    program = (
        "import sys; from lookbeyond.pipelines.panorama import PanoramaPipeline as P; P.from_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=600)


def test_same_seed_same_bytes_and_another_seed_another_world():
    pipeline, camera = panorama_pipeline(), placed_camera(256, 192, np.radians(75))
    first, again, other = (build(pipeline, camera, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.colour, again.colour) and np.array_equal(first.distance, again.distance)
    assert not np.array_equal(first.colour, other.colour)


def test_distance_is_proportional_to_the_cameras_height():
    pipeline, camera = panorama_pipeline(), placed_camera(256, 192, np.radians(75))
    low, high = (build(pipeline, camera, camera_height=height) for height in (1.0, 2.0))
    np.testing.assert_allclose(high.distance, 2 * low.distance, rtol=1e-4)


def test_only_the_coarse_part_of_the_noise_is_quietened():
    """Means over the whole sphere shrink, single latents hardly; nothing happens at the seam."""
    noise = torch.randn(64, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    quiet = quiet_coarse_noise(noise, 0.2)
    assert torch.equal(quiet_coarse_noise(noise, 1.0), noise)
    means, quiet_means = (values.mean((2, 3)).std() for values in (noise, quiet))
    assert 0.15 < quiet_means / means < 0.25
    assert 0.95 < quiet.std() < 1
    checkers = (torch.arange(32)[:, None] + torch.arange(64)) % 2 * 2.0 - 1
    torch.testing.assert_close((quiet * checkers).mean((2, 3)), (noise * checkers).mean((2, 3)), rtol=0, atol=2e-3)
    torch.testing.assert_close(quiet_coarse_noise(noise.roll(20, -1), 0.2), quiet.roll(20, -1), rtol=0, atol=1e-5)
    assert quiet_coarse_noise(noise.bfloat16(), 0.2).dtype == torch.bfloat16


def test_the_photos_colours_are_continued_over_the_sphere():
    """Known cells stay, the rest lies within their range, nearer ones count more, and a roll passes through."""
    torch.manual_seed(0)
    latents, known = torch.randn(2, 4, 16, 32), torch.zeros(2, 1, 16, 32)
    known[:, :, 5:11, 12:20] = 1
    latents[:, :, :, :16] += 3
    whole = continue_smoothly(latents * known, known)
    torch.testing.assert_close(whole * known, latents * known)
    seen = latents[:, :, 5:11, 12:20].flatten(2)
    assert (whole.amax((2, 3)) <= seen.amax(2) + 1e-4).all() and (whole.amin((2, 3)) >= seen.amin(2) - 1e-4).all()
    assert (whole[:, :, 8, 10] > whole[:, :, 8, 21]).all(), "the left of the photo is the brighter one"
    torch.testing.assert_close(continue_smoothly(latents.roll(7, -1), known.roll(7, -1)), whole.roll(7, -1))


def test_a_black_and_white_photo_has_a_black_and_white_world():
    camera, grey = placed_camera(256, 192, np.radians(75)), photo().mean(2, keepdims=True).astype(np.uint8)
    coloured, world = build(panorama_pipeline(), camera), build(panorama_pipeline(), camera, picture=grey.repeat(3, 2))
    hidden = world.from_photo == 0
    assert np.ptp(coloured.colour[hidden], axis=1).mean() > 10
    assert np.ptp(world.colour, axis=2).max() <= 1
    assert world.colour[hidden].std() > 1


def test_a_dark_photo_is_painted_in_usual_light_and_darkened_again():
    camera, bright = placed_camera(256, 192, np.radians(75)), exposed(photo(), -0.3)
    assert missing_stops(bright) == 0
    dark = exposed(bright, -2)
    assert missing_stops(dark) > 1
    worlds = [build(panorama_pipeline(), camera, picture=picture) for picture in (bright, dark)]
    hidden = worlds[0].from_photo == 0
    expected = exposed(worlds[0].colour, -2)[hidden].astype(float)
    assert np.abs(worlds[1].colour[hidden] - expected).mean() < 8 < worlds[0].colour[hidden].mean() / 3
    own = worlds[1].from_photo == 255
    np.testing.assert_array_equal(worlds[1].colour[own], place_photo(dark, camera, 1024)[0][own])


def test_rolling_the_input_rolls_the_output():
    """The cycle consistency that the paper asks of training holds for any weights."""
    transformer = panorama_pipeline().transformer
    torch.manual_seed(1)
    x, known, embedding = torch.randn(1, 8, 8, 16), torch.randn(1, 4, 8, 16), torch.randn(1, 16)
    mask = (torch.rand(1, 1, 8, 16) > 0.5).float()
    with torch.no_grad():
        straight = transformer(x, 500, embedding, known, mask)
        rolled = transformer(*(x.roll(4, -1), 500, embedding, known.roll(4, -1), mask.roll(4, -1)))
    torch.testing.assert_close(rolled, straight.roll(4, -1), atol=1e-4, rtol=1e-4)


def test_dit_xl_is_a_configuration():
    """Nothing is wired to the built-in sizes: DiT's patch 2, no convolutions around it, velocity, colour only."""
    pipeline = panorama_pipeline(patch_size=2, local_layers=0, prediction="velocity")
    camera = placed_camera(256, 192, np.radians(75))
    assert build(pipeline, camera).colour.shape == (512, 1024, 3)


def test_saved_and_loaded_it_makes_the_same_world(tmp_path):
    pipeline, camera = panorama_pipeline(), placed_camera(256, 192, np.radians(75))
    pipeline.save_pretrained(tmp_path)
    loaded = PanoramaPipeline.from_pretrained(tmp_path)
    assert np.array_equal(build(pipeline, camera).colour, build(loaded, camera).colour)


def test_every_step_is_reported_and_may_stop_the_work():
    pipeline, camera = panorama_pipeline(), placed_camera(256, 192, np.radians(75))
    steps = []
    build(pipeline, camera, callback_on_step_end=lambda p, step, t, state: steps.append((step, state["steps"])))
    assert steps == [(1, 3), (2, 3), (3, 3)]

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(pipeline, camera, callback_on_step_end=stop)


def test_an_existing_panorama_keeps_its_pixels_and_gets_distance():
    image = photo(512, 256)
    panorama = panorama_pipeline().measure(image, height=64, num_inference_steps=2).panorama
    assert panorama.colour is image
    assert np.isfinite(panorama.distance).all() and (panorama.distance > 0).all()


def test_extending_and_spreading_keep_what_is_known():
    rng = np.random.default_rng(0)
    image, known = rng.uniform(0, 255, (64, 128, 3)).astype(np.float32), np.zeros((64, 128), bool)
    known[20:40, 50:90] = True
    for fill in (extend_outwards, spread_smoothly):
        filled = fill(image, known)
        np.testing.assert_allclose(filled[known], image[known], rtol=1e-5)
        low, high = image[known].min(), image[known].max()
        assert filled.min() >= low - 1e-2 and filled.max() <= high + 1e-2


def test_enlarging_commutes_with_turning_around():
    image = photo(128, 64).astype(np.float32)
    turned = enlarge(np.roll(image, 32, 1), 512)
    np.testing.assert_allclose(turned, np.roll(enlarge(image, 512), 128, 1), atol=1e-2)
