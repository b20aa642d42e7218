"""Starts a service as a separate process."""

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .address import ServiceAddress, find_service, runtime_file
from .client import Client
from .errors import ServiceError

JOIN_S = 10.0
"""How long to wait for a service that somebody else has started in the same moment."""


def start_service(
    command: Sequence[str] | None = None, timeout_s: float = 60
) -> tuple[subprocess.Popen, ServiceAddress]:
    """Start a service as its own process and wait until it answers.

    `command` defaults to the installed `lookbeyond serve`. What the service prints goes to service.log beside
    `runtime_file()`. If another one starts meanwhile, that is joined: the process has ended then. ServiceError if it
    cannot be started, with the last line it printed.
    """
    path = runtime_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = path.read_bytes() if path.exists() else b""
    log = path.with_name("service.log")
    process = _start(command or _installed_command(), log)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes() != before:
            service = find_service()
            with Client(service, timeout_s=max(1.0, deadline - time.monotonic())):
                return process, service
        if process.poll() is not None:
            if other := _other_service(path, before, deadline):
                return process, other
            lines = log.read_text(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {process.returncode}"
            raise ServiceError("not_running", f"The service did not start: {reason}")
        time.sleep(0.05)
    process.terminate()
    raise ServiceError("timeout", f"The service did not start within {timeout_s:.0f} s; see {log}.")


def _other_service(path: Path, before: bytes, deadline: float) -> ServiceAddress | None:
    """The service that somebody else has started in this moment, if so."""
    until = min(deadline, time.monotonic() + JOIN_S)
    while time.monotonic() < until:
        with contextlib.suppress(ServiceError, OSError):
            if path.read_bytes() != before:
                service = find_service()
                with Client(service, timeout_s=max(1.0, until - time.monotonic())):
                    return service
        time.sleep(0.05)
    return None


def find_program(name: str, path: str, endings: Sequence[str] | None = None) -> Path | None:
    """A program in the folders of a PATH; never in the current one, where Windows looks first.

    endings: of file names; None: the system's own.
    """
    if endings is None:
        endings = (*os.environ.get("PATHEXT", ".EXE").split(os.pathsep), "") if os.name == "nt" else ("",)
    for folder in path.split(os.pathsep):
        if Path(folder).is_absolute():
            for ending in endings:
                program = Path(folder) / f"{name}{ending}"
                if program.is_file() and os.access(program, os.X_OK):
                    return program
    return None


def _installed_command() -> list[str]:
    program = find_program("lookbeyond", os.environ.get("PATH", ""))
    if program is None:
        raise ServiceError(
            "not_running",
            "The command `lookbeyond` is not on the PATH; install the wheel that comes with the extension by pip, "
            "or name the command in the add-on's preferences.",
        )
    return [str(program), "serve"]


def _start(command: Sequence[str], log: Path) -> subprocess.Popen:
    try:
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        with open(log, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
            return subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={key: value for key, value in os.environ.items() if key != "PYTHONHOME"},
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError as error:
        raise ServiceError(
            "not_running", f"The service could not be started ({command[0]}: {error.strerror}); check the command."
        ) from error
