"""Linking two worlds of two procedural rooms: what is found is what was drawn, and what does not fit is refused."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.layout import RoomLayout, box_layout
from lookbeyond.geometry.linked import Link
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions, sample_equirectangular
from lookbeyond.linking.find import find_opening
from lookbeyond.linking.judge import judge, linked, mirrored
from lookbeyond.linking.match import match_worlds, pose_at, pose_of_camera
from lookbeyond.linking.seen import shows_second
from tests.support.two_rooms import TwoRooms, draw_two_rooms

SEED = 100


@cache
def rooms() -> TwoRooms:
    return draw_two_rooms(SEED)


def layout() -> RoomLayout:
    room = rooms().first
    (centre, half), yaw = room.shell[0].double().numpy(), float(room.yaw[0])
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    return box_layout(turn @ centre[:2], 2 * half[:2], yaw, -float(room.camera_height[0]), float(centre[2] + half[2]))


@cache
def worlds() -> tuple[Panorama, Panorama]:
    """Seen by both photographers, in the first one's frame."""
    first = replace(rooms().panorama(np.zeros(3), 512), layout=layout())
    return first, rooms().panorama(rooms().second_to_first[:3, 3], 512)


def test_the_opening_is_found():
    found, said = find_opening(*worlds())
    true = rooms().opening
    for end, other in ((found.start, true.start), (found.end, true.end)):
        assert math.dist(end, other) < 0.08
    assert found.bottom_z == pytest.approx(true.bottom_z, abs=0.01)
    assert found.top_z == pytest.approx(true.top_z, abs=0.1)
    x, y, _ = found.centre
    assert "wide" in said and said.endswith(f"around ({x:.2f}, {y:.2f}).")


def test_a_world_in_the_doorway_that_looks_through_it_finds_it_too():
    first, _ = worlds()
    opening = rooms().opening
    place = np.array([*opening.centre[:2], 0.0]) + 0.5 * opening.normal
    heading = math.atan2(-opening.normal[1], -opening.normal[0])
    camera = placed_camera(64, 48, 1.2, heading_rad=heading, position=place)
    found, _ = find_opening(first, replace(rooms().panorama(place, 512), photo_camera=camera))
    assert math.dist(found.centre[:2], opening.centre[:2]) < 0.05 and abs(found.width - opening.width) < 0.1


def test_without_walls_the_opening_has_to_be_given():
    first, second = worlds()
    with pytest.raises(InputError, match="--opening"):
        find_opening(replace(first, layout=None), second)


def test_worlds_of_two_rooms_fit():
    fit = judge(*worlds(), rooms().opening)
    assert fit.both > 0.1 and fit.agreeing > 0.6
    assert fit.open_in_first > 0.8 and fit.open_in_second > 0.8
    assert fit.gain == pytest.approx((1, 1, 1), abs=0.06)


def test_another_exposure_is_found_and_undone():
    first, second = worlds()
    darker = Link(rooms().opening, np.eye(4), (0.5, 0.55, 0.6)).placed(second)
    link, fit = linked(first, darker, np.eye(4), rooms().opening)
    assert link.gain == pytest.approx((1 / 0.5, 1 / 0.55, 1 / 0.6), rel=0.1)
    assert any("light" in sentence for sentence in fit.said)
    back = link.placed(darker).colour
    unclipped = (second.colour > 20) & (second.colour < 235)
    assert np.abs(back.astype(int) - second.colour)[unclipped].mean() < 6


def test_a_closed_door_is_said():
    first, second = worlds()
    rays = equirectangular_directions(512, 256)
    at = rooms().opening.distances((0, 0, 0), rays)
    closed = replace(first, distance=np.where(np.isfinite(at), at, first.distance).astype(np.float32))
    fit = judge(closed, second, rooms().opening)
    assert fit.open_in_first < 0.1 and any("shows a wall" in sentence for sentence in fit.said)


def test_worlds_that_do_not_overlap_are_refused():
    first, second = worlds()
    with pytest.raises(InputError, match="do not overlap"):
        judge(first, replace(second, origin=tuple(second.position + np.array([30.0, 4.0, 0]))), rooms().opening)


def mirror_of(first: Panorama) -> Panorama:
    """What the first world would show in a mirror in place of the doorway."""
    opening = rooms().opening
    rays = equirectangular_directions(512, 256)
    place = first.position - 2 * opening.side(first.position) * opening.normal
    back = rays - 2 * (rays @ opening.normal)[..., None] * opening.normal
    return replace(
        first,
        origin=tuple(place),
        layout=None,
        colour=sample_equirectangular(first.colour, back),
        distance=first.distance_at(back),
    )


def test_a_mirror_is_refused():
    first, _ = worlds()
    with pytest.raises(InputError, match="mirror"):
        judge(first, mirror_of(first), rooms().opening)


def test_a_room_of_the_same_size_is_no_mirror():
    first, _ = worlds()
    opening, other = rooms().opening, mirror_of(first)
    painted = replace(other, colour=255 - other.colour)
    share, alike = mirrored(first, painted, opening)
    assert share > 0.9 and alike < 0.9
    judge(first, painted, opening)


def test_matched_details_say_where_the_second_world_is():
    """The second one stands a metre aside in the first one's room, and does not know where."""
    first = worlds()[0]
    place, turn = np.array([1.2, 0.3, 0.05]), 0.7
    second = rooms().panorama(place, 1024)
    finer = replace(rooms().panorama(np.zeros(3), 1024), layout=first.layout)
    own = replace(second, origin=(0.0, 0.0, 0.0), heading_rad=-turn)
    found = match_worlds(finer, own)
    assert found.residual_deg < 0.5 and found.matches >= 12
    assert np.linalg.norm(found.second_to_first[:3, 3] - place) < 0.15
    assert math.atan2(*found.second_to_first[1::-1, 0]) == pytest.approx(turn, abs=math.radians(1.5))


def test_worlds_that_share_nothing_cannot_be_matched():
    flat = replace(worlds()[1], colour=np.full_like(worlds()[1].colour, 128))
    with pytest.raises(InputError, match="share too little"):
        match_worlds(worlds()[0], flat)


def test_a_pose_puts_the_second_viewpoint_and_camera_where_they_are_said_to_be():
    _, second = worlds()
    pose = pose_at(second, np.array([1.0, 2.0, 0.1]), 0.4)
    assert (pose[:3, :3] @ second.position + pose[:3, 3]).tolist() == pytest.approx([1, 2, 0.1])
    own = placed_camera(64, 48, 1.0, heading_rad=0.2, position=(0.5, 0, 0))
    there = placed_camera(64, 48, 1.0, heading_rad=1.0, pitch_rad=0.1, position=(3, 1, 0.2))
    moved = pose_of_camera(replace(second, photo_camera=own), there) @ own.camera_to_world
    np.testing.assert_allclose(moved[:3, 3], there.position)
    np.testing.assert_allclose(
        np.arctan2(moved[1, 2], moved[0, 2]), math.atan2(there.forward[1], there.forward[0]), atol=1e-9
    )


def test_frames_that_do_not_see_the_opening_show_nothing_of_the_second_world():
    opening = rooms().opening
    joined = Link(opening, np.eye(4)).joined(*worlds())
    ahead = math.atan2(-opening.normal[1], -opening.normal[0])
    away, towards, behind = (
        placed_camera(96, 54, 1.2, heading_rad=ahead + turn, position=place)
        for turn, place in (
            (math.pi, (0, 0, 0)),
            (0, (0, 0, 0)),
            (0, np.array([*opening.centre[:2], 0]) - opening.normal),
        )
    )
    assert shows_second(joined, [away, towards, behind]) == [False, True, True]
