"""Frames between two procedural rooms: what two worlds tell together is the truth, where each alone is not."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lookbeyond.evaluation.metrics import psnr
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.linked import Link
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.pipelines.full_size import warp_frames
from lookbeyond.pipelines.warped_world import warp_world
from tests.support.two_rooms import draw_two_rooms

ROOMS = cache(draw_two_rooms)
SEED = 102


@cache
def worlds() -> tuple[Panorama, Panorama]:
    rooms = ROOMS(SEED)
    return rooms.panorama(np.zeros(3), 512), rooms.panorama(rooms.second_to_first[:3, 3], 512)


def joined() -> Panorama:
    return Link(ROOMS(SEED).opening, np.eye(4)).joined(*worlds())


def camera_at(away_m: float, width: int = 128):
    """Looks through the doorway, so many metres before it."""
    opening = ROOMS(SEED).opening
    heading = math.atan2(-opening.normal[1], -opening.normal[0])
    place = np.array([*opening.centre[:2], 0]) + away_m * opening.normal
    return placed_camera(width, width * 9 // 16, math.radians(75), heading_rad=heading, position=place)


@pytest.mark.parametrize("away_m", [1.0, 0.02, -0.02])
def test_both_worlds_together_show_the_truth(away_m):
    camera = camera_at(away_m)
    truth = ROOMS(SEED).view(camera).colour
    frame = next(warp_frames(joined(), [camera]))
    alone = [next(warp_frames(world, [camera])) for world in worlds()]
    both = alone[0].known & alone[1].known
    assert both.mean() > 0.1
    assert psnr(frame.colour, truth, both) > 26
    assert psnr(frame.colour, truth, both) > min(psnr(each.colour, truth, both) for each in alone)
    assert (frame.known == (alone[0].known | alone[1].known)).all()
    assert psnr(frame.colour, truth, frame.known) > 25


def test_nothing_jumps_where_the_camera_goes_through():
    before, after = (next(warp_frames(joined(), [camera_at(away)])) for away in (1e-3, -1e-3))
    known = before.known & after.known
    assert np.abs(before.colour.astype(int) - after.colour)[known].mean() < 1
    assert (before.known != after.known).mean() < 0.02


def test_the_network_is_guided_by_the_same_as_frames_at_full_size():
    camera = camera_at(0.4)
    guidance, world = warp_world(joined(), [camera], "cpu")
    frame = next(warp_frames(joined(), [camera]))
    colour = (guidance.colour[0].permute(1, 2, 0).numpy() + 1) * 127.5
    known = frame.known & (guidance.known[0, 0].numpy() > 0)
    assert known.mean() > 0.8
    assert np.abs(colour - frame.colour)[known].mean() < 1
    assert (world.known[0].numpy() == frame.known).mean() > 0.99


def test_a_door_that_the_first_world_took_for_a_wall_is_open_with_a_second():
    first, second = worlds()
    opening, rays = ROOMS(SEED).opening, first.distance
    directions = np.stack(np.meshgrid(np.arange(512) + 0.5, np.arange(256) + 0.5), -1)
    azimuth, elevation = math.pi * (1 - directions[..., 0] / 256), math.pi * (0.5 - directions[..., 1] / 256)
    level = np.cos(elevation)
    rays = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], -1).astype(np.float32)
    at = opening.distances((0, 0, 0), rays)
    closed = replace(first, distance=np.where(np.isfinite(at), np.minimum(at, first.distance), first.distance))
    camera = camera_at(1.0)
    truth = ROOMS(SEED).view(camera)
    through = opening.distances(camera.position, camera.rays().astype(np.float32)) < truth.distance
    frame = next(warp_frames(Link(opening, np.eye(4)).joined(closed, second), [camera]))
    alone = next(warp_frames(closed, [camera]))
    seen = through & frame.known
    error, error_alone = (np.abs(each.distance / truth.distance - 1)[seen] for each in (frame, alone))
    assert np.median(error) < 0.02
    assert np.median(error_alone) > 0.3
