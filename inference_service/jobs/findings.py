"""What the monitors of a finished job found: in a shot's shot.json, in a world's world.json."""

import msgspec

from inference_service.jobs.job import Job
from inference_service.store.store import Store
from lookbeyond.monitors.findings import MAX_MONITORS_BYTES, findings


class _Found(msgspec.Struct, frozen=True):
    text: str


class _Monitors(msgspec.Struct, frozen=True):
    findings: tuple[_Found, ...] = ()


class _Shot(msgspec.Struct, frozen=True):
    monitors: _Monitors = _Monitors()


class _World(msgspec.Struct, frozen=True):
    seam_jump: float = 1.0


def findings_of(job: Job, store: Store) -> tuple[str, ...]:
    """One sentence for each; none where the file is gone or cannot be read, for whoever fetches it finds out."""
    name = "shot.json" if job.kind == "shot" else "world.json"
    delivery = job.artifacts.get(name)
    if delivery is None:
        return ()
    try:
        with (store.unit(delivery.unit) / delivery.own_name).open("rb") as file:
            about = file.read(MAX_MONITORS_BYTES)
        # into structs at once: of a long shot the rest is never made into objects
        if job.kind == "shot":
            return tuple(found.text for found in msgspec.json.decode(about, type=_Shot).monitors.findings)
        return tuple(found.text for found in findings((), seam_jump=msgspec.json.decode(about, type=_World).seam_jump))
    except (OSError, msgspec.MsgspecError):
        return ()
