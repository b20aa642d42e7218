"""What panels have in common. Drawing reads; it never changes anything."""

import textwrap

import bpy

CHARACTER_PX = 6.5
"""Mean width of a character of the interface font at scale 1."""


TOP = "LOOKBEYOND_PT_status"
"""The panel that the steps' panels hang under."""


class Step:
    """Where all panels of ours stand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Look Beyond"


def draw_text(column: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    for number, line in enumerate(wrapped(text, context.region.width / scale)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def wrapped(text: str, width_px: float) -> list[str]:
    """The text word for word in lines that fit a panel of this width (pixels at interface scale 1)."""
    room = max(12, int((width_px - 70) / CHARACTER_PX))
    return textwrap.wrap(text, room, break_long_words=True, break_on_hyphens=False)
