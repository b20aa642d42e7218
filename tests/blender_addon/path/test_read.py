"""Blender's cameras become ours so that every point falls on the pixel that Blender itself gives it."""

import math

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Euler, Matrix, Vector

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
    handlers = [getattr(bpy.app.handlers, f"{name}_{when}") for name in ("frame_change", "depsgraph_update")
                for when in ("pre", "post")]  # fmt: skip
    for each in handlers:
        each.append(lambda stepped, *_: heard.append(stepped.name))
    try:
        read = part("path.read").shot_cameras(bpy.context)
    finally:
        for each in handlers:
            each.pop()
    assert "Look Beyond reads a camera" not in heard and len(read) == 6
    assert camera.location.x == 70 and read[-1].position[0] == pytest.approx(5)
