"""How other threads notify the service's thread: through a socket that it can poll, and one that they share."""

import threading
from collections.abc import Iterator

import zmq


class Lines:
    """Lines from workers, each with its worker's number.

    Both sockets are made at the start: when a thread has something to tell, there may be no descriptor left for one of
    its own.
    """

    def __init__(self, context: zmq.Context):
        self.socket, self._shared, self._lock = context.socket(zmq.PULL), context.socket(zmq.PUSH), threading.Lock()
        for one in (self.socket, self._shared):
            one.set_hwm(0)
        self.socket.bind("inproc://workers")
        self._shared.connect("inproc://workers")

    def send(self, number: int, line: bytes) -> None:
        """From any thread: a line of the worker of that number."""
        with self._lock:
            self._shared.send_multipart([str(number).encode(), line])

    def received(self) -> Iterator[tuple[int, bytes]]:
        """What has come since, in the service's thread."""
        while True:
            try:
                number, line = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield int(number), line

    def close(self) -> None:
        with self._lock:  # a thread may still have something to tell
            self._shared.close(0)
        self.socket.close(0)
