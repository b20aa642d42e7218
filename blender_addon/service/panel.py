"""Panel of the service."""

from collections.abc import Callable, Mapping
from typing import Any

import bpy

from ..panel_bases import SidebarPanel
from ..session import session
from ..tasks import UNREACHABLE
from . import preferences
from .presets import fetch_command, preset_status
from .program import INSTALL_COMMAND, find_program


class ServicePanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_service"
    bl_label = "Service"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        settings = context.scene.look_beyond
        layout = self.layout
        service = session.service
        if service is None:
            layout.label(text="Not connected", icon="UNLINKED")
        else:
            layout.label(text=f"Service {service.service}", icon="LINKED")
            for device in service.devices:
                for line in device_lines(device):
                    layout.label(text=line, icon="BLANK1")
            row = layout.row(align=True)
            row.operator("lookbeyond.stop_service", icon="PAUSE", text="Stop")
            row.operator("lookbeyond.release_memory")
        row = layout.row(align=True)
        row.operator("lookbeyond.check_service", text="Test")
        row.operator("lookbeyond.show_preferences", text="Preferences")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "preset")
        draw_preset_status(layout, preset_status(service, settings.preset), settings.preset)


def device_lines(device: Mapping[str, Any]) -> list[str]:
    """A device of the service in words: its name and memory, and what is loaded on it."""
    memory = f", {device['memory_gb']:g} GB" if device.get("memory_gb") else ""
    lines = [f"{device.get('title') or device.get('name', '')}{memory}"]
    if device.get("loaded"):
        used = device.get("device_gb", device.get("resident_gb"))
        lines.append(f"{device['loaded']} is loaded" + (f", {used:.1f} GB in use" if used else ""))
    return lines


def connect_rows() -> list[Callable[[bpy.types.UILayout], object]]:
    """What gets a service, while none is connected, row by row; nothing where it starts by itself."""
    chosen = preferences.addon_preferences()
    if chosen.address.strip():
        return [lambda row: row.operator("lookbeyond.check_service", text="Connect", icon="UNLINKED")]
    is_there = bool(chosen.service_command.strip()) or find_program() is not None
    if preferences.starts_itself() and session.error_code not in UNREACHABLE and is_there:
        return []
    start = [lambda row: row.operator("lookbeyond.start_service", icon="PLAY")]
    return start if is_there else [draw_install, *start]


def draw_install(row: bpy.types.UILayout) -> None:
    """Draw the command that installs the service."""
    row.label(text="Install the service's wheel", icon="CONSOLE")
    row.operator("lookbeyond.copy_command", text="", icon="COPYDOWN").command = INSTALL_COMMAND


def draw_preset_status(layout: bpy.types.UILayout, status: str, preset: str) -> None:
    """Draw whether the preset can run, and what to do if it cannot."""
    if not status:
        return
    fits = status.startswith("fits")
    layout.label(text=f"{status[0].upper()}{status[1:]}", icon="CHECKMARK" if fits else "ERROR")
    if status == "not downloaded":
        row = layout.row(align=True)
        row.label(text=fetch_command(preset), icon="CONSOLE")
        row.operator("lookbeyond.copy_command", text="", icon="COPYDOWN").command = fetch_command(preset)


CLASSES = (ServicePanel,)
