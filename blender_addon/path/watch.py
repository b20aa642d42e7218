"""Has the path worked out again when the scene changes, on Blender's timer, and drawn."""

import bpy
from bpy.app.handlers import persistent

from .. import handlers
from ..cameras import metres_per_unit
from .draw import PathDrawing
from .read import APART
from .view import PAUSE_S, path_view

INTERVAL_S = 0.005
MANY_OBJECTS = 300
"""In a scene of more objects the path is checked only when asked for: reading it has Blender sort them anew."""
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
    if (pause_s := path_view.pause_s()) > 0:
        return pause_s
    scene = bpy.context.scene
    if scene is not None and path_view.tick(scene):
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
    if scene.name == APART or len(scene.objects) > MANY_OBJECTS or not path_view.wanted(scene):
        return
    for update in depsgraph.updates:
        # Reading the cameras has Blender sort its collections anew, which is no edit.
        moved = isinstance(update.id, bpy.types.Object) and (update.is_updated_transform or update.is_updated_geometry)
        if moved or isinstance(update.id, (bpy.types.Action, bpy.types.Camera, bpy.types.Curve)):
            path_view.touch()
            awaken()
            return


@persistent
def file_loaded(*_: object) -> None:
    path_view.clear()
    awaken()


@persistent
def undone(*_: object) -> None:
    path_view.touch()
    awaken()


def draw() -> None:
    """Draw handler of the 3D viewports."""
    context = bpy.context
    scene = context.scene
    if not context.space_data.overlay.show_overlays or not path_view.wanted(scene):
        return
    if path_view.rests and path_view.is_outdated(scene):
        path_view.touch()
        awaken()
    path_view.take()  # so that it is seen as soon as the window is drawn
    if path_view.check is None or context.region_data.view_perspective == "CAMERA":
        return  # from within, its own lines would hide the shot
    drawing.draw(path_view.check, metres_per_unit(scene), 2.5 * context.preferences.system.ui_scale)


drawing = PathDrawing()


HANDLERS = {
    "depsgraph_update_post": scene_changed,
    "load_post": file_loaded,
    "undo_post": undone,
    "redo_post": undone,
}


def register() -> None:
    global _handle
    handlers.add(HANDLERS)
    if not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_VIEW")


def unregister() -> None:
    global _handle
    handlers.remove(HANDLERS)
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    path_view.clear()
