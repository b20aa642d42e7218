"""A client's connection: an encrypted socket, questions and their answers, hints, and what went wrong.

Used from one thread. Nothing here waits forever: every question has a time-out, and every failure is a
`ServiceError` whose text is a sentence for the user.
"""

import collections
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
import zmq.utils.monitor
import zmq.utils.z85

from . import codec, messages
from .address import ServiceAddress, find_service
from .errors import ProtocolError, ServiceError, StrangerError

LISTEN_S = 0.5
"""How long a wait lasts before the caller gets its turn."""
HANDSHAKE_S = 1.5
"""How long the other side may take over the handshake; ours answers in milliseconds."""
RECONNECT_MS = 200
LEAVE_MS = 100
"""How long a farewell may take to leave; usually it is gone in a millisecond."""
DESCRIPTORS = 16
"""A connection takes eight file descriptors on Linux, up to twice as many elsewhere."""
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_STRANGE = (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)

Payload = bytes | memoryview
Hints = dict[type, tuple[Any, Payload]]
"""The newest hint of each type and its payload."""


class Connection:
    """An open connection to a service (`find_service()` if none is given), until `close`."""

    welcome: messages.Welcome
    """How the service introduced itself."""
    service: ServiceAddress

    def __init__(self, service: ServiceAddress | None, timeout_s: float, previews: bool):
        self._timeout_s = timeout_s
        self._features = ("previews",) if previews else ()
        self._connected_at, self._welcomed = 0.0, False
        self._subscribed: set[str] = set()
        self._context: zmq.Context | None = None
        self._socket: zmq.Socket | None = None
        self._monitor: zmq.Socket | None = None
        self._poller = zmq.Poller()
        self._next_id = 1
        self._replies: dict[int, tuple[object, Payload]] = {}
        self._awaited: set[int] = set()
        self._hints: dict[str, Hints] = collections.defaultdict(dict)
        """By job: older hints of the same type are of no use to anybody."""
        try:
            self.connect(service)
        except BaseException:
            self.close()
            raise

    def connect(self, service: ServiceAddress | None) -> None:
        """Connect to `service` (or to the one that can be found), in place of the connection so far."""
        _check_descriptors()
        self.service = service = service or find_service()
        self._disconnect()
        public, secret = _read_keys(service)
        try:
            self._context = self._context or zmq.Context()
            self._socket = self._context.socket(zmq.DEALER)
            self._socket.linger = 0
            self._socket.rcvhwm = 1000
            self._socket.maxmsgsize = codec.MAX_FRAME_BYTES
            self._socket.reconnect_ivl = RECONNECT_MS
            self._socket.handshake_ivl = int(1000 * HANDSHAKE_S)
            self._socket.curve_publickey = public
            self._socket.curve_secretkey = secret
            self._socket.curve_serverkey = _z85_key(service.server_key)
            self._monitor = self._socket.get_monitor_socket(_EVENTS)
            self._poller = zmq.Poller()
            self._poller.register(self._socket, zmq.POLLIN)
            self._poller.register(self._monitor, zmq.POLLIN)
            self._socket.connect(service.address)
        except (zmq.ZMQError, ValueError) as error:
            raise ServiceError(
                "not_running", f"The address {service.address} cannot be used ({error}); start the service again."
            ) from error
        self._connected_at, self._welcomed = 0.0, False
        self.say_hello()

    def say_hello(self) -> None:
        """Introduce this client, and ask again for the hints it wants."""
        self.welcome = self.ask(messages.Hello((codec.VERSION,), self._features))
        self._welcomed = True
        for job in self._subscribed:
            with contextlib.suppress(ServiceError):  # a job it forgot: asking for its status will tell
                self.ask(messages.Events(job))

    def close(self) -> None:
        """Close the connection; jobs go on without it."""
        if self._socket is not None and self._welcomed:
            with contextlib.suppress(zmq.ZMQError):  # spares the service finding out by itself
                self._socket.send_multipart(codec.encode(messages.Leave()), zmq.NOBLOCK)
        self._disconnect(linger_ms=LEAVE_MS)
        if self._context is not None:
            self._context.destroy(linger=0)

    def _disconnect(self, linger_ms: int = 0) -> None:
        if self._monitor is not None and self._socket is not None:
            with contextlib.suppress(zmq.Again):  # a monitor with unread events blocks when it is to end
                while True:
                    self._monitor.recv_multipart(zmq.NOBLOCK)
            self._socket.disable_monitor()
            self._monitor.close(0)
        if self._socket is not None:
            self._socket.close(linger_ms)
        self._socket = self._monitor = None
        self._replies.clear()
        self._awaited.clear()

    # questions and answers

    def ask(self, message: object, payload: bytes = b"") -> Any:
        """Send a message; its answer. ServiceError if that is an error or does not come."""
        try:
            return self.answer(self.send(message, payload))[0]
        except ServiceError as error:
            if error.code != "hello" or isinstance(message, messages.Hello):
                raise
        self.say_hello()  # we were silent for so long that we were forgotten
        return self.answer(self.send(message, payload))[0]

    def send(self, message: object, payload: bytes = b"") -> int:
        """Send a message without waiting for its answer; its id, for `answer` or `wait`."""
        if self._socket is None:
            raise _closed()
        id, self._next_id = self._next_id, self._next_id + 1
        try:
            frames = codec.encode(message, id, payload)
        except (ValueError, TypeError) as error:
            raise ServiceError(
                "input", f"The request holds a number that is not finite ({error}); check the cameras."
            ) from error
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                self._socket.send_multipart(frames, zmq.NOBLOCK)
                break
            except zmq.Again:  # the queue is full, or a connection that failed at once took it away
                self._wait_for_room(deadline - time.monotonic())
        self._awaited.add(id)
        return id

    def _wait_for_room(self, timeout_s: float) -> None:
        """Wait until something can be sent, or the connection says why nothing can be."""
        assert self._monitor is not None
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLOUT)
        poller.register(self._monitor, zmq.POLLIN)
        ready = dict(poller.poll(1000 * timeout_s)) if timeout_s > 0 else {}
        if self._monitor in ready:
            self._check_connection()
        elif not ready:
            raise _no_answer(self.service)

    def answer(self, id: int) -> tuple[Any, Payload]:
        """The answer to a message, and its payload. ServiceError if it is an error or does not come."""
        for _ in self.wait(id):
            pass
        self._awaited.discard(id)
        message, payload = self._replies.pop(id)
        if isinstance(message, messages.Error):
            raise ServiceError(message.code, message.message)
        return message, payload

    def wait(self, id: int) -> Iterator[None]:
        """Wait for the answer to a message; yields at once, then twice a second. ServiceError if it does not come."""
        yield
        silent_s = 0.0  # the caller's own time, at each yield, is not the service's
        if id not in self._replies and self._socket is not None:
            self._receive()  # what is there already needs no polling
        while id not in self._replies:
            if silent_s >= self._timeout_s:
                self._awaited.discard(id)
                raise _no_answer(self.service)
            begun, replies = time.monotonic(), len(self._replies)
            self.listen(min(LISTEN_S, self._timeout_s - silent_s), until_reply=id)
            # a hint does not show that this answer is still to come
            silent_s = 0.0 if len(self._replies) > replies else silent_s + time.monotonic() - begun
            yield

    def forget(self, ids: collections.deque[int]) -> None:
        """Nobody wants the answers to these messages any more."""
        self._awaited.difference_update(ids)
        for id in ids:
            self._replies.pop(id, None)

    # hints

    def subscribe(self, job: str) -> None:
        """Ask for hints about a job, on this connection and on those that replace it."""
        self.ask(messages.Events(job))
        self._subscribed.add(job)

    def take_hints(self, job: str) -> Hints:
        """The hints about a job that have come since the last call."""
        return self._hints.pop(job, {})

    def wait_for_hint(self, job: str) -> None:
        """Return when a hint about a job is there, or after half a second."""
        if not self._hints.get(job):  # some may have come meanwhile
            self.listen(LISTEN_S, until_hint_of=job)

    def listen(self, timeout_s: float, until_reply: int | None = None, until_hint_of: str = "") -> None:
        """Take in what arrives until what is wanted is there, or the time is over."""
        if self._socket is None or self._monitor is None:
            raise _closed()
        deadline = time.monotonic() + timeout_s
        heard = False
        while (remaining := deadline - time.monotonic()) > 0:
            ready = dict(self._poller.poll(max(1, int(1000 * remaining))))
            if self._socket in ready:
                heard = self._receive() or heard
            elif self._monitor in ready:
                self._check_connection()
            if until_reply in self._replies or self._hints.get(until_hint_of) or (heard and until_reply):
                return

    def _receive(self) -> bool:
        assert self._socket is not None
        heard = False
        for _ in range(64):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            heard = True
            try:
                message, id, payload = codec.decode([frame.buffer for frame in frames])
            except ProtocolError as error:
                if error.code == "version":
                    raise ServiceError("version", str(error)) from error
                continue
            if id:
                if id in self._awaited:
                    self._replies[id] = message, payload
            elif isinstance(message, messages.Error):
                raise ServiceError(message.code, message.message)
            elif job := getattr(message, "job", ""):
                self._hints[job][type(message)] = message, payload
        return heard

    # what can go wrong

    def _check_connection(self) -> None:
        """Raise at once what the socket reports of its connection where waiting is useless."""
        assert self._monitor is not None
        while self._monitor.poll(0):
            event = zmq.utils.monitor.recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise ServiceError(
                    "wrong_key",
                    "The service does not accept this client's key; start it as the same user, or add the key "
                    "there with `lookbeyond keys add`.",
                )
            if event == zmq.EVENT_CONNECTED:
                self._connected_at = time.monotonic()
                continue
            shaking_hands = self._connected_at > 0 and not self._welcomed
            late = shaking_hands and time.monotonic() - self._connected_at > 0.9 * HANDSHAKE_S
            if late and self.service.pid:  # this machine's own service published its address: it is only busy
                continue
            if event in _STRANGE or (event == zmq.EVENT_DISCONNECTED and shaking_hands):
                busy = ", or the service is too busy to answer: try again, then" if late else ";"
                raise StrangerError(
                    "wrong_key",
                    f"What answers at {self.service.address} does not have the service's key{busy} check the address "
                    "and the key, or start the service again.",
                )
            raise ServiceError(
                "not_running", f"No service answers at {self.service.address}; start it with `lookbeyond serve`."
            )


def _no_answer(service: ServiceAddress) -> ServiceError:
    return ServiceError(
        "timeout",
        f"The service at {service.address} does not answer; check whether it is running "
        "(`lookbeyond doctor`) and start it again if not.",
    )


def _closed() -> ServiceError:
    return ServiceError("not_running", "The connection to the service is closed; connect again.")


def _check_descriptors() -> None:
    """ServiceError where there are too few descriptors: libzmq ends the whole process when it gets none."""
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(DESCRIPTORS):
                stack.enter_context(Path(os.devnull).open("rb"))
    except OSError as error:
        raise ServiceError(
            "not_running",
            f"The service cannot be reached because this program may open no more files ({error.strerror}); "
            "restart it, or raise its limit (`ulimit -n`) first.",
        ) from error


def _read_keys(service: ServiceAddress) -> tuple[bytes, bytes]:
    """The client's own public and secret key, Z85."""
    try:
        keys = json.loads(Path(service.client_keys).read_text())
        return keys["public"].encode("ascii"), keys["secret"].encode("ascii")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServiceError(
            "wrong_key", f"The key file {service.client_keys} cannot be read; start the service as the same user."
        ) from error


def _z85_key(text: str) -> bytes:
    """A public key in Z85, given so or in hex."""
    text = text.strip()
    return zmq.utils.z85.encode(bytes.fromhex(text)) if len(text) == 64 else text.encode("ascii")
