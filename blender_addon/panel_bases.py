"""Base of the panels. Drawing only reads."""

import textwrap

import bpy

CHARACTER_PX = 6.5
"""Mean width of a character of the interface font at scale 1."""


class SidebarPanel:
    """A panel in the add-on's tab of the 3D viewport's sidebar."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Look Beyond"


class StepPanel(SidebarPanel):
    """One of the four steps: a heading that opens and closes, and says what was made while it is closed (`folding`)."""

    bl_options = {"HIDE_HEADER"}
    step = ""

    def draw(self, context: bpy.types.Context) -> None:
        header, body = self.layout.panel_prop(context.scene.look_beyond, f"open_{self.step}")
        result, icon = self.result(context.scene)
        header.label(text=self.bl_label)
        if body is not None:
            body.use_property_split, body.use_property_decorate = True, False
            self.draw_body(body, context)
        elif result:
            row = header.row()
            row.alignment = "RIGHT"
            if icon:
                row.label(text=result, icon_value=icon)
            else:
                row.label(text=result, icon="ERROR" if self.warns(context.scene) else "CHECKMARK")

    def result(self, scene: bpy.types.Scene) -> tuple[str, int]:
        """In a word or two, what the step has made, and the number of an icon of it or 0; empty while there is none."""
        return "", 0

    def warns(self, scene: bpy.types.Scene) -> bool:
        """Whether the open step shows warnings."""
        return False

    def draw_body(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """Draw what the open step shows."""
        raise NotImplementedError


def draw_closed(layout: bpy.types.UILayout, name: str, text: str) -> bpy.types.UILayout | None:
    """Draw the heading of a part that is closed until the artist opens it; where to draw the rest if it is open."""
    heading, body = layout.panel(name, default_closed=True)
    heading.label(text=text)
    return body


def draw_wrapped(column: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """Draw a text over as many lines as it needs."""
    for number, line in enumerate(wrapped(text, panel_width_px(context))):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def panel_width_px(context: bpy.types.Context) -> float:
    """Width of the region, pixels at interface scale 1."""
    return context.region.width / (context.preferences.system.ui_scale or 1.0)  # 0 without a window


def wrapped(text: str, width_px: float) -> list[str]:
    """The text in lines that fit a panel of this width (pixels at interface scale 1)."""
    room = max(12, int((width_px - 70) / CHARACTER_PX))
    return textwrap.wrap(text, room, break_long_words=True, break_on_hyphens=False)
