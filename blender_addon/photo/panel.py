"""Panels of the step Photo."""

import bpy

from ..panel_bases import STATUS_PANEL, SidebarPanel, draw_wrapped
from ..properties import LookBeyondCamera
from .camera import linked_reason


class PhotoPanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_photo"
    bl_parent_id = STATUS_PANEL
    bl_label = "1  Photo"

    def draw(self, context):
        settings = context.scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.operator("lookbeyond.place_photo", icon="IMAGE_DATA", text="Place Photo…")
        if settings.photo_camera is not None:
            layout.prop(settings, "photo_camera", text="Camera")
            linked = linked_reason(context.scene)
            if linked:
                draw_wrapped(layout.column(align=True), context, f"{linked}.", "LIBRARY_DATA_DIRECT")
            column = layout.column(align=True)
            column.enabled = not linked
            column.prop(settings, "fov_x")
            column.prop(settings, "pitch")
            column.prop(settings, "roll")
            column.prop(settings, "camera_height")
            row = layout.row(align=True)
            row.operator("lookbeyond.adjust_horizon", text="Horizon", icon="DRIVER_ROTATIONAL_DIFFERENCE")
            row.operator_menu_enum("lookbeyond.align_lines", "kind", text="Two Lines", icon="MOD_EDGESPLIT")
            draw_known_length(layout, settings, "lookbeyond.measure_height")
            photo = settings.photo_camera.data.look_beyond
            for note in angle_notes(photo):
                draw_wrapped(layout.column(align=True), context, note, "INFO")
            for warning in (*photo.warnings.splitlines(), *photo.people.splitlines()):
                draw_wrapped(layout.column(align=True), context, warning, "ERROR")
        else:
            layout.operator("lookbeyond.use_render", icon="RENDER_STILL")


class PhotoScenePanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_photo_scene"
    bl_parent_id = PhotoPanel.bl_idname
    bl_label = "Scene Like the Photo"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context):
        return context.scene.look_beyond.photo_camera is not None

    def draw(self, context):
        layout = self.layout
        row = layout.row(align=True)
        row.operator("lookbeyond.look_through_photo", text="Its View")
        row.operator("lookbeyond.use_photo_resolution", text="Its Size")
        row.operator("lookbeyond.match_photo_colours", text="Its Colours")
        layout.operator("lookbeyond.photo_plane", icon="IMAGE_PLANE")


def angle_notes(photo: LookBeyondCamera) -> list[str]:
    """Notes on the source of those angles that the artist has not set."""
    if photo.angle_notes:
        return photo.angle_notes.splitlines()
    if photo.pitch_assumed or photo.roll_assumed:
        return ["Pitch and roll are assumed. The service, when it runs, finds them in the photo's lines."]
    return []


def draw_known_length(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, operator: str) -> None:
    """Draw the button that measures by a known length, and the length."""
    row = layout.row(align=True)
    row.use_property_split = False
    row.operator_menu_enum(operator, "kind", text="Known Length", icon="DRIVER_DISTANCE")
    row.prop(settings, "known_length", text="Metres")


CLASSES = (PhotoPanel, PhotoScenePanel)
