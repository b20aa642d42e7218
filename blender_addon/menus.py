"""Entries in Blender's menus and status bar, and keyboard shortcuts."""

import bpy

from .status.panel import draw_status_bar


def draw_import(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator("lookbeyond.place_photo", text="Photo as Camera (Look Beyond)")
    self.layout.operator("lookbeyond.use_panorama", text="360° Picture as World (Look Beyond)")
    self.layout.operator("lookbeyond.import_camera_move", text="Camera Move (Look Beyond)")


def draw_export(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.menu("LOOKBEYOND_MT_export")


def draw_add(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator_menu_enum(
        "lookbeyond.add_path", "kind", text="Camera Path (Look Beyond)", icon="CURVE_BEZCURVE"
    )


MENUS = (
    (bpy.types.STATUSBAR_HT_header, draw_status_bar),
    (bpy.types.TOPBAR_MT_file_import, draw_import),
    (bpy.types.TOPBAR_MT_file_export, draw_export),
    (bpy.types.VIEW3D_MT_camera_add, draw_add),
)
keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def register() -> None:
    for menu, draw in MENUS:
        menu.append(draw)
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is not None:  # there is none without a window
        keymap = configuration.keymaps.new(name="3D View", space_type="VIEW_3D")
        for operator, key in (("lookbeyond.shoot", "F12"), ("lookbeyond.preview_draft", "F11")):
            keys.append((keymap, keymap.keymap_items.new(operator, key, "PRESS", ctrl=True, alt=True)))


def unregister() -> None:
    for keymap, item in keys:
        keymap.keymap_items.remove(item)
    keys.clear()
    for menu, draw in MENUS:
        menu.remove(draw)
