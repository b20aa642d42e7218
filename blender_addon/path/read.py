"""The cameras of a scene's frames, read as they will render."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np

from ..cameras import CameraState, metres_per_unit, render_size, state_of
from ..kit import Camera, CameraError

APART = "Look Beyond reads a camera"
"""Name of the scene that exists only while cameras are read."""
QUALITIES = {"DRAFT": (0.5, 50.0, 0.4, 0.4), "NORMAL": (1.0, 100.0, 0.2, 0.2), "FINAL": (1.0, 200.0, 0.1, 0.1)}
"""Share of the scene's resolution, steps in percent, tolerance of position and of rotation (see `LookBeyondScene`)."""


def shot_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Pixels of a shot's frames: the render's, less for a draft."""
    share = QUALITIES.get(scene.look_beyond.quality, QUALITIES["NORMAL"])[0]
    width, height = render_size(scene)
    return max(1, round(width * share)), max(1, round(height * share))


def scene_frames(scene: bpy.types.Scene) -> range:
    """The numbers of the frames to be shot: the scene's range, or from the marker at or before the current
    frame (that of the range which is nearest to it) to the next one."""
    first, last = scene.frame_start, scene.frame_end
    if scene.look_beyond.frames_from == "MARKERS":
        marks = {marker.frame for marker in scene.timeline_markers}
        current = min(max(first, scene.frame_current), last)
        first = max((mark for mark in marks if first <= mark <= current), default=first)
        last = min((mark - 1 for mark in marks if current < mark <= last), default=last)
    return range(first, last + 1)


def shot_cameras(context: bpy.types.Context, say: Callable[[float], bool | None] | None = None) -> list[Camera]:
    """The cameras that render the scene's frames, first to last: markers, constraints, drivers, lenses and
    all.

    `say` is told the share that is read, and ends the reading by giving back True. The scene stays on its
    frame. Raises `CameraError` that names the frame, or says that it was stopped.
    """
    numbers = scene_frames(context.scene)
    cameras: list[Camera] = []
    if reads_apart(context):
        for start in range(0, len(numbers), 50):
            cameras += cameras_apart(context.scene, numbers[start : start + 50])
            if say is not None and say(len(cameras) / len(numbers)):
                raise CameraError("Reading the camera was stopped.")
        return cameras
    return cameras_in_place(context, numbers, say)


class Reading:
    """The cameras of a scene's frames, read slice by slice while the window goes on."""

    def __init__(self, scene: bpy.types.Scene) -> None:
        self._numbers = scene_frames(scene)
        self.cameras: list[Camera] = []

    @property
    def share(self) -> float:
        return len(self.cameras) / len(self._numbers)

    def step(self, scene: bpy.types.Scene, limit_s: float) -> bool:
        """Read for so long; whether all are read. Raises `CameraError`."""
        # A third for reading: what is read becomes a camera in twice that time.
        self.cameras += cameras_apart(scene, self._numbers[len(self.cameras) :], limit_s / 3)
        return len(self.cameras) == len(self._numbers)


def cameras_apart(scene: bpy.types.Scene, numbers: Iterable[int], limit_s: float = math.inf) -> list[Camera]:
    """The cameras of as many of these frames as can be read within the time (see `states_apart`)."""
    return [state.camera() for state in states_apart(scene, numbers, limit_s)]


def states_apart(scene: bpy.types.Scene, numbers: Iterable[int], limit_s: float = math.inf) -> list[CameraState]:
    """How the cameras of these frames stand, of as many frames as can be read within the time, at least one.

    They are evaluated in a scene that lives only in here, so that the artist's scene is not stepped through
    its frames: pending edits, the playhead and other add-ons' handlers stay as they are, and what has nothing
    to do with the camera costs nothing. Raises `CameraError` for a frame without one.
    """
    ends = time.monotonic() + limit_s
    states: list[CameraState] = []
    there, frame = set(), frame_of(scene)
    with scene_apart(scene) as apart:
        for number in numbers:
            camera = camera_at(scene, number)
            if camera is None:
                raise CameraError(f"Frame {number} has no camera: make one the scene's active camera.")
            if camera not in there:
                there.add(camera)
                apart.collection.objects.link(camera)
            apart.frame_set(number)
            states.append(state_of(camera.evaluated_get(apart.view_layers[0].depsgraph), *frame, number))
            if time.monotonic() > ends:
                break
    return states


@contextmanager
def scene_apart(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    """A scene without objects whose frames last as long as this one's; other add-ons do not hear of it."""
    known = ("frame_change_pre", "frame_change_post", "depsgraph_update_pre", "depsgraph_update_post")
    handlers = [getattr(bpy.app.handlers, name) for name in known]
    theirs = [tuple(each) for each in handlers]
    apart = bpy.data.scenes.new(APART)
    try:
        for each in handlers:
            each.clear()
        for name in ("frame_map_old", "frame_map_new", "fps", "fps_base"):
            setattr(apart.render, name, getattr(scene.render, name))
        yield apart
    finally:
        for each, former in zip(handlers, theirs, strict=True):
            each[:] = former
        bpy.data.scenes.remove(apart)


def camera_at(scene: bpy.types.Scene, number: int) -> bpy.types.Object | None:
    """The camera that Blender renders a frame with: the last marker's at or before it, else the scene's own."""
    marks = [mark for mark in scene.timeline_markers if mark.camera is not None and not mark.camera.hide_render]
    if not marks:
        return scene.camera
    before = [mark for mark in marks if mark.frame <= number]
    return (max(before, key=lambda mark: mark.frame) if before else min(marks, key=lambda mark: mark.frame)).camera


def reads_apart(context: bpy.types.Context) -> bool:
    """Whether the cameras can be read apart from their scene: they stand there now as they do in it.

    What a camera inherits from a simulation, or from the scene's own settings, is in the scene alone.
    """
    scene = context.scene
    camera = camera_at(scene, scene.frame_current)
    if camera is None:
        return True  # no frame has one, and who reads says so
    own = scene.animation_data
    if scene.rigidbody_world is not None or own and (own.action or own.nla_tracks or own.drivers):
        return False
    here = state_of(camera.evaluated_get(context.evaluated_depsgraph_get()), *frame_of(scene))
    with scene_apart(scene) as apart:
        # Before it has any object: what the artist has moved and not keyed yet is to stay so, as it does here.
        apart.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        for each in {camera, *(mark.camera for mark in scene.timeline_markers if mark.camera)}:
            apart.collection.objects.link(each)
        depsgraph = apart.view_layers[0].depsgraph
        depsgraph.update()
        if scene in (each.original for each in depsgraph.ids):
            return False  # a driver reads the artist's scene, which would stay on its frame
        there = state_of(camera.evaluated_get(depsgraph), *frame_of(scene))
    same = np.allclose(here.matrix_world, there.matrix_world, atol=1e-5)
    return bool(same and np.allclose((here.lens_mm, *here.shift), (there.lens_mm, *there.shift)))


def cameras_in_place(
    context: bpy.types.Context, numbers: Sequence[int], say: Callable[[float], bool | None] | None = None
) -> list[Camera]:
    """The cameras of these frames (see `states_in_place`)."""
    return [state.camera() for state in states_in_place(context, numbers, say)]


def states_in_place(
    context: bpy.types.Context, numbers: Sequence[int], say: Callable[[float], bool | None] | None = None
) -> list[CameraState]:
    """How the cameras of these frames stand, by stepping the scene itself through them; it is put back
    afterwards."""
    scene = context.scene
    frame, subframe, active = scene.frame_current, scene.frame_subframe, scene.camera
    states: list[CameraState] = []
    try:
        for number in numbers:
            scene.frame_set(number)
            if scene.camera is None:
                raise CameraError(f"Frame {number} has no camera: make one the scene's active camera.")
            evaluated = scene.camera.evaluated_get(context.evaluated_depsgraph_get())
            states.append(state_of(evaluated, *frame_of(scene), number))
            if say is not None and say(len(states) / len(numbers)):
                raise CameraError("Reading the camera was stopped.")
    finally:
        scene.frame_set(frame, subframe=subframe)
        if scene.camera != active:  # a marker had switched it before the artist chose another
            scene.camera = active
    return states


def frame_of(scene: bpy.types.Scene) -> tuple[tuple[int, int], float, tuple[float, float]]:
    """What a scene gives all its cameras: the shot's size in pixels, metres of a unit, the pixels' aspect."""
    return shot_size(scene), metres_per_unit(scene), (scene.render.pixel_aspect_x, scene.render.pixel_aspect_y)
