"""Pieces of files on their way to clients, in reused memory.

New memory costs a page fault for every 4 KiB, which takes longer than reading them.
"""

import collections
import mmap
from pathlib import Path

import zmq

from inference_service.wire.files import CHUNK_BYTES

COPY_BYTES = 64 << 10
"""Payloads from this size on are sent without being copied."""
MAX_BUFFERS = 8
"""Pieces of files under way whose memory is to be used again."""


class Pieces:
    """Reads pieces of files into memory that is used again as soon as the socket is done with it."""

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []
        self._under_way: collections.deque[tuple[zmq.MessageTracker, mmap.mmap]] = collections.deque()
        self._idle = True

    def rest(self) -> None:
        """Called now and then: give the memory back if nothing was read since the last time."""
        if self._idle:
            self._free.clear()
            self._under_way.clear()
        self._idle = True

    def read(self, path: Path, offset: int, size: int) -> bytes | zmq.Frame:
        """Up to `size` bytes of a file from `offset` on, as something to be sent once. OSError if it is gone."""
        size = max(0, min(size, CHUNK_BYTES))
        with path.open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            if size < COPY_BYTES:
                return file.read(size)
            buffer, self._idle = self._buffer(), False
            count = file.readinto(memoryview(buffer)[:size])
        frame = zmq.Frame(memoryview(buffer)[:count], track=True, copy=False)
        assert frame.tracker
        self._under_way.append((frame.tracker, buffer))
        return frame

    def _buffer(self) -> mmap.mmap:
        while self._under_way and self._under_way[0][0].done:
            self._free.append(self._under_way.popleft()[1])
        if len(self._under_way) >= MAX_BUFFERS:  # some client does not read: its pieces are no longer waited for
            self._under_way.popleft()
        # separate memory: the heap would keep it forever
        return self._free.pop() if self._free else mmap.mmap(-1, CHUNK_BYTES)
