"""The light of a panorama: what the picture tells stays; where it is clipped, procedural places tell the truth."""

import cv2
import numpy as np
import OpenEXR
import pytest

from lookbeyond.data.lit_places import draw_lit_places, sphere_exposure
from lookbeyond.data.rooms import Rooms, equirectangular_rays
from lookbeyond.errors import InputError
from lookbeyond.files import write_light
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.light.radiance import (
    OwnLight,
    brightened,
    check_not_black,
    own_light_of_photo,
    panorama_light,
)
from lookbeyond.light.sources import FEATURES, LUMINANCE, clipped_white, find_sources, small_sphere, solid_angles
from lookbeyond.photo.linear_files import read_linear
from lookbeyond.photo.pixels import encoded, rolled_off, srgb_to_linear
from lookbeyond.photo.reading import read_light, read_photo
from lookbeyond.training.light import Example, learn, measured, sphere_kernel, whole_example

CLIPPED_SEEDS = range(100, 112)
"""No place of training has one of these."""


class TwoStops:
    """Every source is four times as bright as it is displayed, a plateau."""

    def of(self, sources):
        return np.full(len(sources), 2.0, np.float32), np.zeros(len(sources), np.float32)


def dull_sphere(width: int = 512) -> np.ndarray:
    """Grey, uneven, with a white window of 20° at the horizon and a dark bar across it."""
    rng = np.random.default_rng(0)
    colour = rng.integers(60, 140, (width // 2, width, 3)).astype(np.uint8)
    colour[100:150, 200:240] = 255
    colour[122:126, 200:240] = 90
    return colour


def panorama_of(colour, from_photo=None, camera=None) -> Panorama:
    shape = colour.shape[:2]
    seen = np.zeros(shape, np.uint8) if from_photo is None else from_photo
    return Panorama(colour, np.ones((64, 128), np.float32), seen, photo_camera=camera)


def test_what_is_not_clipped_is_the_pictures_own_light():
    colour = np.random.default_rng(1).integers(0, 240, (128, 256, 3)).astype(np.uint8)
    np.testing.assert_array_equal(panorama_light(panorama_of(colour)), srgb_to_linear(colour / 255).astype(np.float32))


def test_a_source_ends_where_the_picture_does():
    """No halo around it, no step at its rim, and what is dark before it stays dark."""
    colour = dull_sphere()
    light = srgb_to_linear(colour / 255).astype(np.float32)
    sources = find_sources(light, clipped_white(colour))
    bright = brightened(light, sources, None, TwoStops())
    white = colour.max(-1) == 255
    np.testing.assert_array_equal(bright[~white], light[~white])
    assert (bright[white] >= 1).all() and bright.max() > 3
    # inside, neighbours differ by no more than the small sphere's own steps
    inside = bright[101:121, 201:239, 0]
    assert max(np.abs(np.diff(inside, axis=axis)).max() for axis in (0, 1)) < 0.35 * bright.max()
    weight = solid_angles(256)
    excess = [float((weight * (each @ LUMINANCE))[90:160, 190:250].sum()) for each in (light, bright)]
    shown = float((weight * white).sum())
    assert excess[1] - excess[0] == pytest.approx(3 * shown, rel=0.1)


def test_the_light_turns_with_the_picture():
    colour = dull_sphere()
    lit = panorama_light(panorama_of(colour))
    turned = panorama_light(panorama_of(np.roll(colour, 292, 1)))  # the window lies across the seam
    np.testing.assert_allclose(np.roll(turned, -292, 1), lit, rtol=0.02)
    assert lit.max() > 1.2


def test_a_black_picture_has_no_light_to_go_by():
    with pytest.raises(InputError, match=r"night.png is black.*leave HDR out"):
        check_not_black(np.full((64, 96, 3), 4, np.uint8), "night.png")
    dim = np.full((64, 96, 3), 4, np.uint8)
    dim[10:20, 10:20] = 90
    check_not_black(dim, "dim.png")
    assert not find_sources(np.zeros((64, 128, 3), np.float32), np.zeros((64, 128), bool))


def test_places_are_the_same_alone_and_together():
    alone, together = draw_lit_places([103], 32), draw_lit_places([102, 103], 32)
    np.testing.assert_array_equal(alone[0].radiance, together[1].radiance)
    assert np.isfinite(alone[0].radiance).all()


def test_rooms_are_displayed_as_their_radiance_clipped():
    room, rays = Rooms.from_seeds([5]), equirectangular_rays(16, 32)[None]
    light, _ = room.radiance(rays * 0, rays)
    np.testing.assert_array_equal(light.clamp(0, 1) ** (1 / 2.2), room.render(rays * 0, rays)[0])


def test_procedural_light_is_nearer_than_the_picture_and_any_gamma():
    """Diffuse and glossy spheres in places that nobody learned from."""
    kernel, before, gamma, after = sphere_kernel(), [], [], []
    for place in draw_lit_places(CLIPPED_SEEDS, 128):
        true = place.radiance * np.float32(sphere_exposure(place.radiance))
        colour = encoded(true)
        light = srgb_to_linear(colour / 255).astype(np.float32)
        of = [
            np.log2(kernel @ small_sphere(each @ LUMINANCE, 128).reshape(-1))
            for each in (true, light, 0.18 * (light / 0.18) ** 1.5, panorama_light(panorama_of(colour)))
        ]
        for errors, values in zip((before, gamma, after), of[1:], strict=True):
            errors.append(np.abs(values - of[0]).mean())
    assert np.mean(after) < 0.75 * min(np.mean(before), np.mean(gamma))


def test_what_depends_on_what_is_seen_is_learned():
    """Sources low in the picture are 4 stops brighter than displayed, high ones are not: the network finds that."""
    rng = np.random.default_rng(0)
    examples = []
    for _ in range(60):
        features = rng.normal(size=(2, len(FEATURES))).astype(np.float32)
        stops = np.where(features[:, 1] > 0, 0.0, 4.0)
        adds = rng.uniform(0.01, 0.3, (2, 256)).astype(np.float32)
        true = 0.2 + (2 ** stops[:, None] * adds).sum(0)
        displayed = 0.2 + adds.sum(0)
        nothing = np.ones(2, np.float32)
        examples.append(Example(features, adds, displayed, true.astype(np.float32), nothing, nothing))
    errors = measured(learn(examples, hidden=4, steps=300), examples).mean(0)
    assert errors[2] < 0.2 * errors[0]


def test_examples_hold_what_is_missing():
    place = draw_lit_places([104], 64)[0]
    example = whole_example(place.radiance, 0.0, sphere_kernel())
    assert (example.true >= 0.97 * example.displayed).all()
    assert len(example.features) == len(example.adds) == len(example.peaks)


# --- files that tell more than 8 bits ---------------------------------------------------------------------


def save_exr(path, light):
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION}, {"RGB": light.astype(np.float32)}).write(str(path))
    return path


def test_the_light_of_a_file_is_exposed_as_the_picture_is_shown(tmp_path):
    light = np.random.default_rng(2).uniform(0.001, 9, (64, 96, 3)).astype(np.float32)
    for stops in (None, -1.5):
        photo = read_photo(save_exr(tmp_path / "a.exr", light), stops=stops)
        own = read_light(tmp_path / "a.exr", stops=stops)
        assert own is not None and not own.bounded
        np.testing.assert_array_equal(encoded(rolled_off(own.pixels)), photo.pixels)
    codes = np.random.default_rng(3).integers(0, 65536, (64, 96, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), codes[..., ::-1])
    deep = read_light(tmp_path / "deep.png")
    assert deep is not None and deep.bounded
    np.testing.assert_allclose(deep.pixels, srgb_to_linear(codes / 65535), atol=1e-6)
    cv2.imwrite(str(tmp_path / "usual.png"), (codes >> 8).astype(np.uint8))
    assert read_light(tmp_path / "usual.png") is None


def test_a_photos_own_light_goes_through_where_it_shows():
    light = np.full((96, 128, 3), 0.3, np.float32)
    light[40:50, 60:70] = 700.0
    camera = placed_camera(128, 96, 1.2)
    colour = np.full((256, 512, 3), 148, np.uint8)
    world = panorama_of(colour, None, camera)
    from_photo = np.zeros((256, 512), np.uint8)
    from_photo[112:144, 240:272] = 255
    world = panorama_of(colour, from_photo, camera)
    lit = panorama_light(world, own_light_of_photo(light, False, world))
    assert lit[112:144, 240:272].max() > 600
    np.testing.assert_allclose(lit[140, 260], 0.3, rtol=1e-3)
    np.testing.assert_allclose(lit[10, 10], srgb_to_linear(148 / 255), rtol=0.05)


def test_sixteen_bits_keep_their_steps_and_gain_what_is_beyond_white():
    colour = dull_sphere()
    deep = np.clip(srgb_to_linear(colour / 255) + 1e-4 * np.random.default_rng(4).random(colour.shape), 0, 1)
    own = OwnLight(deep.astype(np.float32), np.ones(colour.shape[:2], np.float32), bounded=True)
    plain, lit = panorama_light(panorama_of(colour)), panorama_light(panorama_of(colour), own)
    dark = colour.max(-1) < 200
    np.testing.assert_allclose(lit[dark], own.light[dark], rtol=1e-5)
    np.testing.assert_allclose(lit[~dark], plain[~dark], rtol=1e-3)


def test_a_file_of_light_is_read_as_it_was_written(tmp_path):
    light = np.random.default_rng(5).uniform(0, 40000, (64, 128, 3)).astype(np.float16).astype(np.float32)
    write_light(tmp_path / "panorama.exr", light)
    np.testing.assert_allclose(read_linear(tmp_path / "panorama.exr"), light, rtol=1e-4, atol=1e-2)
