"""The service's socket: binding it, guarding it, and sending messages through it."""

import contextlib
import errno
import logging
from collections import Counter
from collections.abc import Iterator

import zmq

from inference_service.security.gate import Gate
from inference_service.security.keys import KeyPair
from inference_service.server.incoming import Incoming
from inference_service.server.outbox import Frames, Outboxes, Overflow
from inference_service.server.pieces import COPY_BYTES
from inference_service.server.sessions import Sessions
from inference_service.wire.codec import MAX_FRAME_BYTES, encode
from inference_service.wire.messages import Error
from lookbeyond.errors import InputError

log = logging.getLogger(__name__)

SEND_QUEUE = 12
"""Messages kept for a client that does not read; a piece of a file is the largest, so 24 MiB."""
RECEIVE_QUEUE = 8
"""Unread messages of one client; one of ours has four questions open at most."""
MAX_FRAMES = 4
"""Of a message: the sender's address, the magic, the header, a payload."""
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
UNREAD = Error("busy", "This client left too many answers unread and was disconnected; connect again.")
SHORT_OF = "The service has run out of a resource of this machine: %s"


@contextlib.contextmanager
def surviving_shortage() -> Iterator[None]:
    """Log it if the system runs out of a resource: a peer that holds all descriptors must not end the service."""
    try:
        yield
    except OSError as error:
        log.error(SHORT_OF, error)


class FrontSocket:
    """The ROUTER socket that all clients connect to. InputError if the address cannot be bound."""

    def __init__(
        self, context: zmq.Context, gate: Gate, keys: KeyPair, bind: str, sessions: Sessions, totals: Counter[str]
    ):
        self._sessions, self._totals = sessions, totals
        # the first makes pyzmq's thread for such frames and its sockets; later there might be no descriptors for it
        zmq.Frame(b"", track=True, copy=False)
        self.router = context.socket(zmq.ROUTER)
        gate.guard(self.router, keys)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, SEND_QUEUE),
            (zmq.RCVHWM, RECEIVE_QUEUE),
            (zmq.MAXMSGSIZE, MAX_FRAME_BYTES),
            (zmq.HANDSHAKE_IVL, 5000),
            (zmq.BACKLOG, 128),
            (zmq.IPV6, int("[" in bind)),
        ):
            self.router.setsockopt(option, value)
        try:
            self.router.bind(bind)
        except zmq.ZMQError as error:
            self.router.close(0)
            raise InputError(f"The address {bind} is taken or not allowed ({error}); choose another port.") from error
        self._outboxes = Outboxes(self._send_now)
        self.endpoint = self.router.getsockopt_string(zmq.LAST_ENDPOINT)
        """What is bound."""
        self._incoming = Incoming(int(self.endpoint.rpartition(":")[2]))
        self._all_read = True

    @property
    def own_address(self) -> str:
        """How this machine's own clients reach it."""
        address = self.endpoint
        for everywhere, loopback in (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:")):
            address = address.replace(everywhere, loopback)
        return address

    def received(self) -> Iterator[list[zmq.Frame]]:
        """The messages that have come, but not too many at once: then the workers and the clock have their turn.

        Of one with more than `MAX_FRAMES` frames, the rest is dropped one by one.
        """
        self._all_read = False
        for _ in range(100):
            try:
                frames = [self.router.recv(zmq.NOBLOCK, copy=False)]
            except zmq.Again:
                self._all_read = True
                return
            more = frames[0].more
            while more:
                frame = self.router.recv(zmq.NOBLOCK, copy=False)
                more = frame.more
                if len(frames) > MAX_FRAMES:
                    frames.pop()
                frames.append(frame)
            self._incoming.heard(frames[-1])
            yield frames

    def bound_incoming(self) -> None:
        """End connections whose unfinished messages take too much memory."""
        if self._all_read:
            self._totals["overflows"] += self._incoming.bound()

    @property
    def is_filling(self) -> bool:
        """Whether unfinished messages grow: `bound_incoming` soon."""
        return self._incoming.is_filling

    @property
    def is_behind(self) -> bool:
        """Whether answers wait for clients to read what is before them: `flush` soon."""
        return len(self._outboxes) > 0

    def flush(self) -> None:
        """Send answers that had to wait, where there is room now."""
        for peer in self._outboxes.flush():
            self._sessions.forget(peer)

    def forget(self, peer: bytes) -> None:
        """End a client's session; nothing more is sent to it."""
        self._outboxes.forget(peer)
        self._sessions.forget(peer)

    def send(self, peer: bytes, message: object, id: int = 0, payload: bytes | zmq.Frame = b"") -> None:
        if isinstance(payload, zmq.Frame) and (session := self._sessions.get(peer)):
            session.piece = payload.tracker
        try:
            self._outboxes.put(peer, encode(message, id, payload))
            self._totals["bytes_sent"] += len(payload)
        except Overflow:
            log.warning("a client does not read its answers and was disconnected")
            self._totals["overflows"] += 1
            self._sessions.forget(peer)
            self._outboxes.replace(peer, encode(UNREAD))
        except zmq.ZMQError:
            self.forget(peer)

    def hint(self, job: str, message: object, payload: bytes = b"") -> None:
        """Send a hint about a job to those who want it now."""
        magic, header, *rest = encode(message, 0, payload)
        for peer, session in self._sessions.items():
            if peer not in self._outboxes and session.wants(job, message):
                try:
                    tracked = zmq.Frame(header, track=True, copy=False)
                except (OSError, zmq.ZMQError) as error:  # the client will ask by itself
                    log.error(SHORT_OF, error)
                    return
                session.hints[job, type(message)] = tracked.tracker
                try:
                    self._send_now(peer, [magic, tracked, *rest])
                except zmq.Again:
                    pass  # it reads slowly: it will ask by itself
                except zmq.ZMQError:
                    self.forget(peer)

    def _send_now(self, peer: bytes, frames: Frames) -> None:
        copy = not any(isinstance(frame, zmq.Frame) or len(frame) >= COPY_BYTES for frame in frames)
        self.router.send_multipart([peer, *frames], zmq.NOBLOCK, copy=copy)
