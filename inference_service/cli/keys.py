"""`lookbeyond keys`: who may use the service from elsewhere."""

from pathlib import Path

import click
import zmq

from inference_service.security.clients import allow_client, hex_key, load_allowed_clients, remove_client
from inference_service.security.keys import (
    allowed_clients_file,
    client_keys_file,
    load_or_make_keys,
    server_keys_file,
    write_private_json,
)
from lookbeyond.errors import InputError, LookBeyondError


@click.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Show who may use the service from elsewhere; add and remove clients."""
    if context.invoked_subcommand:
        return
    service, own = load_or_make_keys(server_keys_file()), load_or_make_keys(client_keys_file())
    click.echo(f"This service's public key: {hex_key(service.public)}")
    click.echo(f"This user's public key:    {hex_key(own.public)}")
    click.echo(f"Key files: {server_keys_file()} and {client_keys_file()} (never pass these on)")
    clients = load_allowed_clients(allowed_clients_file())
    for name, public in clients.items():
        click.echo(f"allowed: {name:20} {hex_key(public)}")
    if not clients:
        click.echo("No other client is allowed: the service serves this machine only.")


@keys.command("add")
@click.argument("name")
@click.argument("key")
def add_key(name: str, key: str) -> None:
    """Allow the client NAME with its public KEY (from `lookbeyond keys` there); a running service knows at once."""
    allow_client(allowed_clients_file(), name, key)
    click.echo(f"{name} may use the service.")


@keys.command("make")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def make_key(name: str, file: Path) -> None:
    """Make keys for the client NAME, allow it, and write them to FILE; take that file there over a safe channel.

    For a machine that has only the Blender add-on: its preferences take the file.
    """
    if file.exists():
        raise InputError(f"The file {file} exists already; choose another name.")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    write_private_json(file.absolute(), {"public": public, "secret": secret})
    try:
        allow_client(allowed_clients_file(), name, public)
    except LookBeyondError:
        file.unlink()
        raise
    click.echo(f"{name} may use the service with the keys in {file}; delete the file here once it has arrived there.")


@keys.command("remove")
@click.argument("name")
def remove_key(name: str) -> None:
    """Remove the client NAME (or a key) from the list; a running service cuts it off within a second."""
    remove_client(allowed_clients_file(), name)
    click.echo(f"{name} may no longer use the service.")
