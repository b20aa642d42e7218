"""Blender quits in the middle of a job: no crash, no hang, nothing left running."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import importlib, subprocess, sys
from pathlib import Path
import bpy
archive, folder, ending = sys.argv[1:]
bpy.ops.extensions.package_install_files(repo="user_default", filepath=archive, enable_on_install=True)
name = "bl_ext.user_default.look_beyond"
part = lambda module: importlib.import_module(f"{name}.{module}")
from tests.support.pictures import picture
from tests.support.played import PlayedService, turns_until
service = PlayedService(Path(folder))
service.holds = True
part("service.preferences").connection = lambda: service
bpy.ops.lookbeyond.place_photo(filepath=str(picture(Path(folder) / "photo.png", 80, 64)))
session = part("session").session
session.begin(part("world.build").build_world(bpy.context))
turns_until(session, lambda: session.task.message.startswith("Denoising"))
session.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # the service
print("service", session.process.pid, flush=True)
if ending == "disabled":
    bpy.ops.preferences.addon_disable(module=name)
elif ending == "other file":
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert session.busy
print("the end was reached", flush=True)
"""


@pytest.mark.parametrize("ending", ["enabled", "disabled", "other file"])
def test_quitting_in_the_middle_of_a_job_is_clean(built_zip, tmp_path, ending):
    environment = os.environ | {
        "BLENDER_USER_RESOURCES": str(tmp_path / "resources"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    command = [sys.executable, "-c", SCRIPT, str(built_zip), str(tmp_path), ending]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert "the end was reached" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
    service = int(done.stdout.partition("service ")[2].split()[0])
    assert not is_running(service), "the service was left behind"


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
