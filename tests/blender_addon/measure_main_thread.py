"""How long the add-on holds Blender's window: prints figures, asserts nothing (its own command beside the suite).

    PYTHON tests/blender_addon/measure_main_thread.py      with the Python of an environment that has bpy and pytest

The service is played: it tells of a step every few milliseconds, far more often than a model would, with files of the
sizes that artists have. Every figure is given twice: by the clock, which is what the artist feels and what other
programs on the machine lengthen, and by the processor time of the main thread, which is the add-on's own.
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
FRAMES = 250


def part(name: str):
    return importlib.import_module(f"{ADDON}.{name}")


class Times:
    """Milliseconds of the clock and of this thread's processor time, call by call."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.own: list[float] = []

    def of(self, call: Callable[[], object]) -> object:
        wall, own = time.perf_counter(), time.thread_time()
        outcome = call()
        self.own.append(1e3 * (time.thread_time() - own))
        self.wall.append(1e3 * (time.perf_counter() - wall))
        return outcome

    def __str__(self) -> str:
        if len(self.wall) == 1:
            return f"{self.wall[0]:.2f} ms by the clock, {self.own[0]:.2f} ms of its own"
        figures = []
        for values, name in ((self.wall, "by the clock"), (self.own, "of its own")):
            p50, p99 = np.percentile(values, (50, 99))
            figures.append(f"p50 {p50:.2f}, p99 {p99:.2f}, max {max(values):.2f} ms {name}")
        return f"{'; '.join(figures)} ({len(self.wall)} times)"


def last(times: Times) -> Times:
    """The last call's times, taken off the others."""
    one = Times()
    one.wall, one.own = [times.wall.pop()], [times.own.pop()]
    return one


def job(session, service, work, seconds: float = 2.0) -> Times:
    """The times of all beats that had work to do, of a job that denoises for some seconds."""
    beat = part("heartbeat").beat
    service.holds = True
    session.begin(work)
    times = Times()
    threading.Timer(seconds, lambda: setattr(service, "holds", False)).start()
    while session.busy:
        if session.has_pending_work:
            times.of(beat)
        time.sleep(0.002)
    assert not session.error, session.error
    return times


def loaded() -> str:
    return f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"


def main(folder: Path) -> None:
    import bpy

    import build_addon
    from tests.support.pictures import picture
    from tests.support.played import PlayedService
    from tests.support.worlds import distance_file, room_distance

    archive = build_addon.build_extension(ROOT / "dist", [build_addon.this_platform()])[0]
    bpy.ops.extensions.package_install_files(repo="user_default", filepath=str(archive), enable_on_install=True)
    print(f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}, {os.cpu_count()} cores, {loaded()}")
    service = PlayedService(folder)
    service.panorama = picture(folder / "panorama_4k.png", 4096, 2048)
    service.frame = picture(folder / "frame_hd.png", 1920, 1080)
    service.preview = picture(folder / "preview_large.jpg", 512, 256).read_bytes()
    service.pace_s = 0.005
    part("service.preferences").connection = lambda: service
    session, view = part("session").session, part("path.checker").PathChecker()
    scene = bpy.context.scene
    scene.look_beyond.output_folder = str(folder / "results")
    scene.look_beyond.show_in = {"STRIP", "BACKGROUND", "CARD", "PLANE", "COMPOSITE"}
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    bpy.ops.lookbeyond.place_photo(filepath=str(picture(folder / "photo.png", 960, 640)))
    times = job(session, service, part("world.build").build_world(bpy.context))
    ending = last(times)
    print(f"beats of a world: {times}\n  its last, with the world's texture: {ending}")
    times = job(session, service, part("world.build").build_world(bpy.context))
    print(f"  the world's texture put in the place of a former one: {last(times)}")
    scene.frame_start, scene.frame_end = 1, FRAMES
    bpy.ops.lookbeyond.add_path(kind="WALK")
    times = job(session, service, part("shot.shoot").shoot(bpy.context))
    print(f"beats of a shot of {FRAMES} frames of 1920 x 1080, shown in all five places: {times}")
    times = job(session, service, part("shot.shoot").shoot(bpy.context))
    print(f"beats of the same shot again: {times}")
    scene.frame_end = 100
    view.check_now(scene)
    view.invalidate()
    while view.tick(scene):
        time.sleep(0.002)
    slices = Times()
    slices.wall, slices.own = ([1e3 * value for value in one] for one in (view.slices_s, view.slices_own_s))
    print(f"path of 100 poses coloured {1e3 * view.elapsed_s:.0f} ms after the last edit; the window waited: {slices}")
    scene.frame_end = 1000
    reading = Times()
    reading.of(lambda: part("path.read").shot_cameras(bpy.context))
    print(f"1000 animated poses read in {reading}")
    world = Path(bpy.path.abspath(scene.look_beyond.world_folder))
    distance_file(world / "distance.exr", room_distance(1024))  # as wide as the service makes it
    for columns, _, _ in part("properties").STAGE_COLUMNS:
        scene.look_beyond.stage_columns = columns
        times = job(session, service, part("world.stage").build_stage(bpy.context), 0.0)
        print(f"beats of a stage of {columns} columns: {times}")
    print(loaded())
    view.clear()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        # Blender reads where its settings lie when it is loaded.
        os.environ["BLENDER_USER_RESOURCES"] = str(Path(temporary) / "resources")
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(Path(temporary) / "runtime")
        main(Path(temporary))
