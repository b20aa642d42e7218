import json
import math

import numpy as np
import pytest

from lookbeyond.geometry.cameras import PathError, placed_camera
from lookbeyond.geometry.keyframes import check_path
from lookbeyond.geometry.linked import Link, moved_camera
from lookbeyond.geometry.opening import Opening, crossings
from tests.support.box_room import BoxRoom

DOOR = Opening((2.0, -0.5), (2.0, 0.5), -1.5, 0.6)


def pose(turn_deg=30.0, shift=(1.0, 2.0, 0.25)):
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    matrix[:3, 3] = shift
    return matrix


def walk(*places):
    return [placed_camera(32, 18, math.radians(70), position=place) for place in places]


def test_the_first_place_is_to_the_left_of_the_opening():
    assert DOOR.side([0, 0, 0]) == pytest.approx(2)
    assert DOOR.side([3, 0, 0]) == pytest.approx(-1)
    assert DOOR.turned().side([0, 0, 0]) == pytest.approx(-2)


def test_rays_go_through_the_opening_or_they_do_not():
    rays = np.array([[1, 0, 0], [0.8, 0.6, 0], [-1, 0, 0], [0.96, 0.2, 0.195959]], np.float32)
    assert DOOR.distances((0, 0, 0), rays).tolist() == pytest.approx([2, math.inf, math.inf, 2 / 0.96], abs=1e-4)
    assert DOOR.distances((3, 0, 0), -rays[:1]).tolist() == pytest.approx([1])


def test_a_moved_opening_has_its_points_moved():
    moved = DOOR.moved(pose())
    point = np.array([1.2, 0.3, 0.0])
    assert moved.side(pose()[:3, :3] @ point + pose()[:3, 3]) == pytest.approx(DOOR.side(point))
    assert moved.bottom_z == pytest.approx(-1.25)


def test_links_survive_json():
    link = Link(DOOR, pose(), (1.1, 1.0, 0.9))
    again = Link.from_json_dict(json.loads(json.dumps(link.to_json_dict())))
    assert again.opening == DOOR and again.gain == link.gain
    np.testing.assert_allclose(again.second_to_first, link.second_to_first)


@pytest.mark.parametrize(
    "matrix, said",
    [(2 * np.eye(4), "scale"), (np.diag([1, 1, -1, 1.0]), "mirroring"), (np.eye(3), "4 by 4")],
)
def test_only_upright_rigid_poses_link_worlds(matrix, said):
    with pytest.raises(ValueError, match=said):
        Link(DOOR, matrix)


def test_a_tilted_second_world_is_refused():
    matrix = np.eye(4)
    matrix[:3, :3] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    with pytest.raises(ValueError, match="upright"):
        Link(DOOR, matrix)


def test_a_placed_world_shows_what_it_showed():
    world = BoxRoom().panorama(64, 64)
    placed = Link(DOOR, pose()).placed(world)
    rays = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_allclose(placed.distance_at(rays @ pose()[:3, :3].T), world.distance_at(rays), rtol=1e-3)
    assert placed.position.tolist() == pytest.approx([1.0, 2.0, 0.25])


def test_a_gain_is_of_linear_light():
    world = BoxRoom().panorama(64, 64)
    brighter = Link(DOOR, np.eye(4), (2.0, 1.0, 1.0)).placed(world).colour
    linear = [((image[..., 0] / 255 + 0.055) / 1.055) ** 2.4 for image in (world.colour, brighter)]
    middle = (world.colour[..., 0] > 60) & (world.colour[..., 0] < 150)
    assert middle.any()
    np.testing.assert_allclose(linear[1][middle] / linear[0][middle], 2, rtol=0.05)
    assert (brighter[..., 1:] == world.colour[..., 1:]).all()


def test_a_path_crosses_where_it_changes_sides():
    path = walk((0, 0, 0), (1.5, 0, 0), (2.5, 0, 0), (3.5, 0, 0), (1, 0, 0))
    assert crossings(path, DOOR) == [1, 3]
    assert crossings(path[:2], DOOR) == []


def test_a_path_through_the_wall_is_refused_by_its_frame():
    with pytest.raises(PathError, match=r"frame 12: .*wall beside the opening"):
        crossings(walk((0, 1, 0), (1, 1, 0), (3, 1.2, 0)), DOOR, first_frame=10)


def test_a_camera_that_moves_with_its_world_sees_the_same():
    camera = placed_camera(32, 18, 1.2, heading_rad=0.4, position=(0.5, 0.1, 0.2))
    point = np.array([2.0, 0.6, 0.1])
    moved = moved_camera(camera, pose())
    np.testing.assert_allclose(
        moved.project(pose()[:3, :3] @ point + pose()[:3, 3])[0], camera.project(point)[0], atol=1e-9
    )


def test_a_path_through_the_opening_may_leave_the_first_worlds_reach():
    first = BoxRoom().panorama(64, 64)
    x = float(first.distance_at(np.array([1.0, 0, 0]))) + float(first.position[0])
    door = Opening((x, -0.5), (x, 0.5), -1.5, 0.6)
    path = walk(*[(x + step, 0, 0) for step in np.linspace(-1.5, 1.1, 9)])
    with pytest.raises(PathError, match="free"):
        check_path(path, first)
    far = np.eye(4)
    far[0, 3] = x + 1.5
    joined = Link(door, far).joined(first, BoxRoom().panorama(64, 64))
    check_path(path, joined)
    with pytest.raises(PathError, match="never goes through"):
        check_path(path[:3], joined)
