"""The horizon by two handles, the camera's height by a known one: laws of the camera itself are the oracle."""

import math

import bpy
import numpy as np
import pytest


@pytest.fixture
def module(part):
    return part("photo.horizon")


def camera(pitch=0.0, roll=0.0, height=1.6, heading=0.4):
    from lookbeyond_kit.geometry.cameras import placed_camera

    turn = {"heading_rad": heading, "pitch_rad": pitch, "roll_rad": roll}
    return placed_camera(1200, 800, 1.2, position=(0.3, 0.1, height), **turn)


@pytest.mark.parametrize("pitch", [-0.5, 0.0, 0.2])
@pytest.mark.parametrize("roll", [-0.3, 0.0, 0.15])
def test_the_horizon_is_where_level_directions_are_seen_and_back(module, pitch, roll):
    tilted = camera(pitch, roll)
    far = tilted.position + 1e7 * np.array([math.cos(0.3), math.sin(0.3), 0])
    (column, row), _ = tilted.project(far)
    assert module.horizon_row(tilted, column) == pytest.approx(row, abs=1e-2)
    handles = [(x, module.horizon_row(tilted, x)) for x in (240.0, 960.0)]
    assert module.pitch_roll_of_horizon(camera(), *handles) == pytest.approx((pitch, roll), abs=1e-9)


EDGES = {
    "UPRIGHT": [((3.0, y, 0.2), (3.0, y, 2.2)) for y in (-1.1, 0.9)],
    "LEVEL": [((2.0, y, 0.0), (5.0, y + 0.6, 0.0)) for y in (-0.8, 1.0)],
}


@pytest.mark.parametrize("kind", ["UPRIGHT", "LEVEL"])
@pytest.mark.parametrize("turn", [(0.0, 0.0), (-0.25, 0.0), (0.2, 0.12), (-0.1, -0.3)])
def test_two_lines_tell_how_a_camera_of_blender_is_turned(module, part, scene, photo, kind, turn):
    """The edges of a box where Blender itself sees them: the camera is put level, and turns back."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.3, pitch=turn[0], roll=turn[1], heading=0.2)
    bpy.ops.lookbeyond.use_photo_resolution()
    settings = scene.look_beyond
    camera, width, height = settings.photo_camera, scene.render.resolution_x, scene.render.resolution_y
    camera.data.shift_x = 0.07
    bpy.context.view_layer.update()
    ends = []
    for place in (place for edge in EDGES[kind] for place in edge):
        seen = world_to_camera_view(scene, camera, Vector(place))
        ends += [seen.x * width, (1 - seen.y) * height]
    settings.pitch, settings.roll = 0.05, turn[1] if kind == "LEVEL" else -0.02
    assert bpy.ops.lookbeyond.align_lines(kind=kind, ends=ends) == {"FINISHED"}
    assert (settings.pitch, settings.roll) == pytest.approx(turn, abs=2e-4)


@pytest.mark.parametrize(
    ("kind", "ends", "words"),
    [
        ("UPRIGHT", (20, 20, 20, 20, 90, 10, 90, 70), "at the same point"),
        ("UPRIGHT", (20, 20, 20, 60, 20, 65, 20, 75), "on the same edge"),
        ("LEVEL", (10, 20, 100, 20, 10, 60, 100, 60), "parallel in the photo"),
    ],
)
def test_lines_that_say_nothing_change_nothing(scene, photo, kind, ends, words):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.3, pitch=-0.1)
    before = scene.look_beyond.photo_camera.matrix_world.copy()
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.lookbeyond.align_lines(kind=kind, ends=ends)
    assert scene.look_beyond.photo_camera.matrix_world == before


def test_a_script_sets_the_horizon_as_the_mouse_does(module, part, scene, photo):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.3, pitch=-0.1, roll=0.2)
    tilted = part("photo.camera").photo_camera(scene)
    horizon = [value for x in (20.0, 100.0) for value in (x, module.horizon_row(tilted, x))]
    scene.look_beyond.pitch = scene.look_beyond.roll = 0.0
    bpy.ops.lookbeyond.adjust_horizon(ends=horizon)
    assert (scene.look_beyond.pitch, scene.look_beyond.roll) == pytest.approx((-0.1, 0.2), abs=1e-4)


def test_handles_on_one_point_say_so(module):
    with pytest.raises(module.PickError, match="move them apart"):
        module.pitch_roll_of_horizon(camera(), (5, 5), (5, 5))
