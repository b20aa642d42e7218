"""What waits to be sent to clients that read more slowly than they ask: answers wait, hints do not."""

import collections
from collections.abc import Callable, Sequence

import zmq

OUTBOX_BYTES = 32 << 20
"""Answers kept for one client beyond what its socket's queue takes; one that leaves more unread is disconnected."""
OUTBOXES = 256
"""Clients for which answers are kept at once."""

Frames = Sequence[bytes | zmq.Frame]


class Overflow(Exception):
    """The client leaves more unread than is kept for it."""


class Outboxes:
    """The queues of answers, by the peer's address. `send(peer, frames)` raises zmq.Again while a socket is full."""

    def __init__(self, send: Callable[[bytes, Frames], None]):
        self._send = send
        self._waiting: dict[bytes, collections.deque[Frames]] = {}
        self._bytes: collections.Counter[bytes] = collections.Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._waiting

    def put(self, peer: bytes, frames: Frames) -> None:
        """Send an answer, now or when the client has read what is before it. Overflow if it reads too little."""
        if peer not in self._waiting:
            try:
                return self._send(peer, frames)
            except zmq.Again:
                if len(self) >= OUTBOXES:
                    raise Overflow from None
        size = sum(map(len, frames))
        if self._bytes[peer] + size > OUTBOX_BYTES:
            raise Overflow
        self._waiting.setdefault(peer, collections.deque()).append(frames)
        self._bytes[peer] += size

    def replace(self, peer: bytes, frames: Frames) -> None:
        """Drop what waits for a client, and send it this last word instead."""
        self.forget(peer)
        self._waiting[peer] = collections.deque([frames])

    def forget(self, peer: bytes) -> None:
        """Drop what waits for a client."""
        self._waiting.pop(peer, None)
        self._bytes.pop(peer, None)

    def flush(self) -> list[bytes]:
        """Send what can be sent; the peers that are gone."""
        gone = []
        for peer, waiting in list(self._waiting.items()):
            try:
                while waiting:
                    self._send(peer, waiting[0])
                    self._bytes[peer] -= sum(map(len, waiting.popleft()))
            except zmq.Again:
                continue
            except zmq.ZMQError:
                gone.append(peer)
            self.forget(peer)
        return gone
