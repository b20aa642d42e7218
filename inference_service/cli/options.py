"""Options that several commands share, and the connection that they describe."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from inference_service.client import Client, ServiceAddress
from inference_service.security.clients import parse_key
from inference_service.security.keys import client_keys_file, load_or_make_keys
from inference_service.store.housekeeping import DAY_S, MAX_AGE_S, QUOTA_BYTES
from lookbeyond.errors import InputError

FOLDER = click.Path(path_type=Path, file_okay=True)

seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same images.")
preset = click.option("--preset", default="builtin", show_default=True, help="Which models and settings.")
out = click.option("--out", type=FOLDER, required=True, help="Folder for the result; new, or an earlier result.")
store = click.option("--store", type=FOLDER, help="Where finished work is kept.  [default: the user's cache]")
quota = click.option(
    "--quota-gb", type=click.FloatRange(0), default=QUOTA_BYTES / 2**30, show_default=True, help="Size of the store."
)
max_age = click.option(
    "--max-age-days",
    type=click.FloatRange(0),
    default=MAX_AGE_S / DAY_S,
    show_default=True,
    help="What has not been used for so long is removed.",
)


def service(function: Callable) -> Callable:
    """The options of a command that speaks to a service: what `connect` takes."""
    function = click.option("--server-key", help="The public key of the service at --address.")(function)
    return click.option("--address", help="A service elsewhere, host:port.  [default: this machine's]")(function)


def client(function: Callable) -> Callable:
    """The same options; the command gets a connected `client` for them."""

    @functools.wraps(function)
    def run(address: str | None, server_key: str | None, **arguments: Any) -> None:
        with connect(address, server_key) as connected:
            function(connected, **arguments)

    return service(run)


def connect(address: str | None, server_key: str | None) -> Client:
    """A client of this machine's service, or of the one elsewhere."""
    if bool(address) != bool(server_key):
        raise InputError("A service elsewhere needs --address and --server-key; give both or neither.")
    if not address or not server_key:
        return Client()
    load_or_make_keys(client_keys_file())
    endpoint = address if address.startswith("tcp://") else f"tcp://{address}"
    return Client(ServiceAddress(endpoint, parse_key(server_key), str(client_keys_file())))
