"""Runs the program `lookbeyond`, which reads and writes other programs' files. No bpy here."""

import subprocess
import threading
from collections.abc import Generator, Sequence

from ..kit import Progress
from ..service.program import service_command
from ..tasks import Event, JobError

POLL_S = 0.1


def program_command(preference: str) -> list[str]:
    """The program and its first words, without `serve` and what follows. Raises `JobError`."""
    words = service_command(preference)
    return words[: words.index("serve")]


def run_program(command: Sequence[str], message: str, cancelled: threading.Event) -> Generator[Event, None, str]:
    """Run a command to its end, and return its output. Raises `JobError` with the sentence that it refused with."""
    yield Progress(0.0, message, None)
    process = subprocess.Popen(
        [*command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=POLL_S)
                break
            except subprocess.TimeoutExpired:
                if cancelled.is_set():
                    raise JobError("Cancelled: nothing was written.") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        lines = [line for line in errors.splitlines() if line.strip()]
        raise JobError(lines[-1].removeprefix("lookbeyond: ") if lines else "The program lookbeyond failed.")
    return output
