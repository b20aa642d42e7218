"""A service of stand-ins whose workers write down each unit that they begin and each that they have put into the store.

A module of its own, so that the service holds no more than any other and its memory can be judged.
"""

import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference_service.store.store import Store
from inference_service.work.perform import perform_unit
from inference_service.work.unit import Unit
from inference_service.workers import unit_run
from inference_service.workers.worker import main as work
from tests.support.double import DoublePipeline, describe_double, serve_double


def service_command(store: Path) -> list[str]:
    return [sys.executable, __file__, "service", str(store)]


def units_file(store: Path) -> Path:
    """Where the workers on a store write: what they did ('begun' or 'made'), the unit, and which attempt at it."""
    return store / "units.txt"


def made_in_vain(lines: Iterable[str]) -> int:
    """How many attempts at a unit began or ended, by the workers' lines, after another attempt had finished it.

    What no line tells: a worker killed in the microseconds between the two, with its unit there and not yet noted.
    """
    finished: dict[str, str] = {}
    vain = set()
    for line in lines:
        what, identity, attempt = line.split()
        if finished.get(identity, attempt) != attempt:
            vain.add(attempt)
        if what == "made":
            finished.setdefault(identity, attempt)
    return len(vain)


def worker(arguments: Sequence[str]) -> None:
    """The worker's process."""
    folder = Path(arguments[arguments.index("--store") + 1])
    journal = units_file(folder).open("a", buffering=1)  # a line is with the system as soon as it is written
    attempt, commit_unit = "", Store.commit

    def perform(unit: Unit, store: Store, *others) -> None:
        nonlocal attempt
        attempt = secrets.token_hex(8)
        if not store.has_whole_unit(unit.identity):
            journal.write(f"begun {unit.identity} {attempt}\n")
        perform_unit(unit, store, *others)

    def commit(store: Store, output: Path, identity: str, *others) -> None:
        commit_unit(store, output, identity, *others)
        journal.write(f"made {identity} {attempt}\n")

    unit_run.perform_unit, Store.commit = perform, commit
    work(arguments, load=lambda *_: DoublePipeline(folder), describe_devices=describe_double)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "worker":
        worker(arguments)
    else:
        serve_double(Path(arguments[0]), worker=[sys.executable, __file__, "worker"])
