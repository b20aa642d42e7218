"""A service that ends with the benchmark that started it, however that ends: by itself, Ctrl-C, a signal, SIGKILL.

`start_service` here is `inference_service.client.start_service`. At the exit, and after SIGTERM or SIGHUP, the service
is told to end and waited for. Where the benchmark itself is killed, Linux does it: this module, run as a program, asks
for SIGTERM at its parent's death and then becomes the command it was given.
"""

import atexit
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from inference_service import client
from inference_service.wire.address import ServiceAddress

PR_SET_PDEATHSIG = 1
PATIENCE_S = 30.0


def start_service(command: Sequence[str], timeout_s: float = 60) -> tuple[subprocess.Popen, ServiceAddress]:
    """Start a service as a process of this one, to be ended with it, and wait until it answers."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    process, address = client.start_service([sys.executable, __file__, str(os.getpid()), *command], timeout_s)
    atexit.register(end, process)
    return process, address


def end(process: subprocess.Popen) -> None:
    """End a service unless it has ended, by force if it takes too long, and wait for it."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            return  # it has died already
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
