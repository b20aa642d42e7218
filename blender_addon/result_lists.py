"""What the lists of worlds and of takes look like: an entry, the chosen one large, the buttons beside them."""

from typing import ClassVar

import bpy

from .panel_bases import draw_wrapped
from .results import absolute

PICTURE_SCALE = 5.0
"""Size of the chosen entry's picture, in rows."""


class ResultList:
    """A list of folders of results. `entries` and `index` name the settings that hold it and its chosen entry."""

    entries: ClassVar[str]
    index: ClassVar[str]
    load: ClassVar[str]
    """The operator that loads a folder."""
    buttons: ClassVar[tuple[tuple[str, str], ...]]
    """Operators on the chosen entry, from top to bottom, and their icons."""

    @staticmethod
    def thumbnail(entry: bpy.types.PropertyGroup) -> int:
        """The number of an entry's icon; 0 if its files are gone."""
        raise NotImplementedError

    @staticmethod
    def outdated(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> str:
        """Why an entry is not what making it again would give; empty if nothing is known to have changed."""
        raise NotImplementedError

    @staticmethod
    def lines(entry: bpy.types.PropertyGroup) -> tuple[str, ...]:
        """What there is to know of the chosen entry."""
        raise NotImplementedError

    @staticmethod
    def draw_used(layout: bpy.types.UILayout, scene: bpy.types.Scene, entry, index: int) -> None:
        """Draw whether the scene uses an entry."""

    @staticmethod
    def draw_actions(layout: bpy.types.UILayout, scene: bpy.types.Scene, entry) -> None:
        """Draw what stands beside the chosen entry's picture."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0):
        scene = context.scene
        layout.prop(item, "name", text="", emboss=False, icon_value=self.thumbnail(item))
        if self.outdated(scene, item):
            layout.label(text="", icon="ERROR")
        self.draw_used(layout, scene, item, index)

    @classmethod
    def draw_list(cls, layout: bpy.types.UILayout, context: bpy.types.Context) -> str:
        """Draw the list, and below it the chosen entry; returns why that is outdated, as it was drawn."""
        settings = context.scene.look_beyond
        entries, at = getattr(settings, cls.entries), getattr(settings, cls.index)
        row = layout.row()
        rows = len(cls.buttons) + 1 if entries else 2
        row.template_list(cls.bl_idname, "", settings, cls.entries, settings, cls.index, rows=rows)
        column = row.column(align=True)
        column.operator(cls.load, text="", icon="IMPORT")
        if at >= len(entries):
            return ""
        entry = entries[at]
        for operator, icon in cls.buttons:
            button = column.operator(operator, text="", icon=icon)
            if operator == "lookbeyond.open_folder":
                button.folder = entry.folder
        row = layout.split(factor=0.55)
        if icon := cls.thumbnail(entry):
            row.template_icon(icon, scale=PICTURE_SCALE)
        column = row.column(align=True)
        for line in cls.lines(entry):
            column.label(text=line)
        cls.draw_actions(column, context.scene, entry)
        reason = cls.outdated(context.scene, entry)
        if reason:
            draw_wrapped(layout, context, reason, "ERROR")
        return reason


def is_used(folder: str, used: str) -> bool:
    """Whether a folder, as stored, is the one that the scene uses."""
    return bool(used) and absolute(folder) == absolute(used)
