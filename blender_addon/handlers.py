"""Functions that Blender calls when something happens, added and taken away."""

from collections.abc import Callable, Mapping

import bpy


def add(handlers: Mapping[str, Callable[..., None]]) -> None:
    """Have Blender call each of `handlers` on the event whose name stands before it (`bpy.app.handlers`)."""
    for event, handler in handlers.items():
        getattr(bpy.app.handlers, event).append(handler)


def remove(handlers: Mapping[str, Callable[..., None]]) -> None:
    """Take away what `add` has added; loading a file may have done so already."""
    for event, handler in handlers.items():
        if handler in getattr(bpy.app.handlers, event):
            getattr(bpy.app.handlers, event).remove(handler)
