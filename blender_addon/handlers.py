"""Adds functions to Blender's application handlers, and removes them."""

from collections.abc import Callable, Mapping

import bpy


def add(handlers: Mapping[str, Callable[..., None]]) -> None:
    """Add functions by the name of their event in `bpy.app.handlers`."""
    for event, handler in handlers.items():
        getattr(bpy.app.handlers, event).append(handler)


def remove(handlers: Mapping[str, Callable[..., None]]) -> None:
    """Remove what `add` added, if it is still there."""
    for event, handler in handlers.items():
        if handler in getattr(bpy.app.handlers, event):
            getattr(bpy.app.handlers, event).remove(handler)
