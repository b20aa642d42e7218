"""Panels of the step Shoot."""

from pathlib import Path

import bpy

from .. import icons
from ..listed import shortened
from ..panel_bases import StepPanel, draw_wrapped
from ..path.frames import QUALITIES
from ..results import absolute
from ..service import price_watch
from ..service.presets import step_count
from ..service.prices import size_text, time_text
from ..session import session
from .agreement import other_camera_note
from .composite import composited_frames
from .monitors import draw_monitors
from .takes import out_of_date


class TakeList(bpy.types.UIList):
    """The scene's takes: thumbnail, name, whether one is out of date, which one is shown."""

    bl_idname = "LOOKBEYOND_UL_takes"

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0):
        scene = context.scene
        layout.prop(item, "name", text="", emboss=False, icon_value=thumbnail(item))
        if out_of_date(scene, item):
            layout.label(text="", icon="ERROR")
        if absolute(item.folder) == absolute(scene.look_beyond.shot_folder):
            layout.label(text="", icon="RADIOBUT_ON")


class ShootPanel(StepPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_shoot"
    bl_label = "4  Shoot"
    step = "shot"

    def result(self, scene):
        shots = scene.look_beyond.shots
        if not shots:
            return "", 0
        return shortened(shots[-1].name), thumbnail(shots[-1])

    def draw_body(self, layout, context):
        scene = context.scene
        layout.use_property_split = True
        layout.use_property_decorate = False
        row = layout.row(align=True)
        row.prop(scene.render, "resolution_x", text="Size")
        row.prop(scene.render, "resolution_y", text="")
        row.prop(scene.render, "resolution_percentage", text="")
        draw_qualities(layout.column(align=True), scene)
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("lookbeyond.shoot", icon="RENDER_ANIMATION")
        row.operator("lookbeyond.preview_draft", text="", icon="HIDE_OFF")
        draw_takes(layout, context)
        draw_monitors(layout, context)
        if (frames := composited_frames(scene)) and (note := other_camera_note(scene, Path(frames).parent)):
            draw_wrapped(layout, context, note, "ERROR")
        heading, body = layout.panel("look_beyond_show_in", default_closed=True)
        heading.label(text="Where Frames Are Shown")
        if body is not None:
            draw_places(body, scene.look_beyond)
        heading, body = layout.panel("look_beyond_fine", default_closed=True)
        heading.label(text="Steps, Seed and Files")
        if body is not None:
            draw_fine(body, scene.look_beyond)


def draw_takes(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the list of the scene's takes; of the chosen one a picture, and what can be done with it."""
    settings = context.scene.look_beyond
    row = layout.row()
    row.template_list(
        TakeList.bl_idname, "", settings, "shots", settings, "shot_index", rows=5 if settings.shots else 2
    )
    column = row.column(align=True)
    column.operator("lookbeyond.load_take", text="", icon="IMPORT")
    if settings.shot_index >= len(settings.shots):
        return
    take = settings.shots[settings.shot_index]
    column.operator("lookbeyond.use_take", text="", icon="CHECKMARK")
    column.operator("lookbeyond.shoot_again", text="", icon="FILE_REFRESH")
    column.operator("lookbeyond.open_folder", text="", icon="FILE_FOLDER").folder = take.folder
    column.operator("lookbeyond.delete_take", text="", icon="TRASH")
    row = layout.split(factor=0.4)
    if icon := thumbnail(take):
        row.template_icon(icon, scale=4.5)
    column = row.column(align=True)
    column.label(text=f"{take.frames} frames, seed {take.seed}")
    column.label(text=take.made)
    row = column.row(align=True)
    row.operator("lookbeyond.play_take", text="Play", icon="PLAY")
    row.operator("lookbeyond.export_movie", text="Movie", icon="FILE_MOVIE")
    if reason := out_of_date(context.scene, take):
        draw_wrapped(layout, context, reason, "ERROR")


def draw_places(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """Draw where the frames are shown, and what can be made of them."""
    column = layout.column(align=True)
    column.use_property_split = False
    for pair in (("STRIP", "BACKGROUND"), ("PLANE", "COMPOSITE")):
        row = column.row(align=True)
        for place in pair:
            row.prop_enum(settings, "show_in", place)
    if settings.shot_folder:
        layout.operator("lookbeyond.set_up_composite", icon="NODE_COMPOSITING")
        layout.operator("lookbeyond.pack", icon="PACKAGE")


def thumbnail(take: bpy.types.PropertyGroup) -> int:
    """The number of a take's icon: its first frame; 0 if that is gone."""
    return icons.thumbnails.icon(absolute(take.folder) / "frames" / f"{take.first:04d}.png")


def draw_qualities(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """Draw the choice of quality; below each what it would take, if the service has said so."""
    layout.use_property_split = False
    layout.row(align=True).prop(scene.look_beyond, "quality", expand=True)
    found = [price_watch.shot_price(scene, quality) for quality in QUALITIES]
    row = layout.row(align=True)
    row.alignment = "EXPAND"
    for price in found:
        cell = row.row()
        cell.alignment = "CENTER"
        cell.label(text=time_text(price.seconds if price else None))
    chosen = price_watch.shot_price(scene, scene.look_beyond.quality)
    layout.label(text=f"{size_text(chosen.stored_bytes)} on disk" if chosen is not None else "")


def draw_fine(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """Draw the settings that are seldom changed."""
    column = layout.column(align=True)
    number = step_count(session.service, settings.preset, settings.steps / 100)
    column.prop(settings, "steps", text=f"Steps ({number})" if number else "Steps")
    column.prop(settings, "tau_position", text="Tolerance")
    column.prop(settings, "tau_rotation", text="Turning")
    layout.prop(settings, "shot_seed", text="Seed")
    layout.prop(settings, "output_folder")


CLASSES = (TakeList, ShootPanel)
