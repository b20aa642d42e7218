"""Decodes and checks large messages in a thread, so that the socket's thread can answer others."""

import collections
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import zmq

from inference_service.jobs.submission import Submission, prepare
from inference_service.server.decoding import decode_strictly
from inference_service.wire.errors import ProtocolError
from inference_service.wire.messages import Submit
from inference_service.wire.requests import REQUESTS, Request
from lookbeyond.errors import InputError

LARGE_BYTES = 128 << 10
"""Headers from this size on are prepared in the thread."""
MAX_WAITING_BYTES = 64 << 20
"""Of large messages that wait for the thread; more are refused."""


@dataclass(frozen=True)
class Prepared:
    """A message that can be answered at once, or why it cannot."""

    peer: bytes
    key: str
    message: object = None
    id: int = 0
    payload: bytes = b""
    submission: Submission | None = None
    error: Exception | None = None


def request_of(message: Submit) -> Request:
    """What a message asks for. InputError if it is not complete."""
    try:
        return msgspec.convert(message.request, REQUESTS[message.kind])
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"The request is not complete ({error}); update the add-on.") from error


class Preparer:
    """The thread. `revision(preset)` raises LookBeyondError for a preset that cannot run."""

    def __init__(self, revision: Callable[[str], str]):
        self._revision = revision
        self._asked: queue.SimpleQueue[tuple[bytes, str, list[zmq.Frame]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Prepared] = queue.SimpleQueue()
        self._waiting: collections.deque[int] = collections.deque()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        return len(self._waiting) > 0

    def put(self, peer: bytes, key: str, frames: list[zmq.Frame]) -> None:
        """Take in a message's frames, from the magic on. ProtocolError if too much waits already."""
        size = sum(map(len, frames))
        if sum(self._waiting) + size > MAX_WAITING_BYTES:
            raise ProtocolError("busy", "Too many long requests come at once; send them one by one.")
        self._waiting.append(size)
        self._asked.put((peer, key, frames))

    def done(self) -> Iterator[Prepared]:
        """The messages that are ready."""
        while self._waiting and not self._done.empty():
            self._waiting.popleft()
            yield self._done.get()

    def close(self) -> None:
        self._asked.put(None)
        self._thread.join(2.0)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            peer, key, frames = asked
            message, id, payload = None, 0, b""
            try:
                message, id, payload = decode_strictly([frame.bytes for frame in frames])
                submission = None
                if isinstance(message, Submit) and message.kind in REQUESTS:
                    request = request_of(message)
                    submission = prepare(request, self._revision(request.preset))
                self._done.put(Prepared(peer, key, message, id, payload, submission))
            except Exception as error:  # it is answered like any other
                self._done.put(Prepared(peer, key, message, id, payload, error=error))
