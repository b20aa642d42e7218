"""The camera's path in the viewport: coloured by how much of each view is known, anchors as frusta, warnings.

When the artist has paused, the cameras are read between two redraws in slices of a few milliseconds; a thread finds
out what is known of them. Drawing reads the outcome; a script or a test gets the same by `check_now`.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from bpy.app.handlers import persistent
from lookbeyond_kit.geometry.cameras import Camera, CameraError

from .cameras_from_blender import (
    APART,
    CameraState,
    metres_per_unit,
    reads_apart,
    scene_frames,
    shot_size,
    states_apart,
    states_in_place,
)
from .known_world import KnownWorld, PathCheck, WorldError, load_world
from .results import absolute
from .session import session
from .world_nodes import heading_now

SLICE_S = 0.005
"""How long cameras are read at a time: the window waits."""
INTERVAL_S = 0.005
PAUSE_S = 0.1
"""How long the scene must have been left alone before the path is read again."""
MOST_CHECKED = 240
"""Most frames that are looked at: of a longer path every second, third, ... one."""
MANY_OBJECTS = 300
"""In a scene of more objects the path is checked only when asked for: reading it has Blender sort them anew."""
IN_PLACE = (
    "The scene itself moves this camera (its own animation, a simulation), and reading the camera would play the scene:"
    " the path is checked when you press the round arrow."
)
FRUSTUM_M = 0.12
COLOURS = ((0.95, 0.2, 0.15), (0.98, 0.75, 0.1), (0.25, 0.85, 0.35))
"""Linear steps from nothing known over half to all."""
BEYOND = (0.9, 0.1, 0.75)


class PathWork(threading.Thread):
    """Finds out what a world knows of cameras that have been read; reads the world first if it has changed.

    When it has ended, `world` and `check` hold what came of it, or `sentences` why nothing did.
    """

    def __init__(
        self,
        world: KnownWorld | None,
        folder: Path,
        states: Sequence[CameraState],
        heading: float | None,
        frames_per_clip: int,
    ) -> None:
        super().__init__(name="look_beyond_path", daemon=True)
        self.world, self.check, self.sentences = world, None, []
        self.cancelled = threading.Event()
        self._folder, self._states, self._heading, self._frames_per_clip = folder, states, heading, frames_per_clip

    def run(self) -> None:
        try:
            if self.world is None or not self.world.is_of(self._folder):
                self.world = None
                self.world = load_world(self._folder)
            check = PathCheck([state.frame for state in self._states], [state.camera() for state in self._states])
        except (WorldError, CameraError) as error:
            self.sentences = [str(error)]
            return
        made_for = self.world.panorama.heading_rad
        turn = 0.0 if self._heading is None else self._heading - made_for
        for _ in check.steps(self.world, turn, self._frames_per_clip):
            if self.cancelled.is_set():
                return
        self.check, self.sentences = check, check.sentences()


@dataclass
class PathView:
    """The path of one scene as it was last worked out, and what is being worked out now."""

    world: KnownWorld | None = None
    check: PathCheck | None = None
    """The last complete one."""
    sentences: list[str] = field(default_factory=list)
    slices_s: list[float] = field(default_factory=list)
    """How long the slices since the last edit took, by the clock."""
    slices_own_s: list[float] = field(default_factory=list)
    """The same in processor time of their thread: what a busy machine does not lengthen."""
    took_s: float = 0.0
    """From the last edit until its path was known."""
    _signature: tuple = ()
    _touched: float | None = None
    _states: list[CameraState] = field(default_factory=list)
    _work: PathWork | None = None
    _batches: list | None = None

    @property
    def rests(self) -> bool:
        """Whether all that was edited is known."""
        return self._touched is None and self._work is None

    def touch(self) -> None:
        """The scene has changed: work the path out again when it comes to rest."""
        self._touched, self._states = time.monotonic(), []
        if self._work is not None:
            self._work.cancelled.set()

    def pause_s(self) -> float:
        """How long the scene is still to be left alone before it is read."""
        return 0.0 if self._touched is None else self._touched + PAUSE_S - time.monotonic()

    def clear(self) -> None:
        """Forget everything (another file, or the end)."""
        if self._work is not None:
            self._work.cancelled.set()
            self._work.join()
        self.__init__()

    def wanted(self, scene: bpy.types.Scene) -> bool:
        settings = scene.look_beyond
        return bool(settings.show_path and settings.world_folder and (scene.camera or scene.timeline_markers))

    def signature(self, scene: bpy.types.Scene) -> tuple:
        """What makes another path without any object being edited."""
        frames = scene_frames(scene)
        folder = str(absolute(scene.look_beyond.world_folder))
        camera = scene.camera.session_uid if scene.camera else 0
        return folder, camera, frames.start, frames.stop, shot_size(scene), metres_per_unit(scene)

    def tick(self, scene: bpy.types.Scene, limit_s: float = SLICE_S, may_play: bool = False) -> bool:
        """Read for one slice, or take what the thread has found out; whether there is more to come.

        A camera that cannot be read apart from its scene is read only if the scene may be played for it.
        """
        if not self.wanted(scene):
            self.touch()
            self.check, self.sentences, self._batches, self._touched = None, [], None, None
            return False
        if self._work is not None and self._work.is_alive():
            return True
        self._take()
        if self._touched is None:
            return False
        started, started_own = time.perf_counter(), time.thread_time()
        if not self._states:
            self.slices_s, self.slices_own_s = [], []
        going_on = self._read(scene, limit_s, may_play)
        self.slices_s.append(time.perf_counter() - started)
        self.slices_own_s.append(time.thread_time() - started_own)
        return going_on

    def check_now(self, scene: bpy.types.Scene) -> list[str]:
        """Wait for the path to be worked out, and give what there is to say about it."""
        self.touch()
        while self.tick(scene, 60.0, may_play=True):
            if self._work is not None:
                self._work.join()
        return self.sentences

    def _read(self, scene: bpy.types.Scene, limit_s: float, may_play: bool) -> bool:
        """Read cameras for so long, and have the thread go on when all are read; whether there is more to come."""
        numbers = scene_frames(scene)
        every = max(1, -(-len(numbers) // MOST_CHECKED))
        # The last frame is always among them.
        frames = sorted({*numbers[::every], *numbers[-1:]})
        self._signature = self.signature(scene)
        try:
            if self._states or reads_apart(bpy.context):
                self._states += states_apart(scene, frames[len(self._states) :], limit_s)
            elif may_play:
                self._states = states_in_place(bpy.context, frames)
            else:
                raise CameraError(IN_PLACE)
        except CameraError as error:
            self.check, self.sentences, self._batches, self._touched = None, [str(error)], None, None
            return False
        if len(self._states) == len(frames):
            folder, states = absolute(scene.look_beyond.world_folder), self._states
            self._states = []
            self._work = PathWork(self.world, folder, states, heading_now(scene), max(2, 13 // every))
            self._work.start()
        return True

    def _take(self) -> None:
        """Take over what the thread has found out, if it has ended."""
        work = self._work
        if work is None or work.is_alive():
            return
        self._work, self.world = None, work.world
        if not work.cancelled.is_set():
            self.check, self.sentences, self._batches = work.check, work.sentences, None
            if self._touched is not None:
                self.took_s = time.monotonic() - self._touched
            self._touched = None

    # --- what is drawn ---------------------------------------------------------------------------------------

    def lines(self, unit_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends [2 N, 3] of the drawn lines in Blender units, and their colours [2 N, 4]."""
        check = self.check
        if check is None or not check.cameras:
            return np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32)
        colours = [colour(known, far) for known, far in zip(check.known, check.too_far, strict=True)]
        positions = np.array([camera.position for camera in check.cameras])
        ends, paint = [], []
        for number in range(len(positions) - 1):
            ends += [positions[number], positions[number + 1]]
            paint += [colours[number], colours[number + 1]]
        for number in check.anchors:
            frustum = frustum_lines(check.cameras[number])
            ends += list(frustum)
            paint += [colours[number]] * len(frustum)
        return np.array(ends, np.float32) / np.float32(unit_m), np.array(paint, np.float32)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw handler of the 3D viewports."""
        scene = context.scene
        if not context.space_data.overlay.show_overlays or not self.wanted(scene):
            return
        if self.rests and self.signature(scene) != self._signature:
            self.touch()
            awaken()
        self._take()  # so that it is seen as soon as the window is drawn
        if self.check is None or context.region_data.view_perspective == "CAMERA":
            return  # from within, its own lines would hide the shot
        import gpu
        from gpu_extras.batch import batch_for_shader

        shader = gpu.shader.from_builtin("POLYLINE_FLAT_COLOR")
        if self._batches is None:
            points, paint = self.lines(metres_per_unit(scene))
            self._batches = [batch_for_shader(shader, "LINES", {"pos": points, "color": paint})]
        shader.bind()
        shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
        shader.uniform_float("lineWidth", 2.5 * context.preferences.system.ui_scale)
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("LESS_EQUAL")
        for batch in self._batches:
            batch.draw(shader)
        gpu.state.depth_test_set("NONE")
        gpu.state.blend_set("NONE")


def colour(known: float, too_far: float) -> tuple[float, float, float, float]:
    """From red over yellow to green by what is known; magenta where nothing can be shot."""
    if too_far > 0:
        return (*BEYOND, 1.0)
    place = max(0.0, min(1.0, (known - 0.4) / 0.6)) * 2
    low, high = COLOURS[min(1, int(place))], COLOURS[min(1, int(place)) + 1]
    share = place - min(1, int(place))
    red, green, blue = (a + (b - a) * share for a, b in zip(low, high, strict=True))
    return red, green, blue, 1.0


def frustum_lines(camera: Camera) -> np.ndarray:
    """The ends of the eight lines of a camera's frustum, [16, 3] in metres."""
    corners = np.array([(0, 0, 1), (camera.width, 0, 1), (camera.width, camera.height, 1), (0, camera.height, 1)])
    rays = corners @ np.linalg.inv(camera.intrinsics).T @ camera.rotation.T
    tips = camera.position + FRUSTUM_M * rays
    ends = []
    for number in range(4):
        ends += [camera.position, tips[number], tips[number], tips[(number + 1) % 4]]
    return np.array(ends)


def known_world(scene: bpy.types.Scene) -> KnownWorld | None:
    """The scene's world, from the view if that has it already; None without one. Raises `WorldError`."""
    if not scene.look_beyond.world_folder:
        return None
    folder = absolute(scene.look_beyond.world_folder)
    known = view().world
    return known if known is not None and known.folder == folder else load_world(folder)


def view() -> PathView:
    """What the viewports show now."""
    return session.the(PathView)


_handle = None


def awaken() -> None:
    """Have Blender's timer work on the path until it is done."""
    if not bpy.app.background and not bpy.app.timers.is_registered(beat):
        bpy.app.timers.register(beat, first_interval=INTERVAL_S, persistent=True)


def beat() -> float | None:
    """One beat of the timer; seconds to the next, None when there is nothing to do."""
    if bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"):
        return 1.0
    # The artist is at work: a scene that came and went could confuse the operator that moves things now.
    if any(window.modal_operators for window in bpy.context.window_manager.windows):
        return PAUSE_S
    if (pause_s := view().pause_s()) > 0:
        return pause_s
    scene = bpy.context.scene
    if scene is not None and view().tick(scene):
        return INTERVAL_S
    redraw()
    return None


def redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@persistent
def scene_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if scene.name == APART or len(scene.objects) > MANY_OBJECTS or not view().wanted(scene):
        return
    for update in depsgraph.updates:
        # Reading the cameras has Blender sort its collections anew, which is no edit.
        moved = isinstance(update.id, bpy.types.Object) and (update.is_updated_transform or update.is_updated_geometry)
        if moved or isinstance(update.id, (bpy.types.Action, bpy.types.Camera, bpy.types.Curve)):
            view().touch()
            awaken()
            return


@persistent
def file_loaded(*_: object) -> None:
    view().clear()
    awaken()


@persistent
def undone(*_: object) -> None:
    view().touch()
    awaken()


HANDLERS = {
    "depsgraph_update_post": scene_changed,
    "load_post": file_loaded,
    "undo_post": undone,
    "redo_post": undone,
}


def register() -> None:
    global _handle
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)
    if not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_VIEW")


def draw() -> None:
    view().draw(bpy.context)


def unregister() -> None:
    global _handle
    for name, handler in HANDLERS.items():
        if handler in getattr(bpy.app.handlers, name):
            getattr(bpy.app.handlers, name).remove(handler)
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    view().clear()
