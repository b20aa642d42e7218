"""A planned move is asked for in the world as it was built, and stands in the scene as it is: editable, as planned."""

import math

import bpy
import numpy as np
import pytest

FRAMES = 41
HEIGHT_M = 1.7


def planned_move() -> dict:
    """A bend of two Bezier segments at eye height, gone at a pace that rises and falls, looking at a moving point."""
    curve = [(0, 0), (0.3, 0), (0.6, 0.1), (0.9, 0.3), (1.2, 0.5), (1.4, 0.9), (1.4, 1.2)]
    t = np.linspace(0, 1, FRAMES)
    way = t**2 * (3 - 2 * t)
    targets = np.stack([2 + way, 0.5 * way, np.full(FRAMES, 1.5)], 1)
    return {
        "version": 1,
        "fps": 24.0,
        "curve": [[*place, HEIGHT_M] for place in curve],
        "way": way.tolist(),
        "targets": targets.tolist(),
        "said": "41 frames, 1.7 s, 2.0 m.",
    }


@pytest.fixture
def built(scene, photo, service):
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, pitch=0.1, heading=0.5, height=HEIGHT_M)
    bpy.ops.lookbeyond.build_world()
    service.move = planned_move()
    return scene


def bent(points, shares):
    """Places at shares of the length of Bezier segments [3 n + 1, 3]."""
    t = np.linspace(0, 1, 300)[:, None]
    dense = np.concatenate(
        [
            (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
            for a, b, c, d in (points[i : i + 4] for i in range(0, len(points) - 1, 3))
        ]
    )
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1)))
    return np.stack([np.interp(np.array(shares) * along[-1], along, axis) for axis in dense.T], 1)


def test_the_camera_goes_and_looks_as_planned(part, built, service):
    assert bpy.ops.lookbeyond.plan_path(goal="SHOW_ROOM") == {"FINISHED"}
    scene, move = built, service.move
    assert (scene.frame_start, scene.frame_end) == (11, 11 + FRAMES - 1)
    assert part("session").session.notice == move["said"]
    cameras = part("path.read").shot_cameras(bpy.context)
    places = bent(np.array(move["curve"]), move["way"])
    assert np.allclose([camera.position for camera in cameras], places, atol=0.01)
    for camera, target in zip(cameras, move["targets"], strict=True):
        sight = np.array(target) - camera.position
        assert np.linalg.norm(np.cross(sight, camera.forward)) / np.linalg.norm(sight) < math.radians(0.5)
    assert math.isclose(cameras[0].fov_x, 1.2, rel_tol=1e-5)
    assert [constraint.type for constraint in scene.camera.constraints] == ["FOLLOW_PATH", "TRACK_TO"]


def test_what_is_asked_for_is_in_the_world_as_it_was_built(part, built, service):
    """The artist has turned the world: goals go back by that turn, and the move comes forth by it."""
    scene = built
    turned = part("path.plan").about_vertical(math.radians(30), (0, 0, HEIGHT_M))
    part("world.nodes").panorama_node(scene.world).inputs["Heading"].default_value += math.radians(30)
    scene.cursor.location = turned @ part("path.plan").Vector((1.0, 0.4, 1.2))
    scene.look_beyond.plan_speed, scene.look_beyond.plan_turn = 0.25, math.radians(12)
    assert bpy.ops.lookbeyond.plan_path(goal="END_ON") == {"FINISHED"}
    asked = service.requests[-1]
    assert asked.goal == "end-on" and np.allclose(asked.target, (1.0, 0.4, 1.2), atol=1e-5)
    assert math.isclose(asked.speed, 0.25) and math.isclose(asked.turn, 12, rel_tol=1e-5) and asked.fps == 24
    assert set(asked.world) == {"panorama.png", "distance.exr", "from_photo.png", "world.json"}
    cameras = part("path.read").shot_cameras(bpy.context)
    end = turned @ part("path.plan").Vector(service.move["curve"][-1])
    assert np.allclose(cameras[-1].position, end, atol=0.01)


def test_in_centimetres_and_from_the_scenes_camera(part, scene, photo, service):
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 0.01
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), fov_x=1.2, heading=0.5, height=HEIGHT_M)
    bpy.ops.lookbeyond.build_world()
    service.move = planned_move()
    scene.look_beyond.plan_range = False
    scene.cursor.location = (150.0, 50.0, 0.0)
    bpy.ops.lookbeyond.plan_path(goal="GO_TO", start="CAMERA")
    asked = service.requests[-1]
    assert np.allclose(asked.target, (1.5, 0.5), atol=1e-5) and np.allclose(asked.start, (0, 0), atol=1e-5)
    assert scene.frame_end == 16 and "ends at frame 51, the scene at 16" in part("session").session.notice
    assert math.isclose(part("path.read").shot_cameras(bpy.context)[0].position[2], HEIGHT_M, rel_tol=1e-4)


def test_the_services_sentence_is_said_and_nothing_changes(part, built, service):
    from lookbeyond_kit.client import ServiceError

    before = set(bpy.data.objects), built.camera, built.frame_end
    service.fails = ServiceError("input", "The end (9, 0) is inside or behind a wall or a thing.")
    with pytest.raises(RuntimeError, match="inside or behind a wall"):
        bpy.ops.lookbeyond.plan_path(goal="GO_TO")
    service.fails, service.move = None, {"curve": [[0, 0]], "way": [], "targets": [], "said": ""}
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.lookbeyond.plan_path(goal="GO_TO")
    assert (set(bpy.data.objects), built.camera, built.frame_end) == before


def test_without_a_world_it_says_what_comes_first(scene):
    with pytest.raises(RuntimeError, match="Build a world first"):
        bpy.ops.lookbeyond.plan_path(goal="SHOW_ROOM")
