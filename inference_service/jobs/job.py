"""A job and its progress; a unit that a worker is working on."""

import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from inference_service.jobs.pace import Key, key_of
from inference_service.wire.files import Artifact
from inference_service.work.requests import Checked, CheckedShot
from inference_service.work.unit import Unit
from inference_service.work.units.plan import PlanShot

ACTIVE = ("queued", "paused")
"""Stored states of unfinished jobs; 'running' is a queued job one of whose units a worker is making."""
ENDED = {"done": "Done", "failed": "Failed", "cancelled": "Cancelled"}


class Delivery(NamedTuple):
    """A file that is ready."""

    artifact: Artifact
    """As its job names it."""
    unit: str
    own_name: str
    """In the unit's folder."""


@dataclass
class WorkLeft:
    """What there is still to do for a job, without the progress of units at work."""

    whole: float = 0.0
    """The weight of all its units."""
    weight: float = 0.0
    """Of those that are not done."""
    weights: Counter[Key] = field(default_factory=Counter)
    """Of those that are not done, by what their pace is known by."""

    def add(self, unit: Unit, times: int) -> None:
        self.weight += times * unit.weight
        self.weights[key_of(unit)] += times * unit.weight  # type: ignore[assignment]  # weights are no counts


@dataclass
class Job:
    """A job and its progress."""

    id: str
    request: Checked
    revision: str
    position: float
    state: str
    error_code: str | None = None
    error: str | None = None
    changed: float = field(default_factory=time.time)
    units: list[Unit] = field(default_factory=list)
    """Those that are known yet; none once it has ended."""
    identities: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    """Units that were cancelled one by one: neither they nor what needs them is made, until the service restarts."""
    artifacts: dict[str, Delivery] = field(default_factory=dict)
    """By their names below the job's folder."""
    message: str = "Waiting"
    relisted: bool = False
    """Whether artifacts were withdrawn or reordered: clients that ask for the later ones are sent all of them again."""
    findings: tuple[str, ...] | None = None
    """What its monitors found, once it is done and that was read."""
    memory_plan: str = ""
    """How its models were fitted into the device's memory, as a worker reported."""
    _left: WorkLeft | None = None

    @property
    def kind(self) -> str:
        return self.request.kind

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def waits_for(self) -> str:
        """The job that makes this shot's world, until that is there."""
        request = self.request
        return request.world_job if isinstance(request, CheckedShot) and not request.world else ""

    @property
    def cameras(self) -> int:
        return len(self.request.cameras) if isinstance(self.request, CheckedShot) else 0

    @property
    def is_planned(self) -> bool:
        """Whether all its units are known."""
        return bool(self.units) and not isinstance(self.units[-1], PlanShot)

    def add_units(self, units: Iterable[Unit]) -> None:
        """Add units it needs; those it knows already (a plan may be read again) stay as they are."""
        new = [unit for unit in units if unit.identity not in self.identities]
        self.units += new
        self._left = None
        self.identities |= {unit.identity for unit in new}

    def made(self, unit: Unit) -> None:
        """One of its units is done."""
        if self._left and unit.identity not in self.done:
            self._left.add(unit, -1)
        self.done.add(unit.identity)

    def lost(self, identity: str) -> None:
        """A unit that was done has to be made again."""
        self.done.remove(identity)
        self.artifacts = {name: each for name, each in self.artifacts.items() if each.unit != identity}
        self.relisted, self._left = True, None

    def start_over(self) -> None:
        """All its units have to be looked for again, or made again."""
        self.units, self.identities, self.done, self.artifacts = [], set(), set(), {}
        self.findings = None
        self.relisted, self._left = True, None

    def left(self) -> WorkLeft:
        """What there is still to do: counted once, for a long shot has thousands of units."""
        if self._left is None:
            self._left = WorkLeft(sum(unit.weight for unit in self.units))
            for unit in self.units:
                if unit.identity not in self.done:
                    self._left.add(unit, 1)
        return self._left

    def next_unit(self, working: Container[str]) -> Unit | None:
        """The first unit that can be begun now, or None."""
        for unit in self.units:
            identity = unit.identity
            if identity in self.done or identity in self.skipped or identity in working:
                continue
            if self.done.issuperset(unit.needs):
                return unit
        return None

    def out_of_reach(self) -> set[str]:
        """The unfinished units that were cancelled, or that need one that was."""
        missing = self.skipped - self.done
        for unit in self.units:  # each comes after those that it needs
            if unit.identity not in self.done and not missing.isdisjoint(unit.needs):
                missing.add(unit.identity)
        return missing


@dataclass
class ActiveUnit:
    """A unit that a worker is making."""

    unit: Unit
    attempt: int = 1
    """How often this unit was begun since the service started."""
    fraction: float = 0.0
    message: str = ""
    begun: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    """When its fraction last grew."""
    folder: str = ""
    """The store's temporary folder that holds its finished files."""
    files: dict[str, Artifact] = field(default_factory=dict)
    """Its finished files, by their own names."""

    def ahead(self, job: Job) -> Iterator[Delivery]:
        """What a job may have of it already."""
        if self.files:
            for name, own_name in self.unit.outputs.items():
                if own_name in self.files and name not in job.artifacts:
                    yield Delivery(replace(self.files[own_name], name=name), self.unit.identity, own_name)


def in_order(jobs: dict[str, Job]) -> list[Job]:
    """The jobs in the order in which they are worked on."""
    return sorted(jobs.values(), key=lambda job: job.position)


@dataclass
class Attempts:
    """What became of units since the service started, by their identities."""

    begun: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    """How often a worker died while making them."""
    mended: set[str] = field(default_factory=set)
    """Those whose damaged inputs were discarded: that helps once or never."""

    def finish(self, identity: str) -> None:
        """The unit was made."""
        del self.begun[identity], self.crashed[identity]

    def forget(self, identity: str) -> None:
        """Nobody wants the unit any more."""
        self.finish(identity)
        self.mended.discard(identity)
