"""From a shot's plan to its units, and which of them the store has: seconds of work for thousands of cameras."""

import dataclasses
from concurrent.futures import Executor, Future
from typing import NamedTuple

from inference_service.jobs.job import Delivery, Job
from inference_service.store.record import Damaged
from inference_service.store.store import Store
from inference_service.work.requests import CheckedShot
from inference_service.work.unit import Unit
from inference_service.work.units.plan import read_plan

LONG = 200
"""Frames of a shot from which on its units are worked out in a thread."""


class KnownUnit(NamedTuple):
    """A unit of a shot."""

    unit: Unit
    files: dict[str, Delivery] | None
    """What it delivers, by the job's names, if the store has it."""


Expanded = list[KnownUnit]


def expand(store: Store, request: CheckedShot, revision: str, plan: str) -> Expanded:
    """The units that follow from a finished plan, with their identities. Damaged if the plan is. In any thread."""
    units = request.units(revision, read_plan(store, plan, len(request.cameras)))
    return [KnownUnit(unit, _found(store, unit)) for unit in units]


def _found(store: Store, unit: Unit) -> dict[str, Delivery] | None:
    if not store.has_whole_unit(unit.identity):
        return None
    try:
        return deliveries(store, unit)
    except Damaged:  # it has been removed, and is made again
        return None


def deliveries(store: Store, unit: Unit) -> dict[str, Delivery]:
    """The files that a finished unit delivers, by the job's names. Damaged, and the unit removed, if it lacks any."""
    files = {artifact.name: artifact for artifact in store.record(unit.identity).artifacts}
    outputs = unit.outputs
    if not files.keys() >= set(outputs.values()):
        store.discard(store.unit(unit.identity))
        raise Damaged("Finished work in the store lacks files and has been removed; it is made again.")
    return {
        name: Delivery(dataclasses.replace(files[own_name], name=name), unit.identity, own_name)
        for name, own_name in outputs.items()
    }


class Expansions:
    """Works out the units of shots; in the thread, if there is one, those of long ones."""

    def __init__(self, store: Store, thread: Executor | None):
        self._store, self._thread = store, thread
        self._running: dict[str, tuple[str, Future[Expanded]]] = {}
        """Jobs whose units the thread works out, and the plans they follow from."""

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, job: Job) -> bool:
        """Whether a job's units are being worked out: until then there is nothing to begin."""
        return job.id in self._running

    def after(self, job: Job, request: CheckedShot, plan: Unit, *, wait: bool) -> Expanded | None:
        """The units that follow from a plan; None where the thread still works them out, unless one is to `wait`."""
        arguments = (self._store, request, job.revision, plan.identity)
        if wait or self._thread is None or len(request.cameras) < LONG:
            return expand(*arguments)
        identity, future = self._running.get(job.id, ("", None))
        if future is None or identity != plan.identity:
            self._running[job.id] = plan.identity, self._thread.submit(expand, *arguments)
            return None
        if not future.done():
            return None
        del self._running[job.id]
        return future.result()

    def worked_out(self) -> list[str]:
        """The jobs whose units can be taken now."""
        return [job for job, (_, future) in self._running.items() if future.done()]

    def drop(self, job: str) -> None:
        self._running.pop(job, None)
