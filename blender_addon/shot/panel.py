"""Panels of the step Shoot."""

from pathlib import Path

import bpy

from .. import icons
from ..listed import shortened
from ..panel_bases import StepPanel, draw_closed, draw_wrapped
from ..path.frames import QUALITIES
from ..result_lists import ResultList, is_used
from ..results import absolute
from ..service import price_watch
from ..service.presets import step_count
from ..service.prices import size_text, time_text
from ..session import session
from .agreement import other_camera_note
from .composite import composited_frames
from .monitors import draw_monitors
from .takes import out_of_date


class TakeList(ResultList, bpy.types.UIList):
    """The scene's takes."""

    bl_idname = "LOOKBEYOND_UL_takes"
    entries, index, load = "shots", "shot_index", "lookbeyond.load_take"
    buttons = (
        ("lookbeyond.use_take", "CHECKMARK"),
        ("lookbeyond.shoot_again", "FILE_REFRESH"),
        ("lookbeyond.open_folder", "FILE_FOLDER"),
        ("lookbeyond.delete_take", "TRASH"),
    )

    @staticmethod
    def thumbnail(entry):
        return icons.thumbnails.icon(absolute(entry.folder) / "frames" / f"{entry.first:04d}.png")

    @staticmethod
    def outdated(scene, entry):
        return out_of_date(scene, entry)

    @staticmethod
    def lines(entry):
        return (f"{entry.frames} frames", f"Seed {entry.seed}", entry.made)

    @staticmethod
    def draw_used(layout, scene, entry, index):
        used = is_used(entry.folder, scene.look_beyond.shot_folder)
        layout.label(text="", icon="RADIOBUT_ON" if used else "BLANK1")

    @staticmethod
    def draw_actions(layout, scene, entry):
        row = layout.row(align=True)
        row.operator("lookbeyond.play_take", text="Play", icon="PLAY")
        row.operator("lookbeyond.export_movie", text="", icon="FILE_MOVIE")


class ShootPanel(StepPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_shoot"
    bl_label = "4  Shoot"
    step = "shot"

    def result(self, scene):
        shots = scene.look_beyond.shots
        if not shots:
            return "", 0
        return shortened(shots[-1].name), TakeList.thumbnail(shots[-1])

    def draw_body(self, layout, context):
        scene = context.scene
        row = layout.row(align=True)
        row.use_property_split = False  # four digits need the space
        row.prop(scene.render, "resolution_x", text="")
        row.prop(scene.render, "resolution_y", text="")
        row.prop(scene.render, "resolution_percentage", text="")
        draw_qualities(layout.column(align=True), scene)
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("lookbeyond.shoot", icon="RENDER_ANIMATION")
        row.operator("lookbeyond.preview_draft", text="Preview", icon="PLAY")
        TakeList.draw_list(layout, context)
        draw_monitors(layout, context)
        if (frames := composited_frames(scene)) and (note := other_camera_note(scene, Path(frames).parent)):
            draw_wrapped(layout, context, note, "ERROR")
        body = draw_closed(layout, "look_beyond_show_in", "Where Frames Are Shown")
        if body is not None:
            draw_places(body, scene.look_beyond)
        body = draw_closed(layout, "look_beyond_fine", "Steps, Seed and Files")
        if body is not None:
            draw_fine(body, scene.look_beyond)


def draw_places(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """Draw where the frames are shown, and what can be made of them."""
    column = layout.column(align=True)
    column.use_property_split = False
    for pair in (("STRIP", "BACKGROUND"), ("CARD", "PLANE"), ("COMPOSITE",)):
        row = column.row(align=True)
        for place in pair:
            row.prop_enum(settings, "show_in", place)
    column.prop(settings, "play_finished")
    if settings.shot_folder:
        layout.operator("lookbeyond.set_up_composite", icon="NODE_COMPOSITING")
        layout.operator("lookbeyond.pack", icon="PACKAGE")


def draw_qualities(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """Draw the choice of quality and, below each, its price, if the service has named one."""
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
