"""Remembers what the last render shows: of which scene and frame, through which camera, and which region of it."""

from dataclasses import dataclass, replace

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ..cameras import CameraState, metres_per_unit, render_size, state_of
from ..kit import Camera
from ..path.add import fcurves_of
from ..path.read import camera_at, can_read_isolated, isolated_states, stepped_states
from .image import PhotoError


@dataclass(frozen=True)
class Rendered:
    """What a render shows."""

    scene: int
    """`session_uid` of the scene."""
    frame: int
    state: CameraState | None
    """The camera as it stood when the render began; None if it was rendered elsewhere, and is read at `frame`."""
    size: tuple[int, int]
    """Pixels of the whole frame, width and height."""
    pixel_aspect: tuple[float, float]
    region: tuple[float, float, float, float] | None
    """Shares of the frame from the lower left, 0..1: left, bottom, right, top; None: the whole frame."""
    is_cropped: bool
    """Whether the render is as large as its region."""


_renders: dict[int, Rendered] = {}
"""The last render in each slot."""
_begun: tuple[int, CameraState | None] = (0, None)
"""Frame and camera of the scene when the render was started."""


def current_slot() -> int:
    image = bpy.data.images.get("Render Result")
    return 0 if image is None else image.render_slots.active_index


def last_render() -> Rendered | None:
    """The render in the slot that is shown; None if it was not made in this Blender, with this add-on."""
    return _renders.get(current_slot())


def rendered_camera(context: bpy.types.Context, rendered: Rendered) -> Camera:
    """The camera of the whole frame of a render of the context's scene, non-square pixels included.

    Raises `CameraError`, `PhotoError`.
    """
    scene = context.scene
    if scene.session_uid != rendered.scene:
        raise PhotoError("The last render is of another scene: switch to that scene, or render this one.")
    state = rendered.state
    if state is None:
        frames = [rendered.frame]
        states = isolated_states(scene, frames) if can_read_isolated(context) else stepped_states(context, frames)
        state = states[0]
    state = replace(state, size=rendered.size, pixel_aspect=rendered.pixel_aspect, frame=rendered.frame)
    return state.camera()


def region_px(rendered: Rendered) -> tuple[int, int, int, int]:
    """The rendered region in pixels from the upper left: left, top, width, height."""
    width, height = rendered.size
    if rendered.region is None:
        return 0, 0, width, height
    # In single precision and rounded down, as Blender does.
    left, bottom, right, top = (
        int(np.float32(share) * np.float32(side))
        for share, side in zip(rendered.region, (width, height, width, height), strict=True)
    )
    return left, height - top, right - left, top - bottom


@persistent
def render_started(scene: bpy.types.Scene, *_: object) -> None:
    # Only reads: this may run in the thread of the render.
    global _begun
    camera, state = camera_at(scene, scene.frame_current), None
    if camera is not None and camera.type == "CAMERA" and not has_unkeyed_edits(scene, camera):
        state = state_of(camera, (1, 1), metres_per_unit(scene))
    _begun = scene.frame_current, state


def has_unkeyed_edits(scene: bpy.types.Scene, camera: bpy.types.Object) -> bool:
    """Whether animated values of a camera, or of what moves it, may differ from their animation, which renders."""
    scale = scene.render.frame_map_old / scene.render.frame_map_new
    now = (scene.frame_current + scene.frame_subframe) * scale
    for mover in movers(camera):
        animation = mover.animation_data
        if animation is not None and animation.nla_tracks:
            return True
        for curve in fcurves_of(mover):
            try:
                value = mover.path_resolve(curve.data_path)
                value = value[curve.array_index] if hasattr(value, "__len__") else value
                if abs(float(value) - curve.evaluate(now)) > 1e-4:
                    return True
            except (ValueError, TypeError, IndexError):
                continue  # a channel of something that was removed
    return False


def movers(camera: bpy.types.Object) -> set[bpy.types.ID]:
    """The camera, its parents, the targets of their constraints, and the data of all."""
    found: set[bpy.types.ID] = set()
    waiting: list[bpy.types.Object | None] = [camera]
    while waiting:
        thing = waiting.pop()
        if thing is None or thing in found:
            continue
        found.add(thing)
        if thing.data is not None:
            found.add(thing.data)
        waiting += [thing.parent, *(getattr(constraint, "target", None) for constraint in thing.constraints)]
    return found


@persistent
def frame_rendered(scene: bpy.types.Scene, *_: object) -> None:
    render = scene.render
    begun_at, state = _begun
    borders = render.border_min_x, render.border_min_y, render.border_max_x, render.border_max_y
    _renders[current_slot()] = Rendered(
        scene.session_uid,
        scene.frame_current,
        state if scene.frame_current == begun_at else None,
        render_size(scene),
        (render.pixel_aspect_x, render.pixel_aspect_y),
        borders if render.use_border else None,
        render.use_crop_to_border,
    )


@persistent
def forget_renders(*_: object) -> None:
    _renders.clear()


HANDLERS = {"render_init": render_started, "render_post": frame_rendered, "load_post": forget_renders}
