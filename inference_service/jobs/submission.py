"""Prepares a request for the queue: everything that takes long for a path of thousands of cameras."""

from dataclasses import dataclass

from inference_service.wire.requests import Request
from inference_service.work.requests import Checked, CheckedShot, check
from inference_service.work.unit import Unit


@dataclass(frozen=True)
class Submission:
    """A checked request, the id of its job, and the unit that it begins with."""

    request: Checked
    id: str
    revision: str
    first: Unit | None
    """None while it waits for its world."""


def prepare(request: Request, revision: str) -> Submission:
    """Check a request. InputError if it cannot be worked on. In any thread."""
    checked = check(request)
    waits = isinstance(checked, CheckedShot) and checked.world_job
    first = None if waits else checked.first_unit(revision)
    if first:
        first.identity  # noqa: B018  (it is kept once it was asked for)
    return Submission(checked, checked.job_id(revision), revision, first)
