"""The keys of the add-on are free: neither Blender nor Linux takes them first."""

import importlib
import sys
from pathlib import Path

import bpy


def test_the_shortcuts_are_keys_that_blender_leaves_free(part):
    presets = Path(bpy.utils.resource_path("LOCAL")) / "scripts" / "presets" / "keyconfig"
    sys.path.insert(0, str(presets))
    try:
        default = importlib.import_module("keymap_data.blender_default")
    finally:
        sys.path.remove(str(presets))
    used = set()
    for _, _, content in default.generate_keymaps(default.Params()):
        for _, event, _ in content["items"]:
            used.add((event["type"], *(bool(event.get(name)) for name in ("ctrl", "alt", "shift"))))
    assert ("F12", True, False, False) in used
    for _, key in part("menus").SHORTCUTS:
        assert (key, True, False, True) not in used


def test_the_keys_are_pressed_with_ctrl_and_shift(part):
    """Ctrl+Alt+F11 and F12 switch Linux to another console: Blender never hears of them."""
    made = []

    class Items:
        def new(self, operator, key, value, **modifiers):
            made.append((operator, key, modifiers))

    keymap = type("Keymap", (), {"keymap_items": Items()})()
    keymaps = type("Keymaps", (), {"new": lambda self, **options: keymap})()
    addon = type("Configuration", (), {"keymaps": keymaps})()
    part("menus").add_shortcuts(addon)
    part("menus").keys.clear()
    assert len(made) == 2 and all(modifiers == {"ctrl": True, "shift": True} for *_, modifiers in made)
    assert all(hasattr(bpy.types, operator.replace("lookbeyond.", "LOOKBEYOND_OT_")) for operator, *_ in made)
