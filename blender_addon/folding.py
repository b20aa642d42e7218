"""Which steps are open in the tab: the next one, unless the artist has opened or closed others."""

from typing import Any

import bpy
from bpy.props import BoolProperty

STEPS = ("photo", "world", "path", "shot")
_chosen: dict[str, bool] = {}
"""What the artist has opened and closed since `_chosen_in` came next."""
_chosen_in = [""]


def current_step(scene: bpy.types.Scene) -> str:
    """The step that comes next."""
    settings = scene.look_beyond
    if not settings.world_folder:
        return "world" if settings.photo_camera is not None or settings.panorama_path else "photo"
    return "shot" if has_path(scene) else "path"


def has_path(scene: bpy.types.Scene) -> bool:
    """Whether the scene's camera moves, or may: it is animated, constrained, parented, or bound to a marker."""
    camera = scene.camera
    if any(marker.camera is not None for marker in scene.timeline_markers):
        return True
    if camera is None or camera == scene.look_beyond.photo_camera:
        return False
    animated = (thing.animation_data is not None for thing in (camera, camera.data))
    return bool(camera.constraints) or camera.parent is not None or any(animated)


def is_open(scene: bpy.types.Scene, step: str) -> bool:
    """Whether a step shows more than its heading."""
    current = current_step(scene)
    if _chosen_in[0] != current:
        return step == current
    return _chosen.get(step, step == current)


def choose(scene: bpy.types.Scene, step: str, opened: bool) -> None:
    """Open or close a step until another one comes next."""
    current = current_step(scene)
    if _chosen_in[0] != current:
        _chosen.clear()
        _chosen_in[0] = current
    _chosen[step] = opened


def property_of(step: str) -> Any:
    """A property that opens and closes a step. Nothing is stored in the file."""
    return BoolProperty(
        name=f"Show {step.title()}",
        description="Show all of this step",
        get=lambda settings: is_open(settings.id_data, step),
        set=lambda settings, opened: choose(settings.id_data, step, opened),
    )
