"""What an artist does in the window, step by step, with screenshots: run by check.sh inside Blender."""

import importlib
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import bpy

sys.path.insert(0, "/host")
HOST = Path("/host")
ADDON = "bl_ext.user_default.look_beyond"
LOG = (HOST / "log.txt").open("w")
bpy.context.preferences.view.show_splash = False


def say(*words: object) -> None:
    print(*words, file=LOG, flush=True)


def part(name: str):
    return importlib.import_module(f"{ADDON}.{name}")


def screenshot(name: str) -> None:
    subprocess.run(["import", "-window", "root", str(HOST / f"{name}.png")], check=True)


def window_and_area():
    window = bpy.context.window_manager.windows[0]
    return window, next(area for area in window.screen.areas if area.type == "VIEW_3D")


def in_viewport(call):
    """Call with the context that a button in the viewport has."""
    window, area = window_and_area()
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        return call()


def until(condition, limit_s: float = 60.0) -> Iterator[float]:
    ends = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("it did not come to that")
        yield 0.1
    yield 0.6


def rest() -> Iterator[float]:
    """Until nothing of ours is at work any more."""
    view, session = part("path_view").view, part("session").session
    yield 0.5
    yield from until(lambda: not session.busy and view._touched is None and view._work is None)


def watch_beats() -> tuple[list[float], list[float]]:
    """The milliseconds of all beats from now on that had work to do: by the clock, and of their own."""
    module, wall, own = part("heartbeat"), [], []
    beat = module.beat

    def watched():
        if not module.session.has_news:
            return beat()
        began = time.perf_counter(), time.thread_time()
        pause = beat()
        own.append(1e3 * (time.thread_time() - began[1]))
        wall.append(1e3 * (time.perf_counter() - began[0]))
        return pause

    module.beat = watched
    return wall, own


def show_tab(top: str = "") -> Iterator[float]:
    _, area = window_and_area()
    area.spaces.active.show_region_ui = True
    yield 0.5
    next(region for region in area.regions if region.type == "UI").active_panel_category = "Look Beyond"
    area.tag_redraw()
    yield 0.5


def steps() -> Iterator[float]:
    say(bpy.app.version_string, sys.version.split()[0])
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(HOST / "extension.zip"), enable_on_install=True
    )
    assert ADDON in bpy.context.preferences.addons
    yield from show_tab()
    screenshot("01_start")
    from played import PlayedService, picture

    folder = Path("/tmp/played")
    folder.mkdir(exist_ok=True)
    service = PlayedService(folder)
    for name in ("operators", "scene_jobs"):
        part(name).connection = lambda: service
    session, view = part("session").session, part("path_view").view
    beats = watch_beats()
    scene = bpy.context.scene
    scene.look_beyond.output_folder = str(folder / "results")
    scene.frame_end = 100
    photo = picture(folder / "photo.jpg", 960, 640)
    window, area = window_and_area()
    # What Blender does when files are dropped into an area.
    dropped = in_viewport(
        lambda: bpy.ops.wm.drop_import_file("INVOKE_DEFAULT", directory=str(folder), files=[{"name": photo.name}])
    )
    yield 1.0
    screenshot("02_drop_menu")  # Blender's own empty, or ours: the P of Place Photo
    for value in ("PRESS", "RELEASE"):
        window.event_simulate(type="P", value=value, x=60, y=25)
    yield 1.0
    say("drop:", dropped, [thing.name for thing in scene.objects])
    assert scene.look_beyond.photo_camera is not None, "the dropped photo was not placed"
    screenshot("02_placed")

    # The horizon: take the left handle and pull it down.
    module = part("photo_handles")
    in_viewport(lambda: bpy.ops.lookbeyond.adjust_horizon("INVOKE_DEFAULT"))
    yield 0.5
    region = next(region for region in area.regions if region.type == "WINDOW")
    camera = part("photo").photo_camera(scene)
    import numpy as np
    from bpy_extras import view3d_utils
    from mathutils import Vector

    column = module.HANDLES[0] * camera.width
    ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ (column, module.horizon_row(camera, column), 1.0)
    place = view3d_utils.location_3d_to_region_2d(region, area.spaces.active.region_3d, Vector(camera.position + ray))
    x, y = int(region.x + place.x), int(region.y + place.y)
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield 0.2
    window.event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y)
    yield 0.2
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y - 40)
    yield 0.5
    screenshot("03_horizon")
    window.event_simulate(type="LEFTMOUSE", value="RELEASE", x=x, y=y - 40)
    yield 0.2
    window.event_simulate(type="RET", value="PRESS", x=x, y=y - 40)
    yield 0.5
    say(f"horizon: pitch {scene.look_beyond.pitch:.3f}, roll {scene.look_beyond.roll:.3f}")
    assert abs(scene.look_beyond.roll) > 0.01, "the handle did not turn the camera"
    scene.look_beyond.roll, scene.look_beyond.pitch = 0.0, 0.0

    # Two upright edges: the left line is leant by its upper end.
    in_viewport(lambda: bpy.ops.lookbeyond.align_lines("INVOKE_DEFAULT", kind="UPRIGHT"))
    yield 0.5
    camera = part("photo").photo_camera(scene)
    ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ (0.25 * camera.width, 0.3 * camera.height, 1.0)
    place = view3d_utils.location_3d_to_region_2d(region, area.spaces.active.region_3d, Vector(camera.position + ray))
    x, y = int(region.x + place.x), int(region.y + place.y)
    for value, dx in (("PRESS", 0), ("", 30), ("RELEASE", 30)):
        window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x + dx, y=y)
        yield 0.2
        if value:
            window.event_simulate(type="LEFTMOUSE", value=value, x=x + dx, y=y)
            yield 0.2
    screenshot("03_lines")
    window.event_simulate(type="RET", value="PRESS", x=x, y=y)
    yield 0.5
    say(f"two lines: pitch {scene.look_beyond.pitch:.3f}, roll {scene.look_beyond.roll:.3f}")
    assert abs(scene.look_beyond.pitch) > 0.01, "the line did not turn the camera"
    scene.look_beyond.roll, scene.look_beyond.pitch = 0.0, 0.0

    service.holds = True
    in_viewport(lambda: bpy.ops.lookbeyond.build_world("INVOKE_DEFAULT"))
    yield from until(lambda: session.task and session.task.message.startswith("Denoising"))
    screenshot("04_building")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    in_viewport(lambda: bpy.ops.lookbeyond.cancel())
    yield from until(lambda: not session.busy)
    say("cancelled:", session.notice)
    service.holds = False
    for operator in (bpy.ops.lookbeyond.build_world, bpy.ops.lookbeyond.reroll_world):
        in_viewport(partial(operator, "INVOKE_DEFAULT"))
        yield from rest()
        assert not session.error, session.error
    assert len(scene.look_beyond.worlds) == 2

    in_viewport(lambda: bpy.ops.lookbeyond.add_path("EXEC_DEFAULT", kind="WALK"))
    area.spaces.active.region_3d.view_perspective = "PERSP"
    in_viewport(lambda: bpy.ops.view3d.view_axis(type="TOP"))
    in_viewport(lambda: bpy.ops.view3d.view_selected())
    yield from rest()
    say(
        "path:",
        view.sentences,
        f"{view.took_s:.2f} s after the edit, slices of at most {1e3 * max(view.slices_s):.1f} ms",
    )
    assert view.check and len(view.check.known) == 100
    screenshot("05_path")
    in_viewport(lambda: bpy.ops.ed.undo_push(message="Before the edit"))
    curve = bpy.context.view_layer.objects.active
    point = curve.data.splines[0].bezier_points[-1]
    for handle in ("co", "handle_left", "handle_right"):
        getattr(point, handle)[0] += 2.0
    yield from rest()
    say("after the edit:", view.sentences)
    assert view.sentences
    screenshot("06_path_too_far")
    in_viewport(lambda: bpy.ops.ed.undo_push(message="Edit"))
    in_viewport(lambda: bpy.ops.ed.undo())
    yield from rest()
    scene = bpy.context.scene
    assert not view.sentences, view.sentences

    in_viewport(lambda: bpy.ops.lookbeyond.preview_draft("INVOKE_DEFAULT"))
    yield from rest()
    assert part("stage").stage_of(scene) is not None and not session.error, session.error
    scene.frame_set(60)
    yield 2.0
    screenshot("07_draft")
    area.spaces.active.region_3d.view_perspective = "PERSP"
    in_viewport(lambda: bpy.ops.view3d.view_all())
    yield 1.0
    screenshot("08_stage")

    scene.frame_end = 20
    service.holds = True
    in_viewport(lambda: bpy.ops.lookbeyond.shoot("INVOKE_DEFAULT"))
    in_viewport(lambda: bpy.ops.lookbeyond.shoot("INVOKE_DEFAULT"))
    yield from until(lambda: session.task and session.task.message.startswith("Denoising"))
    assert len(session.queue) == 1
    bpy.ops.wm.save_mainfile()
    screenshot("09_queue")
    # Another file and back, in the middle of the job.
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    yield 1.0
    yield from show_tab()
    service.holds = False
    yield from rest()
    say("after loading in the middle:", session.notice, session.error)
    scene = bpy.context.scene
    assert scene.look_beyond.shot_folder and not session.error
    window, area = window_and_area()
    in_viewport(lambda: bpy.ops.lookbeyond.set_up_composite())
    area.spaces.active.region_3d.view_perspective = "CAMERA"
    yield 1.0
    screenshot("10_shot")
    from lookbeyond_kit import client

    service.fails = client.ServiceError("out_of_memory", "The device's memory is full: choose a smaller resolution.")
    in_viewport(lambda: bpy.ops.lookbeyond.shoot("INVOKE_DEFAULT"))
    yield from rest()
    screenshot("11_error")
    assert "memory is full" in session.error
    service.fails = None
    # A long path is read slice by slice: Esc leaves it, and otherwise it is shot.
    scene.frame_end, asked = 2000, len(service.requests)
    for leave in (True, False):
        in_viewport(lambda: bpy.ops.lookbeyond.shoot("INVOKE_DEFAULT"))
        yield 0.05
        assert window.modal_operators, "the path was read at once"
        if leave:
            window.event_simulate(type="ESC", value="PRESS", x=600, y=500)
        yield from until(lambda: not window.modal_operators)
        yield from rest()
        say("a long path:", session.notice, session.error)
        assert len(service.requests) == asked + (not leave) and not session.error
    assert len(service.requests[-1].cameras) == 2000
    scene.frame_end = 20
    service.holds = True
    in_viewport(lambda: bpy.ops.lookbeyond.shoot("INVOKE_DEFAULT"))
    yield from until(lambda: session.task and session.task.message.startswith("Denoising"))
    for name, times in zip(("by the clock", "of their own"), beats, strict=True):
        p50, p99 = np.percentile(times, (50, 99))
        say(f"beats with work: p50 {p50:.2f}, p99 {p99:.2f}, max {max(times):.2f} ms {name} ({len(times)} times)")
    say("quitting in the middle of:", session.task.title)
    say("the session is complete")


running = steps()


def tick() -> float | None:
    try:
        return next(running)
    except StopIteration:
        pass
    except BaseException:
        traceback.print_exc(file=LOG)
        LOG.flush()
        screenshot("99_failed")
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(tick, first_interval=1.5, persistent=True)
