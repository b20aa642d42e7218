"""Keeps the check of a scene's path up to date: when the artist pauses, cameras are read in time slices of a few
milliseconds between redraws, and a thread checks them. `check_now` does it at once, for scripts and tests.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..cameras import CameraState, metres_per_unit
from ..kit import Camera, CameraError
from ..results import absolute
from ..world.distance import WorldError
from ..world.geometry import WorldGeometry, joined_geometry, load_world_geometry, rotated_about_vertical
from ..world.links import SceneLink, goes_through, links_of
from ..world.nodes import current_heading_rad
from .check import PathCheck
from .frames import scene_frames, shot_size
from .read import can_read_isolated, isolated_states, prove_handlers, stepped_states

SLICE_S = 0.005
"""Time slice for reading cameras, which blocks the window."""
PAUSE_S = 0.1
"""Pause after an edit before the path is read again."""
MAX_CHECKED = 240
"""Most frames that are checked: of a longer path every second, third, ... one."""
NEEDS_PLAYBACK = (
    "This camera may be moved by the scene itself (its animation, a simulation or a script), and reading it would play"
    " the scene: press the round arrow to check the path."
)


class CheckThread(threading.Thread):
    """Checks cameras that have been read; loads the world first if it has changed.

    Afterwards `world`, `check` and `warnings` hold the result; if it failed, `warnings` says why.
    """

    def __init__(
        self,
        world: WorldGeometry | None,
        folder: Path,
        states: Sequence[CameraState],
        heading_rad: float | None,
        frames_per_clip: int,
        links: Sequence[SceneLink] = (),
    ) -> None:
        super().__init__(name="look_beyond_path", daemon=True)
        self.world = world
        self.check: PathCheck | None = None
        self.warnings: list[str] = []
        self.cancelled = threading.Event()
        self._folder, self._states = folder, states
        self._heading_rad, self._frames_per_clip, self._links = heading_rad, frames_per_clip, links

    def run(self) -> None:
        try:
            if self.world is None or not self.world.is_current(self._folder):
                self.world = None
                self.world = load_world_geometry(self._folder)
            frames = [state.frame for state in self._states if state.frame is not None]
            check = PathCheck(frames, [state.camera() for state in self._states])
            built_rad = self.world.panorama.heading_rad
            rotation_rad = 0.0 if self._heading_rad is None else self._heading_rad - built_rad
            world = self._with_second(self.world, check.cameras, rotation_rad)
        except (WorldError, CameraError) as error:
            self.warnings = [str(error)]
            return
        for _ in check.steps(world, rotation_rad, self._frames_per_clip):
            if self.cancelled.is_set():
                return
        self.check, self.warnings = check, check.warnings()

    def _with_second(self, world: WorldGeometry, cameras: Sequence[Camera], rotation_rad: float) -> WorldGeometry:
        """The world with the one that the path goes on in, if it does. Raises `WorldError`."""
        if not self._links:
            return world
        pivot = world.panorama.position
        own = [rotated_about_vertical(camera, -rotation_rad, pivot) for camera in cameras]
        for each in self._links:
            if goes_through(own, each.link):
                return joined_geometry(world, each.second, each.link)
        return world


@dataclass
class PathChecker:
    """The last check of the scene's path, and the one in progress."""

    world: WorldGeometry | None = None
    check: PathCheck | None = None
    """The last complete check."""
    warnings: list[str] = field(default_factory=list)
    slices_s: list[float] = field(default_factory=list)
    """Duration of the time slices since the last edit, by the clock."""
    slices_own_s: list[float] = field(default_factory=list)
    """The same in processor time of the thread, which other programs do not lengthen."""
    elapsed_s: float = 0.0
    """Time from the last edit to the end of its check."""
    _signature: tuple = ()
    _edited_s: float | None = None
    _states: list[CameraState] = field(default_factory=list)
    _thread: CheckThread | None = None

    @property
    def idle(self) -> bool:
        """Whether the check is up to date."""
        return self._edited_s is None and self._thread is None

    def invalidate(self) -> None:
        """The scene has changed: check the path again after a pause."""
        self._edited_s, self._states = time.monotonic(), []
        if self._thread is not None:
            self._thread.cancelled.set()

    def pause_s(self) -> float:
        """Time left until the path is read."""
        return 0.0 if self._edited_s is None else self._edited_s + PAUSE_S - time.monotonic()

    def clear(self) -> None:
        """Forget everything: another file is loaded, or the add-on is disabled."""
        if self._thread is not None:
            self._thread.cancelled.set()
            self._thread.join()
        self.__init__()

    def is_wanted(self, scene: bpy.types.Scene) -> bool:
        """Whether the scene has a path to check."""
        settings = scene.look_beyond
        return bool(settings.show_path and settings.world_folder and (scene.camera or scene.timeline_markers))

    def signature(self, scene: bpy.types.Scene) -> tuple:
        """Values that change the path without an edit of an object."""
        frames = scene_frames(scene)
        folder = str(absolute(scene.look_beyond.world_folder))
        camera = scene.camera.session_uid if scene.camera else 0
        stretching = scene.render.frame_map_old, scene.render.frame_map_new
        links = tuple(each.link for each in scene.look_beyond.links)
        return folder, camera, frames.start, frames.stop, shot_size(scene), metres_per_unit(scene), stretching, links

    def is_outdated(self, scene: bpy.types.Scene) -> bool:
        """Whether the path has changed without an edit of an object."""
        return self.signature(scene) != self._signature

    def tick(self, scene: bpy.types.Scene, limit_s: float = SLICE_S, may_play: bool = False) -> bool:
        """Read for one time slice, or collect the thread's result; returns whether there is more to do.

        `may_play` allows playing the scene for cameras that cannot be read otherwise.
        """
        if not self.is_wanted(scene):
            self.invalidate()
            self.check, self.warnings, self._edited_s = None, [], None
            return False
        if self._thread is not None and self._thread.is_alive():
            return True
        self.collect()
        if self._edited_s is None:
            return False
        started, started_own = time.perf_counter(), time.thread_time()
        if not self._states:
            self.slices_s, self.slices_own_s = [], []
        unfinished = self._read(scene, limit_s, may_play)
        self.slices_s.append(time.perf_counter() - started)
        self.slices_own_s.append(time.thread_time() - started_own)
        return unfinished

    def check_now(self, scene: bpy.types.Scene) -> list[str]:
        """Check the path and wait for the result; returns its warnings."""
        self.invalidate()
        while self.tick(scene, 60.0, may_play=True):
            if self._thread is not None:
                self._thread.join()
        return self.warnings

    def _read(self, scene: bpy.types.Scene, limit_s: float, may_play: bool) -> bool:
        """Read cameras for one time slice, and start the thread once all are read; returns whether to go on."""
        numbers = scene_frames(scene)
        every = max(1, -(-len(numbers) // MAX_CHECKED))
        # The last frame is always included.
        frames = sorted({*numbers[::every], *numbers[-1:]})
        self._signature = self.signature(scene)
        try:
            if self._states or can_read_isolated(bpy.context, trust_proven=True):
                self._states += isolated_states(scene, frames[len(self._states) :], limit_s)
            elif may_play:
                self._states = stepped_states(bpy.context, frames)
                prove_handlers(scene, self._states)
            else:
                raise CameraError(NEEDS_PLAYBACK)
        except CameraError as error:
            self.check, self.warnings, self._edited_s = None, [str(error)], None
            return False
        if len(self._states) == len(frames):
            folder, states = absolute(scene.look_beyond.world_folder), self._states
            self._states = []
            heading_rad, per_clip = current_heading_rad(scene), max(2, 13 // every)
            links = links_of(scene, folder) if scene.look_beyond.links else ()
            self._thread = CheckThread(self.world, folder, states, heading_rad, per_clip, links)
            self._thread.start()
        return True

    def collect(self) -> None:
        """Take over the thread's result, if it has ended."""
        thread = self._thread
        if thread is None or thread.is_alive():
            return
        self._thread, self.world = None, thread.world
        if not thread.cancelled.is_set():
            self.check, self.warnings = thread.check, thread.warnings
            if self._edited_s is not None:
                self.elapsed_s = time.monotonic() - self._edited_s
            self._edited_s = None


path_checker = PathChecker()
"""The check that the viewports show."""


def scene_world_geometry(scene: bpy.types.Scene) -> WorldGeometry | None:
    """The geometry of the scene's world, from the checker if it is loaded there; None without a world.

    Raises `WorldError`.
    """
    if not scene.look_beyond.world_folder:
        return None
    folder = absolute(scene.look_beyond.world_folder)
    known = path_checker.world
    return known if known is not None and known.folder == folder else load_world_geometry(folder)
