"""The add-on's preferences: how the service is started, and where it is when it is not on this machine."""

import ipaddress
from urllib.parse import urlsplit

import bpy
from bpy.props import BoolProperty, StringProperty
from lookbeyond_kit.client import Client, ServiceAddress

from .jobs import Connect, JobError


class LookBeyondPreferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    service_command: StringProperty(
        name="Service Command",
        description="The program that runs the models, with arguments; empty: lookbeyond, where pip puts it",
        subtype="FILE_PATH",
    )
    keep_service: BoolProperty(
        name="Keep the Service Running",
        description="Leave the service that Blender started running when Blender quits",
    )
    address: StringProperty(
        name="Address",
        description="A service on another machine, host:port; empty: the one on this machine",
    )
    server_key: StringProperty(name="Public Key", description="The remote service's public key")
    client_keys: StringProperty(
        name="Own Keys",
        description="File with the key pair that the remote service lets in",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "service_command", placeholder="lookbeyond serve")
        layout.prop(self, "keep_service")
        column = layout.column(heading="Remote Service")
        column.prop(self, "address", placeholder="host:port")
        if self.address:
            column.prop(self, "server_key")
            column.prop(self, "client_keys")


def preferences() -> LookBeyondPreferences:
    return bpy.context.preferences.addons[__package__].preferences


def connection() -> Connect:
    """How to reach the service that the preferences say; read here, because the I/O thread must not touch
    bpy.

    Raises `JobError` when the address cannot be used.
    """
    chosen = preferences()
    if not chosen.address.strip():
        return Client
    address = normal_address(chosen.address)
    if reason := offline_reason(address):
        raise JobError(reason)
    if not chosen.server_key.strip() or not chosen.client_keys:
        raise JobError("The remote service needs its public key and your own keys: give both in the preferences.")
    remote = ServiceAddress(address, chosen.server_key.strip(), bpy.path.abspath(chosen.client_keys))
    return lambda: Client(remote)


def normal_address(text: str) -> str:
    """`host:port`, with or without a scheme, as a ZeroMQ endpoint. Raises `JobError`."""
    text = text.strip()
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("", "tcp"):
        raise JobError(f"{text} is not an address: give the remote service as host:port, for example studio:5555.")
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def offline_reason(address: str) -> str:
    """Why this address may not be used now; empty if it may. The loopback is not the internet."""
    host = urlsplit(address).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback or bpy.app.online_access:
        return ""
    return "Online access is off: allow it in Preferences > System, or use the service on this machine."


def service_reason() -> str:
    """Why the service of the preferences cannot be asked now; empty if it can."""
    try:
        connection()
    except JobError as error:
        return str(error)
    return ""


CLASSES = (LookBeyondPreferences,)
