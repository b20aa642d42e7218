"""Reads the cameras of a scene's frames as they will render."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np

from ..cameras import CameraState, state_of
from ..kit import Camera, CameraError
from .frames import frame_format, scene_frames

ISOLATED_SCENE = "Look Beyond reads a camera"
"""Name of the temporary scene in which cameras are evaluated."""


def shot_cameras(context: bpy.types.Context) -> list[Camera]:
    """The cameras that render the scene's frames, first to last, with markers, constraints, drivers and animation.

    The scene stays on its frame. Raises `CameraError` that names the frame.
    """
    numbers = scene_frames(context.scene)
    if can_read_isolated(context):
        return isolated_cameras(context.scene, numbers)
    return stepped_cameras(context, numbers)


class CameraReader:
    """Reads the cameras of a scene's frames in time slices, so that the window stays responsive."""

    def __init__(self, scene: bpy.types.Scene) -> None:
        self._numbers = scene_frames(scene)
        self.cameras: list[Camera] = []

    @property
    def share(self) -> float:
        """Share of the cameras that is read, 0..1."""
        return len(self.cameras) / len(self._numbers)

    def step(self, scene: bpy.types.Scene, limit_s: float) -> bool:
        """Read for one time slice; returns whether all are read. Raises `CameraError`."""
        # A third of the time for reading: converting takes twice as long.
        self.cameras += isolated_cameras(scene, self._numbers[len(self.cameras) :], limit_s / 3)
        return len(self.cameras) == len(self._numbers)


def isolated_cameras(scene: bpy.types.Scene, numbers: Iterable[int], limit_s: float = math.inf) -> list[Camera]:
    """The cameras of as many frames as can be read in the time limit (see `isolated_states`)."""
    return [state.camera() for state in isolated_states(scene, numbers, limit_s)]


def isolated_states(scene: bpy.types.Scene, numbers: Iterable[int], limit_s: float = math.inf) -> list[CameraState]:
    """The camera states of as many frames as can be read in the time limit, at least one.

    The cameras are evaluated in a temporary scene, so that the artist's scene need not be played: unkeyed edits, the
    playhead and other add-ons' handlers are left alone, and unrelated objects cost no time. Raises `CameraError` for a
    frame without a camera.
    """
    ends = time.monotonic() + limit_s
    states: list[CameraState] = []
    linked, frame = set(), frame_format(scene)
    with isolated_scene(scene) as isolated:
        for number in numbers:
            camera = camera_at(scene, number)
            if camera is None:
                raise CameraError(f"Frame {number} has no camera: set the scene's active camera.")
            if camera not in linked:
                linked.add(camera)
                isolated.collection.objects.link(camera)
            isolated.frame_set(number)
            states.append(state_of(camera.evaluated_get(isolated.view_layers[0].depsgraph), *frame, number))
            if time.monotonic() > ends:
                break
    return states


@contextmanager
def isolated_scene(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    """A temporary empty scene with the same time base; other add-ons' handlers are not called for it."""
    events = ("frame_change_pre", "frame_change_post", "depsgraph_update_pre", "depsgraph_update_post")
    handlers = [getattr(bpy.app.handlers, name) for name in events]
    former_handlers = [tuple(each) for each in handlers]
    isolated = bpy.data.scenes.new(ISOLATED_SCENE)
    try:
        for each in handlers:
            each.clear()
        for name in ("frame_map_old", "frame_map_new", "fps", "fps_base"):
            setattr(isolated.render, name, getattr(scene.render, name))
        yield isolated
    finally:
        for each, former in zip(handlers, former_handlers, strict=True):
            each[:] = former
        bpy.data.scenes.remove(isolated)


def camera_at(scene: bpy.types.Scene, number: int) -> bpy.types.Object | None:
    """The camera that renders a frame: that of the last marker up to it, else the scene's."""
    marks = [mark for mark in scene.timeline_markers if mark.camera is not None and not mark.camera.hide_render]
    if not marks:
        return scene.camera
    before = [mark for mark in marks if mark.frame <= number]
    return (max(before, key=lambda mark: mark.frame) if before else min(marks, key=lambda mark: mark.frame)).camera


def can_read_isolated(context: bpy.types.Context) -> bool:
    """Whether cameras can be read in a temporary scene: whether they have the same state there now.

    A camera that depends on a simulation, or on properties of the scene, can only be read in the scene itself.
    """
    scene = context.scene
    camera = camera_at(scene, scene.frame_current)
    if camera is None:
        return True  # no frame has a camera, which reading reports
    own = scene.animation_data
    if scene.rigidbody_world is not None or own and (own.action or own.nla_tracks or own.drivers):
        return False
    in_scene = state_of(camera.evaluated_get(context.evaluated_depsgraph_get()), *frame_format(scene))
    with isolated_scene(scene) as isolated:
        # While it is empty: evaluating animation must not overwrite what the artist moved but has not keyed.
        isolated.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        for each in {camera, *(mark.camera for mark in scene.timeline_markers if mark.camera)}:
            isolated.collection.objects.link(each)
        depsgraph = isolated.view_layers[0].depsgraph
        depsgraph.update()
        if scene in (each.original for each in depsgraph.ids):
            return False  # a driver reads the artist's scene, which stays on its frame
        in_isolation = state_of(camera.evaluated_get(depsgraph), *frame_format(scene))
    same = np.allclose(in_scene.matrix_world, in_isolation.matrix_world, atol=1e-5)
    return bool(same and np.allclose((in_scene.lens_mm, *in_scene.shift), (in_isolation.lens_mm, *in_isolation.shift)))


def stepped_cameras(context: bpy.types.Context, numbers: Sequence[int]) -> list[Camera]:
    """The cameras of these frames (see `stepped_states`)."""
    return [state.camera() for state in stepped_states(context, numbers)]


def stepped_states(context: bpy.types.Context, numbers: Sequence[int]) -> list[CameraState]:
    """The camera states of these frames, read by stepping the scene itself through them; it is restored afterwards."""
    scene = context.scene
    frame, subframe, active = scene.frame_current, scene.frame_subframe, scene.camera
    states: list[CameraState] = []
    try:
        for number in numbers:
            scene.frame_set(number)
            if scene.camera is None:
                raise CameraError(f"Frame {number} has no camera: set the scene's active camera.")
            evaluated = scene.camera.evaluated_get(context.evaluated_depsgraph_get())
            states.append(state_of(evaluated, *frame_format(scene), number))
    finally:
        scene.frame_set(frame, subframe=subframe)
        if scene.camera != active:  # switched by a marker
            scene.camera = active
    return states
