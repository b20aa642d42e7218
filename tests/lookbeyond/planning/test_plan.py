"""Planned moves stay in the open, within their limits, where much is known, and say why a goal cannot be."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import heading_pitch_roll, placed_camera
from lookbeyond.geometry.keyframes import check_path
from lookbeyond.geometry.layout import box_layout
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.planning.free_space import free_space
from lookbeyond.planning.goals import EndOn, FromTo, MoveSettings, ShowRoom, SpeedLimits
from lookbeyond.planning.plan import first_view, plan_move
from lookbeyond.planning.route import Routes, smooth_curve

LOW, HIGH = np.array([-2.5, -3.0, 0.0]), np.array([4.0, 3.0, 2.7])
EYE = np.array([0.3, -0.2, 1.5])
PILLAR = np.array([1.9, 0.6]), 0.25
"""Where it stands, and its radius: as high as the room."""


def room(pillar: bool = True, photo_half_rad: float = 0.6) -> Panorama:
    """A box with a round pillar in it, seen from EYE; the photo looks along +X."""
    rays = equirectangular_directions(512, 256).astype(np.float64)
    with np.errstate(divide="ignore"):
        distance = np.where(rays > 0, (HIGH - EYE) / rays, (LOW - EYE) / rays).min(-1)
    if pillar:
        flat = rays[..., :2]
        offset = EYE[:2] - PILLAR[0]
        a, b, c = (flat**2).sum(-1), (flat * offset).sum(-1), (offset**2).sum() - PILLAR[1] ** 2
        root = b**2 - a * c
        hit = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        distance = np.where(hit > 0, np.minimum(distance, hit), distance)
    seen = (np.abs(np.arctan2(rays[..., 1], rays[..., 0])) < photo_half_rad) & (np.abs(rays[..., 2]) < 0.5)
    return Panorama(
        np.zeros((256, 512, 3), np.uint8),
        distance.astype(np.float32),
        np.where(seen, 255, 0).astype(np.uint8),
        origin=tuple(EYE),
        camera_height=1.5,
        photo_camera=placed_camera(160, 90, 1.2, pitch_rad=-0.05, position=EYE),
        layout=box_layout((LOW + HIGH)[:2] / 2, (HIGH - LOW)[:2], 0.0, LOW[2], HIGH[2]),
    )


def clearance(places) -> float:
    """The least true distance of places [N, 3] to walls and the pillar."""
    flat = places[:, :2]
    walls = np.minimum(flat - LOW[:2], HIGH[:2] - flat).min()
    return float(min(walls, (np.linalg.norm(flat - PILLAR[0], axis=1) - PILLAR[1]).min()))


GOALS = [
    ShowRoom(),
    FromTo((2.4, -0.8)),
    FromTo((1.2, 0.9), (1.5, -1.2)),
    EndOn((4.0, -1.0, 1.2)),
    EndOn((0.5, -2.5, 0.0)),
]


@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_a_move_keeps_clear_and_within_its_limits_and_can_be_shot(goal):
    world = room()
    settings = MoveSettings(0.3, limits=SpeedLimits(0.4, 15.0, 0.8), fps=25)
    move = plan_move(world, goal, first_view(world, 160, 90), settings)
    places = np.array([camera.position for camera in move.cameras])
    assert clearance(places) > 0.3 - 0.05  # half a cell's diagonal, and what a map of so many pixels can tell
    assert np.allclose(places[:, 2], EYE[2])
    check_path(move.cameras, world)
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) * 25
    assert speed.max() < 0.4 * 1.02 and speed[0] < 0.02 and speed[-1] < 0.02
    poses = np.array([heading_pitch_roll(camera) for camera in move.cameras])
    assert np.allclose(poses[:, 2], 0, atol=1e-6)
    turned = np.hypot(np.diff(np.unwrap(poses[:, 0])), np.diff(poses[:, 1])) * 25
    assert np.degrees(turned).max() < 15 * 1.02
    jerk = np.linalg.norm(np.diff(places, 3, axis=0), axis=1) * 25**3
    assert jerk.max() < 0.8 * 1.25  # a frame's steps see a little more than the curve that was bounded
    assert move.length_m > 0.3


def test_its_parts_make_the_same_cameras():
    """The curve, the way and the targets are what Blender is given."""
    world = room()
    move = plan_move(world, FromTo((2.4, -0.8)), first_view(world, 160, 90))
    t = np.linspace(0, 1, 400)[:, None]
    points = np.concatenate(
        [
            (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
            for a, b, c, d in (move.curve[i : i + 4] for i in range(0, len(move.curve) - 1, 3))
        ]
    )
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1)))
    assert along[-1] == pytest.approx(move.length_m, rel=1e-3)
    for camera, share, target in zip(move.cameras, move.way, move.targets, strict=True):
        place = [np.interp(share * along[-1], along, axis) for axis in points.T]
        assert np.allclose(camera.position, place, atol=2e-3)
        sight = target - camera.position
        assert np.allclose(sight / np.linalg.norm(sight), camera.forward, atol=1e-6)


def test_more_speed_makes_a_move_shorter_and_what_holds_it_back_is_named():
    world = room()

    def frames(*limits: float, most: int = 0) -> int:
        settings = MoveSettings(limits=SpeedLimits(*limits), frames=most)
        return len(plan_move(world, ShowRoom(), first_view(world, 160, 90), settings).cameras)

    slow, fast, sudden = frames(0.5, 20.0, 1.0), frames(4.0, 160.0, 1.0), frames(4.0, 160.0, 100.0)
    assert slow >= fast > 2 * sudden
    with pytest.raises(InputError, match="jerk by more than 1 m/s³"):
        frames(4.0, 160.0, 1.0, most=fast - 1)
    with pytest.raises(InputError, match=r"faster than 0.5 m and 20° a second"):
        frames(0.5, 20.0, 1000.0, most=24)


def test_it_begins_with_the_photos_view_and_ends_on_what_was_asked():
    world, target = room(), np.array([4.0, -1.0, 1.2])
    move = plan_move(world, EndOn(tuple(target)), first_view(world, 160, 90))
    first, last = move.cameras[0], move.cameras[-1]
    assert heading_pitch_roll(first)[:2] == pytest.approx((0.0, -0.05), abs=1e-6)
    assert np.linalg.norm(first.position - EYE) < 0.05
    sight = target - last.position
    assert np.linalg.norm(np.cross(sight, last.forward)) / np.linalg.norm(sight) < math.radians(0.5)
    assert np.linalg.norm(sight) < np.linalg.norm(target - EYE)


def test_a_way_goes_round_what_stands_in_between():
    """From one side of a pillar to the other: a straight line would hit it."""
    world = room()
    free = free_space(world, 0.3, doubt=0.0)
    start, end = free.require((1.3, 1.5), "a"), free.require((2.4, -0.6), "b")
    curve = smooth_curve(free, Routes(free, start).to(end))
    places = curve.at(np.linspace(0, 1, 200))
    straight = np.linspace(places[0], places[-1], 200)
    assert clearance(straight) < 0.1 and clearance(places) > 0.25


def test_it_stays_where_the_photo_saw():
    """Of two ways to look, the one that sees the photo; and the views are no worse than at rest."""
    world = room(pillar=False)
    shown = plan_move(world, ShowRoom(), first_view(world, 160, 90))
    away = plan_move(world, FromTo((-0.5, -0.2)), first_view(world, 160, 90))  # backward: it need not turn round
    assert shown.photo > 0.6 and away.photo > 0.5
    assert abs(heading_pitch_roll(away.cameras[-1])[0]) < 1.0


def test_beyond_a_door_is_outside():
    world = room(pillar=False)
    middle, size = (LOW[:2] + HIGH[:2]) / 2, HIGH[:2] - LOW[:2]
    smaller = replace(world, layout=box_layout(middle - (1.0, 0), size - (2.0, 0), 0.0, 0.0, 2.7))  # wall at x = 2
    with pytest.raises(InputError, match="outside the room's walls"):
        plan_move(smaller, FromTo((2.4, 0.0)), first_view(world, 160, 90))
    move = plan_move(smaller, FromTo((1.6, 0.0)), first_view(world, 160, 90))
    assert max(camera.position[0] for camera in move.cameras) < 1.75


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (FromTo((6.0, 0.0)), "inside or behind a wall"),
        (FromTo((2.4, -0.8), (9.0, 9.0)), "The start .* inside or behind a wall"),
        (FromTo((3.6, -0.2)), "out of reach|nearer than the clearance"),
        (FromTo((-1.9, -0.2)), "out of reach.*nobody saw"),
        (FromTo((2.2, 1.0)), "inside or behind a wall or a thing"),  # behind the pillar
        (FromTo((0.32, -0.2)), "there already"),
        (FromTo((math.nan, 0.0)), "not finite"),
        (EndOn((9.0, 0.0, 1.0)), "inside or behind"),
        (EndOn(tuple(EYE)), "where the world was seen from"),
    ],
)
def test_goals_that_cannot_be(goal, words):
    world = room()
    with pytest.raises(InputError, match=words):
        plan_move(world, goal, first_view(world, 160, 90))


def test_where_no_room_was_found_less_is_trusted_unless_nothing_is_doubted():
    world = replace(room(pillar=False), layout=None)
    reach = [
        np.hypot(*(np.argwhere(space.open) - space.middle).T).max() * space.cell_m
        for space in (free_space(world, 0.3), free_space(room(pillar=False), 0.3), free_space(world, 0.3, doubt=0))
    ]
    assert reach[0] < 0.6 < 0.5 * reach[1] and reach[2] >= reach[1]
    with pytest.raises(InputError, match="distances are a guess: doubt them less"):
        plan_move(world, FromTo((1.5, -0.2)), first_view(world, 160, 90))
    plan_move(world, FromTo((1.5, -0.2)), first_view(world, 160, 90), MoveSettings(doubt=0.05))


def test_nothing_free_and_settings_that_cannot_be():
    world = room()
    view = first_view(world, 160, 90)
    tight = replace(world, distance=np.full((256, 512), 0.2, np.float32))
    with pytest.raises(InputError, match="Nothing is free"):
        plan_move(tight, ShowRoom(), view)
    with pytest.raises(InputError, match=r"takes .* frames"):
        plan_move(world, FromTo((2.4, -0.8)), view, MoveSettings(frames=20))
    assert len(plan_move(world, FromTo((2.4, -0.8)), view, MoveSettings(frames=400)).cameras) == 400
    for wrong in ({"clearance_m": 0.0}, {"fps": math.inf}, {"frames": 1}):
        with pytest.raises(InputError):
            MoveSettings(**wrong)
    with pytest.raises(InputError):
        SpeedLimits(speed_m_s=-1)
