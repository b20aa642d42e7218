"""Watches the scene with a timer: after edits, the path is checked and drawn again."""

import bpy
from bpy.app.handlers import persistent

from ..cameras import metres_per_unit
from ..viewports import viewport_areas
from ..world.stage import shows_known
from .checker import PAUSE_S, path_checker
from .drawing import PathDrawing, draw_legend
from .read import ISOLATED_SCENE

INTERVAL_S = 0.005
MANY_OBJECTS = 300
"""In scenes with more objects the path is only checked on request: reading it makes Blender sort them again."""
_handles: list[object] = []
_has_played = [False]
"""Whether the scene played at the last beat."""


def schedule() -> None:
    """Start the timer, which works on the path until it is checked."""
    if not bpy.app.background and not bpy.app.timers.is_registered(beat):
        bpy.app.timers.register(beat, first_interval=INTERVAL_S, persistent=True)


def beat() -> float | None:
    """One beat of the timer; returns the seconds to the next, None when there is nothing to do."""
    if bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"):
        return 1.0
    # A temporary scene could disturb the modal operator that is running. When playback ends, Blender goes back to the
    # frame where it began, and evaluates that a little later.
    windows = bpy.context.window_manager.windows
    if any(window.screen.is_animation_playing for window in windows):
        _has_played[0] = True
        return PAUSE_S
    if any(window.modal_operators for window in windows):
        return PAUSE_S
    if _has_played[0]:
        _has_played[0] = False
        path_checker.invalidate()
    if (pause_s := path_checker.pause_s()) > 0:
        return pause_s
    scene = bpy.context.scene
    if scene is not None and path_checker.tick(scene):
        return INTERVAL_S
    redraw()
    return None


def redraw() -> None:
    """Redraw the viewports."""
    for area in viewport_areas():
        area.tag_redraw()


@persistent
def scene_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if scene.name == ISOLATED_SCENE or len(scene.objects) > MANY_OBJECTS or not path_checker.is_wanted(scene):
        return
    for update in depsgraph.updates:
        # Reading cameras also updates collections and image empties that they carry, which is not an edit.
        is_object = isinstance(update.id, bpy.types.Object)
        reshaped = is_object and update.is_updated_geometry and update.id.type != "EMPTY"
        if (
            reshaped
            or (is_object and update.is_updated_transform)
            or isinstance(update.id, (bpy.types.Action, bpy.types.Camera, bpy.types.Curve))
        ):
            path_checker.invalidate()
            schedule()
            return


@persistent
def file_loaded(*_: object) -> None:
    path_checker.clear()
    schedule()


@persistent
def undone(*_: object) -> None:
    path_checker.invalidate()
    schedule()


def draw() -> None:
    """Draw handler of the 3D viewports."""
    context = bpy.context
    scene = context.scene
    if not context.space_data.overlay.show_overlays or not path_checker.is_wanted(scene):
        return
    if path_checker.idle and path_checker.is_outdated(scene):
        path_checker.invalidate()
        schedule()
    path_checker.collect()  # shows the result as soon as the window is redrawn
    if path_checker.check is None or context.region_data.view_perspective == "CAMERA":
        return  # seen from inside, the lines would cover the shot
    drawing.draw(path_checker.check, metres_per_unit(scene), 2.5 * context.preferences.system.ui_scale)


def draw_words() -> None:
    """Draw handler of the 3D viewports, for what has no depth: the legend, where its colours are seen."""
    context = bpy.context
    space = context.space_data
    if not space.overlay.show_overlays:
        return
    is_drawn = path_checker.is_wanted(context.scene) and path_checker.check is not None
    if (is_drawn and context.region_data.view_perspective != "CAMERA") or shows_known(space):
        draw_legend(context.preferences.system.ui_scale)


drawing = PathDrawing()


HANDLERS = {
    "depsgraph_update_post": scene_changed,
    "load_post": file_loaded,
    "undo_post": undone,
    "redo_post": undone,
}


def register() -> None:
    if not bpy.app.background:
        for function, when in ((draw, "POST_VIEW"), (draw_words, "POST_PIXEL")):
            _handles.append(bpy.types.SpaceView3D.draw_handler_add(function, (), "WINDOW", when))


def unregister() -> None:
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
    path_checker.clear()
