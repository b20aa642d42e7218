"""The layout of a room: rays cast from inside, its description, and what cannot be a room."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookbeyond.geometry.layout import RoomLayout, box_layout, signed_area

L_SHAPE = RoomLayout(np.array([[-1.0, -1], [4, -1], [4, 1], [1, 1], [1, 3], [-1, 3]]), -1.5, 1.1)


def directions(count: int, seed: int = 0) -> np.ndarray:
    rays = np.random.default_rng(seed).normal(size=(count, 3))
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


@given(
    st.floats(-math.pi, math.pi),
    st.floats(1.5, 8),
    st.floats(1.5, 8),
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
)
def test_rays_in_a_box_end_where_its_three_far_planes_are_nearest(heading, along, across, x, y):
    room = box_layout((0, 0), (along, across), heading, -1.6, 1.0)
    origin, rays = np.array([x, y, 0.2]), directions(200)
    # the slab method, in the box's own axes
    c, s = math.cos(heading), math.sin(heading)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    o, d = turn @ origin, rays @ turn.T
    low, high = np.array([-along / 2, -across / 2, -1.6]), np.array([along / 2, across / 2, 1.0])
    expected = np.where(d > 0, (high - o) / d, (low - o) / d).min(1)
    np.testing.assert_allclose(room.cast(origin, rays)[0], expected, rtol=1e-5)


def test_every_hit_lies_on_the_face_that_is_named():
    origin, rays = np.array([0.0, 0.5, 0.0]), directions(2000)
    distance, face = L_SHAPE.cast(origin, rays)
    points = origin + rays * distance[:, None]
    starts, along, length, normal = L_SHAPE.walls()
    on_wall = face < L_SHAPE.floor_face
    wall = face[on_wall]
    relative = points[on_wall, :2] - starts[wall]
    np.testing.assert_allclose((relative * normal[wall]).sum(1), 0, atol=1e-5)
    reach = (relative * along[wall]).sum(1)
    assert ((reach > -1e-4) & (reach < length[wall] + 1e-4)).all()
    np.testing.assert_allclose(points[face == L_SHAPE.floor_face, 2], L_SHAPE.floor_z, atol=1e-5)
    np.testing.assert_allclose(points[face == L_SHAPE.ceiling_face, 2], L_SHAPE.ceiling_z, atol=1e-5)
    assert ((points[:, 2] > -1.5 - 1e-4) & (points[:, 2] < 1.1 + 1e-4)).all()


def test_a_nearer_wall_hides_what_lies_behind_it():
    # from the long arm the far end of the short one is hidden by the inner corner
    distance, face = L_SHAPE.cast((3.0, 0.0, 0.0), np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(distance, [1.0, 4.0], rtol=1e-6)
    assert face.tolist() == [2, 5]


def test_a_layout_is_read_as_it_was_written():
    again = RoomLayout.from_json_dict(L_SHAPE.to_json_dict())
    np.testing.assert_array_equal(again.corners, L_SHAPE.corners)
    assert (again.floor_z, again.ceiling_z, again.confidence) == (-1.5, 1.1, 1.0)


@pytest.mark.parametrize(
    ("corners", "floor", "ceiling", "words"),
    [
        ([[0, 0], [1, 0]], 0, 1, "3 to 64 corners"),
        ([[0, 0], [0, 1], [1, 1], [1, 0]], 0, 1, "counter-clockwise"),
        ([[0, 0], [1, 0], [1, 1]], 1, 1, "must be above its floor"),
        ([[0, 0], [1, 0], [1, math.nan]], 0, 1, "not finite"),
    ],
)
def test_what_is_no_room_says_why(corners, floor, ceiling, words):
    with pytest.raises(ValueError, match=words):
        RoomLayout(np.array(corners, float), floor, ceiling)


def test_a_room_is_not_seen_from_outside():
    assert L_SHAPE.contains((0, 2.5, 0)) and not L_SHAPE.contains((3, 2.5, 0))
    with pytest.raises(ValueError, match="from outside"):
        L_SHAPE.cast((3, 2.5, 0), np.array([[1.0, 0, 0]]))


def test_an_unfinished_description_is_refused():
    description = L_SHAPE.to_json_dict()
    del description["floor_z"]
    with pytest.raises(ValueError, match="not complete"):
        RoomLayout.from_json_dict(description)
    with pytest.raises(ValueError, match="version 9"):
        RoomLayout.from_json_dict(L_SHAPE.to_json_dict() | {"version": 9})


def test_counter_clockwise_is_positive():
    assert signed_area(L_SHAPE.corners) == pytest.approx(14.0)
