"""The gate of the service's socket: which addresses may be bound, and whose keys are admitted."""

import asyncio
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import zmq
from zmq.auth import Authenticator

from inference_service.security.clients import load_allowed_clients
from inference_service.security.keys import KeyPair
from lookbeyond.errors import InputError

ZAP_DOMAIN = "lookbeyond"


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
    """Admits the user's own client and those of the allow-list, and nobody else (ZAP).

    The list is read again when its file changes: call `reload` now and then. Whoever polls serves the authentication
    socket: call `admit` when `socket` is readable.
    """

    def __init__(self, context: zmq.Context, own: str, allowed_clients: Path):
        self._own, self._path = own, allowed_clients
        self._stamp: tuple[int, ...] | None = None
        self._allowed = frozenset({own})
        self.reload()
        self._authenticator = Authenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(ZAP_DOMAIN, self)
        self._loop = asyncio.new_event_loop()  # now: later there may be no descriptor left

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
        """Read the allow-list again if it changed; returns whether it did. A damaged list lets nobody else in."""
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
