"""Panels of the step Shoot."""

import bpy

from ..panel_bases import STATUS_PANEL, SidebarPanel
from ..path.frames import QUALITIES
from ..service import price_watch
from ..service.presets import step_count
from ..service.prices import size_text, time_text
from ..session import session


class ShootPanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_shoot"
    bl_parent_id = STATUS_PANEL
    bl_label = "4  Shoot"

    def draw(self, context):
        scene = context.scene
        settings = scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        row = column.row(align=True)
        row.prop(scene.render, "resolution_x", text="Size")
        row.prop(scene.render, "resolution_y", text="")
        column.prop(scene.render, "resolution_percentage", text="Percent")
        draw_qualities(column, scene)
        column = layout.column(align=True)
        column.use_property_split = False
        column.label(text="Show the Frames In")
        for pair in (("STRIP", "BACKGROUND"), ("PLANE", "COMPOSITE")):
            row = column.row(align=True)
            for place in pair:
                row.prop_enum(settings, "show_in", place)
        layout.operator("lookbeyond.preview_draft", icon="HIDE_OFF")
        row = layout.row()
        row.scale_y = 1.4
        row.operator("lookbeyond.shoot", icon="RENDER_ANIMATION")
        if settings.shot_folder:
            row = layout.row(align=True)
            row.operator("lookbeyond.set_up_composite", icon="NODE_COMPOSITING")
            row.operator("lookbeyond.pack", icon="PACKAGE")


def draw_qualities(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """Draw the choice of quality; below each what it would take, if the service has said so."""
    layout.row(align=True).prop(scene.look_beyond, "quality", expand=True)
    found = [price_watch.shot_price(scene, quality) for quality in QUALITIES]
    if not any(found):
        return
    row = layout.row(align=True)
    for price in found:
        row.label(text=time_text(price.seconds if price else None))
    chosen = price_watch.shot_price(scene, scene.look_beyond.quality)
    if chosen is not None:
        known = "" if chosen.seconds is not None else "Times are known after the first shot. "
        layout.label(text=f"{known}{size_text(chosen.stored_bytes)} on disk")


class FinePanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_fine"
    bl_parent_id = ShootPanel.bl_idname
    bl_label = "Steps, Seed and Files"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        settings = context.scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        number = step_count(session.service, settings.preset, settings.steps / 100)
        column.prop(settings, "steps", text=f"Steps ({number})" if number else "Steps")
        column.prop(settings, "tau_position", text="Tolerance")
        column.prop(settings, "tau_rotation", text="Turning")
        layout.prop(settings, "shot_seed", text="Seed")
        layout.prop(settings, "output_folder")


CLASSES = (ShootPanel, FinePanel)
