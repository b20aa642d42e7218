"""Panel of the step World."""

import bpy

from .. import icons
from ..panel_bases import STATUS_PANEL, SidebarPanel, draw_wrapped
from ..photo.panel import draw_known_length
from ..results import absolute
from ..service import price_watch
from ..service.presets import takes_prompt
from ..service.prices import size_text, time_text
from ..session import session
from .nodes import panorama_node, shows_world


class WorldPanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_world"
    bl_parent_id = STATUS_PANEL
    bl_label = "2  World"

    def draw(self, context):
        scene = context.scene
        settings = scene.look_beyond
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(settings, "panorama_width", text="Resolution")
        column.prop(settings, "seed")
        draw_prompt(column, context)
        column.prop(settings, "unseen")
        column.prop(settings, "room")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("lookbeyond.build_world", icon="WORLD")
        if settings.worlds and not settings.panorama_path:
            row.operator("lookbeyond.reroll_world", text="", icon="FILE_REFRESH")
        if (price := price_watch.world_price(scene)) is not None and price.seconds is not None:
            layout.label(text=f"{time_text(price.seconds)}, {size_text(price.stored_bytes)} on disk")
        if settings.panorama_path:
            column = layout.column(align=True)
            column.prop(settings, "panorama_path", text="360° Picture")
            column.prop(settings, "panorama_height")
            draw_known_length(layout, settings, "lookbeyond.measure_panorama")
        else:
            layout.operator("lookbeyond.use_panorama", text="Use 360° Picture…")
        if settings.worlds:
            draw_variants(layout, settings)
        node = panorama_node(scene.world)
        if node is not None:
            column = layout.column(align=True)
            column.prop(node.inputs["Strength"], "default_value", text="Strength")
            column.prop(node.inputs["Heading"], "default_value", text="Rotation")
            visible = context.space_data is not None and shows_world(context.space_data.shading)
            layout.operator("lookbeyond.see_world", icon="SHADING_TEXTURE", depress=visible)
        if settings.world_folder and settings.place:
            draw_wrapped(layout, context, settings.place, "HOME")
        if settings.world_folder:
            row = layout.row(align=True)
            row.operator("lookbeyond.add_stage", icon="MESH_UVSPHERE")
            row.prop(settings, "stage_columns", text="")


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


def draw_variants(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """Draw the worlds of the scene as thumbnails to switch between."""
    grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
    for number, world in enumerate(settings.worlds):
        cell = grid.column(align=True)
        icon = icons.thumbnails.icon(absolute(world.folder) / "panorama.png")
        if icon:
            cell.template_icon(icon, scale=3.5)
        row = cell.row(align=True)
        current = world.folder == settings.world_folder
        row.operator("lookbeyond.use_world", text=f"Seed {world.seed}", depress=current).index = number
        row.operator("lookbeyond.forget_world", text="", icon="X").index = number


CLASSES = (WorldPanel,)
