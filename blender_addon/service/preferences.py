"""The add-on's preferences: how the service is started, and the address of a remote one."""

import ipaddress
from dataclasses import replace
from urllib.parse import urlsplit

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import __package__ as base_package
from ..kit import Client, ServiceAddress
from ..session import session
from ..tasks import JobError, Task
from .jobs import Connect
from .lifecycle import started_first
from .program import service_command


class LookBeyondPreferences(bpy.types.AddonPreferences):
    bl_idname = str(base_package)

    service_command: StringProperty(
        name="Service Command",
        description="Command that starts the service; empty: the installed program lookbeyond",
        subtype="FILE_PATH",
    )
    start_service: BoolProperty(
        name="Start the Service When Needed",
        description="Start the service on this machine when a photo is placed or a job is sent",
        default=True,
    )
    warm_service: BoolProperty(
        name="Load Models at the Start",
        description="Let a service that Blender starts load its models at once, so that the first world is not slower"
        " than the second. Occupies their memory until they have been idle for ten minutes",
        default=True,
    )
    keep_service: BoolProperty(
        name="Keep the Service Running",
        description="Keep a service that Blender started running after Blender quits",
    )
    address: StringProperty(
        name="Address",
        description="Address of a remote service as host:port; empty: the service on this machine",
    )
    server_key: StringProperty(name="Public Key", description="Public key of the remote service")
    client_keys: StringProperty(
        name="Own Keys",
        description="File with a key pair that the remote service accepts",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "service_command", placeholder="lookbeyond serve")
        layout.prop(self, "start_service")
        layout.prop(self, "warm_service")
        layout.prop(self, "keep_service")
        column = layout.column(heading="Remote Service")
        column.prop(self, "address", placeholder="host:port")
        if self.address:
            column.prop(self, "server_key")
            column.prop(self, "client_keys")
        draw_test(layout)


def draw_test(layout: bpy.types.UILayout) -> None:
    """Draw the button that tests the service, and what came of it: the tab need not be open."""
    row = layout.row()
    row.operator("lookbeyond.check_service", icon="LINKED" if session.service is not None else "UNLINKED")
    reason, column = unavailable_reason(), layout.column(align=True)
    if session.task is not None:
        column.label(text=f"{session.task.title}: {session.task.message}", icon="SORTTIME")
    elif reason or session.error:
        column.alert = True
        column.label(text=reason or session.error, icon="ERROR")
    elif session.service is not None:
        devices = ", ".join(str(device.get("title") or device.get("name", "")) for device in session.service.devices)
        column.label(text=f"Service {session.service.service} answers, with {devices}.", icon="CHECKMARK")


def addon_preferences() -> LookBeyondPreferences:
    """The add-on's preferences."""
    return bpy.context.preferences.addons[str(base_package)].preferences


def connection() -> Connect:
    """A function that connects to the service of the preferences, to be called in the I/O thread.

    Raises `JobError` if the address cannot be used.
    """
    chosen = addon_preferences()
    if not chosen.address.strip():
        return Client
    address = normal_address(chosen.address)
    if reason := offline_reason(address):
        raise JobError(reason)
    if not chosen.server_key.strip() or not chosen.client_keys:
        raise JobError("The remote service needs its public key and your own keys: enter both in the preferences.")
    remote = ServiceAddress(address, chosen.server_key.strip(), bpy.path.abspath(chosen.client_keys))
    return lambda: Client(remote)


def launch_command() -> list[str]:
    """The command that starts the service on this machine. Raises `JobError`."""
    chosen = addon_preferences()
    command = service_command(chosen.service_command)
    decided = any(word in ("--warm", "--no-warm") or word.startswith("--warm=") for word in command)
    return command if chosen.warm_service or decided else [*command, "--no-warm"]


def starts_itself() -> bool:
    """Whether the service of the preferences is started when it is needed."""
    chosen = addon_preferences()
    return chosen.start_service and not chosen.address.strip()


def with_service(task: Task) -> Task:
    """A task that starts the service first, if it does not run and the preferences allow it."""
    if not starts_itself():
        return task
    return replace(task, steps=started_first(connection(), launch_command, task.steps))


def normal_address(text: str) -> str:
    """`host:port`, with or without a scheme, as a ZeroMQ endpoint. Raises `JobError`."""
    text = text.strip()
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("", "tcp"):
        raise JobError(f"{text} is not an address: enter the remote service as host:port, for example studio:5555.")
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def offline_reason(address: str) -> str:
    """Why this address may not be used now; empty if it may. Loopback addresses always may."""
    host = urlsplit(address).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback or bpy.app.online_access:
        return ""
    return "Online access is off: allow it in Preferences > System, or use the service on this machine."


def unavailable_reason() -> str:
    """Why the service of the preferences cannot be used now; empty if it can."""
    try:
        connection()
    except JobError as error:
        return str(error)
    return ""


CLASSES = (LookBeyondPreferences,)
