"""A studio's own colour configuration, which knows neither the view Standard nor the spaces sRGB and Non-Color."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

SCRIPT = """
import importlib, json, sys
from pathlib import Path
import bpy
archive, folder = sys.argv[1:]
bpy.ops.extensions.package_install_files(repo="user_default", filepath=archive, enable_on_install=True)
name = "bl_ext.user_default.look_beyond"
part = lambda module: importlib.import_module(f"{name}.{module}")
from tests.support.pictures import picture
from tests.support.played import PlayedService
service = PlayedService(Path(folder))
part("service.preferences").connection = lambda: service
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y, scene.frame_end = 96, 64, 3
scene.look_beyond.output_folder = folder
scene.look_beyond.show_in = {"STRIP", "BACKGROUND", "PLANE", "COMPOSITE"}
bpy.ops.lookbeyond.place_photo(filepath=str(picture(Path(folder) / "photo.png", 120, 80)))
bpy.ops.lookbeyond.match_photo_colours()
bpy.ops.lookbeyond.build_world()
bpy.ops.lookbeyond.add_path()
bpy.ops.lookbeyond.shoot()
spaces = {image.name: image.colorspace_settings.name for image in bpy.data.images if image.get("look_beyond_sequence")}
print("result", json.dumps([part("session").session.notice, scene.look_beyond.shot_folder, spaces]), flush=True)
"""


def test_a_shot_is_shown_with_a_colour_configuration_of_ones_own(built_zip, tmp_path):
    environment = os.environ | {
        "BLENDER_USER_RESOURCES": str(tmp_path / "resources"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OCIO": str(Path(__file__).with_name("data") / "studio.ocio"),
    }
    command = [sys.executable, "-c", SCRIPT, str(built_zip), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    said, folder, spaces = json.loads(done.stdout.partition("result ")[2].splitlines()[0])
    assert 'no view "Standard": Film stays' in said and "behind the camera" in said
    assert Path(folder).is_dir()
    assert spaces == {"frames": "texture", "depth": "raw"}


def test_what_cannot_be_shown_is_not_lost(part, scene, photo, service, tmp_path, monkeypatch):
    scene.look_beyond.output_folder = str(tmp_path / "results")
    bpy.ops.lookbeyond.place_photo(filepath=str(photo))
    bpy.ops.lookbeyond.build_world()
    bpy.ops.lookbeyond.add_path()

    def broken(*_):
        raise TypeError("enum not found")

    monkeypatch.setattr(part("shot.display"), "image_strip", broken)
    with pytest.raises(RuntimeError, match="enum not found"):
        bpy.ops.lookbeyond.shoot()
    assert scene.look_beyond.shot_folder and scene.look_beyond.shot_frames == 6
