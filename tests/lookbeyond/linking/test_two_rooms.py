import math

import numpy as np
import pytest

from lookbeyond.geometry.cameras import placed_camera
from tests.support.two_rooms import draw_two_rooms


@pytest.mark.parametrize("seed", [200, 201])
def test_both_sides_of_the_doorway_see_the_same(seed):
    rooms = draw_two_rooms(seed)
    opening = rooms.opening
    heading = math.atan2(-opening.normal[1], -opening.normal[0])
    middle = np.array([*opening.centre[:2], 0.0])
    for turn in (0.0, math.pi):
        one, other = (
            rooms.view(placed_camera(48, 32, 1.2, heading_rad=heading + turn, position=middle + away * opening.normal))
            for away in (2e-4, -2e-4)
        )
        # but for texels that are filtered a little otherwise
        assert np.abs(one.colour.astype(int) - other.colour).mean() < 3
        assert np.median(np.abs(one.distance / other.distance - 1)) < 0.005


def test_the_first_photographer_sees_through_the_doorway_and_the_floor_goes_on():
    rooms = draw_two_rooms(200)
    target = np.array([*rooms.opening.centre[:2], 0.0])
    away = np.linalg.norm(target)
    _, distance = rooms.render(np.zeros(3), (target / away)[None], 0.01)
    assert distance[0] > away + 0.5
    below = rooms.opening.centre - 0.5 * rooms.opening.normal
    down = np.array([[0, 0, -1.0]])
    floors = [rooms.render(np.array([*place[:2], 0.0]), down, 0.01)[1][0] for place in (below, np.zeros(3))]
    assert floors[0] == pytest.approx(floors[1], abs=0.03)  # a rug may lie there


def test_the_way_to_the_doorway_is_free():
    rooms = draw_two_rooms(201)
    middle = np.array([*rooms.opening.centre[:2], 0.0])
    assert rooms.is_free([share * middle for share in np.linspace(0, 1, 12)], 0.2).all()
