"""Operators and the part of the panel for what lies beyond a door."""

import bpy
from bpy.props import IntProperty

from ..operator_bases import NOT_REMEMBERED, PollWithReason, ServiceOperator
from ..panel_bases import draw_closed
from ..results import absolute
from . import doors
from .variants import chosen_reason


class BuildFromFrame(ServiceOperator, bpy.types.Operator):
    """Build the world beyond a door from the shot's frame at the playhead, and link it; this world stays the scene's"""

    bl_idname = "lookbeyond.build_from_frame"
    bl_label = "Build World from Frame"
    can_queue = True

    @classmethod
    def reason(cls, context):
        if not context.scene.look_beyond.shot_folder:
            return "Shoot up to the door first"
        return super().reason(context)

    def prepare(self, context):
        return doors.build_from_frame(context)


class LinkWorlds(ServiceOperator, bpy.types.Operator):
    """Link the world that is chosen in the list to the scene's world, at the door between them"""

    bl_idname = "lookbeyond.link_worlds"
    bl_label = "Link Worlds"
    can_queue = True

    @classmethod
    def reason(cls, context):
        settings = context.scene.look_beyond
        if not settings.world_folder:
            return "Build a world first"
        if reason := chosen_reason(settings):
            return reason
        return super().reason(context)

    def prepare(self, context):
        settings = context.scene.look_beyond
        chosen = settings.worlds[settings.world_index]
        return doors.link_worlds(context.scene, absolute(settings.world_folder), absolute(chosen.folder))


class ForgetLink(PollWithReason, bpy.types.Operator):
    """Remove a link of two worlds; both are kept"""

    bl_idname = "lookbeyond.forget_link"
    bl_label = "Forget Link"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(
        name="Number", description="Index among the scene's links, from 0", min=0, options=NOT_REMEMBERED
    )

    @classmethod
    def reason(cls, context):
        return "" if context.scene.look_beyond.links else "No worlds are linked"

    def execute(self, context):
        links = context.scene.look_beyond.links
        if self.index >= len(links):
            self.report({"ERROR"}, f"The scene has {len(links)} links: choose an index below that.")
            return {"CANCELLED"}
        links.remove(self.index)
        return {"FINISHED"}


def draw_doors(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what links the scene's worlds."""
    body = draw_closed(layout, "look_beyond_doors", "Through a Door")
    if body is None:
        return
    body.operator("lookbeyond.build_from_frame", icon="IMAGE_DATA")
    body.operator("lookbeyond.link_worlds", icon="LINKED")
    settings = context.scene.look_beyond
    body.prop(settings, "door_at_cursor")
    if settings.door_at_cursor:
        row = body.row(align=True)
        row.prop(settings, "door_width")
        row.prop(settings, "door_height")
    for index, link in enumerate(settings.links):
        used = settings.world_folder and absolute(link.first) == absolute(settings.world_folder)
        row = body.row(align=True)
        row.label(text=link.name, icon="LINKED" if used else "UNLINKED")
        row.operator("lookbeyond.forget_link", text="", icon="X").index = index


CLASSES = (BuildFromFrame, LinkWorlds, ForgetLink)
