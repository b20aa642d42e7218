"""Base of the panels. Drawing only reads."""

import textwrap

import bpy

CHARACTER_PX = 6.5
"""Mean width of a character of the interface font at scale 1."""


STATUS_PANEL = "LOOKBEYOND_PT_status"
"""Parent of the steps' panels."""


class SidebarPanel:
    """A panel in the add-on's tab of the 3D viewport's sidebar."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Look Beyond"


def draw_wrapped(column: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """Draw a text over as many lines as it needs."""
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    for number, line in enumerate(wrapped(text, context.region.width / scale)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def wrapped(text: str, width_px: float) -> list[str]:
    """The text in lines that fit a panel of this width (pixels at interface scale 1)."""
    room = max(12, int((width_px - 70) / CHARACTER_PX))
    return textwrap.wrap(text, room, break_long_words=True, break_on_hyphens=False)
