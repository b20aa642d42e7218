"""Selection, view transform and open viewports."""

import bpy

from .marks import is_local


def select_only(context: bpy.types.Context, thing: bpy.types.Object) -> None:
    """Make one object the only selected and the active one, if the view layer has it. Needs no window."""
    context.view_layer.update()  # includes objects that were just created
    objects = context.view_layer.objects
    for other in tuple(objects.selected):
        other.select_set(False)
    if thing.name in objects:
        thing.select_set(True)
        objects.active = thing


def local_collection(context: bpy.types.Context) -> bpy.types.Collection:
    """The active collection; the scene's own if objects cannot be added to that, because it is linked."""
    active = context.collection
    return active if is_local(active) else context.scene.collection


def viewport_areas() -> list[bpy.types.Area]:
    """The areas of all 3D viewports that are open, sidebars included."""
    areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
    return [area for area in areas if area.type == "VIEW_3D"]


def viewports() -> list[bpy.types.SpaceView3D]:
    """All 3D viewports that are open."""
    return [area.spaces.active for area in viewport_areas()]  # pyright: ignore[reportReturnType]


def look_through(context: bpy.types.Context, camera: bpy.types.Object) -> None:
    """Look through a camera in the viewport that the context is in, else in the largest one.

    It becomes the scene's, if there is such a viewport.
    """
    space = context.space_data
    if space is None or space.type != "VIEW_3D":
        window = context.window
        areas = [] if window is None else [area for area in window.screen.areas if area.type == "VIEW_3D"]
        space = max(areas, key=lambda area: area.width * area.height).spaces.active if areas else None
    if space is None:
        return
    context.scene.camera, space.use_local_camera = camera, False
    space.region_3d.view_perspective = "CAMERA"


def use_standard_view(view: bpy.types.ColorManagedViewSettings) -> str:
    """Use the view transform Standard, which shows files in their own colours; returns a warning if there is none."""
    try:
        view.view_transform = "Standard"
    except TypeError:
        return (
            f'The colour configuration has no view "Standard": {view.view_transform} stays, and may change the colours.'
        )
    return ""
