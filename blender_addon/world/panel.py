"""Panel of the step World."""

import bpy

from .. import icons
from ..listed import shortened
from ..panel_bases import StepPanel, draw_closed, draw_wrapped
from ..photo.panel import draw_known_length
from ..result_lists import ResultList, is_used
from ..results import absolute
from ..service import price_watch
from ..service.presets import takes_prompt
from ..service.prices import size_text, time_text
from ..session import session
from .cards import cards_folder
from .door_operators import draw_doors
from .light import NO_LIGHT, lacks_light
from .nodes import panorama_node, shows_world
from .outdated import outdated_reason, variant_reason
from .stage import find_plate


class WorldList(ResultList, bpy.types.UIList):
    """The scene's worlds."""

    bl_idname = "LOOKBEYOND_UL_worlds"
    entries, index, load = "worlds", "world_index", "lookbeyond.load_world"
    buttons = (
        ("lookbeyond.rebuild_world", "FILE_REFRESH"),
        ("lookbeyond.open_folder", "FILE_FOLDER"),
        ("lookbeyond.forget_world", "REMOVE"),
        ("lookbeyond.delete_world", "TRASH"),
    )

    @staticmethod
    def thumbnail(entry):
        return icons.thumbnails.icon(absolute(entry.folder) / "panorama.png")

    @staticmethod
    def outdated(scene, entry):
        return variant_reason(scene, absolute(entry.folder))

    @staticmethod
    def lines(entry):
        return (f"Seed {entry.seed}", entry.made)

    @staticmethod
    def draw_used(layout, scene, entry, index):
        icon = "RADIOBUT_ON" if is_used(entry.folder, scene.look_beyond.world_folder) else "RADIOBUT_OFF"
        layout.operator("lookbeyond.use_world", text="", icon=icon, emboss=False).index = index

    @staticmethod
    def draw_actions(layout, scene, entry):
        layout.operator("lookbeyond.mark_world", text="Asset", icon="ASSET_MANAGER")


class WorldPanel(StepPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_world"
    bl_label = "2  World"
    step = "world"

    def result(self, scene):
        settings = scene.look_beyond
        if not settings.world_folder:
            return "", 0
        folder = absolute(settings.world_folder)
        used = next((world for world in settings.worlds if absolute(world.folder) == folder), None)
        name = shortened(used.name) if used is not None else shortened(folder.name)
        return name, icons.thumbnails.icon(folder / "panorama.png")

    def draw_body(self, layout, context):
        scene = context.scene
        settings = scene.look_beyond
        layout.prop(settings, "panorama_width", text="Resolution")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("lookbeyond.build_world", icon="WORLD")
        if settings.worlds and not settings.panorama_path:
            row.operator("lookbeyond.reroll_world", text="", icon="FILE_REFRESH")
        layout.prop(settings, "light")
        if lacks_light(scene):
            draw_wrapped(layout, context, NO_LIGHT, "LIGHT_SUN")
        price = price_watch.world_price(scene)  # its line is there before it is known: nothing below jumps
        known = price is not None and price.seconds is not None
        layout.label(text=f"{time_text(price.seconds)}, {size_text(price.stored_bytes)} on disk" if known else "")
        if settings.panorama_path:
            column = layout.column(align=True)
            column.prop(settings, "panorama_path", text="360° Picture")
            column.prop(settings, "panorama_height")
            draw_known_length(layout, settings, "lookbeyond.measure_panorama")
        listed = WorldList.draw_list(layout, context)
        if (reason := outdated_reason(scene)) and reason != listed:
            draw_wrapped(layout, context, reason, "ERROR")
        if settings.world_folder:
            draw_view(layout, context)
            draw_spot(layout, context)
            draw_doors(layout, context)
        body = draw_closed(layout, "look_beyond_world_settings", "Seed, Prompt and Room")
        if body is not None:
            column = body.column(align=True)
            column.prop(settings, "seed")
            draw_prompt(column, context)
            column.prop(settings, "unseen")
            column.prop(settings, "room")
            row = body.row(align=True)
            row.operator("lookbeyond.paint_cuts", icon="BRUSH_DATA")
            row.operator("lookbeyond.paint_cuts", text="", icon="X").clear = True
            if settings.world_folder and settings.place:
                draw_wrapped(body, context, settings.place, "HOME")
            body.operator("lookbeyond.use_panorama", text="Use 360° Picture…")


def draw_view(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw how the scene's world is shown, and its stage."""
    node = panorama_node(context.scene.world)
    if node is not None:
        row = layout.row(align=True)
        row.use_property_split = False
        row.prop(node.inputs["Strength"], "default_value", text="Strength")
        row.prop(node.inputs["Heading"], "default_value", text="Turn")
        visible = context.space_data is not None and shows_world(context.space_data.shading)
        layout.operator("lookbeyond.see_world", icon="SHADING_TEXTURE", depress=visible)
    row = layout.row(align=True)
    row.operator("lookbeyond.add_stage", icon="MESH_UVSPHERE")
    row.prop(context.scene.look_beyond, "stage_columns", text="")
    if find_plate(context.scene) is not None:
        icon = "HIDE_OFF" if context.scene.look_beyond.show_plate else "HIDE_ON"
        row.prop(context.scene.look_beyond, "show_plate", text="", icon=icon)
    folder = context.scene.look_beyond.world_folder
    if folder and cards_folder(absolute(folder)) is not None:
        layout.operator("lookbeyond.add_cards", icon="IMAGE_PLANE")
    if bpy.app.version >= (5, 3, 0):
        layout.operator("lookbeyond.add_splats", icon="POINTCLOUD_DATA")


def draw_spot(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what changes a spot of the world."""
    body = draw_closed(layout, "look_beyond_world_spot", "Change a Spot")
    if body is None:
        return
    row = body.row(align=True)
    row.operator("lookbeyond.paint_spot", icon="BRUSH_DATA")
    row.operator("lookbeyond.paint_spot", text="", icon="X").clear = True
    if takes_prompt(session.service, context.scene.look_beyond.preset or "builtin"):
        body.prop(context.scene.look_beyond, "edit_prompt", placeholder="what is to be there")
    row = body.row(align=True)
    row.operator("lookbeyond.remove_spot", icon="TRASH")
    row.operator("lookbeyond.repaint_spot", icon="BRUSHES_ALL")


def draw_prompt(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the prompt; where it would have no effect, the field is disabled and says so."""
    settings = context.scene.look_beyond
    user = "a 360° picture" if settings.panorama_path else settings.preset or "builtin"
    is_used = not settings.panorama_path and takes_prompt(session.service, user)
    row = layout.row()
    row.enabled = is_used
    row.prop(settings, "prompt", placeholder="description of the place" if is_used else "not for this preset")
    if settings.prompt and not is_used:
        draw_wrapped(layout, context, f"The prompt is not used: {user} takes none.", "INFO")


CLASSES = (WorldList, WorldPanel)
