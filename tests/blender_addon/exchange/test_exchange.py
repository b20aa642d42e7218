"""The way to other programs from within Blender, with a program that is played, and the camera moves for real."""

import json
import math
import stat
import sys
from pathlib import Path

import bpy
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

PLAYED = """#!{python}
import json, pathlib, shutil, sys
words = sys.argv[1:]
pathlib.Path({log!r}).write_text(json.dumps(words))
if "refuse" in " ".join(words):
    print("lookbeyond: This cannot be; do something else.", file=sys.stderr)
    sys.exit(2)
if words[:2] == ["cameras", "convert"]:
    shutil.copyfile(words[2], words[3])  # both are transforms.json here
    print(words[3] + ": 6 cameras.")
    print("  The unit is not in the file: it is 1 m.")
else:
    pathlib.Path(words[words.index("--out") + 1]).write_text("made")
    print("made: something.")
"""


@pytest.fixture
def program(part, tmp_path):
    """A program `lookbeyond` that keeps its words and copies camera paths; returns what it was told last."""
    script, log = tmp_path / "lookbeyond", tmp_path / "words.json"
    script.write_text(PLAYED.format(python=sys.executable, log=str(log)))
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    preferences = part("service.preferences").addon_preferences()
    preferences.service_command = str(script)
    yield lambda: json.loads(log.read_text())
    preferences.service_command = ""


@pytest.fixture
def world(scene, tmp_path):
    folder = tmp_path / "W"
    folder.mkdir()
    (folder / "panorama.png").write_bytes(b"a panorama")
    scene.look_beyond.world_folder = str(folder)
    return folder


@pytest.fixture
def moving(scene):
    """A camera that moves, turns and zooms, with a shifted lens."""
    data = bpy.data.cameras.new("moving")
    camera = bpy.data.objects.new("moving", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    data.shift_x, data.shift_y = 0.1, -0.05
    for frame, turn, lens in ((11, 0.2, 30), (16, 1.1, 45)):
        camera.location = (frame * 0.1, 0.3, 1.6)
        camera.rotation_euler = (math.radians(80), 0.05, turn)
        data.lens = lens
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
        data.keyframe_insert("lens", frame=frame)
    return camera


def seen(scene, camera):
    """Where some points are in each frame."""
    places = []
    for frame in range(11, 17):
        scene.frame_set(frame)
        places += [world_to_camera_view(scene, camera, Vector(point)) for point in ((-3, 4, 1), (-5, 2, 2), (-4, 3, 0))]
    return places


def test_a_camera_move_goes_out_and_comes_back(scene, moving, program, tmp_path, part):
    before = seen(scene, moving)
    path = tmp_path / "move.json"
    assert bpy.ops.lookbeyond.export_camera_move(filepath=str(path), unit="cm", up="y") == {"FINISHED"}
    words = program()
    assert words[:2] == ["cameras", "convert"] and words[3:] == [str(path), "--unit-out", "cm", "--up", "y"]
    content = json.loads(path.read_text())
    assert (content["first_frame"], content["fps"], len(content["frames"])) == (11, 24.0, 6)
    assert "The unit is not in the file" in part("session").session.notice

    assert bpy.ops.lookbeyond.import_camera_move(filepath=str(path)) == {"FINISHED"}
    assert program()[4:] == ["--size", "96x64", "--unit-in", "m"]
    placed = scene.camera
    assert placed is not moving and placed.name.startswith("move")
    for one, other in zip(before, seen(scene, placed), strict=True):
        assert (one - other).length < 1e-3
    assert not placed.data.animation_data.action.library  # its own, of this file
    assert "6 frames from 11 on" in part("session").session.notice


def test_no_key_turns_the_long_way(scene, part):
    kit, module = part("kit"), part("exchange.camera_import")
    cameras = [kit.placed_camera(96, 64, 1.0, heading_rad=math.radians(35 * k), pitch_rad=0.3) for k in range(24)]
    placed = module.add_moving_camera(bpy.context, scene, "round", cameras, 1)
    for frame in range(1, 24):
        scene.frame_set(frame, subframe=0.5)
        turned = placed.matrix_world.to_quaternion()
        scene.frame_set(frame)
        assert turned.rotation_difference(placed.matrix_world.to_quaternion()).angle < math.radians(25)
    assert (scene.frame_start, scene.frame_end) == (1, 24)


def test_a_move_of_another_shape_is_said(scene, part):
    kit, module = part("kit"), part("exchange.camera_import")
    wide = kit.Camera(200, 100, [[90, 0, 100], [0, 80, 50], [0, 0, 1]], kit.placed_camera(1, 1, 1.0).camera_to_world)
    report = module._report(scene, [wide], 1)
    assert "200 x 100 pixels: set the scene's resolution" in report and "pixel aspect's Y to 1.1250" in report


def test_the_world_goes_out_and_takes_its_own_shot_along(scene, world, program, tmp_path):
    import hashlib

    shot = tmp_path / "S"
    shot.mkdir()
    digest = hashlib.sha256((world / "panorama.png").read_bytes()).hexdigest()
    (shot / "shot.json").write_text(json.dumps({"world": {"panorama.png": digest}}))
    scene.look_beyond.shot_folder = str(shot)
    out = tmp_path / "scene.ply"
    assert bpy.ops.lookbeyond.export_world(filepath=str(out), kind="SPLATS") == {"FINISHED"}
    assert program() == ["splats", str(world), str(shot), "--out", str(out)]
    (shot / "shot.json").write_text(json.dumps({"world": {"panorama.png": "another"}}))
    bpy.ops.lookbeyond.export_world(filepath=str(out), kind="SPLATS")
    assert program() == ["splats", str(world), "--out", str(out)]
    bpy.ops.lookbeyond.export_world(filepath=str(tmp_path / "a.glb"), kind="MESH")
    assert program() == ["mesh", str(world), "--out", str(tmp_path / "a.glb")]
    bpy.ops.lookbeyond.export_world(filepath=str(tmp_path / "tour"), kind="PAGE")
    assert program()[:5] == ["page", str(world), "--out", str(tmp_path / "tour"), "--title"]


def test_what_the_program_refuses_is_said_word_for_word(scene, world, program, tmp_path, part):
    with pytest.raises(RuntimeError, match=r"This cannot be; do something else\."):
        bpy.ops.lookbeyond.export_world(filepath=str(tmp_path / "refuse.ply"), kind="SPLATS")
    with pytest.raises(RuntimeError, match="There is no file"):
        bpy.ops.lookbeyond.import_camera_move(filepath=str(tmp_path / "gone.chan"))
    scene.look_beyond.world_folder = ""
    with pytest.raises(RuntimeError, match="Build a world first"):
        bpy.ops.lookbeyond.export_world(filepath=str(tmp_path / "a.ply"), kind="SPLATS")


def test_where_there_are_no_splats_it_says_so(scene, world, part):
    if bpy.app.version >= (5, 3, 0):
        data = bpy.data.cameras.new("flat")
        data.type = "ORTHO"
        scene.camera = bpy.data.objects.new("flat", data)
        said = "orthographic"
    else:
        said = "need Blender 5.3"
    assert said in part("exchange.splats").missing_reason(scene)
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.lookbeyond.add_splats()


@pytest.mark.skipif(bpy.app.version < (5, 3, 0), reason="splats came with Blender 5.3")
def test_splats_stand_where_the_world_stands(scene, part, tmp_path):
    properties = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()
    rows = [[1, -3, 2, 0, 0, 0, 4, -3, -3, -4, 1, 0, 0, 0]]  # Y down, Z forward: at (1, 2, 3)
    header = ["ply", "format ascii 1.0", "element vertex 1", *(f"property float {p}" for p in properties), "end_header"]
    path = tmp_path / "s.ply"
    path.write_text("\n".join([*header, *(" ".join(map(str, row)) for row in rows), ""]))
    splats = part("exchange.splats").import_splats(scene, Path(path))
    assert splats.data.type == "GAUSSIAN_SPLAT"
    place = splats.matrix_world @ splats.data.points[0].co
    assert (place - Vector((1, 2, 3))).length < 1e-5


def test_the_menu_names_what_exists(part):
    from tests.blender_addon.test_panels import Context, Layout

    part("exchange.operators").ExportMenu.draw(type("Menu", (), {"layout": Layout([])})(), Context())
