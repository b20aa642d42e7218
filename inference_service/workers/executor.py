"""What the service requires of whatever runs its units."""

from collections.abc import Iterable
from typing import Protocol

import zmq

from inference_service.work.unit import Unit
from inference_service.workers.messages import Report


class Executor(Protocol):
    """Runs units. Everything is called from the service's thread, and nothing blocks."""

    kind: str
    socket: zmq.Socket
    """Readable when `messages` has something."""

    def start(self) -> None:
        """Begin; called once."""
        ...

    def messages(self) -> Iterable[Report]:
        """What workers have reported since the last call."""
        ...

    def tick(self) -> Iterable[Report]:
        """Called about ten times a second; more reports."""
        ...

    def has_room(self) -> bool:
        """Whether a unit can be given to a worker now."""
        ...

    def run(self, unit: Unit, names: dict[str, str], previews: bool) -> str:
        """Give a unit to an idle worker; the device it runs on. `names`: what its input files are called."""
        ...

    def cancel(self, identity: str) -> None:
        """Nobody needs this unit any more."""
        ...

    def release(self) -> None:
        """Unload the models."""
        ...

    def revive(self) -> None:
        """New work has come: try again to start workers that could not be kept running."""
        ...

    def devices(self) -> list[dict]:
        """One object for each worker: name, title, memory_gb, state, and what is known of its memory."""
        ...

    def close(self) -> None:
        """End all workers and wait for them."""
        ...
