"""Panel of the step Path."""

import bpy

from ..folding import has_path
from ..listed import shortened
from ..panel_bases import StepPanel, draw_wrapped
from .checker import path_checker
from .frames import scene_frames


class PathPanel(StepPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_path"
    bl_label = "3  Path"
    step = "path"

    def result(self, scene):
        if scene.camera is None or not has_path(scene):
            return "", 0
        return f"{shortened(scene.camera.name)}, {len(scene_frames(scene))} fr.", 0

    def draw_body(self, layout, context):
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.operator_menu_enum("lookbeyond.add_path", "kind", text="Add Camera Path", icon="CURVE_BEZCURVE")
        layout.prop(context.scene, "camera", text="Camera")
        column = layout.column(align=True)
        column.prop(context.scene, "frame_start", text="Frames")
        column.prop(context.scene, "frame_end", text="To")
        column.prop(context.scene.look_beyond, "frames_from", text="Shoot")
        if context.scene.look_beyond.world_folder:
            row = layout.row(align=True)
            row.use_property_split = False  # its name needs the space
            row.prop(context.scene.look_beyond, "show_path")
            row.operator("lookbeyond.check_path", text="", icon="FILE_REFRESH")
            draw_path_warnings(layout, context)


def draw_path_warnings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the warnings of the last check, and what the views are made of."""
    if not context.scene.look_beyond.show_path or (path_checker.check is None and not path_checker.warnings):
        return
    column = layout.column(align=True)
    for warning in path_checker.warnings:
        draw_wrapped(column, context, warning, "ERROR")
    if path_checker.check is not None and (summary := path_checker.check.summary()):
        column.label(text=summary, icon="HIDE_OFF")


CLASSES = (PathPanel,)
