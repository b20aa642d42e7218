"""Who may speak to the service: CURVE keys in files only their user can read, and ZAP at the door.

The socket is encrypted on the loopback too: every process of every user of the machine can connect to it
there, and a plain ZeroMQ socket takes random bytes for messages.
"""

import asyncio
import ipaddress
import json
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import zmq
from zmq.auth import Authenticator

from lookbeyond.errors import InputError
from lookbeyond.files import storage_errors

ZAP_DOMAIN = "lookbeyond"


@dataclass(frozen=True)
class KeyPair:
    """CURVE keys, Z85. Never printed: the secret stays out of `repr`."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


def keys_folder() -> Path:
    """Where the keys of the service and of this user's clients lie."""
    if chosen := os.environ.get("LOOKBEYOND_RUNTIME_DIR"):
        return Path(chosen) / "keys"
    return platformdirs.user_config_path("lookbeyond") / "keys"


def load_or_make_keys(path: Path) -> KeyPair:
    """The key pair in a 0600 JSON file, made on first use. InputError if others may read the file."""
    make_private_folder(path.parent)
    if not path.exists():
        public, secret = zmq.curve_keypair()
        write_private_json(path, {"public": public.decode(), "secret": secret.decode()})
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"The key file {path} can be read by others; delete it, and new keys will be made.")
    try:
        plain = json.loads(path.read_text())
        keys = KeyPair(plain["public"], plain["secret"])
        if zmq.curve_public(keys.secret.encode()).decode() != keys.public:
            raise ValueError("the keys do not belong together")
        return keys
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zmq.ZMQError) as error:
        raise InputError(f"The key file {path} is damaged; delete it, and new keys will be made.") from error


def make_private_folder(path: Path) -> None:
    """Make a folder (0700) unless it is there; InputError if it belongs to somebody else."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            if path.stat().st_uid != os.getuid():
                raise InputError(f"The folder {path} belongs to another user; remove it or use another one.")
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o700)


def write_private_json(path: Path, value: dict) -> None:
    """Write a JSON file whole that only its user may read (0600)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with storage_errors(path):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file)
        os.replace(temporary, path)


def check_bind(address: str) -> str:
    """The address, if it is a TCP one of the loopback; InputError otherwise."""
    try:
        parts = urlsplit(address)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
        if parts.scheme != "tcp" or parts.path or not (parts.port is None or 0 <= parts.port < 65536):
            raise ValueError
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise InputError(f"The address {address} cannot be used; give one such as tcp://127.0.0.1:50211.") from error
    if not loopback:
        raise InputError(
            f"The address {address} is open to the network, and this version has no list of allowed clients; "
            "use tcp://127.0.0.1:PORT, and an SSH tunnel from another machine."
        )
    return f"tcp://{host}:{parts.port or 0}"


class Gate:
    """Lets the clients with the given public keys in, and nobody else.

    The authentication socket is served by whoever polls: call `admit` when `socket` can be read.
    """

    def __init__(self, context: zmq.Context, allowed: Iterable[str]):
        self._allowed = frozenset(allowed)
        self._authenticator = Authenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(ZAP_DOMAIN, self)

    @property
    def socket(self) -> zmq.Socket:
        return self._authenticator.zap_socket

    def guard(self, socket: zmq.Socket, keys: KeyPair) -> None:
        """Make a socket, before it is bound, a CURVE server behind this gate."""
        socket.curve_server = True
        socket.curve_secretkey = keys.secret.encode()
        socket.curve_publickey = keys.public.encode()
        socket.zap_domain = ZAP_DOMAIN.encode()
        # without it, a socket whose authenticator does not run lets everybody in
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def admit(self) -> None:
        """Answer one request for admission."""
        message = self.socket.recv_multipart()
        asyncio.run(self._authenticator.handle_zap_message(message))

    def is_allowed(self, public_key: str) -> bool:
        """Whether the sender of a message (its `User-Id`) may speak."""
        return public_key in self._allowed

    def callback(self, domain: str, key: bytes) -> bool:
        """What pyzmq's authenticator asks."""
        return domain == ZAP_DOMAIN and self.is_allowed(key.decode("ascii"))

    def close(self) -> None:
        self._authenticator.stop()
