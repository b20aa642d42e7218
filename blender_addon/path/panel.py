"""Panel of the step Path."""

import bpy

from ..folding import has_path
from ..known import HOLE, INVENTED, PHOTO
from ..listed import shortened
from ..panel_bases import StepPanel, draw_closed, draw_wrapped
from ..world.stage import shows_known
from .checker import path_checker
from .frames import scene_frames

MOVES = (
    ("PUSH_IN", "Push In", "FORWARD"),
    ("WALK", "Walk", "CON_FOLLOWPATH"),
    ("ORBIT", "Orbit", "FORCE_VORTEX"),
    ("LOOK_AROUND", "Look Around", "VIEW_PAN"),
    ("CRANE", "Crane", "SORT_DESC"),
    ("WALK_TO", "To 3D Cursor", "PIVOT_CURSOR"),
)
"""The moves as buttons: kind, text, icon."""
PLANNED = (
    ("SHOW_ROOM", "Show the Room", "WORLD"),
    ("GO_TO", "Go to 3D Cursor", "TRACKING_FORWARDS_SINGLE"),
    ("END_ON", "End on 3D Cursor", "RESTRICT_VIEW_OFF"),
)
"""The planned moves as buttons: goal, text, icon."""


class PathPanel(StepPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_path"
    bl_label = "3  Path"
    step = "path"

    def result(self, scene):
        if scene.camera is None or not has_path(scene):
            return "", 0
        return f"{shortened(scene.camera.name)}, {len(scene_frames(scene))} fr.", 0

    def draw_body(self, layout, context):
        draw_moves(layout)
        if context.scene.look_beyond.world_folder:
            draw_planned(layout, context.scene.look_beyond)
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
            shows = context.space_data is not None and shows_known(context.space_data)
            layout.operator("lookbeyond.show_known", icon="COLOR", depress=shows)
            draw_path_warnings(layout, context)


def draw_moves(layout: bpy.types.UILayout) -> None:
    """Draw a button for each camera move: a click adds a path."""
    column = layout.column(align=True)
    column.scale_y = 1.2
    for pair in (MOVES[:2], MOVES[2:4], MOVES[4:]):
        row = column.row(align=True)
        for kind, text, icon in pair:
            row.operator("lookbeyond.add_path", text=text, icon=icon).kind = kind


def draw_planned(layout: bpy.types.UILayout, settings) -> None:
    """Draw a button for each purpose of a planned move, and what it may do."""
    body = draw_closed(layout, "look_beyond_planned", "Planned Move")
    if body is None:
        return
    column = body.column(align=True)
    for goal, text, icon in PLANNED:
        column.operator("lookbeyond.plan_path", text=text, icon=icon).goal = goal
    column = body.column(align=True)
    for name in ("plan_clearance", "plan_speed", "plan_turn", "plan_range"):
        column.prop(settings, name)


def draw_path_warnings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what the views are made of, as the legend of the path's colours, and the warnings of the last check."""
    if not context.scene.look_beyond.show_path or (path_checker.check is None and not path_checker.warnings):
        return
    shares = ("", "", "") if path_checker.check is None else path_checker.check.shares()
    if shares[0]:
        rows = layout.column(align=True)
        for kind, share in zip((PHOTO, INVENTED, HOLE), shares, strict=True):
            row = rows.row()
            row.label(text=kind.word, icon=kind.icon)
            row.label(text=share)
    column = layout.column(align=True)
    for warning in path_checker.warnings:
        draw_wrapped(column, context, warning, "ERROR")


CLASSES = (PathPanel,)
