"""Look Beyond: from one photo to a 360° world, and to the frames of a camera move.

Each step has a folder: `photo`, `world`, `path`, `shot`. `service` uses the program that runs the models; `status`
shows what is running; `exchange` leads to other programs. In each folder, `operators` and `panel` are thin and stand
beside plain functions. A module lists the classes it defines in `CLASSES`; all are registered here.
"""

import bpy

from . import command_line, file_events, handlers, heartbeat, icons, menus, properties, translations
from .exchange import operators as exchange_operators
from .path import operators as path_operators
from .path import panel as path_panel
from .path import watch
from .photo import background, handles, rendered
from .photo import length as photo_length
from .photo import operators as photo_operators
from .photo import panel as photo_panel
from .service import operators as service_operators
from .service import panel as service_panel
from .service import preferences, price_watch
from .session import session
from .shot import operators as shot_operators
from .shot import panel as shot_panel
from .shot import sequence
from .status import operators as status_operators
from .status import panel as status_panel
from .world import door_operators
from .world import length as world_length
from .world import operators as world_operators
from .world import panel as world_panel

CLASSES = (
    tuple(
        cls
        for module in (
            properties,
            preferences,
            photo_operators,
            handles,
            photo_length,
            world_operators,
            world_length,
            door_operators,
            path_operators,
            shot_operators,
            exchange_operators,
            service_operators,
            status_operators,
            # In the order of the sidebar.
            status_panel,
            photo_panel,
            world_panel,
            path_panel,
            shot_panel,
            service_panel,
        )
        for cls in module.CLASSES
    )
    + status_panel.LAST_CLASSES
)
HANDLED = (background, rendered, watch, sequence, file_events)
"""Modules with application handlers, in `HANDLERS`."""
PARTS = (properties, menus, watch, heartbeat, price_watch, command_line, translations)
"""Modules that register more than that: properties, menus, timers, the command, translations."""


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for part in PARTS:
        part.register()
    for module in HANDLED:
        handlers.add(module.HANDLERS)


def unregister() -> None:
    session.close(keep_service=preferences.addon_preferences().keep_service)
    for module in reversed(HANDLED):
        handlers.remove(module.HANDLERS)
    for part in reversed(PARTS):
        part.unregister()
    rendered.forget_renders()
    icons.clear()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
