"""The path begins where the photo was taken, is as long and turns as far as asked, and can be edited."""

import math

import bpy
import numpy as np
import pytest


@pytest.fixture
def placed(scene, photo):
    bpy.ops.lookbeyond.place_photo(
        filepath=str(photo), fov_x=1.2, pitch=math.radians(8), roll=0.04, heading=0.5, height=1.7
    )
    scene.frame_start, scene.frame_end = 1, 48
    return scene


def shot(part):
    return part("path.read").shot_cameras(bpy.context)


def length(cameras) -> float:
    positions = np.array([camera.position for camera in cameras])
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())


@pytest.mark.parametrize("turn", [65, -65, 0, 120])
def test_walk_is_as_long_and_turns_as_far_as_asked(part, placed, turn):
    from lookbeyond_kit.geometry.cameras import heading_pitch_roll

    bpy.ops.lookbeyond.add_path(length=1.5, turn=math.radians(turn))
    cameras = shot(part)
    poses = [heading_pitch_roll(camera) for camera in cameras]
    assert math.isclose(length(cameras), 1.5, rel_tol=0.01)
    assert np.allclose(cameras[0].position, (0, 0, 1.7), atol=1e-4)
    assert math.isclose(poses[0][0], 0.5, abs_tol=math.radians(0.3))
    assert math.isclose(poses[-1][0] - poses[0][0], math.radians(turn), abs_tol=math.radians(1))
    pitch, roll = np.array(poses)[:, 1:].T
    assert np.allclose(pitch, math.radians(8), atol=1e-3) and np.abs(roll).max() < 1e-3  # level, and as the photo
    steps = np.linalg.norm(np.diff([camera.position for camera in cameras], axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min()  # an even walk


def test_not_levelled_it_begins_with_the_photos_own_view(part, placed):
    bpy.ops.lookbeyond.add_path(level=False)
    first, photo = shot(part)[0], part("photo.camera").photo_camera(placed)
    assert np.allclose(first.camera_to_world, photo.camera_to_world, atol=5e-3)
    assert math.isclose(first.fov_x, photo.fov_x, rel_tol=1e-5)


def test_camera_looks_at_its_target_wherever_that_is(part, placed):
    bpy.ops.lookbeyond.add_path(look="TARGET")
    target = bpy.data.objects["Look Beyond Target"]
    target.location = (3, 2, 1)
    for camera in shot(part):
        to_target = np.array(target.location) - camera.position
        assert np.allclose(to_target / np.linalg.norm(to_target), camera.forward, atol=1e-4)


def test_editing_the_curve_moves_the_camera(part, placed):
    bpy.ops.lookbeyond.add_path()
    before = shot(part)
    curve = bpy.context.view_layer.objects.active
    assert curve.type == "CURVE"
    curve.data.splines[0].bezier_points[1].co.z += 0.5
    curve.data.splines[0].bezier_points[1].handle_left.z += 0.5
    after = shot(part)
    assert np.allclose(before[0].position, after[0].position, atol=1e-4)
    assert math.isclose(after[-1].position[2] - before[-1].position[2], 0.5, abs_tol=1e-3)


def test_looking_around_hardly_moves(part, placed):
    bpy.ops.lookbeyond.add_path(kind="LOOK_AROUND", turn=math.radians(180))
    cameras = shot(part)
    spread = np.array([camera.position for camera in cameras])
    assert np.ptp(spread, axis=0).max() <= 0.41
    assert math.isclose(
        abs(math.atan2(*(cameras[-1].forward[[1, 0]])) - math.atan2(*(cameras[0].forward[[1, 0]]))),
        math.pi,
        abs_tol=math.radians(2),
    )


def test_lengths_are_metres_in_any_unit(part, placed):
    placed.unit_settings.system, placed.unit_settings.scale_length = "METRIC", 0.01
    placed.look_beyond.camera_height = 1.7
    bpy.ops.lookbeyond.add_path(length=1.5)
    assert math.isclose(length(shot(part)), 1.5, rel_tol=0.01)
    assert math.isclose(placed.camera.matrix_world.translation.z, 170, rel_tol=1e-3)


def test_a_path_needs_no_photo(part, scene):
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", frames=4)
    assert np.allclose(shot(part)[0].position, (0, 0, 1.6), atol=1e-5)
    assert np.allclose(shot(part)[3].position, shot(part)[5].position, atol=1e-6)


@pytest.mark.parametrize("kind", ["PUSH_IN", "WALK", "ORBIT", "LOOK_AROUND", "CRANE"])
def test_every_level_move_begins_with_the_photos_view(part, placed, kind):
    """Level is without roll: the photo's heading and pitch, and so what it shows, stay."""
    placed.look_beyond.roll = 0.0
    placed.look_beyond.photo_camera.data.shift_x = 0.1
    bpy.ops.lookbeyond.add_path(kind=kind)
    first, photo = shot(part)[0], part("photo.camera").photo_camera(placed)
    assert np.allclose(first.camera_to_world, photo.camera_to_world, atol=6e-3)
    small = photo.resized(first.width, first.height)
    assert np.allclose(first.intrinsics, small.intrinsics, rtol=1e-4)


def test_a_walk_to_where_it_starts_is_refused_and_nothing_is_made(placed):
    placed.cursor.location = (0.0, 0.02, 0.0)  # below the camera
    objects = set(bpy.data.objects)
    with pytest.raises(RuntimeError, match="The 3D cursor is where the path starts: move it"):
        bpy.ops.lookbeyond.add_path(kind="WALK_TO")
    assert set(bpy.data.objects) == objects


@pytest.mark.parametrize("turn_deg", [90, 180, -60])
@pytest.mark.parametrize("kind", ["PUSH_IN", "WALK", "ORBIT"])
def test_in_a_world_that_was_rotated_a_path_is_as_long_as_the_rotated_walls_allow(
    part, scene, photo, service, tmp_path, kind, turn_deg
):
    """The room is 3 m long ahead and 2 m behind: turned by 180 degrees, the nearer wall is ahead."""
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), height=1.6)
    bpy.ops.lookbeyond.build_world()
    scene.frame_start, scene.frame_end = 1, 40
    part("world.nodes").panorama_node(scene.world).inputs["Heading"].default_value = math.radians(turn_deg)
    bpy.ops.lookbeyond.add_path(kind=kind)
    checker = part("path.checker").PathChecker()
    checker.check_now(scene)
    most = max(checker.check.excess_m)
    checker.clear()
    assert -0.8 < most <= 0
