"""The panel of the path."""

import bpy

from ..panel_bases import TOP, Step, draw_text
from .view import path_view


class PathPanel(Step, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_path"
    bl_parent_id = TOP
    bl_label = "3  Path"

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.operator_menu_enum("lookbeyond.add_path", "kind", text="Add Camera Path", icon="CURVE_BEZCURVE")
        layout.prop(context.scene, "camera", text="Camera")
        column = layout.column(align=True)
        column.prop(context.scene, "frame_start", text="Frames")
        column.prop(context.scene, "frame_end", text="to")
        column.prop(context.scene.look_beyond, "frames_from", text="Shoot")
        if context.scene.look_beyond.world_folder:
            row = layout.row(align=True)
            row.use_property_split = False  # its name needs the room
            row.prop(context.scene.look_beyond, "show_path")
            row.operator("lookbeyond.check_path", text="", icon="FILE_REFRESH")
            draw_path_warnings(layout, context)


def draw_path_warnings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if not context.scene.look_beyond.show_path or (path_view.check is None and not path_view.sentences):
        return
    column = layout.column(align=True)
    for sentence in path_view.sentences:
        draw_text(column, context, sentence, "ERROR")
    check = path_view.check
    within = [known for known, far in zip(check.known, check.too_far) if far <= 0] if check else []
    if within:
        column.label(text=f"At least {min(within):.0%} of each view is known", icon="HIDE_OFF")


CLASSES = (PathPanel,)
