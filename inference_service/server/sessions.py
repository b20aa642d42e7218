"""The clients that are connected, and what each of them wants and sends."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import zmq

from inference_service.server.uploads import Upload
from inference_service.wire.messages import ChangeHint, PreviewHint

MAX_SESSIONS = 64
SESSION_SILENCE_S = 60.0


@dataclass
class ClientSession:
    """A client that said HELLO."""

    last_seen: float
    key: str
    """The client's public key."""
    previews: bool
    jobs: set[str] = field(default_factory=set)
    """Those it wants hints about."""
    submitted: set[str] = field(default_factory=set)
    uploads: dict[str, Upload] = field(default_factory=dict)
    piece: zmq.MessageTracker | None = None
    """Of the newest piece of a file that was sent to it: done when that has left the queue to the socket."""
    hints: dict[tuple[str, type], zmq.MessageTracker] = field(default_factory=dict)
    """The same of the newest hint of each type, by job."""

    def wants(self, job: str, hint: object) -> bool:
        """Whether a hint about a job is to be sent now.

        Over a slow line, hints would fill the queue and crowd out replies. So at most one of each type is in it: its
        receiver then asks for the status anyway. What is only for the eye waits until pieces of files are through.
        """
        if job not in self.jobs or (isinstance(hint, PreviewHint) and not self.previews):
            return False
        if not isinstance(hint, ChangeHint) and self.piece and not self.piece.done:
            return False
        last = self.hints.get((job, type(hint)))
        return last is None or last.done


class Sessions:
    """All sessions, by the peer's address on the socket."""

    def __init__(self) -> None:
        self._open: dict[bytes, ClientSession] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[ClientSession]:
        return iter(self._open.values())

    def items(self) -> list[tuple[bytes, ClientSession]]:
        return list(self._open.items())

    def get(self, peer: bytes) -> ClientSession | None:
        return self._open.get(peer)

    def open(self, peer: bytes, key: str, previews: bool) -> None:
        """Begin a session, in place of the peer's earlier one and, if there are too many, of the most silent one."""
        if peer not in self._open and len(self) >= MAX_SESSIONS:
            self.forget(min(self._open, key=lambda other: self._open[other].last_seen))
        submitted = self._open[peer].submitted if peer in self._open else set()
        self.forget(peer)
        self._open[peer] = ClientSession(time.monotonic(), key, previews, submitted=submitted)

    def forget(self, peer: bytes) -> None:
        if session := self._open.pop(peer, None):
            for upload in session.uploads.values():
                upload.path.unlink(missing_ok=True)

    def silent_for(self, seconds: float) -> list[bytes]:
        """The peers that have said nothing for so long."""
        now = time.monotonic()
        return [peer for peer, session in self._open.items() if now - session.last_seen > seconds]

    def forget_silent(self) -> None:
        for peer in self.silent_for(SESSION_SILENCE_S):
            self.forget(peer)

    def want_previews(self) -> bool:
        return any(session.previews for session in self)

    def promised_bytes(self) -> int:
        """What unfinished uploads are still to send."""
        return sum(upload.size - upload.received for session in self for upload in session.uploads.values())
