"""Cameras against OpenCV, scipy and the laws they have to keep."""

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lookbeyond.geometry.cameras import (
    Camera,
    CameraError,
    blender_intrinsics,
    heading_pitch_roll,
    opencv_to_opengl,
    opengl_to_opencv,
    placed_camera,
    rotation_angle,
)

ANGLES = st.floats(-3.1, 3.1)
PITCHES = st.floats(-1.5, 1.5)
INTRINSICS = [[310.0, 0.0, 201.5], [0.0, 290.0, 120.25], [0.0, 0.0, 1.0]]


def random_pose(rng):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    pose[:3, 3] = rng.normal(size=3)
    return pose


def test_projection_agrees_with_opencv():
    rng = np.random.default_rng(0)
    for _ in range(20):
        camera = Camera(384, 256, INTRINSICS, random_pose(rng))
        local = rng.uniform([-2, -2, 0.5], [2, 2, 9], (50, 3))
        world = local @ camera.rotation.T + camera.position
        world_to_camera = np.linalg.inv(camera.camera_to_world)
        turn, _ = cv2.Rodrigues(world_to_camera[:3, :3])
        integer_centres = np.array(INTRINSICS) - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        expected, _ = cv2.projectPoints(world, turn, world_to_camera[:3, 3], integer_centres, None)
        pixels, depth = camera.project(world)
        np.testing.assert_allclose(pixels, expected[:, 0] + 0.5, atol=1e-7)
        np.testing.assert_allclose(depth, local[:, 2], atol=1e-12)


def test_rays_pass_through_the_pixels_they_project_to():
    camera = Camera(40, 30, INTRINSICS, random_pose(np.random.default_rng(1)))
    pixels, depth = camera.project(camera.position + 3.7 * camera.rays())
    columns, rows = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1), atol=1e-9)
    assert (depth > 0).all()


def test_what_lies_behind_has_no_pixel():
    pixels, depth = placed_camera(64, 48, 1.0).project([[-1.0, 0.2, 0.1], [0.0, 1.0, 0.0]])
    assert np.isnan(pixels).all() and (depth <= 1e-12).all()


@given(ANGLES, PITCHES, ANGLES)
def test_heading_pitch_roll_agree_with_scipy(heading, pitch, roll):
    """In the camera's body axes (forward, left, up): turn about up, then lift the nose, then bank right."""
    camera = placed_camera(64, 48, 1.0, heading_rad=heading, pitch_rad=pitch, roll_rad=roll)
    body = Rotation.from_euler("ZYX", [heading, -pitch, roll]).as_matrix()
    np.testing.assert_allclose(camera.rotation, np.stack([-body[:, 1], -body[:, 2], body[:, 0]], 1), atol=1e-12)
    again = placed_camera(64, 48, 1.0, **dict(zip(NAMES, heading_pitch_roll(camera), strict=True)))
    np.testing.assert_allclose(again.rotation, camera.rotation, atol=1e-9)


NAMES = ("heading_rad", "pitch_rad", "roll_rad")


def test_signs_of_heading_pitch_and_roll():
    assert placed_camera(9, 9, 1.0, heading_rad=0.1).forward[1] > 0  # counter-clockwise from above: towards +Y
    assert placed_camera(9, 9, 1.0, pitch_rad=0.1).forward[2] > 0
    assert placed_camera(9, 9, 1.0, roll_rad=0.1).rotation[2, 0] < 0  # clockwise from behind: right side sinks


@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_straight_up_and_down_keep_their_rotation(pitch):
    camera = placed_camera(9, 9, 1.0, heading_rad=0.7, pitch_rad=pitch, roll_rad=0.4)
    again = placed_camera(9, 9, 1.0, **dict(zip(NAMES, heading_pitch_roll(camera), strict=True)))
    np.testing.assert_allclose(again.rotation, camera.rotation, atol=1e-9)


@given(st.floats(0, math.pi), st.integers(0, 1000))
def test_rotation_angle_agrees_with_scipy(angle, seed):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    first = Rotation.random(random_state=rng)
    second = first * Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    assert rotation_angle(first.as_matrix(), second.as_matrix()) == pytest.approx(angle, abs=1e-7)


def test_rotation_angle_is_exact_where_acos_is_not():
    tiny = Rotation.from_rotvec([1e-9, 0, 0]).as_matrix()
    assert rotation_angle(np.eye(3), tiny) == pytest.approx(1e-9, rel=1e-6)


def test_field_of_view_is_the_angle_between_the_frames_sides():
    camera = placed_camera(640, 360, math.radians(75))
    assert math.degrees(camera.fov_x) == pytest.approx(75)
    shifted = Camera(100, 100, [[100, 0, 20], [0, 100, 50], [0, 0, 1]], np.eye(4))
    assert shifted.fov_x == pytest.approx(math.atan2(20, 100) + math.atan2(80, 100))


def test_resizing_keeps_the_frame():
    camera = Camera(384, 256, INTRINSICS, np.eye(4))
    small = camera.resized(96, 128)
    points = np.random.default_rng(0).uniform([-1, -1, 1], [1, 1, 5], (9, 3))
    np.testing.assert_allclose(small.project(points)[0], camera.project(points)[0] * [0.25, 0.5], atol=1e-9)


def test_equal_when_equal_to_a_micron():
    pose = random_pose(np.random.default_rng(2))
    camera, nudged, moved = (Camera(8, 8, INTRINSICS, pose + d * np.eye(4, k=3)) for d in (0, 1e-9, 1e-4))
    assert camera == nudged and hash(camera) == hash(nudged)
    assert camera != moved
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera


def test_axes_flip_there_and_back():
    pose = random_pose(np.random.default_rng(3))
    np.testing.assert_allclose(opencv_to_opengl(opengl_to_opencv(pose)), pose)
    np.testing.assert_allclose(opengl_to_opencv(np.eye(4))[:3, 2], [0, 0, -1])  # OpenGL cameras look along -Z


def test_a_scaled_blender_object_is_the_same_camera():
    matrix = random_pose(np.random.default_rng(4))
    scaled = matrix @ np.diag([2.0, 3.0, 0.5, 1.0])
    assert Camera.from_blender(scaled, INTRINSICS, 8, 8) == Camera.from_blender(matrix, INTRINSICS, 8, 8)


def test_blender_intrinsics_of_the_default_camera():
    """50 mm on a 36 mm wide sensor at 1920 x 1080: Blender's own start-up camera."""
    intrinsics = blender_intrinsics(50, 36, 24, "AUTO", 0, 0, 1920, 1080)
    np.testing.assert_allclose(intrinsics, [[2666.6667, 0, 960], [0, 2666.6667, 540], [0, 0, 1]], rtol=1e-6)


SHEARED = np.eye(4) + 0.1 * np.eye(4, k=1) * [[1], [0], [0], [0]]


@pytest.mark.parametrize(
    ("width", "intrinsics", "pose", "word"),
    [
        (0, INTRINSICS, np.eye(4), "width"),
        (40000, INTRINSICS, np.eye(4), "16384"),
        (8, -np.array(INTRINSICS), np.eye(4), "focal"),
        (8, INTRINSICS, np.full((4, 4), np.nan), "NaN"),
        (8, INTRINSICS, np.diag([1.0, 1, -1, 1]), "rotation"),
        (8, INTRINSICS, np.diag([2.0, 2, 2, 1]), "scale"),
        (8, INTRINSICS, SHEARED, "shear"),
        (8, INTRINSICS, np.eye(3), "shape"),
        (8, "abc", np.eye(4), "numbers"),
    ],
)
def test_impossible_cameras_are_refused_by_name(width, intrinsics, pose, word):
    with pytest.raises(CameraError, match=word):
        Camera(width, 8, intrinsics, pose)


@pytest.mark.parametrize("values", [{}, {"width": 8}, [], {"width": None, "height": 1, "intrinsics": 1}])
def test_incomplete_dictionaries_are_refused(values):
    with pytest.raises(CameraError):
        Camera.from_dict(values)


@pytest.mark.parametrize("fov", [0.0, math.pi, -1.0, math.nan])
def test_impossible_fields_of_view_are_refused(fov):
    with pytest.raises(CameraError, match="field of view"):
        placed_camera(8, 8, fov)


def test_sensor_fit_must_be_known():
    with pytest.raises(CameraError, match="'FILL'"):
        blender_intrinsics(50, 36, 24, "FILL", 0, 0, 8, 8)
