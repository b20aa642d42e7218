"""Panel of the service."""

from collections.abc import Mapping
from typing import Any

import bpy

from ..panel_bases import STATUS_PANEL, SidebarPanel
from ..session import session
from ..tasks import UNREACHABLE
from . import preferences
from .presets import fetch_command, preset_status
from .program import INSTALL_COMMAND, find_program


class ServicePanel(SidebarPanel, bpy.types.Panel):
    bl_idname = "LOOKBEYOND_PT_service"
    bl_parent_id = STATUS_PANEL
    bl_label = "Service"

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
        layout.operator("lookbeyond.check_service", text="Test Connection")
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


def draw_connect(layout: bpy.types.UILayout) -> None:
    """Draw how to get a service, while none is connected."""
    chosen = preferences.addon_preferences()
    if chosen.address.strip():
        layout.operator("lookbeyond.check_service", text="Connect", icon="UNLINKED")
        return
    if preferences.starts_itself() and session.error_code not in UNREACHABLE and find_program() is not None:
        return
    if not chosen.service_command.strip() and find_program() is None:
        row = layout.row(align=True)
        row.label(text=INSTALL_COMMAND, icon="CONSOLE")
        row.operator("lookbeyond.copy_command", text="", icon="COPYDOWN").command = INSTALL_COMMAND
    layout.operator("lookbeyond.start_service", icon="PLAY")


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
