"""How long the add-on holds Blender's window: prints figures, asserts nothing (its own command beside the suite).

    PYTHON tests/blender_addon/measure_main_thread.py      with the Python of an environment that has bpy and pytest

The service is played: it tells of a step every few milliseconds, far more often than a model would.
"""

import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
ADDON = "bl_ext.user_default.look_beyond"


def part(name: str):
    return importlib.import_module(f"{ADDON}.{name}")


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)


def spread(times: list[float]) -> str:
    p50, p99 = np.percentile(times, (50, 99))
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {max(times):.2f} ms ({len(times)} times)"


def job(session, service, work) -> list[float]:
    """The times of all ticks that had work to do, of a job that denoises for two seconds."""
    service.holds = True
    session.begin(work)
    times = []
    threading.Timer(2.0, lambda: setattr(service, "holds", False)).start()
    while session.busy:
        started = time.perf_counter()
        if session.tick():
            times.append(1e3 * (time.perf_counter() - started))
        time.sleep(0.002)
    assert not session.error, session.error
    return times


def main(folder: Path) -> None:
    import bpy

    import build_addon
    from tests.blender_addon.played import PlayedService, picture

    archive = build_addon.build_extension(ROOT / "dist", [build_addon.this_platform()])[0]
    bpy.ops.extensions.package_install_files(repo="user_default", filepath=str(archive), enable_on_install=True)
    print(f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    service = PlayedService(folder)
    for name in ("operators", "scene_jobs"):
        part(name).connection = lambda: service
    session, jobs, view = part("session").session, part("scene_jobs"), part("path_view").PathView()
    scene = bpy.context.scene
    scene.look_beyond.output_folder = str(folder / "results")
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    bpy.ops.lookbeyond.place_photo(filepath=str(picture(folder / "photo.png", 960, 640)))
    times = job(session, service, jobs.build_world(bpy.context))
    print(f"ticks of a world: {spread(times[:-1])}; the last, with the world: {times[-1]:.2f} ms")
    scene.frame_start, scene.frame_end = 1, 100
    bpy.ops.lookbeyond.add_path(kind="WALK")
    times = job(session, service, jobs.shoot(bpy.context))
    print(f"ticks of a shot of 100 frames: {spread(times)}")
    view.check_now(scene)
    view.touch()
    started = time.perf_counter()
    while view.tick(scene):
        pass
    took = 1e3 * (time.perf_counter() - started)
    print(f"path of 100 poses coloured in {took:.0f} ms, slices: {spread([1e3 * value for value in view.slices_s])}")
    scene.frame_end = 1000
    read = part("cameras_from_blender").shot_cameras
    print(f"1000 animated poses read in {milliseconds(lambda: read(bpy.context)):.0f} ms")
    times = job(session, service, jobs.build_stage(bpy.context))
    print(f"stage of {scene.look_beyond.stage_columns} columns: its last tick, with the mesh: {times[-1]:.2f} ms")
    view.clear()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        # Blender reads where its settings lie when it is loaded.
        os.environ["BLENDER_USER_RESOURCES"] = str(Path(temporary) / "resources")
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(temporary) / "runtime")
        main(Path(temporary))
