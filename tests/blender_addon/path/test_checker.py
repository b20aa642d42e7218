"""The path in the viewport: read apart from the scene, told what is known of it, never holding the window."""

import math
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.support.pictures import picture
from tests.support.worlds import distance_file, room_distance

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def world(scene, photo, service, tmp_path):
    """A built world, the room of `room_distance`, and a photo's camera that looks along +X."""
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo), height=1.6)
    bpy.ops.lookbeyond.build_world()
    scene.frame_start, scene.frame_end = 1, 100
    return scene


@pytest.fixture
def view(part):
    view = part("path.checker").PathChecker()
    yield view
    view.clear()


def test_distances_are_read_as_the_service_writes_them(part, tmp_path):
    """A file that OpenEXR wrote, and one that these tests write."""
    module = part("world.distance")
    wanted = room_distance(64)
    assert np.array_equal(module.read_distance(DATA / "distance.exr"), wanted)
    assert np.array_equal(module.read_distance(distance_file(tmp_path / "plain.exr", wanted)), wanted)


def test_damaged_distances_are_a_sentence(part, tmp_path):
    module = part("world.distance")
    data = (DATA / "distance.exr").read_bytes()
    random = np.random.default_rng(2)
    for length in range(0, len(data), 61):
        (tmp_path / "cut.exr").write_bytes(data[:length])
        noise = bytearray(data)
        noise[length] = random.integers(256)
        (tmp_path / "noise.exr").write_bytes(noise)
        with pytest.raises(module.WorldError, match="again"):
            module.read_distance(tmp_path / "cut.exr")
        try:
            module.read_distance(tmp_path / "noise.exr")
        except module.WorldError as error:
            assert "again" in str(error)
    with pytest.raises(module.WorldError, match="cannot be read"):
        module.read_distance(picture(tmp_path / "rgba.exr", 8, 4))


def test_cameras_read_apart_are_the_scenes_own(part, scene):
    """Parent, constraint, curve, driver, markers: what the artist's scene gives frame by frame, unstepped."""
    module = part("path.read")
    parent, target = (bpy.data.objects.new(name, None) for name in ("Parent", "Target"))
    cameras = [bpy.data.objects.new(name, bpy.data.cameras.new(name)) for name in "AB"]
    for thing in (parent, target, *cameras):
        scene.collection.objects.link(thing)
    cameras[0].parent = parent
    for frame, x in ((11, 0.0), (16, 2.0)):
        parent.location = (x, 0, 1)
        parent.keyframe_insert("location", frame=frame)
        cameras[1].rotation_euler = (1.2, 0, x)
        cameras[1].keyframe_insert("rotation_euler", frame=frame)
    cameras[0].constraints.new("TRACK_TO").target = target
    cameras[1].data.driver_add("lens").driver.expression = "20 + frame"
    scene.camera = cameras[0]
    for camera, frame in zip(cameras, (12, 14)):
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera
    scene.frame_set(13)
    steps = []
    assert module.can_read_isolated(bpy.context)
    bpy.app.handlers.frame_change_post.append(lambda stepped, _: steps.append(stepped.name))
    try:
        apart = module.isolated_cameras(scene, range(11, 17))
    finally:
        bpy.app.handlers.frame_change_post.pop()
    assert scene.name not in steps and scene.frame_current == 13
    assert [scene.name for scene in bpy.data.scenes] == ["Scene"]
    in_place = module.stepped_cameras(bpy.context, range(11, 17))
    assert apart == in_place and len(set(apart)) > 3


def test_a_camera_that_only_its_scene_moves_is_read_there(part, scene):
    module = part("path.read")
    camera = bpy.data.objects.new("A", bpy.data.cameras.new("A"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    driver = camera.driver_add("location", 0).driver
    driver.use_self = False
    variable = driver.variables.new()
    variable.type = "CONTEXT_PROP" if hasattr(variable.targets[0], "context_property") else "SINGLE_PROP"
    variable.targets[0].context_property = "ACTIVE_SCENE"
    variable.targets[0].data_path = "frame_end"
    variable.name = "end"
    driver.expression = "end + frame"
    scene.frame_set(12)
    assert not module.can_read_isolated(bpy.context)
    assert [round(camera.position[0]) for camera in module.shot_cameras(bpy.context)] == list(range(27, 33))


def test_between_markers_only_those_frames_are_shot(part, world, service):
    bpy.ops.lookbeyond.add_path()
    for frame in (20, 41):
        world.timeline_markers.new("cut", frame=frame)
    world.look_beyond.frames_from = "MARKERS"
    outside = ((0, range(1, 20)), (300, range(41, 101)))  # the playhead is not held by the scene's range
    for current, wanted in ((5, range(1, 20)), (25, range(20, 41)), (60, range(41, 101)), *outside):
        world.frame_set(current)
        assert part("path.frames").scene_frames(world) == wanted
    world.frame_set(25)
    assert bpy.ops.lookbeyond.shoot() == {"FINISHED"}
    assert service.requests[-1].first_frame == 20 and len(service.requests[-1].cameras) == 21
    world.timeline_markers.new("cut", frame=21)
    world.frame_set(20)
    with pytest.raises(RuntimeError, match="fewer than two frames between these markers: move the playhead"):
        bpy.ops.lookbeyond.shoot()
    assert bpy.ops.lookbeyond.check_path() == {"FINISHED"}


def test_a_path_in_the_open_is_green_and_nothing_is_said(part, view, world):
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=0.3)
    assert view.check_now(world) == []
    assert min(view.check.coverage) > 0.9 and len(view.check.coverage) == 100
    assert view.check.anchors[0] == 0 and view.check.anchors[-1] == 99
    points, paint = part("path.drawing").path_lines(view.check, 1.0)
    assert points.shape[1:] == (3,) and len(points) == len(paint) == 2 * 99 + 16 * len(view.check.anchors)
    assert (paint[:, 1] > paint[:, 0]).all()


def test_leaving_what_can_be_known_and_walls_are_said_with_their_frames(part, view, world):
    """The wall ahead is 3 m away: 0.8 of that can be shot."""
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=4.0)
    walls, far = view.check_now(world)
    first_far = math.ceil(1 + 99 * 2.4 / 4.0)
    first_wall = math.ceil(1 + 99 * 3.0 / 4.0)
    assert walls.startswith(f"Frames {first_wall}–100: the camera passes through a surface")
    assert far.startswith(f"Frames {first_far}–{first_wall - 1}: up to 0.6 m beyond")
    draw = part("path.drawing")
    assert np.allclose(draw.path_lines(view.check, 1.0)[1][2 * 98, :3], part("known").BEYOND.colour)


def test_an_edit_of_the_curve_is_seen(part, view, world):
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=0.3)
    assert view.check_now(world) == []
    last = bpy.context.active_object.data.splines[0].bezier_points[-1]
    last.co.x += 3
    last.handle_left.x += 3
    (walls, _far) = view.check_now(world)
    assert "passes through a surface" in walls


def test_only_edits_wake_the_view_not_its_own_reading(part, world):
    view = part("path.checker").path_checker
    bpy.ops.lookbeyond.add_path()
    view.check_now(world)
    bpy.context.view_layer.update()
    assert view.idle
    bpy.context.active_object.location.x += 0.1
    bpy.context.view_layer.update()
    assert not view.idle
    view.check_now(world)
    world.camera.data.lens += 1
    bpy.context.view_layer.update()
    assert not view.idle


def work_out(view, scene, limit_s: float = 0.005) -> None:
    """As Blender's timer does."""
    view.invalidate()
    while view.tick(scene, limit_s):
        time.sleep(0.001)


def test_slices_are_short_and_a_hundred_poses_are_soon_known(view, world):
    bpy.ops.lookbeyond.add_path(kind="WALK")
    view.check_now(world)  # the world is read, once
    took = []
    for _ in range(3):  # the best of them: a busy machine is not ours
        work_out(view, world)
        took.append(view.elapsed_s)
    # By the processor's time of the thread, for the same reason.
    own, wall = np.array(view.slices_own_s) * 1000, np.array(view.slices_s) * 1000
    print(f"100 poses known after {1000 * min(took):.0f} ms, read in {own.sum():.1f} ms of its own", end=" ")
    print(f"({wall.sum():.1f} by the clock), {len(own)} slices, max {own.max():.1f} ms of its own")
    assert len(view.check.coverage) == 100
    assert own.max() <= 10 and min(took) < 1


def test_however_short_the_slices_are_the_path_is_the_same(view, world):
    bpy.ops.lookbeyond.add_path(kind="WALK")
    view.check_now(world)
    wanted = view.check
    work_out(view, world, 0.0)
    assert len(view.slices_s) == 100 and view.check is not wanted and view.check == wanted


def test_an_edit_while_the_thread_is_at_work_counts(view, world):
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=0.3)
    view.check_now(world)
    before = view.check
    view.invalidate()
    while view._thread is None:
        assert view.tick(world)
    bpy.context.active_object.location.y += 0.5
    view.invalidate()
    view._thread.join()
    assert view.tick(world) and view.check is before, "what is known of the former path was taken"
    while view.tick(world):
        time.sleep(0.001)
    assert view.idle
    moved = [after.position - camera.position for after, camera in zip(view.check.cameras, before.cameras, strict=True)]
    assert np.allclose(moved, (0, 0.5, 0), atol=1e-5)


def test_a_camera_that_its_scene_moves_is_checked_when_asked_for(part, view, world):
    """The timer does not play the artist's scene; the button does, and puts it back."""
    camera = world.look_beyond.photo_camera
    for frame, value in ((1, 0.0), (100, 4.0)):
        world["dolly"] = value
        world.keyframe_insert('["dolly"]', frame=frame)
    driver = camera.driver_add("location", 0).driver
    driver.type = "SUM"
    target = driver.variables.new().targets[0]
    target.id_type, target.id, target.data_path = "SCENE", world, '["dolly"]'
    world.frame_set(7)
    work_out(view, world)
    assert view.idle and view.check is None and "press the round arrow" in view.warnings[0]
    assert "passes through a surface" in view.check_now(world)[0]
    assert view.idle and world.frame_current == 7
    assert [round(view.check.cameras[at].position[0], 3) for at in (0, -1)] == [0, 4]


def test_the_longest_paths_are_looked_at_here_and_there(view, world):
    world.frame_end = 1000
    bpy.ops.lookbeyond.add_path(kind="WALK")
    view.check_now(world)
    assert view.check.frames[0] == 1 and view.check.frames[-1] == 1000
    assert len(view.check.frames) <= 241


def test_a_world_that_is_gone_is_said_once(part, view, world, tmp_path):
    bpy.ops.lookbeyond.add_path()
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    (words,) = view.check_now(world)
    assert "again" in words and view.check is None


def test_the_button_says_what_the_view_shows(world):
    bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=0.3)
    assert bpy.ops.lookbeyond.check_path() == {"FINISHED"}
    world.look_beyond.world_folder = ""
    with pytest.raises(RuntimeError, match="Build a world first"):
        bpy.ops.lookbeyond.check_path()


KINDS = ("PUSH_IN", "WALK", "ORBIT", "LOOK_AROUND", "WALK_TO", "CRANE")


@pytest.mark.parametrize("kind", KINDS)
def test_every_preset_fits_the_world_and_uses_it(part, view, world, kind):
    """Sized by the world's distances: all of it can be shot, and a bigger room gives a longer path."""
    world.cursor.location = (9.0, 1.0, 0.0)
    bpy.ops.lookbeyond.add_path(kind=kind)
    assert view.check_now(world) == [] or "passes through" not in " ".join(view.warnings)
    assert max(view.check.excess_m) <= 0
    curve = bpy.context.active_object
    assert curve.type == "CURVE" and len(curve.data.splines[0].bezier_points) >= 2
    small = path_length(view.check.cameras)
    folder = Path(bpy.path.abspath(world.look_beyond.world_folder))
    distance_file(folder / "distance.exr", 1.4 * room_distance())
    view.check_now(world)
    part("path.checker").path_checker.clear()
    bpy.ops.lookbeyond.add_path(kind=kind)
    view.check_now(world)
    assert path_length(view.check.cameras) > 1.2 * small or kind == "LOOK_AROUND"
    assert max(view.check.excess_m) <= 0


def path_length(cameras) -> float:
    positions = np.array([camera.position for camera in cameras])
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())


def test_orbit_and_crane_keep_their_target_in_the_middle(part, view, world):
    for kind in ("ORBIT", "CRANE"):
        bpy.ops.lookbeyond.add_path(kind=kind)
        view.check_now(world)
        target = np.array(world.camera.constraints["Track To"].target.location)
        assert np.allclose(target, (3.0, 0, 1.6), atol=0.05)
        for camera in view.check.cameras[::20]:
            toward = (target - camera.position) / np.linalg.norm(target - camera.position)
            assert camera.forward @ toward > 0.999
        start, end = view.check.cameras[0].position, view.check.cameras[-1].position
        if kind == "ORBIT":
            assert np.linalg.norm(start - target) == pytest.approx(np.linalg.norm(end - target), rel=0.02)
            assert end[1] < start[1] - 0.3
        else:
            assert end[2] > start[2] + 0.2


def test_looking_around_is_a_whole_turn_that_closes(view, world):
    bpy.ops.lookbeyond.add_path(kind="LOOK_AROUND")
    view.check_now(world)
    cameras = view.check.cameras
    headings = np.unwrap([math.atan2(camera.forward[1], camera.forward[0]) for camera in cameras])
    assert abs(headings[-1] - headings[0]) == pytest.approx(2 * math.pi, abs=0.05)
    assert np.allclose(cameras[0].position, cameras[-1].position, atol=1e-3)


def test_walk_to_goes_to_the_cursor_at_eye_level(view, world):
    world.cursor.location = (0.8, 0.6, 0.0)
    bpy.ops.lookbeyond.add_path(kind="WALK_TO")
    view.check_now(world)
    assert np.allclose(view.check.cameras[-1].position, (0.8, 0.6, 1.6), atol=0.01)


def test_ease_sets_off_and_stops_softly(view, world):
    steps = {}
    for ease in (False, True):
        bpy.ops.lookbeyond.add_path(kind="PUSH_IN", length=0.5, ease=ease)
        view.check_now(world)
        positions = np.array([camera.position for camera in view.check.cameras])
        steps[ease] = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert np.ptp(steps[False]) < 1e-3
    assert steps[True][0] < 0.3 * steps[True][50] and steps[True][-1] < 0.3 * steps[True][50]


def test_looking_around_is_told_to_be_mostly_invented(part, view, world):
    """The photo is 65° of the 360: what lies behind it is known, and made up, and neither green nor called known."""
    bpy.ops.lookbeyond.add_path(kind="LOOK_AROUND")
    (said,) = view.check_now(world)
    assert said.endswith("of the view is not in the photo: it was invented with the world.") and "up to 100%" in said
    at_start, behind = view.check.known[0], view.check.known[50]
    assert at_start.photo > 0.9 and behind.invented > 0.9
    photo, invented, hole = view.check.shares()
    assert photo.startswith("0%–") and invented.endswith("–100%") and hole.endswith("%")
    module = part("path.drawing")
    (_, green, blue, _), (_, behind_green, behind_blue, _) = (module.colour(each, -1) for each in (at_start, behind))
    assert green > blue and behind_blue > behind_green
    assert np.allclose(module.colour(part("kit").Known(0.0, 0.0), -1)[:3], part("known").HOLE.colour)


def test_a_given_360_picture_is_no_invention(part, view, scene, photo, service, tmp_path):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.use_panorama(filepath=str(photo), height=1.6)
    scene.frame_start, scene.frame_end = 1, 20
    bpy.ops.lookbeyond.add_path(kind="LOOK_AROUND")
    assert view.check_now(scene) == []
    assert all(known.photo > 0.9 for known in view.check.known)


def test_stretched_time_is_another_path(view, world):
    bpy.ops.lookbeyond.add_path()
    view.check_now(world)
    assert not view.is_outdated(world)
    world.render.frame_map_new = 200
    assert view.is_outdated(world)


def test_a_camera_that_carries_its_frames_is_read_once(part, world, monkeypatch):
    """Reading it is no edit of what it carries: else it would be read again and again."""
    watch, checker = part("path.watch"), part("path.checker").path_checker
    bpy.ops.lookbeyond.add_path(kind="WALK")
    bpy.ops.lookbeyond.shoot()
    assert [child.name for child in world.camera.children] == ["Walk Card"]
    world.frame_set(world.frame_start)
    bpy.context.view_layer.update()
    checker.invalidate()
    ends, reads = time.monotonic() + 20, 0
    while not checker.idle:
        assert time.monotonic() < ends, f"read {reads} times"
        reads += not checker._states and checker._thread is None
        watch.beat()
        bpy.context.view_layer.update()
        time.sleep(0.01)
    assert checker.check is not None
