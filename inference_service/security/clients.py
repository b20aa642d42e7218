"""The list of clients that may use the service besides the user's own; public keys in the form people exchange them."""

import json
import re
from pathlib import Path

import zmq
import zmq.utils.z85

from inference_service.security.keys import check_private, make_private_folder, write_private_json
from lookbeyond.errors import InputError

MAX_CLIENTS = 1000
CLIENT_NAME = re.compile(r"[\w .@-]{1,60}")


def hex_key(public: str) -> str:
    """A public key (Z85) in hex, which no shell and no chat program spoils."""
    return zmq.utils.z85.decode(public).hex()


def parse_key(text: str) -> str:
    """The public key (Z85) that a person gave in hex or in Z85. InputError for anything else."""
    text = text.strip()
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", text):
            return zmq.utils.z85.encode(bytes.fromhex(text)).decode("ascii")
        if len(text) == 40 and len(zmq.utils.z85.decode(text.encode("ascii"))) == 32:
            return text
    except (ValueError, KeyError, zmq.ZMQError):
        pass
    raise InputError(
        f"{text[:70]!r} is not a public key; give the 64 hexadecimal digits that `lookbeyond keys` shows on the client."
    )


def load_allowed_clients(path: Path) -> dict[str, str]:
    """The clients in an allow-list: name -> public key (Z85); none if there is no such file.

    InputError if it is damaged or others may write or read it.
    """
    if not path.exists():
        return {}
    check_private(path, f"make it yours with `chmod 600 {path}`")
    try:
        plain = json.loads(path.read_text())
        if not isinstance(plain, dict) or len(plain) > MAX_CLIENTS:
            raise ValueError
        return {str(name): parse_key(key) for name, key in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise InputError(
            f"The list of clients {path} is damaged; delete it and add the clients again with `lookbeyond keys add`."
        ) from error


def allow_client(path: Path, name: str, public: str) -> None:
    """Add a client to an allow-list. InputError if the name is taken by another key or cannot be one."""
    if not CLIENT_NAME.fullmatch(name):
        raise InputError(f"{name[:70]!r} cannot name a client; use up to 60 letters, digits, spaces and . - _ @.")
    clients = load_allowed_clients(path)
    public = parse_key(public)
    if clients.get(name, public) != public:
        raise InputError(f"The client {name} has another key already; remove it first, or choose another name.")
    if len(clients) >= MAX_CLIENTS:
        raise InputError(f"The list holds {MAX_CLIENTS} clients already; remove some of them first.")
    make_private_folder(path.parent)
    write_private_json(path, clients | {name: public})


def remove_client(path: Path, name: str) -> None:
    """Take a client off an allow-list, by name or key. InputError if it is not there."""
    clients = load_allowed_clients(path)
    doomed = [known for known, key in clients.items() if name in (known, key, hex_key(key))]
    if not doomed:
        known = ", ".join(clients) or "nobody"
        raise InputError(f"There is no client {name[:70]} on the list; it holds {known}.")
    write_private_json(path, {known: key for known, key in clients.items() if known not in doomed})
