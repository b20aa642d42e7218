"""The layout's figures are zero for the truth, and tell by how much it is missed."""

import math
from pathlib import Path

import numpy as np
import pytest

from lookbeyond.data.room_photos import column_azimuths
from lookbeyond.errors import InputError
from lookbeyond.evaluation import layouts
from lookbeyond.evaluation.scenes import WIDTH, held_out_room
from lookbeyond.geometry.cameras import placed_camera
from lookbeyond.geometry.layout import box_layout
from lookbeyond.geometry.panorama import Place
from lookbeyond.geometry.projection import equirectangular_directions
from lookbeyond.layout.fit import LayoutFit

MARKED = Path(__file__).parent / "wall_bases.json"
ROOM = box_layout((0.5, -0.3), (5, 4), 0.3, -1.6, 1.1)


def marks(walls: np.ndarray) -> list[np.ndarray]:
    """The feet of walls (camera's height 1) all around, as if marked in a panorama."""
    u, elevation = 0.5 - column_azimuths() / (2 * math.pi), np.arctan(-1 / walls)
    return [np.stack([u, 0.5 - elevation / math.pi], -1)]


def test_an_empty_rooms_distance_shows_its_walls():
    distance, _ = ROOM.cast((0, 0, 0), equirectangular_directions(WIDTH, WIDTH // 2))
    np.testing.assert_allclose(layouts.walls_in_distance(distance), layouts.walls_of(ROOM), rtol=0.01)


def test_a_fit_that_is_the_truth_has_no_error_and_one_that_is_a_tenth_too_big_a_tenth():
    scene = held_out_room(101)
    truth = layouts.true_walls(scene)
    camera = scene.camera.resized(48, 36)
    for factor in (1.0, 1.1):
        walls, inside = np.log(factor * truth).astype(np.float32), np.ones((36, 48), np.float32)
        fit = LayoutFit(None, Place(), inside, np.zeros_like(inside), walls, camera)
        figures = layouts.judge_walls(scene, fit, scene.distance)
        for where in ("seen", "hidden"):
            assert figures[f"walls, {where} AbsRel"]["ours"] == pytest.approx(factor - 1, abs=1e-4)
            # the true distance shows the walls, but for what stands before them and what doors and windows show
            assert figures[f"walls, {where} AbsRel"]["panorama's distance"] < 0.5
        assert figures["room: sure"]["ours"] == 0
    assert figures["inside the photo AbsRel"]["panorama's distance"] == pytest.approx(0, abs=1e-6)


def test_what_a_photo_shows_is_counted_by_column():
    shown = layouts.columns_in_photo(placed_camera(64, 48, math.radians(90)))
    azimuths = np.degrees(column_azimuths())
    assert shown[np.abs(azimuths) < 44].all() and not shown[np.abs(azimuths) > 47].any()
    assert layouts.columns_in_photo(placed_camera(64, 48, math.radians(60), heading_rad=math.pi)).sum() in range(42, 46)


def test_a_floor_line_is_compared_as_an_angle_where_the_photo_shows_it():
    camera = placed_camera(64, 48, math.radians(80), pitch_rad=-0.2)
    walls = layouts.walls_of(ROOM) / 1.6
    assert layouts.floor_line(walls, camera, marks(walls), 0.0) == pytest.approx(0, abs=0.05)
    lower = np.tan(np.arctan(1 / walls) + math.radians(3))
    assert layouts.floor_line(1 / lower, camera, marks(walls), 0.0) == pytest.approx(3, abs=0.05)
    # the same picture, elsewhere in the world
    turned, heading = layouts.walls_of(box_layout(*_turned(0.8))) / 1.6, 0.8
    other = placed_camera(64, 48, math.radians(80), heading_rad=heading, pitch_rad=-0.2)
    assert layouts.floor_line(turned, other, marks(walls), heading) == pytest.approx(0, abs=0.3)
    up = placed_camera(64, 48, math.radians(60), pitch_rad=0.9)
    assert math.isnan(layouts.floor_line(walls, up, marks(walls), 0.0))


def _turned(angle: float):
    c, s = math.cos(angle), math.sin(angle)
    return (0.5 * c + 0.3 * s, 0.5 * s - 0.3 * c), (5, 4), 0.3 + angle, -1.6, 1.1


def test_the_marked_panoramas_can_be_read_and_nothing_else_can(tmp_path):
    bases = layouts.read_wall_bases(MARKED)
    assert set(bases) == {"interior", "studio"}
    for lines in bases.values():
        for line in lines:
            assert (np.diff(line[:, 0]) > 0).all() and ((line[:, 1] > 0.55) & (line[:, 1] < 0.8)).all()
    for text in ("[]", '{"interior": 3}', "nothing"):
        (tmp_path / "bases.json").write_text(text)
        with pytest.raises(InputError, match="no marked wall bases"):
            layouts.read_wall_bases(tmp_path / "bases.json")
