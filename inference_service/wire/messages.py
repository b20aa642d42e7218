"""The messages between a client and the service, each with its name on the wire.

A new message is one class here and, on the service's side, one handler in `server/replies.py`.
"""

import typing
from dataclasses import dataclass

from .files import Artifact

SERVICE_VERSION = "0.1.0"

ALL = "*"
"""Instead of a job's id, in CANCEL and PAUSE: every job that has not ended."""
LOCATED_AT_ONCE = 256

MESSAGES: dict[str, type] = {}
"""By their names on the wire."""
TYPE_NAMES: dict[type, str] = {}


_Message = typing.TypeVar("_Message")


@typing.dataclass_transform(frozen_default=True)
def message(name: str) -> typing.Callable[[type[_Message]], type[_Message]]:
    """Make a class a message: a frozen dataclass, called `name` on the wire."""

    def register(cls: type[_Message]) -> type[_Message]:
        cls = dataclass(frozen=True)(cls)
        MESSAGES[name], TYPE_NAMES[cls] = cls, name
        return cls

    return register


@message("HELLO")
class Hello:
    versions: tuple[int, ...]
    features: tuple[str, ...] = ()


@message("WELCOME")
class Welcome:
    version: int
    epoch: str
    """Changes whenever the service starts."""
    service: str
    """The service's own version."""
    presets: tuple[dict, ...]
    devices: tuple[dict, ...]
    limits: dict


@message("PING")
class Ping:
    pass


@message("PONG")
class Pong:
    epoch: str


@message("PUT")
class Put:
    """A piece of a file (payload). An empty piece asks how much of the file is there already."""

    sha256: str
    size: int
    offset: int
    name: str = ""
    """What error messages call the file; never a path."""


@message("STORED")
class Stored:
    sha256: str
    received: int
    complete: bool


@message("LOOK")
class InspectPhoto:
    """Ask whether people stand in an uploaded picture, and how its camera was held."""

    sha256: str
    fov_x_rad: float = 0.0
    """The picture's horizontal field of view if it is known, else 0."""


@dataclass(frozen=True)
class Angle:
    """One of the angles of a picture's camera."""

    value_rad: float
    uncertainty_rad: float
    """0 if it was not measured."""
    source: str
    """In words: "from the photo's lines", "from the file", "assumed"."""


@dataclass(frozen=True)
class CameraFindings:
    """How a picture's camera was held, and how wide it saw; see `lookbeyond.layout.camera`."""

    fov_x: Angle
    pitch: Angle
    roll: Angle


@message("SEEN")
class PhotoFindings:
    ready: bool
    """Whether the answer is known by now; if not, ask again a little later."""
    faces: tuple[float, ...] = ()
    """The share of the picture that each face covers, 0..1, the largest first."""
    camera: CameraFindings | None = None
    """None while the answer is not known, and for a picture that cannot be read."""


@message("ALIGN")
class Align:
    """Ask where the last of several uploaded pictures looks: they were taken from one standpoint, and overlap."""

    pictures: tuple[str, ...]
    """SHA-256."""
    cameras: tuple[dict, ...]
    """`Camera.to_dict()` of each; of the last one only the lens counts."""


@message("ALIGNED")
class Aligned:
    ready: bool
    """Whether the answer is known by now; if not, ask again a little later."""
    camera: dict | None = None
    """`Camera.to_dict()` of the last one as it looks; None where none was found."""
    matches: int = 0
    """How many details agree with the picture that it shares most with."""
    residual_deg: float = 0.0
    """The median angle between where they are and where they should be."""
    reason: str = ""
    """Why no camera was found, and what helps."""


@message("SUBMIT")
class Submit:
    kind: str
    """'world' or 'shot'."""
    request: dict


@message("ACCEPTED")
class Accepted:
    job: str
    new: bool


@message("STATUS")
class Status:
    job: str
    after: int = 0
    """Leave out this many of the job's first artifacts: those the asker already heard of in this epoch."""


@message("JOB")
class JobStatus:
    """The state of a job. `artifacts` are the files that are ready; listings leave them out."""

    job: str
    kind: str
    state: str
    """'queued', 'running', 'paused', 'done', 'failed' or 'cancelled'."""
    fraction: float
    message: str
    eta_s: float | None = None
    error: str | None = None
    error_code: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    after: int = 0
    """How many artifacts were left out, as asked for."""
    findings: tuple[str, ...] = ()
    """Of a finished job: what its monitors found wrong, such as "Frames 31–38 drift"."""
    ahead: tuple[Artifact, ...] = ()
    """Files that are whole while others of their unit are still being made. They become artifacts with it, unless it is
    interrupted: who fetches them compares them with the artifact then."""


@message("LIST")
class ListJobs:
    pass


@message("JOBS")
class Jobs:
    jobs: tuple[JobStatus, ...]


@message("EVENTS")
class Events:
    """Ask for hints about a job on this connection."""

    job: str


@message("PROGRESS")
class ProgressHint:
    job: str
    fraction: float
    message: str
    eta_s: float | None = None


@message("PREVIEW")
class PreviewHint:
    """The payload is a small JPEG."""

    job: str


@message("READY")
class ChangeHint:
    """Files of this job became ready or its state changed: ask for its status."""

    job: str


@message("GET")
class Get:
    job: str
    artifact: str
    offset: int
    size: int


@message("DATA")
class Data:
    """The payload is the piece asked for."""

    job: str
    artifact: str
    offset: int


@message("LOCATE")
class Locate:
    """Ask where files of a job lie in the store, at most `LOCATED_AT_ONCE`: the user who runs the service may copy
    them."""

    job: str
    artifacts: tuple[str, ...]


@message("LOCATED")
class Located:
    """For each file the unit that holds it, or the temporary folder where that is still being made, and its name in
    that folder."""

    units: tuple[str, ...]
    names: tuple[str, ...]


@message("DOUBT")
class ReportDamage:
    """This file arrived damaged. If it is damaged in the store too, its unit is discarded and made again."""

    job: str
    artifact: str


@message("CANCEL")
class Cancel:
    """Stop a job (or `ALL`), or one unit; the jobs that need that unit go on with what does not depend on it."""

    job: str = ""
    """With `unit`: stop it for this job only; empty: for every job that needs it."""
    unit: str = ""


@message("CANCELLED")
class Cancelled:
    """Something was stopped. `Acknowledged` instead says that there was nothing left to stop."""


@message("PAUSE")
class Pause:
    job: str
    paused: bool


@message("REORDER")
class Reorder:
    """Move a job to this place among those that wait; 0 is next."""

    job: str
    position: int


@message("PRICE_OF")
class PriceQuestion:
    """Ask what a shot, or worlds, would cost here.

    `width` x `height` pixels are the size of frames or panoramas. `anchors` and `frames` are those of the shot's plan:
    the frames of all its clips together.
    """

    preset: str
    width: int
    height: int
    anchors: int
    frames: int
    steps: int = 0
    """Denoising steps of every view; 0: the preset's own number."""
    worlds: int = 0


@message("PRICE")
class Price:
    seconds: float | None
    """From what was measured on this machine; None if nothing was, with this preset."""
    stored_bytes: int
    """About what it takes up in the store."""


@message("SERVICE")
class ServiceQuestion:
    """Ask for the state of the service itself."""


@message("SERVICE_STATUS")
class ServiceStatus:
    """The state of the service: its workers, its store, its jobs."""

    epoch: str
    service: str
    """The service's own version."""
    pid: int
    uptime_s: float
    store: str
    """The store's folder, on the service's machine."""
    executor: str
    """'process' or 'ray'."""
    devices: tuple[dict, ...]
    """One object for each worker: device, title, state, what is loaded, memory in use."""
    states: dict[str, int]
    """How many jobs are in each state."""
    eta_s: float | None
    """Seconds until every job that is not paused is done, or None if unknown."""
    sessions: int
    memory_bytes: int
    """Resident memory of the service's own process, without its workers."""
    draining: bool = False
    """Whether it is shutting down and takes no new work."""


@message("PRUNE")
class Prune:
    """Remove the least recently used entries of the store that no job needs."""

    quota_bytes: int
    max_age_s: float


@message("PRUNED")
class Pruned:
    entries: int
    bytes: int


@message("RELEASE")
class Release:
    """Unload the models; they load again when needed."""


@message("LEAVE")
class Leave:
    """The client disconnects: its session can be forgotten. Its jobs go on."""


@message("BYE")
class Bye:
    """Shut the service down gracefully."""


@message("DONE")
class Acknowledged:
    """The request was carried out; there is nothing else to say."""


@message("ERROR")
class Error:
    code: str
    """'input', 'version', 'protocol', 'cancelled', 'out_of_memory', 'storage', 'lost', 'busy', 'wrong_key',
    'not_allowed', 'unknown_job', 'hello' or 'failed'."""
    message: str
    """A sentence for the user, with the remedy."""
