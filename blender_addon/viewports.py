"""What the steps do to a scene's selection, to its view and to the open viewports."""

import bpy


def select_only(context: bpy.types.Context, thing: bpy.types.Object) -> None:
    """Make one object the selected and active one, if its view layer has it. Needs no window."""
    context.view_layer.update()  # so that it knows what has just been made
    objects = context.view_layer.objects
    for other in tuple(objects.selected):
        other.select_set(False)
    if thing.name in objects:
        thing.select_set(True)
        objects.active = thing


def viewports() -> list[bpy.types.SpaceView3D]:
    """All 3D viewports that are open."""
    areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]


def show_own_colours(view: bpy.types.ColorManagedViewSettings) -> str:
    """Show the files' own colours, or say why not: a colour configuration of the artist's may know no such view."""
    try:
        view.view_transform = "Standard"
    except TypeError:
        return f'The colour configuration has no view "Standard": {view.view_transform} stays, and may change colours.'
    return ""
