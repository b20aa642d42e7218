"""The path of a scene, worked out again when the artist has paused: the cameras are read between two redraws in slices
of a few milliseconds, and a thread finds out what is known of them. A script or a test gets the same by `check_now`.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..cameras import CameraState, metres_per_unit
from ..kit import CameraError
from ..results import absolute
from ..world.distance import WorldError
from ..world.known import KnownWorld, load_world
from ..world.nodes import heading_now
from .check import PathCheck
from .read import reads_apart, scene_frames, shot_size, states_apart, states_in_place

SLICE_S = 0.005
"""How long cameras are read at a time: the window waits."""
PAUSE_S = 0.1
"""How long the scene must have been left alone before the path is read again."""
MOST_CHECKED = 240
"""Most frames that are looked at: of a longer path every second, third, ... one."""
IN_PLACE = (
    "The scene itself moves this camera (its own animation, a simulation), and reading the camera would play the scene:"
    " the path is checked when you press the round arrow."
)


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

    def is_outdated(self, scene: bpy.types.Scene) -> bool:
        """Whether it is another path by now, though no object was edited."""
        return self.signature(scene) != self._signature

    def tick(self, scene: bpy.types.Scene, limit_s: float = SLICE_S, may_play: bool = False) -> bool:
        """Read for one slice, or take what the thread has found out; whether there is more to come.

        A camera that cannot be read apart from its scene is read only if the scene may be played for it.
        """
        if not self.wanted(scene):
            self.touch()
            self.check, self.sentences, self._touched = None, [], None
            return False
        if self._work is not None and self._work.is_alive():
            return True
        self.take()
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
            self.check, self.sentences, self._touched = None, [str(error)], None
            return False
        if len(self._states) == len(frames):
            folder, states = absolute(scene.look_beyond.world_folder), self._states
            self._states = []
            self._work = PathWork(self.world, folder, states, heading_now(scene), max(2, 13 // every))
            self._work.start()
        return True

    def take(self) -> None:
        """Take over what the thread has found out, if it has ended."""
        work = self._work
        if work is None or work.is_alive():
            return
        self._work, self.world = None, work.world
        if not work.cancelled.is_set():
            self.check, self.sentences = work.check, work.sentences
            if self._touched is not None:
                self.took_s = time.monotonic() - self._touched
            self._touched = None


path_view = PathView()
"""What the viewports show now."""


def known_world(scene: bpy.types.Scene) -> KnownWorld | None:
    """The scene's world, from the view if that has it already; None without one. Raises `WorldError`."""
    if not scene.look_beyond.world_folder:
        return None
    folder = absolute(scene.look_beyond.world_folder)
    known = path_view.world
    return known if known is not None and known.folder == folder else load_world(folder)
