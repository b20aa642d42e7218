import math

import numpy as np
import pytest

from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_views
from lookbeyond.geometry.cameras import heading_pitch_roll, placed_camera
from lookbeyond.layout.camera import (
    ASSUMED,
    FROM_FILE,
    FROM_LINES,
    GIVEN,
    camera_from_photo,
    camera_from_segments,
)
from lookbeyond.photo.tags import fov_x_assumed


def room_lines(camera, rng, count=60, heading=0.4, noise_px=0.3, axes=(0, 1, 2)):
    """Segments [n, 4] of lines along a box's directions, as `camera` sees them, their ends a little off."""
    c, s = math.cos(heading), math.sin(heading)
    directions = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    segments = []
    while len(segments) < count:
        start = camera.position + camera.rotation @ (rng.uniform(-0.5, 0.5, 3) * (2, 2, 0) + (0, 0, 1)) * 4
        end = start + directions[axes[len(segments) % len(axes)]] * rng.uniform(0.5, 1.5)
        pixels, depth = camera.project([start, end])
        if (depth > 0.2).all() and (pixels > 0).all() and (pixels < (camera.width, camera.height)).all():
            segments.append((pixels + rng.normal(0, noise_px, (2, 2))).ravel())
    return np.array(segments)


def clutter(camera, rng, count):
    """Segments of no direction in particular."""
    middle = rng.uniform((0, 0), (camera.width, camera.height), (count, 2))
    angle, half = rng.uniform(0, math.pi, count), rng.uniform(10, 50, count)
    along = half[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.concatenate([middle - along, middle + along], 1)


def degrees_off(found, camera):
    _, pitch, roll = heading_pitch_roll(camera)
    return np.degrees([abs(found.pitch.value_rad - pitch), abs(found.roll.value_rad - roll)])


@pytest.mark.parametrize("size", [(800, 600), (600, 900)])
@pytest.mark.parametrize(("pitch", "roll", "fov"), [(0, 0, 70), (12, -9, 55), (-24, 5, 80), (6, 17, 90)])
def test_the_camera_is_found_from_a_rooms_lines_among_as_many_others(size, pitch, roll, fov):
    rng = np.random.default_rng(pitch + 100)
    camera = placed_camera(*size, math.radians(fov), pitch_rad=math.radians(pitch), roll_rad=math.radians(roll))
    segments = np.concatenate([room_lines(camera, rng), clutter(camera, rng, 60)])
    found = camera_from_segments(segments, *size)
    assert (found.fov_x.source, found.pitch.source, found.roll.source) == (FROM_LINES,) * 3
    assert (degrees_off(found, camera) < (1, 0.5)).all()
    assert found.fov_x.value_rad == pytest.approx(camera.fov_x, rel=0.04)
    assert found.lines >= 50
    assert found.camera().fov_x == pytest.approx(found.fov_x.value_rad)


def test_with_the_focal_length_of_the_file_one_direction_beside_the_vertical_is_not_needed():
    camera = placed_camera(800, 600, 1.1, pitch_rad=-0.2, roll_rad=0.05)
    uprights = room_lines(camera, np.random.default_rng(0), axes=(2,))
    found = camera_from_segments(uprights, 800, 600, 1.1)
    assert (degrees_off(found, camera) < 0.5).all()
    assert found.fov_x.source == FROM_FILE and found.fov_x.value_rad == 1.1


def test_uprights_alone_do_not_tell_the_field_of_view():
    camera = placed_camera(800, 600, 0.8, pitch_rad=0.0)
    found = camera_from_segments(room_lines(camera, np.random.default_rng(1), axes=(2,)), 800, 600)
    assert found.fov_x.source == ASSUMED and found.fov_x.value_rad == pytest.approx(math.radians(65))
    assert (degrees_off(found, camera) < 1).all()


def test_a_photo_is_never_taken_to_hang_upside_down():
    camera = placed_camera(800, 600, 1.2, pitch_rad=0.15, roll_rad=0.1)
    segments = room_lines(camera, np.random.default_rng(2))
    turned = np.tile([800, 600], 2) - segments
    upright, hanging = camera_from_segments(segments, 800, 600), camera_from_segments(turned, 800, 600)
    assert (degrees_off(upright, camera) < 0.5).all()
    # the same lines turned by half a turn are those of a camera that looks down as much
    assert hanging.pitch.value_rad == pytest.approx(-0.15, abs=0.01)
    assert hanging.roll.value_rad == pytest.approx(0.1, abs=0.01)


def test_a_mirrored_photo_has_the_opposite_roll_and_the_same_pitch():
    camera = placed_camera(800, 600, 1.2, pitch_rad=-0.1, roll_rad=0.12)
    segments = room_lines(camera, np.random.default_rng(3))
    mirrored = np.abs(segments - [800, 0, 800, 0])
    found, other = camera_from_segments(segments, 800, 600), camera_from_segments(mirrored, 800, 600)
    assert other.roll.value_rad == pytest.approx(-found.roll.value_rad, abs=2e-3)
    assert other.pitch.value_rad == pytest.approx(found.pitch.value_rad, abs=2e-3)
    assert other.fov_x.value_rad == pytest.approx(found.fov_x.value_rad, rel=1e-2)


def test_what_is_given_stays():
    camera = placed_camera(800, 600, 1.2, pitch_rad=-0.1, roll_rad=0.12)
    segments = room_lines(camera, np.random.default_rng(4))
    found = camera_from_segments(segments, 800, 600, 1.0, fov_source=GIVEN, pitch_rad=0.3)
    assert [(one.value_rad, one.uncertainty_rad, one.source) for one in (found.fov_x, found.pitch)] == [
        (1.0, None, GIVEN),
        (0.3, None, GIVEN),
    ]
    right = camera_from_segments(segments, 800, 600, pitch_rad=-0.1)
    assert right.roll.value_rad == pytest.approx(0.12, abs=0.01) and right.fov_x.source == FROM_LINES


def test_the_uncertainty_falls_with_more_lines_and_covers_nine_errors_in_ten():
    inside, unsure = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pitch, roll = np.radians(rng.uniform(-15, 15, 2))
        camera = placed_camera(800, 600, 1.1, pitch_rad=pitch, roll_rad=roll)
        lines = room_lines(camera, rng, 120, heading=rng.uniform(0, 1.5), noise_px=0.7)
        few, many = (camera_from_segments(lines[:count], 800, 600, 1.1) for count in (18, 120))
        for index, name in enumerate(("pitch", "roll")):
            estimates = [getattr(found, name) for found in (few, many)]
            unsure.append([estimate.uncertainty_rad for estimate in estimates])
            inside.append([degrees_off(f, camera)[index] <= math.degrees(u) for f, u in zip((few, many), unsure[-1])])
    assert np.mean(inside) >= 0.9
    assert np.median(np.array(unsure)[:, 1]) < 0.8 * np.median(np.array(unsure)[:, 0])


@pytest.mark.parametrize("seed", [300, 301, 302])
def test_the_camera_is_found_in_photos_of_rooms(seed):
    rng = np.random.default_rng(seed)
    pitch, roll = np.radians(rng.uniform(-12, 12, 2))
    camera = placed_camera(640, 480, math.radians(75), heading_rad=1.0, pitch_rad=pitch, roll_rad=roll)
    photo = render_views(Rooms.from_seeds([HELD_OUT_SEED + seed]), [camera])[0].colour
    found = camera_from_photo(photo)
    assert (found.pitch.source, found.roll.source) == (FROM_LINES, FROM_LINES)
    assert (degrees_off(found, camera) <= 1.5).all()
    assert camera_from_photo(photo) == found


def _noise(rng):
    return rng.integers(0, 256, (300, 400, 3), np.uint8)


def _plain(rng):
    return np.full((300, 400, 3), 90, np.uint8)


def _gradient(rng):
    return np.broadcast_to(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], (300, 400, 3))


def _smallest(rng):
    return rng.integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("made", [_noise, _plain, _gradient, _smallest])
def test_a_photo_without_lines_is_taken_to_be_level_and_says_so(made):
    found = camera_from_photo(made(np.random.default_rng(0)))
    assert (found.pitch.value_rad, found.roll.value_rad) == (0, 0)
    assert (found.fov_x.source, found.pitch.source, found.roll.source) == (ASSUMED,) * 3
    assert "pitch 0° is assumed" in found.description()


@pytest.mark.parametrize("count", [5, 15, 60, 250])
def test_lines_of_no_direction_in_particular_tell_nothing(count):
    for seed in range(3):
        camera = placed_camera(800, 600, 1.2)
        found = camera_from_segments(clutter(camera, np.random.default_rng(seed), count), 800, 600)
        assert (found.pitch.source, found.roll.source, found.fov_x.source) == (ASSUMED,) * 3


def test_the_assumed_field_of_view_is_across_the_longer_side():
    assert fov_x_assumed(900, 600) == pytest.approx(math.radians(65))
    portrait = placed_camera(600, 900, fov_x_assumed(600, 900))
    assert portrait.resized(600, 900).intrinsics[0, 0] == pytest.approx(450 / math.tan(math.radians(32.5)))


@pytest.mark.parametrize("fov", [5, 170])
def test_odd_fields_of_view_of_the_file_are_kept(fov):
    photo = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    photo[50:250, 100:300] = 255
    assert camera_from_photo(photo, math.radians(fov)).fov_x.value_rad == math.radians(fov)
