"""What the service and its workers say to each other: one JSON line each (no pickle).

The service gives `Order`s, a worker answers with `Report`s: `Ready` once; then, for the unit at hand, `MemoryPlanned`,
`UnitProgress` and `FilesFinished`, and at its end one of `UnitDone` and `UnitFailed`. A new message is one class here,
and one case where it is received.
"""

from typing import TYPE_CHECKING, Any, Union

import msgspec

from inference_service.wire.files import Artifact
from inference_service.work.units import AnyUnit


class Order(msgspec.Struct, frozen=True, tag_field="order"):
    """From the service to a worker."""


class RunUnit(Order, tag="run", frozen=True):
    unit: AnyUnit
    names: dict[str, str]
    """What messages call its input files, by hash."""
    previews: bool


class CancelUnit(Order, tag="cancel", frozen=True):
    identity: str


class ReleaseModels(Order, tag="release", frozen=True):
    """Unload the models."""


AnyOrder = RunUnit | CancelUnit | ReleaseModels


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="report"):
    """From a worker, or from an executor on a worker's behalf."""

    about: dict[str, Any] = {}
    """What changed about the worker: the preset that is loaded, the memory it uses."""


class Ready(Report, tag="ready", frozen=True):
    """The worker has started, and sees these devices."""

    devices: list[dict[str, Any]]


class Released(Report, tag="released", frozen=True):
    """The models are unloaded."""


class Warmed(Report, tag="warmed", frozen=True):
    """The preset to be loaded at the start is loaded, or cannot be."""


class MemoryPlanned(Report, tag="planned", frozen=True):
    """How the models for a unit fit into memory."""

    identity: str
    plan: str


class UnitProgress(Report, tag="progress", frozen=True):
    identity: str
    fraction: float
    message: str
    preview: bytes = b""
    """A small JPEG."""


class FilesFinished(Report, tag="files", frozen=True):
    """These files of the unit are whole, in this temporary folder of the service's own store."""

    identity: str
    folder: str
    files: tuple[Artifact, ...]


class UnitDone(Report, tag="done", frozen=True):
    """The unit is in the worker's store."""

    identity: str
    seconds: float


class UnitFailed(Report, tag="failed", frozen=True):
    identity: str
    code: str
    message: str
    traceback: str = ""
    """Of an error that nobody foresaw, for the service's log."""
    worker_ends: bool = False
    """The worker's device has failed permanently: the worker takes no more units, and ends."""


class WorkerFailed(Report, tag="worker failed", frozen=True):
    """An unforeseen error ends the worker."""

    traceback: str


class WorkerDied(Report, tag="worker died", frozen=True):
    """A Ray actor is gone. `no_room`: because the cluster has no place for it, and what to do."""

    traceback: str = ""
    no_room: str = ""


class UnitCrashed(Report, tag="crashed", frozen=True):
    """The worker died while making the unit."""

    identity: str


class UnitReturned(Report, tag="returned", frozen=True):
    """The unit was cancelled and its worker killed."""

    identity: str


class NoWorkers(Report, tag="no workers", frozen=True):
    """No worker can be kept running."""

    reason: str


ForService = UnitDone | UnitFailed | UnitProgress | MemoryPlanned | FilesFinished
"""The reports that an executor passes on to the service as they are."""

if TYPE_CHECKING:
    AnyReport = Report
else:
    AnyReport = Union[tuple(Report.__subclasses__())]  # noqa: UP007
