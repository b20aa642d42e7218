"""Reads the cameras of a scene's frames as they will render."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np

from .. import __package__ as base_package
from ..cameras import CameraState, state_of
from ..kit import Camera, CameraError
from .frames import frame_format, scene_frames, stretched_time

ISOLATED_SCENE = "Look Beyond reads a camera"
"""Name of the temporary scene in which cameras are evaluated."""
SIMULATIONS = {"CLOTH", "SOFT_BODY", "FLUID", "DYNAMIC_PAINT", "PARTICLE_SYSTEM", "EXPLODE"}
"""Types of modifiers that need a scene to be played."""
BORROWED = ("camera", "active_clip")
"""Properties of a scene that constraints and nodes of a camera may read."""
BORROWED_RENDER = (
    *("frame_map_old", "frame_map_new", "fps", "fps_base"),
    *("resolution_x", "resolution_y", "resolution_percentage", "pixel_aspect_x", "pixel_aspect_y"),
)
"""The same of its render settings."""
_proven: list[list[Callable]] = []
"""Handlers of frame changes that were seen not to move the cameras (see `prove_handlers`)."""


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
            if isolated.camera != camera:
                isolated.camera = camera
            isolated.frame_set(number)
            states.append(state_of(camera.evaluated_get(isolated.view_layers[0].depsgraph), *frame, number))
            if time.monotonic() > ends:
                break
    return states


@contextmanager
def isolated_scene(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    """A temporary empty scene with the same time base and frame; other add-ons' handlers are not called for it."""
    events = ("frame_change_pre", "frame_change_post", "depsgraph_update_pre", "depsgraph_update_post")
    handlers = [getattr(bpy.app.handlers, name) for name in events]
    former_handlers = [tuple(each) for each in handlers]
    isolated = bpy.data.scenes.new(ISOLATED_SCENE)
    try:
        for each in handlers:
            each.clear()
        for name in BORROWED_RENDER:
            setattr(isolated.render, name, getattr(scene.render, name))
        for name in BORROWED:
            setattr(isolated, name, getattr(scene, name))
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
    time_of_frame = stretched_time(scene, number)
    before = [mark for mark in marks if mark.frame <= time_of_frame]
    return (max(before, key=lambda mark: mark.frame) if before else min(marks, key=lambda mark: mark.frame)).camera


def can_read_isolated(context: bpy.types.Context, trust_proven: bool = False) -> bool:
    """Whether cameras can be read in a temporary scene: whether nothing but their own animation moves them.

    Else they must be read by playing the scene itself: they depend on its properties, on a simulation, or on Python,
    which may ask for the scene's frame. `trust_proven` ignores handlers of other add-ons that `prove_handlers` has
    found not to move them.
    """
    scene = context.scene
    camera = camera_at(scene, scene.frame_current)
    if camera is None:
        return True  # no frame has a camera, which reading reports
    own = scene.animation_data
    if scene.rigidbody_world is not None or (own and (own.action or own.nla_tracks or own.drivers)):
        return False
    handlers = frame_handlers()
    if handlers and not (trust_proven and handlers in _proven):
        return False
    in_scene = state_of(camera.evaluated_get(context.evaluated_depsgraph_get()), *frame_format(scene))
    with isolated_scene(scene) as isolated:
        # While it is empty: evaluating animation must not overwrite what the artist moved but has not keyed.
        isolated.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        for each in {camera, *(mark.camera for mark in scene.timeline_markers if mark.camera)}:
            isolated.collection.objects.link(each)
        depsgraph = isolated.view_layers[0].depsgraph
        depsgraph.update()
        needed = [each.original for each in depsgraph.ids]
        # The artist's scene stays on its frame, and simulations are not computed for another scene.
        if scene in needed or any(is_simulated(each) or is_driven_by_python(each) for each in needed):
            return False
        in_isolation = state_of(camera.evaluated_get(depsgraph), *frame_format(scene))
    return is_same(in_scene, in_isolation)


def is_same(one: CameraState, other: CameraState) -> bool:
    """Whether two states are the same pose and lens."""
    same = np.allclose(one.matrix_world, other.matrix_world, atol=1e-5)
    return bool(same and np.allclose((one.lens_mm, *one.shift), (other.lens_mm, *other.shift)))


def frame_handlers() -> list[Callable]:
    """Handlers that others have set on frame changes, and that may move anything."""
    events = bpy.app.handlers.frame_change_pre, bpy.app.handlers.frame_change_post
    return [each for event in events for each in event if not is_own_handler(each)]


def is_own_handler(handler: Callable) -> bool:
    return str(getattr(handler, "__module__", "")).startswith(str(base_package))


def prove_handlers(scene: bpy.types.Scene, states: Sequence[CameraState]) -> None:
    """Compare cameras that were read by playing the scene with the same frames in isolation.

    If they agree, the present handlers do not move them (see `can_read_isolated`).
    """
    handlers = frame_handlers()
    if not handlers:
        return
    try:
        isolated = isolated_states(scene, [state.frame for state in states if state.frame is not None])
    except CameraError:
        return
    _proven[:] = [each for each in _proven[-8:] if each != handlers]
    if len(isolated) == len(states) and all(map(is_same, states, isolated)):
        _proven.append(handlers)


def is_simulated(datablock: bpy.types.ID) -> bool:
    """Whether an object depends on a simulation."""
    if not isinstance(datablock, bpy.types.Object):
        return False
    return datablock.rigid_body is not None or any(map(is_simulation, datablock.modifiers))


def is_simulation(modifier: bpy.types.Modifier) -> bool:
    if modifier.type == "NODES":
        return modifier.node_group is not None and has_simulation(modifier.node_group, set())
    return modifier.type in SIMULATIONS


def has_simulation(tree: bpy.types.NodeTree, seen: set[bpy.types.NodeTree]) -> bool:
    """Whether nodes of a tree, or of the groups in it, keep a state from frame to frame."""
    if tree in seen:
        return False
    seen.add(tree)
    groups = [node.node_tree for node in tree.nodes if node.type == "GROUP" and node.node_tree is not None]
    own = any(node.bl_idname == "GeometryNodeSimulationOutput" for node in tree.nodes)
    return own or any(has_simulation(group, seen) for group in groups)


def is_driven_by_python(datablock: bpy.types.ID) -> bool:
    """Whether a driver's expression runs Python, which may ask for the scene's frame behind Blender's back."""
    animation = getattr(datablock, "animation_data", None)
    drivers = [] if animation is None else [each.driver for each in animation.drivers]
    return any(each.type == "SCRIPTED" and not each.is_simple_expression for each in drivers)


def first_played(scene: bpy.types.Scene, first: int) -> int:
    """The frame from which the scene must be played so that its simulations are right at frame `first`."""
    starts = [first]
    if scene.rigidbody_world is not None and scene.rigidbody_world.enabled:
        starts.append(scene.rigidbody_world.point_cache.frame_start)
    for thing in scene.objects:
        for modifier in thing.modifiers:
            cache = getattr(modifier, "point_cache", None)
            if modifier.type == "PARTICLE_SYSTEM":
                cache = modifier.particle_system.point_cache
            if cache is not None:
                starts.append(cache.frame_start)
            elif modifier.type == "NODES" and is_simulation(modifier):
                starts.append(scene.frame_start)
    return min(starts)


def stepped_cameras(context: bpy.types.Context, numbers: Sequence[int]) -> list[Camera]:
    """The cameras of these frames (see `stepped_states`)."""
    return [state.camera() for state in stepped_states(context, numbers)]


def stepped_states(context: bpy.types.Context, numbers: Sequence[int]) -> list[CameraState]:
    """The camera states of these frames, read by playing the scene itself; it is restored afterwards.

    Cameras that the artist has moved but not keyed stay where they are.
    """
    scene = context.scene
    frame, subframe, active = scene.frame_current, scene.frame_subframe, scene.camera
    cameras = {camera_at(scene, number) for number in numbers} - {None}
    unkeyed = {camera: (camera.matrix_basis.copy(), camera.data.lens) for camera in cameras if camera is not None}
    states: list[CameraState] = []
    wanted = set(numbers)
    try:
        # Simulations are only right if no frame is left out.
        for number in range(first_played(scene, numbers[0]), numbers[-1] + 1):
            scene.frame_set(number)
            if number not in wanted:
                continue
            if scene.camera is None:
                raise CameraError(f"Frame {number} has no camera: set the scene's active camera.")
            evaluated = scene.camera.evaluated_get(context.evaluated_depsgraph_get())
            states.append(state_of(evaluated, *frame_format(scene), number))
    finally:
        scene.frame_set(frame, subframe=subframe)
        if scene.camera != active:  # switched by a marker
            scene.camera = active
        for camera, (matrix, lens_mm) in unkeyed.items():
            if camera.matrix_basis != matrix:
                camera.matrix_basis = matrix
            if camera.data.lens != lens_mm:
                camera.data.lens = lens_mm
    return states
