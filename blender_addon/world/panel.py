"""Panel of the step World."""

import bpy

from .. import icons
from ..listed import shortened
from ..panel_bases import StepPanel, draw_wrapped
from ..photo.panel import draw_known_length
from ..results import absolute
from ..service import price_watch
from ..service.presets import takes_prompt
from ..service.prices import size_text, time_text
from ..session import session
from .nodes import panorama_node, shows_world
from .outdated import outdated_reason
from .variants import out_of_date


class WorldList(bpy.types.UIList):
    """The scene's worlds: thumbnail, name, whether one is out of date, which one the scene uses."""

    bl_idname = "LOOKBEYOND_UL_worlds"

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0):
        scene = context.scene
        layout.prop(item, "name", text="", emboss=False, icon_value=thumbnail(item))
        if out_of_date(scene, item):
            layout.label(text="", icon="ERROR")
        used = absolute(item.folder) == absolute(scene.look_beyond.world_folder)
        layout.operator(
            "lookbeyond.use_world", text="", icon="RADIOBUT_ON" if used else "RADIOBUT_OFF", emboss=False
        ).index = index


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
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "panorama_width", text="Resolution")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("lookbeyond.build_world", icon="WORLD")
        if settings.worlds and not settings.panorama_path:
            row.operator("lookbeyond.reroll_world", text="", icon="FILE_REFRESH")
        price = price_watch.world_price(scene)  # its line is there before it is known: nothing below jumps
        known = price is not None and price.seconds is not None
        layout.label(text=f"{time_text(price.seconds)}, {size_text(price.stored_bytes)} on disk" if known else "")
        if settings.panorama_path:
            column = layout.column(align=True)
            column.prop(settings, "panorama_path", text="360° Picture")
            column.prop(settings, "panorama_height")
            draw_known_length(layout, settings, "lookbeyond.measure_panorama")
        draw_worlds(layout, context)
        if reason := outdated_reason(scene):
            draw_wrapped(layout, context, reason, "ERROR")
        if settings.world_folder:
            draw_view(layout, context)
        heading, body = layout.panel("look_beyond_world_settings", default_closed=True)
        heading.label(text="Seed, Prompt and Room")
        if body is not None:
            column = body.column(align=True)
            column.prop(settings, "seed")
            draw_prompt(column, context)
            column.prop(settings, "unseen")
            column.prop(settings, "room")
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
    if bpy.app.version >= (5, 3, 0):
        layout.operator("lookbeyond.add_splats", icon="POINTCLOUD_DATA")


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


def draw_worlds(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the list of the scene's worlds, and the chosen one large."""
    settings = context.scene.look_beyond
    row = layout.row()
    row.template_list(
        WorldList.bl_idname, "", settings, "worlds", settings, "world_index", rows=5 if settings.worlds else 2
    )
    column = row.column(align=True)
    column.operator("lookbeyond.load_world", text="", icon="IMPORT")
    if settings.world_index >= len(settings.worlds):
        return
    world = settings.worlds[settings.world_index]
    column.operator("lookbeyond.rebuild_world", text="", icon="FILE_REFRESH")
    column.operator("lookbeyond.open_folder", text="", icon="FILE_FOLDER").folder = world.folder
    column.operator("lookbeyond.forget_world", text="", icon="REMOVE").index = settings.world_index
    column.operator("lookbeyond.delete_world", text="", icon="TRASH")
    row = layout.split(factor=0.4)
    if icon := thumbnail(world):
        row.template_icon(icon, scale=4.5)
    column = row.column(align=True)
    column.label(text=f"Seed {world.seed}")
    column.label(text=world.made)
    if reason := out_of_date(context.scene, world):
        draw_wrapped(layout, context, reason, "ERROR")


def thumbnail(world: bpy.types.PropertyGroup) -> int:
    """The number of a world's icon; 0 if its files are gone."""
    return icons.thumbnails.icon(absolute(world.folder) / "panorama.png")


CLASSES = (WorldList, WorldPanel)
