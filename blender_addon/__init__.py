"""Look Beyond: from one photo to a 360° world, and to the frames of a camera move.

The data's way: photo -> cameras_from_blender -> operators -> session and jobs (the service) -> world_nodes,
shot_output. Everything is registered here.
"""

import bpy

from . import (
    command_line,
    heartbeat,
    known_length,
    operators,
    panels,
    path_view,
    photo,
    photo_handles,
    preferences,
    properties,
    translations,
)
from .session import session

CLASSES = (
    *properties.CLASSES,
    *preferences.CLASSES,
    *operators.CLASSES,
    *photo_handles.CLASSES,
    *known_length.CLASSES,
    *panels.CLASSES,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    properties.register()
    panels.register()
    photo.register()
    path_view.register()
    heartbeat.register()
    command_line.register()
    translations.register()


def unregister() -> None:
    translations.unregister()
    command_line.unregister()
    heartbeat.stop()
    path_view.unregister()
    photo.unregister()
    session.close(keep_service=preferences.preferences().keep_service)
    panels.unregister()
    properties.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
