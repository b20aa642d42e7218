"""Panels of the step Photo."""

import math
from pathlib import Path

import bpy

from ..listed import shortened
from ..panel_bases import StepPanel, draw_closed, draw_wrapped
from ..properties import LookBeyondCamera
from .background import photo_image
from .beside import cameras_beside, direction_text
from .camera import linked_reason, photo_path_of
from .place import assumed_angles


class PhotoPanel(StepPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_photo"
    bl_label = "1  Photo"
    step = "photo"

    def result(self, scene):
        settings = scene.look_beyond
        if settings.photo_camera is None:
            return "", 0
        image = photo_image(settings.photo_camera)
        name = image.name if image is not None else settings.photo_camera.name
        return f"{shortened(name)}, {math.degrees(settings.fov_x):.0f}°", 0

    def warns(self, scene):
        photo = scene.look_beyond.photo_camera.data.look_beyond
        return bool(photo.warnings or photo.people)

    def draw_body(self, layout, context):
        settings = context.scene.look_beyond
        row = layout.row()
        row.scale_y = 1.0 if settings.photo_camera is not None else 1.4
        row.operator("lookbeyond.place_photo", icon="IMAGE_DATA", text="Place Photo…")
        if settings.photo_camera is None:
            layout.operator("lookbeyond.try_example", icon="SHADERFX")
            layout.operator("lookbeyond.use_render", icon="RENDER_STILL")
            return
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
        draw_beside(layout, context.scene)
        draw_notes(layout, context, settings.photo_camera.data.look_beyond)
        body = draw_closed(layout, "look_beyond_like_photo", "Scene Like the Photo")
        if body is not None:
            row = body.row(align=True)
            row.operator("lookbeyond.look_through_photo", text="View")
            row.operator("lookbeyond.use_photo_resolution", text="Size")
            row.operator("lookbeyond.match_photo_colours", text="Colours")
            body.operator("lookbeyond.photo_plane", icon="IMAGE_PLANE")


def draw_beside(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """Draw the further photos of the place: where each looks, and how well it fits."""
    first = scene.look_beyond.photo_camera
    if not (beside := cameras_beside(scene, first)):
        return
    column = layout.column(align=True)
    for placed in beside:
        row = column.row(align=True)
        row.use_property_split = False
        alignment = placed.data.look_beyond.alignment
        fits = f", ± {alignment}" if alignment else ""
        name = shortened(Path(photo_path_of(placed.data)).name)
        row.label(text=f"{name}, {direction_text(placed, first)}{fits}", icon="CHECKMARK" if alignment else "QUESTION")
        row.operator("lookbeyond.align_photo", text="", icon="SNAP_ON").camera = placed.name
        row.operator("lookbeyond.separate_photo", text="", icon="X").camera = placed.name


def draw_notes(layout: bpy.types.UILayout, context: bpy.types.Context, photo: LookBeyondCamera) -> None:
    """Draw where the angles come from, and warnings."""
    for note in angle_notes(photo):
        draw_wrapped(layout.column(align=True), context, note, "INFO")
    if photo.found_angles:
        layout.operator("lookbeyond.undo_angles", icon="LOOP_BACK")
    for warning in (*photo.warnings.splitlines(), *photo.people.splitlines()):
        draw_wrapped(layout.column(align=True), context, warning, "ERROR")


def angle_notes(photo: LookBeyondCamera) -> list[str]:
    """Notes on the source of those angles that the artist has not set."""
    if photo.angle_notes:
        return photo.angle_notes.splitlines()
    if assumed := assumed_angles(photo):
        return [f"{assumed} assumed. The service, when it runs, looks for that in the photo's lines."]
    return []


def draw_known_length(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, operator: str) -> None:
    """Draw the button that measures by a known length, and the length."""
    row = layout.row(align=True)
    row.use_property_split = False
    row.operator_menu_enum(operator, "kind", text="Known Length", icon="DRIVER_DISTANCE")
    row.prop(settings, "known_length", text="Metres")


CLASSES = (PhotoPanel,)
