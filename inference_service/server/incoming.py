"""Endless messages: libzmq collects all frames of a message before anyone sees the first, and limits the size of each
frame, not their number.

The kernel counts the bytes that came over each connection. Those since its last whole message are of an unfinished
one; where all unfinished ones are too large together, the connection with the largest is ended, and libzmq frees
what it had. On Linux; elsewhere nothing but each frame is bounded.
"""

import contextlib
import logging
import os
import socket
import stat
import struct
import sys
from pathlib import Path

import zmq

log = logging.getLogger(__name__)

MAX_UNFINISHED_BYTES = 128 << 20
"""Of unfinished messages of all connections together; what comes between two counts is beyond it."""
WATCHED_BYTES = 16 << 20
"""From so many on they are counted more often: a local line brings a hundred megabytes between two ticks."""
_TCP_INFO_BYTES, _BYTES_RECEIVED = 192, 128
"""Size of Linux's tcp_info, and where its tcpi_bytes_received lies."""


class Incoming:
    """The connections to one port of this process."""

    def __init__(self, port: int):
        self._port = port
        self._ours: dict[int, bool] = {}
        """By inode, which no two sockets share: whether it is a connection to the port."""
        self._counted: dict[int, int] = {}
        """By inode: bytes that had come when its last whole message had been read."""
        self._heard: set[int] = set()
        self.is_filling = False
        """Whether much had come of unfinished messages when they were last counted: count again soon."""

    def heard(self, frame: zmq.Frame) -> None:
        """A whole message was read; `frame` is one of its frames."""
        self._heard.add(frame.get(zmq.SRCFD))

    def bound(self) -> int:
        """End the connections that hold too much; how many. To be called when all whole messages are read."""
        if sys.platform != "linux":
            return 0
        heard, self._heard = self._heard, set()
        ended = 0
        with contextlib.suppress(OSError):  # no descriptors are left: counted next time
            unfinished = self._unfinished(heard)
            while sum(size for size, _ in unfinished.values()) > MAX_UNFINISHED_BYTES:
                inode = max(unfinished, key=lambda inode: unfinished[inode][0])
                size, descriptor = unfinished.pop(inode)
                self._end(inode, descriptor)
                log.warning("a connection sent too long a message and was closed", extra={"bytes": size})
                ended += 1
            self.is_filling = sum(size for size, _ in unfinished.values()) > WATCHED_BYTES
        return ended

    def _unfinished(self, heard: set[int]) -> dict[int, tuple[int, int]]:
        """By inode: bytes of an unfinished message, and the descriptor."""
        unfinished = {}
        for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            with contextlib.suppress(OSError):  # closed meanwhile
                about = os.fstat(descriptor)
                if not stat.S_ISSOCK(about.st_mode):
                    continue
                inode = about.st_ino
                if inode not in self._ours:
                    self._ours[inode] = self._is_ours(descriptor)
                if self._ours[inode]:
                    received = _bytes_received(descriptor)
                    if descriptor in heard:
                        self._counted[inode] = received
                    unfinished[inode] = received - self._counted.setdefault(inode, 0), descriptor
                else:
                    unfinished[inode] = 0, descriptor
        self._ours = {inode: ours for inode, ours in self._ours.items() if inode in unfinished}
        self._counted = {inode: count for inode, count in self._counted.items() if inode in unfinished}
        return unfinished

    def _is_ours(self, descriptor: int) -> bool:
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != socket.SOCK_STREAM:
                return False
            listens = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return not listens and copy.getsockname()[1] == self._port

    def _end(self, inode: int, descriptor: int) -> None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
            if os.fstat(copy.fileno()).st_ino == inode:  # the number was not given to another meanwhile
                copy.shutdown(socket.SHUT_RDWR)


def _bytes_received(descriptor: int) -> int:
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    finally:
        borrowed.detach()  # it is libzmq's
    return struct.unpack_from("Q", info, _BYTES_RECEIVED)[0] if len(info) >= _BYTES_RECEIVED + 8 else 0
