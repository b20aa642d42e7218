"""From a shot's plan to its units, and what the store has of them: for thousands of cameras, seconds of work."""

import dataclasses
from typing import NamedTuple

from inference_service.jobs.job import Delivery
from inference_service.store.record import Damaged
from inference_service.store.store import Store
from inference_service.work.requests import CheckedShot
from inference_service.work.unit import Unit
from inference_service.work.units.plan import read_plan


class Known(NamedTuple):
    """A unit of a shot."""

    unit: Unit
    files: dict[str, Delivery] | None
    """What it delivers, by the job's names, if the store has it."""


Expanded = list[Known]


def expand(store: Store, request: CheckedShot, revision: str, plan: str) -> Expanded:
    """The units that follow from a finished plan, with their identities. Damaged if the plan is. In any thread."""
    units = request.units(revision, read_plan(store, plan, len(request.cameras)))
    return [Known(unit, _found(store, unit)) for unit in units]


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
