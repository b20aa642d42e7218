"""What an artist does in the window, stage by stage, with screenshots: run by check.sh inside Blender.

Each stage has a Blender of its own and goes on from the file that the one before it saved; its name stands in the
environment as GUI_STAGE.
"""

import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
from bpy_extras import view3d_utils
from mathutils import Euler, Vector

sys.path.insert(0, "/host")
HOST = Path("/host")
STATE = HOST / "state"
FILE = STATE / "scene.blend"
ADDON = "bl_ext.user_default.look_beyond"
STAGE = os.environ["GUI_STAGE"]
WIDTH, HEIGHT = map(int, os.environ["GUI_SIZE"].split("x"))
KEYCODES = {"F11": "95", "F12": "96"}
"""Function keys by number: by name, xdotool holds Alt as well, because their fifth level is the one that it finds."""
FRESH = ("example", "draft")
"""Stages that begin in a new file and leave none."""
LOG = (HOST / "log.txt").open("a")
LONG_S = 150.0
"""How long anything may take on a machine that others use, too."""
bpy.context.preferences.view.show_splash = False


def say(*words: object) -> None:
    print(*words, file=LOG, flush=True)


def part(name: str):
    return importlib.import_module(f"{ADDON}.{name}")


# --- the window ---------------------------------------------------------------------------------------------


def window_and_area():
    window = bpy.context.window_manager.windows[0]
    return window, next(area for area in window.screen.areas if area.type == "VIEW_3D")


def viewport() -> bpy.types.Region:
    return next(region for region in window_and_area()[1].regions if region.type == "WINDOW")


def in_viewport(call):
    """Call with the context that a button in the viewport has."""
    window, area = window_and_area()
    with bpy.context.temp_override(window=window, area=area, region=viewport()):
        return call()


def press(operator: str, **settings) -> None:
    """As its button does."""
    group, _, name = operator.partition(".")
    in_viewport(partial(getattr(getattr(bpy.ops, group), name), "INVOKE_DEFAULT", **settings))


def until(condition, limit_s: float = LONG_S) -> Iterator[float]:
    ends = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("it did not come to that")
        yield 0.05


redraws = [0]


def stopped() -> Iterator[float]:
    """Until the scene plays; then Esc stops it."""
    yield from until(lambda: window_and_area()[0].screen.is_animation_playing, 90.0)
    yield 1.0
    key("Escape")
    yield from until(lambda: not window_and_area()[0].screen.is_animation_playing, 30.0)


def redrawn(times: int = 3) -> Iterator[float]:
    """Until the viewport has been drawn so often anew, and panels have come to rest."""
    for _ in range(times):
        before = redraws[0]
        for area in window_and_area()[0].screen.areas:
            area.tag_redraw()
        yield from until(lambda before=before: redraws[0] > before)
        yield 0.15


def screenshot(name: str) -> Iterator[float]:
    yield from redrawn()
    region = sidebar()
    (HOST / "sidebar.json").write_text(
        json.dumps([region.x, from_top(region.y + region.height), region.width, region.height])
    )
    subprocess.run(["import", "-window", "root", str(HOST / f"{name}.png")], check=True)


def drawn_in_colour() -> Iterator[float]:
    """Until the middle of the viewport is no longer the grey that it is while shaders are compiled in threads."""
    region, screen = viewport(), HOST / "looked.png"

    def coloured() -> bool:
        area.tag_redraw()
        subprocess.run(["import", "-window", "root", str(screen)], check=True)
        pixels = pixels_of(screen).astype(int)
        y, x = HEIGHT - region.y - region.height // 2, region.x + region.width // 3
        return float(np.ptp(pixels[y - 60 : y + 60, x - 100 : x + 100], axis=-1).mean()) > 4

    _, area = window_and_area()
    yield from until(coloured)
    yield from redrawn(6)
    screen.unlink()


def rest() -> Iterator[float]:
    """Until nothing of ours is at work any more."""
    view, session = part("path.checker").path_checker, part("session").session
    yield 0.2
    yield from until(lambda: not session.busy and view.idle)


def xdo(*words: object) -> None:
    """Real events of mouse and keyboard (XTEST), as the X server sends them to any program."""
    subprocess.run(["xdotool", *map(str, words)], check=True)


def from_top(y: int) -> int:
    """A row of the screen, for one of the window, which Blender counts from below."""
    return HEIGHT - 1 - y


def key(name: str, at: tuple[int, int] | None = None) -> None:
    """Press a key, such as ctrl+shift+F12, with the mouse over the viewport."""
    region = viewport()
    x, y = at or (region.x + 300, region.y + 300)
    for function_key, code in KEYCODES.items():
        name = name.replace(function_key, code)
    xdo("mousemove", x, from_top(y), "key", name)


def mouse(*steps: tuple[str, int, int]) -> Iterator[float]:
    """MOVE, PRESS and RELEASE at places of the window."""
    for what, x, y in steps:
        xdo("mousemove", x, from_top(y))
        yield 0.1
        if what != "MOVE":
            xdo("mousedown" if what == "PRESS" else "mouseup", 1)
            yield 0.1


def sidebar() -> bpy.types.Region:
    return next(region for region in window_and_area()[1].regions if region.type == "UI")


def under_the_mouse() -> str:
    """The operator of the button in the sidebar that the mouse is on, as Blender itself would copy it."""
    window, area = window_and_area()
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with bpy.context.temp_override(window=window, area=area, region=sidebar()):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
    return manager.clipboard


clicks = SimpleNamespace(count=0, looked_s=0.0, scrolled=0)
"""What the artist's hand has done: clicks, the seconds in which this program looked for buttons, pages scrolled."""


def click(operator: str, columns: tuple[float, ...] = (0.5,), setting: str = "") -> Iterator[float]:
    """With the mouse: look for the button in the sidebar from top to bottom, scrolling, and press it.

    `columns` is where in a row it may be, as shares of the sidebar's width; `setting` is part of its arguments.
    """
    region, began = sidebar(), time.monotonic()
    middle = region.x + region.width // 2, region.y + region.height // 2

    def scroll(button: int) -> None:
        xdo("mousemove", middle[0], from_top(middle[1]), "click", "--repeat", 8, "--delay", 5, button)

    for _ in range(4):
        scroll(4)
        yield 0.1
    for page in range(5):
        yield from redrawn(1)
        for y in range(region.y + region.height - 12, region.y + 12, -16):
            for column in columns:
                x = int(region.x + column * (region.width - 30))  # beside the tabs
                xdo("mousemove", x, from_top(y))
                yield 0.04
                found = under_the_mouse()
                if found.startswith(f"bpy.ops.{operator}(") and setting in found:
                    clicks.looked_s += time.monotonic() - began
                    clicks.count, clicks.scrolled = clicks.count + 1, clicks.scrolled + page
                    xdo("click", 1)
                    yield 0.2
                    say(f"clicked {found} at {x}, {y}{f', {page} pages down' if page else ''}")
                    for _ in range(4 if page else 0):
                        scroll(4)
                        yield 0.1
                    yield from mouse(("MOVE", viewport().x + 20, viewport().y + 20))  # where no tooltip comes up
                    return
        scroll(5)
        yield 0.1
    raise LookupError(f"there is no button for {operator}")


def on_screen(pixel: tuple[float, float]) -> tuple[int, int]:
    """Where a pixel of the photo is in the window."""
    camera, region = part("photo.camera").photo_camera(bpy.context.scene), viewport()
    ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ (*pixel, 1.0)
    view = window_and_area()[1].spaces.active.region_3d
    place = view3d_utils.location_3d_to_region_2d(region, view, Vector(camera.position + ray))
    return int(region.x + place.x), int(region.y + place.y)


def known_ends(camera, *ends: tuple[float, float]) -> np.ndarray:
    """The directions of the photo's pixels."""
    return np.array([(*end, 1.0) for end in ends]) @ np.linalg.inv(camera.intrinsics).T @ camera.rotation.T


def listening() -> Iterator[float]:
    """Until an operator of ours listens to the mouse, and the view has come to rest in the camera."""
    yield from until(lambda: bool(window_and_area()[0].modal_operators))
    yield from redrawn()


# --- the service that is played -----------------------------------------------------------------------------


def played_service():
    from tests.support.played import PlayedService

    class RoomService(PlayedService):
        """Its worlds are the rooms that room.py has drawn; its frames are the room as the cameras see it."""

        def __init__(self) -> None:
            work = STATE / "played"
            work.mkdir(parents=True, exist_ok=True)
            super().__init__(work)
            self.holds_s = LONG_S
            self.preview = preview_of(HOST / "room" / "panorama.png", work)
            self.room = {name: str(work / f"{name}.npy") for name in ("colours", "distance")}
            np.save(self.room["colours"], pixels_of(HOST / "room" / "panorama.png"))
            np.save(self.room["distance"], part("world.distance").read_distance(HOST / "room" / "distance.exr"))

        def world(self, request, folder: Path) -> list[Path]:
            files = super().world(request, folder)
            room = "other_" if request.seed else ""
            shutil.copy(HOST / "room" / f"{room}panorama.png", folder / "panorama.png")
            shutil.copy(HOST / "room" / f"{room}distance.exr", folder / "distance.exr")
            return files

        def shot(self, request, folder: Path) -> list[Path]:
            files = super().shot(request, folder)
            frames = [str(file) for file in files if file.parent.name == "frames"]
            if len(frames) <= 100:
                asked = {"cameras": request.cameras, "files": frames} | self.room
                (STATE / "asked.json").write_text(json.dumps(asked))
                kit = Path(sys.modules["lookbeyond_kit"].__file__).parents[1]
                command = ["python3", str(HOST / "frames.py"), str(STATE / "asked.json")]
                subprocess.run(command, env=os.environ | {"PYTHONPATH": str(kit)}, check=True)
            return files

    return RoomService()


def pixels_of(file: Path) -> np.ndarray:
    """[H, W, 3] uint8 of an image file, as it is stored."""
    image = bpy.data.images.load(str(file))
    image.colorspace_settings.name = "Non-Color"
    values = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(image.size[1], image.size[0], image.channels)[::-1, :, :3]
    bpy.data.images.remove(image)
    return np.ascontiguousarray((values * 255).round().astype(np.uint8))


def preview_of(file: Path, folder: Path) -> bytes:
    from tests.support.pictures import picture

    pixels = pixels_of(file)[::4, ::4]
    return picture(folder / "preview.jpg", pixels.shape[1], pixels.shape[0], pixels / 255).read_bytes()


def watch_beats() -> dict[str, list[tuple[float, float]]]:
    """The milliseconds (by the clock, and of their own) of all beats from now on that had work to do; those that put a
    world's texture into the scene stand apart. The undo steps that Blender itself writes within them are counted by
    themselves, not with the beats: how long one takes is up to the file that is open."""
    module, variants, undo = part("heartbeat"), part("world.variants"), part("undo")
    names = ("beats with work", "undo steps that Blender wrote in them", "beats that change the world's texture")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    called: list[str] = []
    steps: list[tuple[float, float]] = []
    beat, set_scene_world, remember = module.beat, variants.set_scene_world, undo.push_undo_step

    def watched():
        if not module.session.has_pending_work:
            return beat()
        called.clear()
        steps.clear()
        began = time.perf_counter(), time.thread_time()
        pause = beat()
        took = 1e3 * (time.perf_counter() - began[0]), 1e3 * (time.thread_time() - began[1])
        times[names[1]].extend(steps)
        own = took[0] - sum(step[0] for step in steps), took[1] - sum(step[1] for step in steps)
        times[names[2] if "world" in called else names[0]].append(own)
        return pause

    def watched_step(message):
        began = time.perf_counter(), time.thread_time()
        try:
            return remember(message)
        finally:
            steps.append((1e3 * (time.perf_counter() - began[0]), 1e3 * (time.thread_time() - began[1])))

    module.beat = watched
    variants.set_scene_world = lambda *of: (called.append("world"), set_scene_world(*of))[1]
    undo.push_undo_step = watched_step
    return times


def begin() -> SimpleNamespace:
    """The extension installed, the file of the stage before, the tab, the played service."""
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(HOST / "extension.zip"), enable_on_install=True
    )
    assert ADDON in bpy.context.preferences.addons
    if FILE.exists() and STAGE not in FRESH:
        bpy.ops.wm.open_mainfile(filepath=str(FILE))
        bpy.context.scene.look_beyond.play_finished = False  # these stages go on working after a shot
    bpy.types.SpaceView3D.draw_handler_add(lambda: redraws.__setitem__(0, redraws[0] + 1), (), "WINDOW", "POST_PIXEL")
    service = played_service()
    part("service.preferences").connection = lambda: service
    return SimpleNamespace(
        service=service,
        session=part("session").session,
        view=part("path.checker").path_checker,
        beats=watch_beats(),
    )


def show_tab() -> Iterator[float]:
    _, area = window_and_area()
    area.spaces.active.show_region_ui = True
    yield 0.3
    next(region for region in area.regions if region.type == "UI").active_panel_category = "Look Beyond"
    yield from redrawn()


# --- the stages ---------------------------------------------------------------------------------------------


def example(the) -> Iterator[float]:
    """By the mouse alone, from an empty tab to a shot that plays."""
    service, session = the.service, the.session
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    bpy.context.scene.look_beyond.output_folder = str(STATE / "results")
    yield from show_tab()
    yield from screenshot("20_empty")
    service.holds = True
    yield from click("lookbeyond.try_example")
    yield from until(lambda: session.task and session.task.message.startswith("Denoising") and session.preview)
    yield 1.0
    yield from screenshot("21_example_builds")
    service.holds = False
    yield from until(lambda: len(bpy.context.scene.look_beyond.shots) == 1)
    yield from stopped()
    yield from rest()
    yield from redrawn(6)
    yield from screenshot("22_example_shot")
    assert not session.error, session.error
    yield from click("lookbeyond.play_take", (0.45, 0.6, 0.8))
    yield from until(lambda: any(w.screen.is_animation_playing for w in bpy.context.window_manager.windows))
    yield 3.0
    subprocess.run(["import", "-window", "root", str(HOST / "23_example_plays.png")], check=True)
    say(
        "two clicks from an empty tab to a shot that plays:", [w.scene.name for w in bpy.context.window_manager.windows]
    )
    for window in list(bpy.context.window_manager.windows)[1:]:
        with bpy.context.temp_override(window=window):
            bpy.ops.screen.animation_cancel(restore_frame=False)
            bpy.ops.wm.window_close()
    for step in ("photo", "world", "path", "shot"):
        for other in ("photo", "world", "path", "shot"):
            setattr(bpy.context.scene.look_beyond, f"open_{other}", other == step)
        yield from screenshot(f"24_{step}_open")


def draft(the) -> Iterator[float]:
    """From a photo on the desktop to a draft that plays: of the stage, and of frames that were shot."""
    scene = bpy.context.scene
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    scene.frame_end, scene.look_beyond.output_folder = 24, str(STATE / "results_draft")
    scene.render.resolution_x, scene.render.resolution_y = 768, 512
    window, _ = window_and_area()
    yield from show_tab()
    began = time.monotonic()
    in_viewport(
        lambda: bpy.ops.wm.drop_import_file(
            "INVOKE_DEFAULT", directory=str(HOST / "room"), files=[{"name": "photo.png"}]
        )
    )
    clicks.count = 1  # the drop
    yield from redrawn()
    key("p")  # Place Photo, in the menu of what can be done with a picture
    clicks.count += 1
    yield from until(lambda: scene.look_beyond.photo_camera is not None)
    yield from rest()
    yield from screenshot("30_placed")
    yield from click("lookbeyond.build_world")
    yield from until(lambda: bool(scene.look_beyond.world_folder))
    yield from rest()
    yield from screenshot("31_built")
    yield from click("lookbeyond.add_path", (0.25, 0.75), "PUSH_IN")
    yield from rest()
    yield from screenshot("32_path")
    before, drafted = (clicks.count, clicks.looked_s), time.monotonic()
    yield from click("lookbeyond.preview_draft", (0.75,))
    yield from until(lambda: window.screen.is_animation_playing)
    say_clicks("a draft of the stage plays", began)
    yield 2.0
    subprocess.run(["import", "-window", "root", str(HOST / "33_draft_plays.png")], check=True)
    yield from stopped()
    yield from rest()
    paused = time.monotonic()
    clicks.count, clicks.looked_s = before
    yield from click("lookbeyond.shoot", (0.3,))
    yield from until(lambda: window.screen.is_animation_playing)
    say_clicks("a draft of frames plays", began + paused - drafted)
    yield 2.0
    subprocess.run(["import", "-window", "root", str(HOST / "34_shot_plays.png")], check=True)
    yield from stopped()
    yield from screenshot("35_shot")
    assert scene.look_beyond.quality == "DRAFT" and clicks.count <= 5
    assert not clicks.scrolled or HEIGHT < 900, "a button was out of sight"


def say_clicks(what: str, began: float) -> None:
    say(
        f"{what} after {clicks.count} clicks (a drop is one) and {time.monotonic() - began:.0f} s, of which"
        f" {clicks.looked_s:.0f} s went into finding buttons; load {os.getloadavg()[0]:.1f}"
    )


def photo(the) -> Iterator[float]:
    """A photo is dropped, and its camera stood upright by the mouse."""
    scene = bpy.context.scene
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    scene.frame_end = 100
    scene.look_beyond.output_folder = str(STATE / "results")
    yield from show_tab()
    yield from screenshot("01_start")
    # What Blender does when files are dropped into an area: its own choice beside ours, the P of Place Photo.
    dropped = in_viewport(
        lambda: bpy.ops.wm.drop_import_file(
            "INVOKE_DEFAULT", directory=str(HOST / "room"), files=[{"name": "photo.png"}]
        )
    )
    yield from redrawn()
    yield from screenshot("02_drop_menu")
    window, _ = window_and_area()
    key("p")
    yield from until(lambda: scene.look_beyond.photo_camera is not None)
    say("drop:", dropped, [thing.name for thing in scene.objects])
    yield from rest()
    yield from redrawn(8)
    yield from screenshot("03_placed")

    # The horizon: take the left handle and pull it down.
    press("lookbeyond.adjust_horizon")
    yield from listening()
    camera = part("photo.camera").photo_camera(scene)
    column = part("photo.handles").HANDLES[0] * camera.width
    x, y = on_screen((column, part("photo.horizon").horizon_row(camera, column)))
    yield from mouse(("PRESS", x, y), ("MOVE", x, y - 40))
    yield from screenshot("04_horizon")
    yield from mouse(("RELEASE", x, y - 40))
    key("Return")
    yield from until(lambda: not window.modal_operators)
    say(f"horizon: pitch {scene.look_beyond.pitch:.3f}, roll {scene.look_beyond.roll:.3f}")
    assert abs(scene.look_beyond.roll) > 0.01, "the handle did not turn the camera"
    scene.look_beyond.roll, scene.look_beyond.pitch = 0.0, 0.0

    # Two upright edges: the left line is leant by its upper end.
    press("lookbeyond.align_lines", kind="UPRIGHT")
    yield from listening()
    camera = part("photo.camera").photo_camera(scene)
    x, y = on_screen((0.25 * camera.width, 0.3 * camera.height))
    yield from mouse(("PRESS", x, y), ("MOVE", x + 30, y), ("RELEASE", x + 30, y))
    yield from screenshot("05_lines")
    key("Return")
    yield from until(lambda: not window.modal_operators)
    say(f"two lines: pitch {scene.look_beyond.pitch:.3f}, roll {scene.look_beyond.roll:.3f}")
    assert abs(scene.look_beyond.pitch) > 0.01, "the line did not turn the camera"
    scene.look_beyond.roll, scene.look_beyond.pitch = 0.0, 0.0

    # The cupboard's edge, which looks 1.3 m high, is known to be half as high again.
    foot, top = (560.0, 645.0), (560.0, 412.0)
    ends = known_ends(part("photo.camera").photo_camera(scene), foot, top)
    looks = part("photo.length").length_of("UPRIGHT", *ends, 1.6)
    scene.look_beyond.known_length = 1.5 * looks
    press("lookbeyond.measure_height", kind="UPRIGHT")
    yield from listening()
    yield from mouse(("PRESS", *on_screen(foot)), ("RELEASE", *on_screen(foot)), ("MOVE", *on_screen(top)))
    yield from screenshot("06_known_length")
    yield from mouse(("PRESS", *on_screen(top)), ("RELEASE", *on_screen(top)))
    yield from until(lambda: not window.modal_operators)
    say(f"what looked {looks:.2f} m high is {1.5 * looks:.2f} m: height {scene.look_beyond.camera_height:.2f} m")
    assert abs(scene.look_beyond.camera_height - 2.4) < 0.05
    scene.look_beyond.camera_height = 1.6
    # A service that has come meanwhile looks for people in it.
    the.service.people = (0.042,)
    scene.look_beyond.photo_camera.data.look_beyond.looked_at = False
    press("lookbeyond.check_service")
    yield from rest()
    say("people:", scene.look_beyond.photo_camera.data.look_beyond.people)
    assert "4%" in scene.look_beyond.photo_camera.data.look_beyond.people
    yield from screenshot("06_people")
    scene.look_beyond.photo_camera.data.look_beyond.people = ""


def world(the) -> Iterator[float]:
    """A world is begun and cancelled, made, and made anew with another seed."""
    scene, service, session = bpy.context.scene, the.service, the.session
    yield from show_tab()
    service.holds = True
    yield from click("lookbeyond.build_world")
    yield from until(lambda: session.task and session.task.message.startswith("Denoising") and session.preview)
    yield 1.0  # Blender reads the preview in a thread of its own
    yield from screenshot("07_building")
    yield from click("lookbeyond.cancel", (0.95,))
    yield from until(lambda: not session.busy)
    say("cancelled:", session.notice)
    assert "cancelled" in session.notice
    service.holds = False
    press("lookbeyond.reroll_world")
    yield from rest()
    scene.look_beyond.seed = 0
    press("lookbeyond.build_world")
    yield from rest()
    assert not session.error and len(scene.look_beyond.worlds) == 2, session.error
    # Ctrl-Z brings the former world back, and the list as it was; Shift-Ctrl-Z this one.
    folder = scene.look_beyond.world_folder
    key("ctrl+z")
    yield from until(lambda: bpy.context.scene.look_beyond.world_folder != folder)
    assert len(bpy.context.scene.look_beyond.worlds) == 1
    key("ctrl+shift+z")
    yield from until(lambda: bpy.context.scene.look_beyond.world_folder == folder)
    scene = bpy.context.scene
    assert len(scene.look_beyond.worlds) == 2
    yield from rest()
    # The world in the viewport, around the photo's own frame.
    space = window_and_area()[1].spaces.active
    space.region_3d.view_perspective = "CAMERA"
    scene.look_beyond.photo_camera.data.show_background_images = False
    scene.look_beyond.open_world = True
    yield from click("lookbeyond.see_world")
    assert space.shading.type == "MATERIAL"
    yield from drawn_in_colour()
    yield from screenshot("07_world")
    scene.look_beyond.photo_camera.data.show_background_images = True
    yield from click("lookbeyond.see_world")
    assert space.shading.type == "SOLID"


def picture360(the) -> Iterator[float]:
    """One's own 360° picture is measured by a known length; a photo's world takes its place again."""
    scene, window = bpy.context.scene, window_and_area()[0]
    module = part("photo.length")
    yield from show_tab()
    in_viewport(lambda: bpy.ops.lookbeyond.use_panorama(filepath=str(HOST / "room" / "panorama.png")))
    yield from rest()
    space = window_and_area()[1].spaces.active
    space.region_3d.view_perspective = "CAMERA"
    scene.look_beyond.known_length = 3.0
    press("lookbeyond.measure_panorama", kind="FLOOR")
    yield from listening()
    assert space.region_3d.view_perspective == "PERSP"
    yield from drawn_in_colour()
    region = viewport()
    clicks = [(int(region.x + share * region.width), int(region.y + 0.2 * region.height)) for share in (0.2, 0.5)]
    rays = [
        np.array(view3d_utils.region_2d_to_vector_3d(region, space.region_3d, (x - region.x, y - region.y)))
        for x, y in clicks
    ]
    expected = 3.0 / module.length_of("FLOOR", *rays, 1.0)
    yield from mouse(("PRESS", *clicks[0]), ("RELEASE", *clicks[0]), ("MOVE", *clicks[1]))
    yield from screenshot("07_known_length_360")
    yield from mouse(("PRESS", *clicks[1]), ("RELEASE", *clicks[1]))
    yield from until(lambda: not window.modal_operators)
    say(f"360° picture: its camera stood at {scene.look_beyond.panorama_height:.2f} m")
    assert abs(scene.look_beyond.panorama_height - expected) < 1e-3 and space.shading.type == "SOLID"
    asked = len(the.service.requests)
    press("lookbeyond.build_world")
    yield from rest()
    request = the.service.requests[asked]
    assert request.panorama and abs(request.camera_height - expected) < 1e-3
    scene.look_beyond.panorama_path = ""
    scene.look_beyond.worlds.remove(len(scene.look_beyond.worlds) - 1)
    scene.look_beyond.worlds.remove(len(scene.look_beyond.worlds) - 1)
    scene.look_beyond.world_index = len(scene.look_beyond.worlds) - 1
    in_viewport(lambda: bpy.ops.lookbeyond.use_world(index=1))


def path(the) -> Iterator[float]:
    """A path is added, bent through a wall, and put back by an undo; a draft is looked at."""
    scene, session, view = bpy.context.scene, the.session, the.view
    yield from show_tab()
    in_viewport(lambda: bpy.ops.lookbeyond.add_path("EXEC_DEFAULT", kind="WALK"))
    yield from rest()
    say(f"path: {view.warnings} {view.elapsed_s:.2f} s after it was added, the world read")
    assert view.check and len(view.check.coverage) == 100
    press("lookbeyond.add_stage")
    yield from rest()
    space = window_and_area()[1].spaces.active
    space.region_3d.view_perspective = "PERSP"
    in_viewport(lambda: bpy.ops.view3d.view_axis(type="TOP"))
    assert space.shading.color_type == "TEXTURE" and space.shading.show_backface_culling
    space.region_3d.view_location, space.region_3d.view_distance = (2.0, -0.4, 0.0), 7.0
    yield from rest()
    yield from redrawn(6)
    yield from screenshot("08_path")
    former = list(view.warnings)
    # The curve's last point is taken by the mouse, moved by G, and put back by Ctrl-Z.
    curve, region = bpy.context.view_layer.objects.active, viewport()
    key("Tab")
    yield from until(lambda: bpy.context.mode == "EDIT_CURVE")
    yield from redrawn()
    end = curve.matrix_world @ curve.data.splines[0].bezier_points[-1].co
    place = view3d_utils.location_3d_to_region_2d(region, space.region_3d, end)
    x, y = int(region.x + place.x), int(region.y + place.y)
    yield from mouse(("PRESS", x, y), ("RELEASE", x, y))
    yield from redrawn()
    key("g", at=(x, y))
    yield from until(lambda: bool(window_and_area()[0].modal_operators))
    yield from mouse(("MOVE", x + 60, y), ("MOVE", x + 180, y))
    drawn, before, began = redraws[0], view.check, time.monotonic()
    xdo("click", 1)
    yield from until(lambda: view.check is not before and view.idle)
    say(
        f"after the edit: {view.warnings} drawn {time.monotonic() - began:.2f} s later,"
        f" {len(view.check.cameras)} cameras read in {len(view.slices_s)} slices of at most"
        f" {1e3 * max(view.slices_s):.1f} ms ({1e3 * max(view.slices_own_s):.1f} ms of their own); the window was drawn"
        f" {redraws[0] - drawn} times meanwhile, load {os.getloadavg()[0]:.1f}"
    )
    assert view.warnings != former
    yield from screenshot("09_path_too_far")
    key("ctrl+z")
    yield 0.3
    yield from rest()
    assert view.warnings == former, view.warnings
    key("Tab")
    yield from until(lambda: bpy.context.mode == "OBJECT")
    scene = bpy.context.scene
    key("ctrl+shift+F11")  # Preview Draft
    yield from stopped()
    yield from rest()
    assert part("world.stage").find_stage(scene) is not None and not session.error, session.error
    scene.frame_set(60)
    yield from redrawn(6)
    yield from screenshot("10_draft")
    space = window_and_area()[1].spaces.active
    space.region_3d.view_perspective = "PERSP"
    space.shading.show_backface_culling = True
    view = space.region_3d
    view.view_location, view.view_distance = (0.6, 0.0, 0.8), 11.0
    view.view_rotation = Euler((math.radians(58), 0.0, math.radians(35))).to_quaternion()
    yield from redrawn(6)
    yield from screenshot("11_stage")
    # What of it is photo, invented and hole.
    scene.look_beyond.open_path = True
    yield from redrawn()
    yield from click("lookbeyond.show_known")
    assert part("world.stage").shows_known(space)
    yield from screenshot("11_known")
    yield from click("lookbeyond.show_known")
    assert not part("world.stage").shows_known(space)


def shot(the) -> Iterator[float]:
    """Two shots are queued; another file and back in the middle of the first; the frames; a failure."""
    service, session = the.service, the.session
    scene = bpy.context.scene
    scene.frame_end = 20
    scene.render.resolution_x, scene.render.resolution_y = 768, 432
    yield from show_tab()
    service.holds = True
    yield from click("lookbeyond.shoot", (0.3,))
    key("ctrl+shift+F12")  # and once more by its key
    yield from until(lambda: session.queue)
    yield from until(lambda: session.task and session.task.message.startswith("Denoising") and session.preview)
    yield 1.0
    assert len(session.queue) == 1
    yield 5.0  # as a job does, it goes on for a while: its beats are measured
    bpy.ops.wm.save_mainfile()
    yield from screenshot("12_queue")
    bpy.ops.wm.open_mainfile(filepath=str(FILE))
    yield 0.5
    yield from show_tab()
    service.holds = False
    yield from rest()
    say("after loading in the middle:", session.notice, session.error)
    scene = bpy.context.scene
    assert scene.look_beyond.shot_folder and not session.error
    scene.frame_set(12)
    space = window_and_area()[1].spaces.active
    space.region_3d.view_perspective = "CAMERA"
    bpy.context.view_layer.objects.active = None
    for thing in bpy.context.view_layer.objects:
        thing.select_set(False)
    yield from redrawn(6)
    yield from screenshot("13_shot")
    # Seen from outside, the frames are on a card at the camera.
    part("world.stage").set_stage_visible(scene, True)
    space.region_3d.view_perspective = "PERSP"
    space.region_3d.view_location, space.region_3d.view_distance = scene.camera.matrix_world.translation, 3.0
    space.region_3d.view_rotation = Euler((math.radians(65), 0.0, math.radians(-60))).to_quaternion()
    yield from redrawn(6)
    yield from screenshot("13_card")
    part("world.stage").set_stage_visible(scene, False)
    space.region_3d.view_perspective = "CAMERA"
    in_viewport(lambda: bpy.ops.lookbeyond.set_up_composite())
    say("composite:", session.notice)
    from lookbeyond_kit import client

    service.fails = client.ServiceError("out_of_memory", "The device's memory is full: choose a smaller resolution.")
    press("lookbeyond.shoot")
    yield from rest()
    yield from screenshot("14_error")
    assert "memory is full" in session.error
    service.fails = None
    # What is finished while Blender renders waits: datablocks that appear meanwhile would crash it.
    bpy.context.preferences.view.render_display_type = "NONE"
    scene.render.engine, scene.cycles.samples = "CYCLES", 256
    scene.render.use_compositing = False
    service.holds, former = True, scene.look_beyond.shot_folder
    scene.look_beyond.shot_seed = 7
    press("lookbeyond.shoot")
    yield from until(lambda: session.task and session.task.message.startswith("Denoising"))
    press("render.render")
    yield from until(lambda: bpy.app.is_job_running("RENDER"))
    service.holds, waited = False, 0
    while bpy.app.is_job_running("RENDER"):
        waited += session.has_pending_work
        assert session.busy and scene.look_beyond.shot_folder == former
        yield 0.05
    assert waited, "the shot did not come to its end while Blender rendered"
    xdo("mousemove_relative", "--", 3, 0)  # a render's operator ends with the next event, and until then is at work
    yield from rest()
    say("after a render in the middle:", session.notice, session.error)
    assert scene.look_beyond.shot_folder != former and not session.error


def lit(the) -> Iterator[float]:
    """Objects of the artist on the stage are lit by the world; a second photo asks what it is; a world is an asset."""
    scene, session = bpy.context.scene, the.session
    space = window_and_area()[1].spaces.active
    yield from show_tab()
    scene.look_beyond.open_world = True
    yield from click("lookbeyond.mark_world", (0.8,))
    say("assets:", [world.name for world in bpy.data.worlds if world.asset_data])
    yield from screenshot("15_asset")
    in_viewport(lambda: bpy.ops.mesh.primitive_monkey_add(size=0.8, location=(1.6, 0.3, 0.5)))
    space.shading.type = "SOLID"
    press("lookbeyond.preview_draft")
    yield from stopped()
    yield from rest()
    assert space.shading.type == "MATERIAL" and not session.error
    yield from drawn_in_colour()
    yield from screenshot("15_lit")
    space.shading.type = "SOLID"
    cameras = len(bpy.data.cameras)
    in_viewport(lambda: bpy.ops.lookbeyond.place_photo("INVOKE_DEFAULT", filepath=str(HOST / "room" / "panorama.png")))
    yield from redrawn()
    yield from screenshot("16_second_photo")
    assert len(bpy.data.cameras) == cameras
    key("Return")  # the first choice is a second place
    yield from until(lambda: len(bpy.data.cameras) == cameras + 1, 20.0)
    say("a second photo:", [thing.name for thing in scene.objects if thing.type == "CAMERA"])


def long(the) -> Iterator[float]:
    """A long path is read slice by slice: Esc leaves it, and otherwise it is shot. Blender is quit in mid-job."""
    service, session = the.service, the.session
    scene, (window, _) = bpy.context.scene, window_and_area()
    yield from show_tab()
    asked = len(service.requests)
    for leave in (True, False):
        scene.frame_end = 5000 if leave else 600
        press("lookbeyond.shoot")
        yield 0.02
        if leave:
            assert window.modal_operators, "the path was read at once"
            key("Escape")
        yield from until(lambda: not window.modal_operators)
        yield from rest()
        say("a long path:", session.notice, session.error)
        assert len(service.requests) == asked + (not leave) and not session.error
    assert len(service.requests[-1].cameras) == 600
    scene.frame_end = 20
    service.holds = True
    press("lookbeyond.shoot")
    yield from until(lambda: session.task and session.task.message.startswith("Denoising"))
    say("quitting in the middle of:", session.task.title)


def steps() -> Iterator[float]:
    began = time.monotonic()
    STATE.mkdir(exist_ok=True)
    say(f"--- {STAGE}: Blender {bpy.app.version_string}, Python {sys.version.split()[0]}")
    the = begin()
    yield 0.5
    yield from globals()[STAGE](the)
    if STAGE not in (*FRESH, "long"):
        bpy.ops.wm.save_as_mainfile(filepath=str(FILE))
    kept = STATE / "beats.json"
    former = json.loads(kept.read_text()) if kept.exists() else {}
    for name, times in the.beats.items():
        times = [*former.get(name, []), *times]
        former[name] = times
        for which, values in zip(("by the clock", "of their own"), np.array(times).reshape(-1, 2).T, strict=True):
            if len(values):
                p50, p99 = np.percentile(values, (50, 99))
                say(f"{name}: p50 {p50:.2f}, p99 {p99:.2f}, max {max(values):.2f} ms {which} ({len(values)} times)")
    kept.write_text(json.dumps(former))
    say(f"the stage {STAGE} is complete after {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")


running = steps()


def tick() -> float | None:
    try:
        return next(running)
    except StopIteration:
        pass
    except BaseException:
        traceback.print_exc(file=LOG)
        LOG.flush()
        subprocess.run(["import", "-window", "root", str(HOST / f"99_failed_{STAGE}.png")])
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(tick, first_interval=1.0, persistent=True)
