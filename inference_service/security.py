"""Who may speak to the service: CURVE keys in files only their user can read, a list of other clients, and
ZAP at the door.

The socket is encrypted on the loopback too: every process of every user of the machine can connect to it
there, and a plain ZeroMQ socket takes random bytes for messages.
"""

import asyncio
import ipaddress
import json
import os
import re
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import zmq
import zmq.utils.z85
from zmq.auth import Authenticator

from lookbeyond.errors import InputError
from lookbeyond.files import storage_errors

ZAP_DOMAIN = "lookbeyond"
MAX_CLIENTS = 1000
CLIENT_NAME = re.compile(r"[\w .@-]{1,60}")


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


def server_keys_file() -> Path:
    return keys_folder() / "server.json"


def client_keys_file() -> Path:
    return keys_folder() / "client.json"


def allowed_clients_file() -> Path:
    """The list of other clients that are let in: a JSON object, name -> public key (Z85)."""
    return keys_folder() / "allowed_clients.json"


def load_or_make_keys(path: Path) -> KeyPair:
    """The key pair in a 0600 JSON file, made on first use. InputError if others may read the file."""
    make_private_folder(path.parent)
    if not path.exists():
        public, secret = zmq.curve_keypair()
        write_private_json(path, {"public": public.decode(), "secret": secret.decode()})
    _check_private(path, "delete it, and new keys will be made")
    try:
        plain = json.loads(path.read_text())
        keys = KeyPair(plain["public"], plain["secret"])
        if zmq.curve_public(keys.secret.encode()).decode() != keys.public:
            raise ValueError("the keys do not belong together")
        return keys
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zmq.ZMQError) as error:
        raise InputError(f"The key file {path} is damaged; delete it, and new keys will be made.") from error


def _check_private(path: Path, remedy: str) -> None:
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"The key file {path} can be read by others; {remedy}.")


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


# --- public keys, as people pass them on -----------------------------------------------------------------


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
    _check_private(path, f"make it yours with `chmod 600 {path}`")
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


# --- the door --------------------------------------------------------------------------------------------


def check_bind(address: str, allowed_clients: Iterable[str] = ()) -> str:
    """The TCP address to bind; InputError if it is none, or open to the network while nobody is allowed in."""
    try:
        parts = urlsplit(address)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
        if parts.scheme != "tcp" or parts.path or not (parts.port is None or 0 <= parts.port < 65536):
            raise ValueError
        ip = ipaddress.ip_address(host)
    except ValueError as error:
        raise InputError(f"The address {address} cannot be used; give one such as tcp://127.0.0.1:50211.") from error
    if not ip.is_loopback and not any(True for _ in allowed_clients):
        raise InputError(
            f"The address {address} is open to the network and the list of allowed clients is empty; "
            "add the clients with `lookbeyond keys add NAME KEY`, or use tcp://127.0.0.1:PORT and an SSH tunnel."
        )
    return f"tcp://{f'[{ip}]' if ip.version == 6 else ip}:{parts.port or 0}"


class Gate:
    """Lets the user's own client and those of the allow-list in, and nobody else.

    The list is read again when its file changes: call `reload` now and then. The authentication socket is
    served by whoever polls: call `admit` when `socket` can be read.
    """

    def __init__(self, context: zmq.Context, own: str, allowed_clients: Path):
        self._own, self._path = own, allowed_clients
        self._stamp: tuple[int, ...] | None = None
        self._allowed = frozenset({own})
        self.reload()
        self._authenticator = Authenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(ZAP_DOMAIN, self)
        self._loop = asyncio.new_event_loop()  # now: whoever asks later may have taken the last descriptor

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

    def reload(self) -> bool:
        """Read the allow-list again if it changed; whether it did. A damaged list lets nobody else in."""
        try:
            about = self._path.stat()
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        except OSError:
            stamp = ()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._allowed = frozenset({self._own})
        self._allowed |= frozenset(load_allowed_clients(self._path).values())
        return True

    def admit(self) -> None:
        """Answer one request for admission."""
        message = self.socket.recv_multipart()
        self._loop.run_until_complete(self._authenticator.handle_zap_message(message))

    def is_allowed(self, public_key: str) -> bool:
        """Whether the sender of a message (its `User-Id`) may speak."""
        return public_key in self._allowed

    def is_own(self, public_key: str) -> bool:
        """Whether this is the key of the user who runs the service."""
        return public_key == self._own

    def callback(self, domain: str, key: bytes) -> bool:
        """What pyzmq's authenticator asks."""
        return domain == ZAP_DOMAIN and self.is_allowed(key.decode("ascii"))

    def close(self) -> None:
        self._authenticator.stop()
        self._loop.close()
