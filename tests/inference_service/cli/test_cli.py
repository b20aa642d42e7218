"""The `lookbeyond` command: what it writes, what it refuses, and that it agrees with the service."""

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from inference_service.cli import doctor, local_run, serve
from inference_service.cli import train as train_command
from inference_service.client import ServiceError
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, WORLD_LIGHT
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_views
from lookbeyond.files import load_panorama, read_distance
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, opencv_to_opengl, placed_camera
from lookbeyond.geometry.transforms import read_transforms, write_transforms
from lookbeyond.photo.linear_files import read_linear
from lookbeyond.photo.pixels import srgb_to_linear
from tests.support.double import DoublePipeline, DoublePresets
from tests.support.service import contents, path_cameras, save_photo, shot_request, world_request

ROOT = Path(__file__).parents[3]
FIELD = ROOT / "tests" / "field"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def lookbeyond(lookbeyond, tmp_path, monkeypatch, runtime):
    """The command with a stand-in for the models."""
    for module in (local_run, doctor, serve):
        monkeypatch.setattr(module, "Presets", DoublePresets)
        monkeypatch.setattr(module, "default_store", lambda: tmp_path / "store")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda preset, device: DoublePipeline())
    monkeypatch.chdir(tmp_path)
    return lookbeyond


@pytest.fixture
def photo(tmp_path):
    return save_photo(tmp_path / "photo.png")


@pytest.fixture
def cameras(tmp_path):
    return write_path(tmp_path / "transforms.json", path_cameras(9))


def write_path(path, cameras):
    moved = [Camera.from_dict(camera) for camera in cameras]
    write_transforms(path, moved, [f"{i}.png" for i in range(len(moved))])
    plain = json.loads(path.read_text())
    for frame in plain["frames"]:
        frame["transform_matrix"][2][3] = 0.0  # the command line's photo stands in the origin
    path.write_text(json.dumps(plain))
    return path


def test_a_photo_becomes_a_world_and_a_world_a_shot(lookbeyond, photo, cameras, tmp_path):
    code, out, err = lookbeyond("world", photo, "--out", "W", "--width", 512, "--camera-height", 1.5, "--seed", 3)
    assert (code, err) == (0, "")
    assert "65° is assumed" in out
    assert set(contents(tmp_path / "W")) == {*WORLD_FILES, *WORLD_LAYERS}
    about = json.loads((tmp_path / "W/world.json").read_text())
    assert (about["heading"], about["origin"], about["camera_height"], about["seed"]) == (0, [0, 0, 0], 1.5, 3)

    code, _, err = lookbeyond("shot", "W", "--cameras", cameras, "--out", "S")
    assert (code, err) == (0, "")
    files = contents(tmp_path / "S")
    numbers = range(1, 10)
    assert set(files) == {
        *(f"frames/{n:04d}.png" for n in numbers),
        *(f"depth/{n:04d}.{form}" for n in numbers for form in ("exr", "png")),
        "transforms.json",
        "shot.json",
    }
    assert read_transforms(tmp_path / "S/transforms.json") == read_transforms(cameras)
    shot = json.loads(files["shot.json"])
    assert {"clips", "anchors", "settings", "timings"} <= set(shot)
    assert read_distance(tmp_path / "S/depth/0001.exr").shape == (64, 96)


@pytest.mark.parametrize(
    ("flags", "fov"),
    [
        ([], math.radians(65)),
        (["--fov-x", 80], math.radians(80)),
        (["--focal-mm", 18], math.radians(90)),
    ],
)
def test_the_field_of_view_pitch_and_roll_are_the_cameras(lookbeyond, photo, tmp_path, flags, fov):
    code, out, _ = lookbeyond("world", photo, "--out", "W", "--width", 512, "--pitch", 10, "--roll", -4, *flags)
    assert code == 0
    camera = load_panorama(tmp_path / "W").photo_camera
    assert camera.fov_x == pytest.approx(fov, abs=1e-5)
    assert np.degrees(heading_pitch_roll(camera)) == pytest.approx([0, 10, -4], abs=1e-3)
    assert ("assumed" in out) == (not flags)


def test_the_field_of_view_is_read_from_exif_and_said(lookbeyond, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 18
    Image.new("RGB", (128, 96)).save(tmp_path / "photo.jpg", exif=exif)
    code, out, _ = lookbeyond("world", "photo.jpg", "--out", "W", "--width", 512)
    assert code == 0 and "field of view 90.0° from the file" in out
    assert load_panorama(tmp_path / "W").photo_camera.fov_x == pytest.approx(math.pi / 2, abs=1e-5)


@pytest.mark.parametrize(("size", "fov_deg"), [((128, 96), 67.38), ((96, 128), 53.13)])
def test_a_given_focal_length_is_the_files_whichever_way_the_photo_is_held(lookbeyond, tmp_path, size, fov_deg):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 27
    Image.new("RGB", size).save(tmp_path / "tagged.jpg", exif=exif)
    Image.new("RGB", size).save(tmp_path / "plain.jpg")
    for name, flags in (("tagged.jpg", []), ("plain.jpg", ["--focal-mm", 27])):
        assert lookbeyond("world", name, "--out", "W", "--width", 512, *flags)[0] == 0
        fov_x = load_panorama(tmp_path / "W").photo_camera.fov_x
        assert math.degrees(fov_x) == pytest.approx(fov_deg, abs=0.01), name


def test_what_was_decided_in_reading_a_photo_is_said(lookbeyond, tmp_path):
    for name, words in (
        ("photo_display_p3.jpg", "converted to sRGB"),
        ("exif_sensor_from_before_a_resize.jpg", "focal length is not trusted"),
    ):
        code, out, _ = lookbeyond("world", FIELD / name, "--out", "W", "--width", 512)
        assert code == 0 and words in out
    assert "65° is assumed" in out or "from the photo's lines" in out
    code, out, _ = lookbeyond("world", FIELD / "exif_sensor_right.jpg", "--out", "W", "--width", 512)
    assert code == 0 and "field of view 63.5° from the file" in out


def test_linear_light_is_exposed_as_asked_for(lookbeyond, tmp_path):
    """The stand-in's first rows are the photo's mean: 0.09 two stops up is 0.36, which sRGB writes as 162."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": np.full((96, 128, 3), 0.09, np.float32)}).write(str(tmp_path / "a.exr"))
    for flags, level, words in (([], 118, "+1.0 stops (found)"), (["--exposure", 2], 162, "+2.0 stops")):
        code, out, err = lookbeyond("world", "a.exr", "--out", "W", "--width", 512, *flags)
        assert (code, err) == (0, "") and words in out
        assert abs(int(load_panorama(tmp_path / "W").colour[0, 0, 0]) - level) <= 1
    Image.new("RGB", (128, 96)).save(tmp_path / "photo.png")
    code, _, err = lookbeyond("world", "photo.png", "--out", "W", "--exposure", 1)
    assert code == 2 and "is not a picture in linear light" in err


def test_a_sphere_is_read_by_its_tags(lookbeyond, tmp_path, monkeypatch):
    seen = []

    def measured(self, colour, **settings):
        seen.append((colour, settings["heading_rad"]))
        return measure(self, colour[..., :3], **settings)

    measure = DoublePipeline.measure_world
    monkeypatch.setattr(DoublePipeline, "measure_world", measured)
    code, out, _ = lookbeyond("world", "--panorama", FIELD / "gpano_crop_that_is_2_to_1.jpg", "--out", "W")
    assert code == 0 and "180° x 90° of the sphere; the rest is generated" in out
    colour, heading_rad = seen[-1]
    assert colour.shape == (1024, 2048, 4) and (colour[..., 3] == 255).mean() == 0.25 and heading_rad == 0
    code, out, _ = lookbeyond("world", "--panorama", FIELD / "gpano_whole_sphere.jpg", "--out", "W")
    assert code == 0 and "roll 12°" in out and seen[-1][0].shape == (512, 1024, 3)


def test_pitch_and_roll_are_those_of_the_photos_lines_unless_given(lookbeyond, tmp_path):
    tilted = placed_camera(640, 480, math.radians(75), heading_rad=1.0, pitch_rad=-0.12, roll_rad=0.06)
    photo = render_views(Rooms.from_seeds([HELD_OUT_SEED + 300]), [tilted])[0].colour
    Image.fromarray(photo).save(tmp_path / "room.png")

    def angles(*flags):
        code, out, _ = lookbeyond("world", "room.png", "--out", "W", "--width", 512, *flags)
        assert code == 0
        about = json.loads((tmp_path / "W/world.json").read_text())["photo_camera"]
        return (about["pitch"], about["roll"]), out

    found, said = angles()
    assert found == pytest.approx([math.degrees(-0.12), math.degrees(0.06)], abs=1)
    assert re.search(r"field of view [\d.]+° from the photo's lines, ± [\d.]+°; pitch -\d\.\d° from the photo's", said)
    mixed, said = angles("--pitch", 0, "--roll", "auto")
    assert mixed[0] == pytest.approx(0, abs=1e-4) and mixed[1] == pytest.approx(math.degrees(0.06), abs=2)
    assert "pitch 0.0° given" in said
    level, said = angles("--pitch", 0, "--roll", 0, "--fov-x", 75)
    assert level == pytest.approx([0, 0], abs=1e-4) and "lines" not in said


def test_an_existing_panorama_gets_its_distance(lookbeyond, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (128, 256, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pano.png")
    code, _, _ = lookbeyond("world", "--panorama", "pano.png", "--out", "W")
    assert code == 0
    panorama = load_panorama(tmp_path / "W")
    np.testing.assert_array_equal(panorama.colour, pixels)
    assert panorama.photo_camera is None
    assert lookbeyond("world", "--panorama", "pano.png", "--out", "W", "--pitch", 5)[0] == 2


def test_command_and_service_give_the_same_bytes(lookbeyond, cameras, tmp_path, service):
    with service.client() as client:
        request = world_request(client, tmp_path)
        photo = tmp_path / "photo-0-100.png"
        assert lookbeyond("world", photo, "--out", "W", "--width", 512)[0] == 0
        assert lookbeyond("shot", "W", "--cameras", cameras, "--out", "S", "--seed", 5)[0] == 0
        camera = load_panorama(tmp_path / "W").photo_camera
        request = type(request)(photo=request.photo, camera=camera.to_dict(), width=512)
        list(client.follow(client.submit(request), tmp_path / "W2"))
        path = [camera.to_dict() for camera in read_transforms(cameras)]
        shot = shot_request(client, tmp_path / "W2", path, seed=5)
        list(client.follow(client.submit(shot), tmp_path / "S2"))
    assert contents(tmp_path / "W") == contents(tmp_path / "W2")
    one, two = contents(tmp_path / "S"), contents(tmp_path / "S2")
    assert {**one, "shot.json": b""} == {**two, "shot.json": b""}


def test_a_second_time_nothing_is_made_again_and_the_output_is_replaced(
    lookbeyond, photo, cameras, tmp_path, monkeypatch
):
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    lookbeyond("shot", "W", "--cameras", cameras, "--out", "S")
    before = contents(tmp_path / "S")
    (tmp_path / "S/frames/0001.png").write_bytes(b"")
    monkeypatch.setattr(local_run, "load_scene_pipeline", lambda *_: pytest.fail("made again"))
    assert lookbeyond("shot", "W", "--cameras", cameras, "--out", "S")[0] == 0
    assert contents(tmp_path / "S") == before


# --- bad input -------------------------------------------------------------------------------------------


def _refused(result, words, tmp_path, *outputs):
    code, _, err = result
    assert code == 2
    assert err.startswith("lookbeyond: ") and err.count("\n") == 1 and err.endswith("\n")
    assert words in err
    for name in outputs:
        assert not (tmp_path / name).exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def _image(path, width, height):
    Image.new("RGB", (width, height)).save(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: None, "no file"),
        (lambda p: p.write_text("not an image"), "not an image"),
        (lambda p: _image(p, 1, 1), "1x1"),
        (lambda p: _image(p, 40000, 64), "40000x64"),
    ],
)
def test_a_photo_that_is_none(lookbeyond, tmp_path, make, words):
    path = tmp_path / "bad.png"
    make(path)
    _refused(lookbeyond("world", path, "--out", "W"), words, tmp_path, "W")
    _refused(lookbeyond("world", "--panorama", path, "--out", "W"), words, tmp_path, "W")
    assert str(path) in lookbeyond("world", path, "--out", "W")[2]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpano_whole_sphere.jpg", "is a 360° picture by its tags"),
        ("gpano_crop_that_is_2_to_1.jpg", "180° x 90° of one"),
        ("phone_sweep_5to1.jpg", "sweep panorama"),
    ],
)
def test_what_is_no_photo_is_refused_with_the_way_meant_for_it(lookbeyond, tmp_path, name, words):
    _refused(lookbeyond("world", FIELD / name, "--out", "W"), words, tmp_path, "W")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give either"),
        (["photo.png", "--panorama", "photo.png"], "Give either"),
        (["--panorama", "photo.png"], "twice as wide"),
        (["photo.png", "--fov-x", 0], "--fov-x of 0°"),
        (["photo.png", "--fov-x", 200], "--fov-x of 200°"),
        (["photo.png", "--fov-x", "nan"], "--fov-x of nan°"),
        (["photo.png", "--fov-x", "wide"], "not a valid float"),
        (["photo.png", "--fov-x", 65, "--focal-mm", 28], "not both"),
        (["photo.png", "--focal-mm", 0], "--focal-mm"),
        (["photo.png", "--pitch", "nan"], "finite"),
        (["photo.png", "--roll", "left"], "neither a number of degrees nor auto"),
        (["photo.png", "--camera-height", -1], "camera height"),
        (["photo.png", "--camera-height", "nan"], "camera height"),
        (["photo.png", "--width", 5], "wide cannot be made"),
        (["photo.png", "--seed", -1], "seed"),
        (["photo.png", "--preset", "none"], "no preset"),
        (["photo.png", "--wrong"], "No such option"),
        (["photo.png", "--store", "photo.png"], "photo.png"),
    ],
)
def test_worlds_that_cannot_be(lookbeyond, photo, tmp_path, arguments, words):
    _refused(lookbeyond("world", *arguments, "--out", "W"), words, tmp_path, "W")


def _frames(change):
    def make(path):
        write_path(path, path_cameras(3))
        plain = json.loads(path.read_text())
        change(plain["frames"])
        path.write_text(json.dumps(plain))

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: None, "cannot be read"),
        (lambda p: p.write_text("{"), "not JSON"),
        (lambda p: p.write_text('{"frames": []}'), "no frames"),
        (_frames(lambda frames: frames.__delitem__(slice(1, None))), "at least two"),
        (_frames(lambda frames: frames[1]["transform_matrix"][0].__setitem__(3, float("nan"))), "frame 2"),
        (_frames(lambda frames: frames[1]["transform_matrix"][0].__setitem__(0, 5.0)), "frame 2"),
        (_frames(lambda frames: frames[2]["transform_matrix"][0].__setitem__(3, 50.0)), "keep the path within"),
    ],
)
def test_paths_that_cannot_be_shot(lookbeyond, photo, tmp_path, make, words):
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    path = tmp_path / "path.json"
    make(path)
    _refused(lookbeyond("shot", "W", "--cameras", path, "--out", "S"), words, tmp_path, "S")


@pytest.mark.parametrize("name", ["path_is_fisheye.json", "path_distorted.json"])
def test_a_lens_that_bends_lines_is_never_shot_as_a_pinhole(lookbeyond, photo, tmp_path, name):
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    _refused(lookbeyond("shot", "W", "--cameras", FIELD / name, "--out", "S"), name, tmp_path, "S")


def test_an_unsorted_path_is_shot_in_the_order_of_its_names(lookbeyond, photo, tmp_path):
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    outputs = {}
    for name in ("path_plain.json", "path_unsorted.json"):
        code, outputs[name], _ = lookbeyond("shot", "W", "--cameras", FIELD / name, "--out", name.split(".")[0])
        assert code == 0
    one, two = (contents(tmp_path / name) for name in ("path_plain", "path_unsorted"))
    assert {**one, "shot.json": b""} == {**two, "shot.json": b""}
    assert "order of their file names" in outputs["path_unsorted.json"] and "order" not in outputs["path_plain.json"]


def test_the_path_of_nerfstudios_viewer_is_shot(lookbeyond, photo, tmp_path):
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    cameras = read_transforms(FIELD / "path_plain.json")
    fov = math.degrees(2 * math.atan(64 / 140))
    keys = [{"camera_to_world": opencv_to_opengl(c.camera_to_world).ravel().tolist(), "fov": fov} for c in cameras]
    content = {"camera_type": "perspective", "render_width": 192, "render_height": 128, "camera_path": keys}
    (tmp_path / "camera_path.json").write_text(json.dumps(content))
    code, out, _ = lookbeyond("shot", "W", "--cameras", "camera_path.json", "--out", "S")
    assert code == 0 and "coordinates of nerfstudio's viewer" in out
    assert read_transforms(tmp_path / "S/transforms.json") == cameras


def test_a_shot_names_its_depth_in_millimetres(lookbeyond, photo, cameras, tmp_path):
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    assert lookbeyond("shot", "W", "--cameras", cameras, "--out", "S")[0] == 0
    about = json.loads((tmp_path / "S/transforms.json").read_text())
    assert about["depth_unit_scale_factor"] == 0.001
    for frame in about["frames"]:
        path = tmp_path / "S" / frame["depth_file_path"]
        metres = read_distance(path.with_suffix(".exr"))
        steps = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH)
        assert steps.dtype == np.uint16 and np.abs(steps / 1000 - metres).max() < 0.00051


def test_a_folder_that_is_no_world(lookbeyond, photo, cameras, tmp_path):
    _refused(lookbeyond("shot", "nowhere", "--cameras", cameras, "--out", "S"), "not a world", tmp_path, "S")
    lookbeyond("world", photo, "--out", "W", "--width", 512)
    (tmp_path / "W/distance.exr").write_bytes(b"broken")
    _refused(lookbeyond("shot", "W", "--cameras", cameras, "--out", "S"), "distance.exr", tmp_path, "S")


def test_nobodys_files_are_overwritten(lookbeyond, photo, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("precious")
    _refused(lookbeyond("world", photo, "--out", "full"), "thesis.txt", tmp_path)
    _refused(lookbeyond("world", photo, "--out", photo), "is a file", tmp_path)
    assert contents(tmp_path / "full") == {"thesis.txt": b"precious"}


def test_a_full_disk(lookbeyond, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 99, 1))
    _refused(lookbeyond("world", photo, "--out", "W"), "free some space", tmp_path, "W")


@pytest.mark.parametrize(("steer", "words"), [(253, "too little memory")])
def test_too_little_memory(lookbeyond, tmp_path, steer, words):
    photo = save_photo(tmp_path / "photo.png", steer)
    _refused(lookbeyond("world", photo, "--out", "W", "--width", 512), words, tmp_path, "W")


def test_ctrl_c_ends_with_130_and_leaves_nothing(lookbeyond, photo, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(DoublePipeline, "build_world", interrupt)
    code, _, err = lookbeyond("world", photo, "--out", "W", "--width", 512)
    assert code == 130 and err.strip().count("\n") == 0
    assert not (tmp_path / "W").exists() and not list((tmp_path / "store/temporary").iterdir())


# --- the other commands ----------------------------------------------------------------------------------


def test_open_networks_and_impossible_settings_are_refused(lookbeyond, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _refused(lookbeyond("serve", "--executor", "ray"), "pip install lookbeyond[ray]", tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("LOOKBEYOND_RUNTIME_DIR", str(tmp_path / "runtime"))
    _refused(lookbeyond("serve", "--ray-address", "auto", "--store", tmp_path / "s"), "--executor ray", tmp_path)
    _refused(lookbeyond("serve", "--devices", "cuda", "--store", tmp_path / "s"), "cuda:0,cuda:1", tmp_path)
    for bind, words in (("tcp://0.0.0.0:5555", "open to the network"), ("nonsense", "cannot be used")):
        _refused(lookbeyond("serve", "--bind", bind, "--store", tmp_path / "s"), words, tmp_path)


def test_a_service_warms_its_workers_unless_told_not_to(lookbeyond, tmp_path, runtime, monkeypatch):
    warmed = []
    monkeypatch.setattr(serve, "serve", lambda *of, executor, **named: warmed.append(executor.keywords["warm"]))
    for options in ((), ("--warm", "builtin"), ("--no-warm",)):
        lookbeyond("serve", "--store", tmp_path / "s", *options)
    assert warmed == ["builtin", "builtin", ""]
    _refused(lookbeyond("serve", "--warm", "builtin", "--no-warm", "--store", tmp_path / "s"), "one of them", tmp_path)
    _refused(lookbeyond("serve", "--warm", "nonsense", "--store", tmp_path / "s"), "nonsense", tmp_path)


def test_a_second_service_is_refused(lookbeyond, tmp_path, service, monkeypatch):
    monkeypatch.setattr(serve, "find_service", lambda: service.address)
    _refused(lookbeyond("serve"), "already runs", tmp_path)


def test_doctor_says_in_words_what_is_there_and_what_is_not(lookbeyond, monkeypatch):
    presets = [
        {"name": "builtin", "title": "Small", "installed": True, "missing": "", "licence": "GPL", "memory_gb": 2},
        {"name": "svd", "title": "Large", "installed": False, "missing": "Get X.", "licence": "-", "memory_gb": 16},
    ]
    monkeypatch.setattr(DoublePresets, "available", lambda self: presets)
    code, out, _ = lookbeyond("doctor")
    assert code == 0
    for words in ("Python 3", "PyTorch", "Device", "svd", "Get X.", "GB free", "ffmpeg", "lookbeyond serve", "can run"):
        assert words in out
    presets[0]["installed"] = False
    code, out, _ = lookbeyond("doctor")
    assert code == 1 and "cannot run" in out


def test_the_training_stage_gets_its_arguments(lookbeyond, tmp_path, monkeypatch):
    stage = type(sys)("lookbeyond.training.double_stage")
    seen = []
    stage.main = seen.append
    monkeypatch.setitem(sys.modules, stage.__name__, stage)
    names = [type("Module", (), {"name": "double_stage"})]
    monkeypatch.setattr(train_command.pkgutil, "iter_modules", lambda path: names)
    assert lookbeyond("train", "double-stage", "--steps", "5", "--help")[0] == 0
    assert seen == [["--steps", "5", "--help"]]
    _refused(lookbeyond("train", "nothing"), "choose one of double_stage", tmp_path)


def test_the_command_starts_without_torch():
    code = "import sys, inference_service.cli; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_the_service_starts_without_what_only_its_workers_need():
    heavy = "{'torch', 'scipy', 'skimage', 'numba'}"
    code = f"import sys, inference_service.server.server; sys.exit(not {heavy}.isdisjoint(sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_help_and_version(lookbeyond):
    assert "world" in lookbeyond("--help")[1]
    assert "0.1" in lookbeyond("--version")[1]
    assert issubclass(ServiceError, Exception)


def test_hdr_adds_the_light_and_nothing_else_changes(lookbeyond, tmp_path):
    shaded = np.tile(np.linspace(20, 230, 96, dtype=np.uint8)[None, :, None], (64, 1, 3))
    Image.fromarray(shaded).save(tmp_path / "shaded.png")
    for out, flags in (("W", []), ("H", ["--hdr"])):
        code, _, err = lookbeyond("world", "shaded.png", "--out", out, "--width", 512, *flags)
        assert (code, err) == (0, "")
    plain, lit = contents(tmp_path / "W"), contents(tmp_path / "H")
    light = read_linear(tmp_path / "H/panorama.exr")
    assert set(lit) == {*plain, WORLD_LIGHT} and all(lit[name] == plain[name] for name in plain)
    shown = srgb_to_linear(load_panorama(tmp_path / "H").colour / 255)
    dull = shown.max(-1) < 0.5
    np.testing.assert_allclose(light[dull], shown[dull], rtol=1e-3, atol=1e-6)
    assert (light >= shown * 0.999 - 1e-6).all()


def test_light_of_a_black_photo_is_refused_and_nothing_written(lookbeyond, tmp_path):
    Image.new("RGB", (96, 64), (3, 2, 3)).save(tmp_path / "night.png")
    code, _, err = lookbeyond("world", "night.png", "--out", "W", "--width", 512, "--hdr")
    assert code == 2 and "night.png is black" in err and "Traceback" not in err
    assert not (tmp_path / "W").exists()
    assert lookbeyond("world", "night.png", "--out", "W", "--width", 512)[0] == 0


def test_a_picture_of_linear_light_keeps_its_own_range(lookbeyond, tmp_path):
    light = np.full((128, 256, 3), 0.09, np.float32)
    light[40:44, 100:110] = 250.0
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION}, {"RGB": light}).write(str(tmp_path / "sphere.exr"))
    code, _, err = lookbeyond("world", "--panorama", "sphere.exr", "--out", "W", "--hdr")
    assert (code, err) == (0, "")
    # exposed, as the picture was, for a middle grey
    np.testing.assert_allclose(read_linear(tmp_path / "W/panorama.exr"), 2 * light, rtol=1e-3)


def test_ctrl_c_while_the_command_is_loaded_is_no_traceback(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = [sys.executable, "-m", "inference_service.cli", "doctor"]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Stopped; no output was written.\n")
