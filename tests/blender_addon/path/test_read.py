"""Blender's cameras become ours so that every point falls on the pixel that Blender itself gives it."""

import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Euler, Matrix, Vector

from tests.support.pictures import picture

RANDOM = np.random.default_rng(7)


def new_camera(scene, name="Camera") -> bpy.types.Object:
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def assert_same_pixels(scene, camera, ours) -> None:
    """Against `world_to_camera_view`: within 0.01 pixel."""
    local = np.column_stack([RANDOM.uniform(-1, 1, (40, 2)), RANDOM.uniform(2, 6, 40)]) * [1, 1, 1]
    points = local @ ours.rotation.T + ours.position
    pixels, depth = ours.project(points)
    for point, pixel, z in zip(points, pixels, depth, strict=True):
        x, y, blender_z = world_to_camera_view(scene, camera, Vector(point))
        assert abs(x * ours.width - pixel[0]) < 0.01
        assert abs((1 - y) * ours.height - pixel[1]) < 0.01
        assert abs(blender_z - z) < 1e-4


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(640, 480), (480, 640)])
@pytest.mark.parametrize("aspect", [(1.0, 1.0), (1.0, 1.46), (2.0, 1.0)])
def test_lens_agrees_with_blender(part, scene, fit, size, aspect):
    camera = new_camera(scene)
    camera.location, camera.rotation_euler = (1, -2, 1.5), Euler((1.2, 0.1, 0.7))
    lens = camera.data
    lens.lens, lens.sensor_width, lens.sensor_height = 28, 36, 20
    lens.sensor_fit, lens.shift_x, lens.shift_y = fit, 0.13, -0.07
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
    bpy.context.view_layer.update()
    ours = part("cameras").camera_of(camera, *size, 1.0, aspect)
    assert_same_pixels(scene, camera, ours)


def test_every_way_to_move_a_camera_is_read(part, scene):
    """Parent with scale, constraint, driver on the lens, keyframes: as Blender evaluates each frame."""
    parent = bpy.data.objects.new("Parent", None)
    target = bpy.data.objects.new("Target", None)
    for thing in (parent, target):
        scene.collection.objects.link(thing)
    parent.scale, parent.rotation_euler = (2, 2, 2), (0, 0, 0.3)
    target.location = (6, 1, 1)
    camera = new_camera(scene)
    camera.parent = parent
    for frame, x in ((11, 0.0), (16, 2.0)):
        camera.location = (x, 0, 1)
        camera.keyframe_insert("location", frame=frame)
    track = camera.constraints.new("TRACK_TO")
    track.target = target
    driver = camera.data.driver_add("lens").driver
    driver.expression = "20 + frame"
    scene.render.resolution_percentage = 50
    scene.frame_set(13)

    cameras = part("path.read").shot_cameras(bpy.context)

    assert scene.frame_current == 13
    assert len(cameras) == 6
    assert {(c.width, c.height) for c in cameras} == {(48, 32)}
    for frame, ours in zip(range(11, 17), cameras, strict=True):
        scene.frame_set(frame)
        evaluated = camera.evaluated_get(bpy.context.evaluated_depsgraph_get())
        scene.render.resolution_percentage = 50
        assert_same_pixels(scene, evaluated, ours)
        assert np.allclose(ours.position, evaluated.matrix_world.translation, atol=1e-6)
        assert math.isclose(ours.intrinsics[0, 0], (20 + frame) / 36 * 48, rel_tol=1e-5)


def test_cameras_bound_to_markers_take_turns(part, scene):
    first, second = new_camera(scene, "A"), new_camera(scene, "B")
    second.location = (5, 0, 0)
    for camera, frame in ((first, 11), (second, 14)):
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera
    cameras = part("path.read").shot_cameras(bpy.context)
    assert [camera.position[0] for camera in cameras] == [0, 0, 0, 5, 5, 5]


def test_units_of_the_scene_become_metres(part, scene):
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 0.01
    new_camera(scene).location = (100, 0, 160)
    cameras = part("path.read").shot_cameras(bpy.context)
    assert np.allclose(cameras[0].position, (1, 0, 1.6))


def test_a_camera_that_cannot_be_used_is_named_with_its_frame(part, scene):
    from lookbeyond_kit.geometry.cameras import CameraError

    camera = new_camera(scene, "Ortho")
    camera.data.type = "ORTHO"
    with pytest.raises(CameraError, match="Frame 11: The camera Ortho is not a perspective camera"):
        part("path.read").shot_cameras(bpy.context)


def test_pose_goes_there_and_back(part, scene):
    module = part("cameras")
    camera = new_camera(scene)
    camera.matrix_world = Matrix.LocRotScale(Vector((3, 4, 5)), Euler((0.4, 0.5, 0.6)), None)
    ours = module.camera_of(camera, 64, 48, 0.5)
    assert np.allclose(module.matrix_world_of(ours, 0.5), camera.matrix_world, atol=1e-5)


def test_cameras_read_in_slices_are_the_same(part, scene):
    """However little time a slice has, it gets on by one frame; the share says how far."""
    module = part("path.read")
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    for frame, x in ((11, 0.0), (16, 2.0)):
        scene.camera.location.x = x
        scene.camera.keyframe_insert("location", frame=frame)
    reading, shares = module.CameraReader(scene), []
    while not reading.step(scene, 0.0):
        shares.append(round(reading.share * 6))
    assert shares == [1, 2, 3, 4, 5] and reading.share == 1
    assert reading.cameras == module.shot_cameras(bpy.context) and len(set(reading.cameras)) == 6


def key(thing, path: str, values, index: int = -1) -> None:
    """Keyframes at frames 11 and 16."""
    for frame, value in zip((11, 16), values, strict=True):
        if path.startswith("["):
            thing[path[2:-2]] = value
        else:
            getattr(thing, path)[index] = value
        thing.keyframe_insert(path, index=index, frame=frame)


def drive(camera, index: int, path: str, scene, *, of_context: bool = False) -> None:
    """The scene's property moves the camera along an axis."""
    driver = camera.driver_add("location", index).driver
    driver.type = "SUM"
    variable = driver.variables.new()
    if of_context:
        variable.type = "CONTEXT_PROP"
        variable.targets[0].context_property = "ACTIVE_SCENE"
    else:
        variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
    variable.targets[0].data_path = path


def by_its_animation(scene, camera) -> None:
    key(scene, '["dolly"]', (0.0, 5.0))
    drive(camera, 0, '["dolly"]', scene)


def by_its_animation_unnamed(scene, camera) -> None:
    key(scene, '["dolly"]', (0.0, 5.0))
    drive(camera, 0, '["dolly"]', scene, of_context=True)


def by_its_frame(scene, camera) -> None:
    drive(camera, 0, "frame_current", scene)


def by_its_world(scene, camera) -> None:
    scene.world = bpy.data.worlds.new("World")
    key(scene.world, '["dolly"]', (0.0, 5.0))
    driver = camera.driver_add("location", 0).driver
    driver.type = "SUM"
    target = driver.variables.new().targets[0]
    target.id_type, target.id, target.data_path = "WORLD", scene.world, '["dolly"]'


def by_stretched_time(scene, camera) -> None:
    key(camera, "location", (0.0, 5.0), 0)
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 110


@pytest.mark.parametrize(
    "moved", [by_its_animation, by_its_animation_unnamed, by_its_frame, by_its_world, by_stretched_time]
)
def test_what_a_scene_does_to_its_camera_is_in_every_frame(part, scene, moved):
    """However the scene moves it: as Blender stands on each frame."""
    camera = new_camera(scene)
    moved(scene, camera)
    wanted = []
    for frame in range(11, 17):
        scene.frame_set(frame)
        wanted.append(camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world.translation.x)
    scene.frame_set(11)
    read = part("path.read").shot_cameras(bpy.context)
    assert [ours.position[0] for ours in read] == pytest.approx(wanted, abs=1e-5)
    assert len(set(wanted)) > 4 and scene.frame_current == 11


def test_reading_is_not_heard_and_leaves_what_is_not_keyed(part, scene):
    """Other add-ons count frames, and the artist has moved the camera and not keyed it yet."""
    camera = new_camera(scene)
    key(camera, "location", (0.0, 5.0), 0)
    scene.frame_set(13)
    camera.location.x = 70
    bpy.context.view_layer.update()
    heard = []
    handlers = [
        getattr(bpy.app.handlers, f"{name}_{when}")
        for name in ("frame_change", "depsgraph_update")
        for when in ("pre", "post")
    ]
    for each in handlers:
        each.append(lambda stepped, *_: heard.append(stepped.name))
    try:
        read = part("path.read").shot_cameras(bpy.context)
    finally:
        for each in handlers:
            each.pop()
    assert "Look Beyond reads a camera" not in heard and len(read) == 6
    assert camera.location.x == 70 and read[-1].position[0] == pytest.approx(5)


@pytest.fixture
def on_frame():
    """Sets a handler of frame changes, as scripts and node add-ons do, until the test ends."""
    handlers = bpy.app.handlers.frame_change_post
    before = list(handlers)
    yield handlers.append
    handlers[:] = before


def played(scene, first: int = 11) -> list[float]:
    """Where the scene's camera stands along X at frames 11 to 16, as the played scene has it."""
    places = []
    for frame in range(first, 17):
        scene.frame_set(frame)
        places.append(scene.camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world.translation.copy())
    scene.frame_set(11)
    return np.array(places[11 - first :])


def read_places(part) -> np.ndarray:
    return np.array([camera.position for camera in part("path.read").shot_cameras(bpy.context)])


def test_a_camera_that_a_script_moves_on_frame_changes_is_read_in_every_frame(part, scene, on_frame):
    camera = new_camera(scene)

    def shake(stepped, *_):
        # At rest where the scene stands, and in two more frames.
        camera.location.x = {13: 1.0, 14: 2.0, 15: -1.0}.get(stepped.frame_current, 0.0)

    on_frame(shake)
    wanted = played(scene)
    assert wanted[:, 0].tolist() == [0, 0, 1, 2, -1, 0]
    assert np.allclose(read_places(part), wanted) and scene.frame_current == 11


def test_handlers_that_move_no_camera_hold_up_no_check_once_that_is_proven(part, scene, on_frame):
    module = part("path.read")
    camera = new_camera(scene)
    key(camera, "location", (0.0, 5.0), 0)
    scene.frame_set(11)
    on_frame(lambda *_: None)
    assert not module.can_read_isolated(bpy.context, trust_proven=True)
    module.prove_handlers(scene, module.stepped_states(bpy.context, range(11, 17)))
    assert module.can_read_isolated(bpy.context, trust_proven=True)
    assert not module.can_read_isolated(bpy.context)  # a shot takes no risk
    on_frame(lambda *_: None)
    assert not module.can_read_isolated(bpy.context, trust_proven=True)


def by_cloth(scene, camera) -> None:
    """It hangs on a falling cloth, which is at rest in the first frame."""
    mesh = bpy.data.meshes.new("Cloth")
    mesh.from_pydata([(0, 0, 5), (1, 0, 5), (1, 1, 5), (0, 1, 5)], [], [(0, 1, 2, 3)])
    cloth = bpy.data.objects.new("Cloth", mesh)
    scene.collection.objects.link(cloth)
    cloth.modifiers.new("Cloth", "CLOTH").point_cache.frame_start = 11
    camera.parent, camera.parent_type, camera.parent_vertices = cloth, "VERTEX", (0, 0, 0)


def by_simulation_nodes(scene, camera) -> None:
    """It hangs on a mesh that a simulation zone moves on by 0.1 in every frame."""
    tree = bpy.data.node_groups.new("Drift", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    kinds = (
        "NodeGroupInput",
        "GeometryNodeSimulationInput",
        "GeometryNodeSetPosition",
        "GeometryNodeSimulationOutput",
        "NodeGroupOutput",
    )
    entry, begin, move, end, leave = (tree.nodes.new(kind) for kind in kinds)
    begin.pair_with_output(end)
    move.inputs["Offset"].default_value = (0.1, 0, 0)
    tree.links.new(entry.outputs[0], begin.inputs[0])
    tree.links.new(begin.outputs["Geometry"], move.inputs["Geometry"])
    tree.links.new(move.outputs["Geometry"], end.inputs["Geometry"])
    tree.links.new(end.outputs["Geometry"], leave.inputs[0])
    mesh = bpy.data.meshes.new("Drift")
    mesh.from_pydata([(0, 0, 5), (1, 0, 5), (1, 1, 5)], [], [(0, 1, 2)])
    drifting = bpy.data.objects.new("Drift", mesh)
    scene.collection.objects.link(drifting)
    drifting.modifiers.new("Drift", "NODES").node_group = tree
    camera.parent, camera.parent_type, camera.parent_vertices = drifting, "VERTEX", (0, 0, 0)


def by_rigid_body(scene, camera) -> None:
    """It hangs on a falling body, which was thrown off long before the shot begins."""
    body = bpy.data.objects.new("Body", bpy.data.meshes.new("Body"))
    body.data.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1)], [], [(0, 1, 2), (0, 1, 3)])
    scene.collection.objects.link(body)
    body.location.z = 100
    bpy.ops.rigidbody.world_add()
    bpy.context.view_layer.objects.active = body
    bpy.ops.rigidbody.object_add()
    camera.parent = body


@pytest.mark.parametrize(("moved", "first"), [(by_cloth, 11), (by_simulation_nodes, 11), (by_rigid_body, 1)])
def test_a_camera_that_a_simulation_moves_is_where_playing_puts_it(part, scene, moved, first):
    camera = new_camera(scene)
    scene.frame_set(first)
    moved(scene, camera)
    scene.frame_set(11)
    read = read_places(part)
    wanted = played(scene, first)
    assert np.allclose(read, wanted, atol=1e-3)
    assert np.linalg.norm(np.diff(wanted, axis=0), axis=1).max() > 1e-3


def test_a_driver_that_asks_python_for_the_frame_is_read_in_every_frame(part, scene):
    camera = new_camera(scene)
    bpy.app.driver_namespace["playhead"] = lambda: float(bpy.context.scene.frame_current)
    camera.driver_add("location", 0).driver.expression = "playhead()"
    wanted = played(scene)
    assert np.allclose(wanted[:, 0], range(11, 17))
    assert np.allclose(read_places(part), wanted)


@pytest.mark.parametrize(("old", "new"), [(100, 200), (100, 110), (200, 100), (7, 13)])
def test_cameras_bound_to_markers_take_turns_as_stretched_time_does(part, scene, old, new):
    """Markers obey Time Stretching: in every frame the camera is the one that Blender itself switches to."""
    scene.frame_start, scene.frame_end = 1, 48
    scene.render.frame_map_old, scene.render.frame_map_new = old, new
    for number, frame in enumerate((1, 7, 12, 20)):
        camera = new_camera(scene, f"Camera {number}")
        camera.location.x = number
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera
    wanted = []
    for frame in range(1, 49):
        scene.frame_set(frame)
        wanted.append(int(scene.camera.name[-1]))
    read = read_places(part)
    assert read[:, 0].tolist() == wanted and len(set(wanted)) > 2


def test_the_part_between_markers_is_what_one_camera_sees_in_stretched_time(part, scene):
    scene.frame_start, scene.frame_end = 1, 48
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 200
    scene.timeline_markers.new("cut", frame=10)
    scene.look_beyond.frames_from = "MARKERS"
    scene.frame_set(12)
    assert part("path.frames").scene_frames(scene) == range(1, 20)
    scene.frame_set(30)
    assert part("path.frames").scene_frames(scene) == range(20, 49)


def test_constraints_that_ask_the_scene_get_the_same_answers_in_isolation(part, scene):
    """Follow Track looks at the scene's clip, its camera and the proportions of its frame."""
    scene.active_clip = bpy.data.movieclips.load(str(picture(Path(bpy.app.tempdir) / "clip_0001.png", 96, 64)))
    scene.render.resolution_percentage, scene.render.pixel_aspect_x = 50, 1.5
    first, second = new_camera(scene, "A"), new_camera(scene, "B")
    module = part("path.read")
    with module.isolated_scene(scene) as isolated:
        assert isolated.active_clip == scene.active_clip and isolated.camera == second
        for name in ("resolution_x", "resolution_y", "resolution_percentage", "pixel_aspect_x", "fps"):
            assert getattr(isolated.render, name) == getattr(scene.render, name)
    for camera, frame in ((first, 11), (second, 14)):
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera
    assert [state.name for state in module.isolated_states(scene, (11, 14))] == ["A", "B"]
