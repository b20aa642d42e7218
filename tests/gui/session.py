"""What an artist does in the window, step by step, with screenshots: run by check.sh inside Blender."""

import importlib
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
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
    scene = bpy.context.scene
    scene.look_beyond.output_folder = str(folder / "results")
    scene.frame_end = 100
    photo = picture(folder / "photo.jpg", 960, 640)
    in_viewport(lambda: bpy.ops.lookbeyond.place_photo("EXEC_DEFAULT", filepath=str(photo), pitch=0.1))
    yield 0.5
    screenshot("02_placed")

    service.holds = True
    in_viewport(lambda: bpy.ops.lookbeyond.build_world("INVOKE_DEFAULT"))
    yield from until(lambda: session.task and session.task.message.startswith("Denoising"))
    screenshot("03_building")
    service.holds = False
    yield from rest()
    assert scene.world and not session.error, session.error

    in_viewport(lambda: bpy.ops.lookbeyond.add_path("EXEC_DEFAULT", kind="WALK"))
    in_viewport(lambda: bpy.ops.view3d.view_all())
    in_viewport(lambda: bpy.ops.view3d.view_axis(type="TOP"))
    yield from rest()
    say(
        "path:",
        view.sentences,
        f"{view.took_s:.2f} s after the edit,",
        f"longest slice {1e3 * max(view.slices_s):.1f} ms",
    )
    assert view.check and len(view.check.known) == 100
    screenshot("04_path")
    curve = bpy.context.view_layer.objects.active
    point = curve.data.splines[0].bezier_points[-1]
    for handle in ("co", "handle_left", "handle_right"):
        getattr(point, handle)[0] += 2.0
    yield from rest()
    say("after the edit:", view.sentences, f"{view.took_s:.2f} s,", f"longest slice {1e3 * max(view.slices_s):.1f} ms")
    assert view.sentences
    screenshot("05_path_too_far")
    in_viewport(lambda: bpy.ops.ed.undo())
    yield from rest()
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
