"""What travels between a client and the service: message types, their bytes, and where each finds the other.

Standard library only: the Blender add-on carries this module. A message is `[MAGIC][JSON header][payload
...]`. The header is `{"type": ..., "id": ..., fields}`; `id` is chosen by the asker and stands in the
answer too, and is 0 in hints that nobody asked for. Headers are decoded into the frozen dataclasses below
before anything looks at them; unknown fields are ignored, so that a newer peer may say more.
"""

import dataclasses
import functools
import hashlib
import json
import os
import re
import sys
import types
import typing
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

VERSION = 1
MAGIC = b"LOOKBEYOND/%d" % VERSION
SERVICE_VERSION = "0.1.0"

CHUNK_BYTES = 2 << 20
"""Largest piece of a file in one message."""
MAX_FRAME_BYTES = 16 << 20
"""Largest frame either side accepts (a shot of 10 000 cameras is about 6 MB of JSON)."""
MAX_FILE_BYTES = 512 << 20
MAX_CAMERAS = 10_000
MAX_IMAGE_SIDE = 16384

HASH_PATTERN = re.compile(r"[0-9a-f]{64}")
"""SHA-256 in hex: names files, units and jobs alike."""

WORLD_FILES = ("panorama.png", "distance.exr", "from_photo.png", "world.json")
WORLD_LAYERS = ("plate.png", "plate_distance.exr", "layout.json")
"""Beside them: the place without what stands in it. Worlds of before there were layers are shot without."""

ALL = "*"
"""Instead of a job's id, in CANCEL and PAUSE: every job that is not done."""


class ProtocolError(Exception):
    """Bytes that are no message of this version; `code` is 'version' or 'protocol'."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


# --- what is asked for -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorldRequest:
    """A panorama of a photo, or the distance of an existing panorama (give one of the two)."""

    photo: str = ""
    """SHA-256 of the uploaded photo, or empty."""
    panorama: str = ""
    """SHA-256 of an uploaded equirectangular picture, or empty."""
    camera: dict | None = None
    """`Camera.to_dict()`: the photo's camera (with `panorama`: only its position and heading are used)."""
    camera_height: float = 1.6
    """Metres from the floor to the camera."""
    width: int = 4096
    """Width of the panorama in pixels (with `panorama`: the picture's own)."""
    seed: int = 0
    preset: str = "builtin"
    prompt: str = ""
    """What the place is, for presets that take one (`takes_prompt`); refused by the others."""
    room: str = "auto"
    """Whether the place's layout is used: "auto", where the fit is sure; "on", wherever one was found; "off"."""
    unseen: str = ""
    """How what nobody saw is shown: "plain", "dressed" or "as-painted"; empty: the preset's own way."""


@dataclass(frozen=True)
class ShotRequest:
    """The views of a camera path through a world."""

    world: dict[str, str] = field(default_factory=dict)
    """File name (`WORLD_FILES`, and all or none of `WORLD_LAYERS`) -> SHA-256 of the uploaded file."""
    world_job: str = ""
    """Or the id of the job that makes the world: the shot waits for it."""
    cameras: list[dict] = field(default_factory=list)
    """`Camera.to_dict()` of every frame, in order."""
    first_frame: int = 1
    """The number in the first frame's file name."""
    seed: int = 0
    preset: str = "builtin"
    tau_position: float = 0.2
    tau_rotation: float = 0.2
    steps: int = 0
    """Denoising steps of every view; 0: as many as the preset says."""


# --- messages --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Artifact:
    """A finished file of a job. `name` is its path below the job's folder, with forward slashes."""

    name: str
    size: int
    sha256: str
    crc32: int | None = None
    """Enough to tell damage on a disk from: on its way a file is authenticated piece by piece. Older units lack it."""


@dataclass(frozen=True)
class Hello:
    versions: tuple[int, ...]
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Welcome:
    version: int
    epoch: str
    """Changes whenever the service starts anew."""
    service: str
    """The service's own version."""
    presets: tuple[dict, ...]
    devices: tuple[dict, ...]
    limits: dict


@dataclass(frozen=True)
class Ping:
    pass


@dataclass(frozen=True)
class Pong:
    epoch: str


@dataclass(frozen=True)
class Put:
    """A piece of a file (payload). An empty piece asks how much of the file is there already."""

    sha256: str
    size: int
    offset: int
    name: str = ""
    """What error messages call the file; never a path."""


@dataclass(frozen=True)
class Stored:
    sha256: str
    received: int
    complete: bool


@dataclass(frozen=True)
class Look:
    """Ask whether people stand in an uploaded picture, and how its camera was held."""

    sha256: str
    fov_x_rad: float = 0.0
    """The picture's horizontal field of view where it is known; 0: it is not."""


@dataclass(frozen=True)
class Angle:
    """One of the angles of a picture's camera."""

    value_rad: float
    uncertainty_rad: float
    """0: it is not measured."""
    source: str
    """In words: "from the photo's lines", "from the file", "assumed"."""


@dataclass(frozen=True)
class Held:
    """How a picture's camera was held, and how wide it saw; see `lookbeyond.layout.camera`."""

    fov_x: Angle
    pitch: Angle
    roll: Angle


@dataclass(frozen=True)
class Seen:
    ready: bool
    """Whether the picture was looked at by now; if not, ask again a little later."""
    faces: tuple[float, ...] = ()
    """The share of the picture that each face covers, 0..1, the largest first."""
    camera: Held | None = None
    """None while it is not looked at, and for what cannot be."""


@dataclass(frozen=True)
class Submit:
    kind: str
    """'world' or 'shot'."""
    request: dict


@dataclass(frozen=True)
class Accepted:
    job: str
    new: bool


@dataclass(frozen=True)
class Status:
    job: str
    after: int = 0
    """Leave out this many of the job's artifacts: those the asker was told of by this epoch of the service."""


@dataclass(frozen=True)
class JobStatus:
    """The truth about a job. `artifacts` are the files that are ready; listings leave them out."""

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
    """How many artifacts were left out at the beginning, as asked for."""


@dataclass(frozen=True)
class ListJobs:
    pass


@dataclass(frozen=True)
class Jobs:
    jobs: tuple[JobStatus, ...]


@dataclass(frozen=True)
class Events:
    """Ask for hints about a job on this connection."""

    job: str


@dataclass(frozen=True)
class Progress:
    job: str
    fraction: float
    message: str
    eta_s: float | None = None


@dataclass(frozen=True)
class Preview:
    """The payload is a small JPEG."""

    job: str


@dataclass(frozen=True)
class Ready:
    """Files of this job became ready, or its state changed: ask for its status."""

    job: str


@dataclass(frozen=True)
class Get:
    job: str
    artifact: str
    offset: int
    size: int


@dataclass(frozen=True)
class Data:
    """The payload is the piece asked for."""

    job: str
    artifact: str
    offset: int


@dataclass(frozen=True)
class Doubt:
    """This file arrived damaged: if it lies so in the store, what was made is thrown away, to be made again."""

    job: str
    artifact: str


@dataclass(frozen=True)
class Cancel:
    """Stop a job (or `ALL`), or one unit: then the jobs that need it go on with what does not depend on it."""

    job: str = ""
    """With `unit`: only for this job; empty: for every job that needs it."""
    unit: str = ""


@dataclass(frozen=True)
class Cancelled:
    """Something was stopped; DONE answers that there was nothing left to stop."""


@dataclass(frozen=True)
class Pause:
    job: str
    paused: bool


@dataclass(frozen=True)
class Reorder:
    """Move a job to this place (0 is next) among those that wait."""

    job: str
    position: int


@dataclass(frozen=True)
class PriceQuestion:
    """Ask what a shot would cost here. The plan says how many anchors it has, and frames in its clips together."""

    preset: str
    width: int
    height: int
    anchors: int
    frames: int


@dataclass(frozen=True)
class Price:
    seconds: float | None
    """By what was measured on this machine; None: nothing of the preset was."""
    stored_bytes: int
    """What it takes in the store, about."""


@dataclass(frozen=True)
class ServiceQuestion:
    """Ask how the service itself is."""


@dataclass(frozen=True)
class ServiceStatus:
    """How the service is: what its workers do, what its store holds, when all of it will be done."""

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
    """Seconds until every job that is not paused is done, if anything is known of it."""
    sessions: int
    memory_bytes: int
    """Resident memory of the service's own process, without its workers."""
    draining: bool = False
    """Whether it is ending and takes no new work."""


@dataclass(frozen=True)
class Prune:
    """Remove from the store what was used longest ago and no job needs."""

    quota_bytes: int
    max_age_s: float


@dataclass(frozen=True)
class Pruned:
    entries: int
    bytes: int


@dataclass(frozen=True)
class Release:
    """Unload the models; they load again when they are needed."""


@dataclass(frozen=True)
class Leave:
    """The client goes: its session can be forgotten. Jobs go on without it."""


@dataclass(frozen=True)
class Bye:
    """End the service gracefully."""


@dataclass(frozen=True)
class Done:
    pass


@dataclass(frozen=True)
class Error:
    code: str
    """'input', 'version', 'protocol', 'cancelled', 'out_of_memory', 'storage', 'lost', 'busy', 'wrong_key',
    'not_allowed', 'unknown_job', 'hello' or 'failed'."""
    message: str
    """A sentence for the user, with the remedy."""


MESSAGES: dict[str, type] = {
    "HELLO": Hello,
    "WELCOME": Welcome,
    "PING": Ping,
    "PONG": Pong,
    "PUT": Put,
    "STORED": Stored,
    "LOOK": Look,
    "SEEN": Seen,
    "SUBMIT": Submit,
    "ACCEPTED": Accepted,
    "STATUS": Status,
    "JOB": JobStatus,
    "LIST": ListJobs,
    "JOBS": Jobs,
    "EVENTS": Events,
    "PROGRESS": Progress,
    "PREVIEW": Preview,
    "READY": Ready,
    "GET": Get,
    "DATA": Data,
    "DOUBT": Doubt,
    "CANCEL": Cancel,
    "CANCELLED": Cancelled,
    "PAUSE": Pause,
    "REORDER": Reorder,
    "PRICE_OF": PriceQuestion,
    "PRICE": Price,
    "SERVICE": ServiceQuestion,
    "SERVICE_STATUS": ServiceStatus,
    "PRUNE": Prune,
    "PRUNED": Pruned,
    "RELEASE": Release,
    "LEAVE": Leave,
    "BYE": Bye,
    "DONE": Done,
    "ERROR": Error,
}
TYPE_NAMES = {cls: name for name, cls in MESSAGES.items()}
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=vars)


def encode(message: object, id: int = 0, payload: bytes = b"") -> list[bytes]:
    """The frames of a message."""
    frames = [MAGIC, _ENCODER.encode({"type": TYPE_NAMES[type(message)], "id": id, **vars(message)}).encode()]
    return [*frames, payload] if payload else frames


def check_magic(frames: Sequence[bytes | memoryview]) -> None:
    """Raise ProtocolError unless the frames are of this version of the protocol."""
    if len(frames) < 2 or len(frames) > 3:
        raise ProtocolError("protocol", "A message has two or three frames.")
    if frames[0] != MAGIC:
        raise ProtocolError("version", version_sentence(bytes(frames[0])))


def version_sentence(magic: bytes) -> str:
    """Say which side is to be updated, given the other side's first frame."""
    name, _, number = magic.partition(b"/")
    if name != MAGIC.partition(b"/")[0] or not number.isdigit() or len(number) > 6:
        return "The other side does not speak the Look Beyond protocol; check the address."
    if int(number) > VERSION:
        return f"The other side speaks protocol {int(number)} and this one only {VERSION}; update this side."
    return f"The other side speaks protocol {int(number)} and this one {VERSION}; update the other side."


def decode(frames: Sequence[bytes | memoryview]) -> tuple[object, int, bytes | memoryview]:
    """The message, its id and payload (as it was given). Raises ProtocolError for anything else, and nothing else."""
    check_magic(frames)
    if len(frames[1]) > MAX_FRAME_BYTES:
        raise ProtocolError("protocol", "A header is too large.")
    try:
        header = json.loads(bytes(frames[1]))
        if not isinstance(header, dict):
            raise TypeError("a header is a JSON object")
        cls = MESSAGES[header["type"]]
        id = header.get("id", 0)
        if type(id) is not int:
            raise TypeError("an id is an integer")
        message = from_plain(cls, header)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError("protocol", "A header could not be understood.") from error
    return message, id, frames[2] if len(frames) == 3 else b""


@functools.cache
def _hints(cls: type) -> dict[str, typing.Any]:
    return typing.get_type_hints(cls)


def from_plain(hint: typing.Any, value: typing.Any) -> typing.Any:
    """Plain JSON values as the type that `hint` names, strictly. Raises TypeError or KeyError."""
    if type(value) is hint:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise TypeError(f"{hint.__name__} is a JSON object")
        hints = _hints(hint)
        return hint(**{k: from_plain(hints[k], v) for k, v in value.items() if k in hints})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        return from_plain(next(a for a in arguments if a is not type(None)), value)
    if origin in (tuple, list) and isinstance(value, list):
        return origin(from_plain(arguments[0], v) for v in value)
    if origin is dict and isinstance(value, dict):
        return {k: from_plain(arguments[1], v) for k, v in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    raise TypeError(f"expected {hint}, not {type(value).__name__}")


# --- where a service is found ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ServiceAddress:
    """How to reach a running service. Lies as JSON in a file that only its user can read."""

    address: str
    """ZeroMQ endpoint, for instance tcp://127.0.0.1:50211."""
    server_key: str
    """The service's public CURVE key, Z85."""
    client_keys: str
    """Path of the 0600 JSON file with the client's own key pair: {"public": ..., "secret": ...}, Z85."""
    pid: int = 0
    version: str = SERVICE_VERSION


def runtime_folder() -> Path:
    """The user's folder for what is running now; `LOOKBEYOND_RUNTIME_DIR` names another one."""
    if chosen := os.environ.get("LOOKBEYOND_RUNTIME_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "lookbeyond" / "run"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lookbeyond" / "run"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "lookbeyond"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lookbeyond" / "run"


def runtime_file() -> Path:
    """The file in which a running service says where it is."""
    return runtime_folder() / "service.json"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Checksum:
    """Tells whether what arrives in pieces is the file that was made: by its CRC-32, or SHA-256 where that is all.

    A CRC takes a fraction of the time, much less where a processor has no instructions for SHA.
    """

    def __init__(self, artifact: Artifact):
        self._artifact = artifact
        self._sha256 = hashlib.sha256() if artifact.crc32 is None else None
        self._crc32 = self._size = 0

    def update(self, piece: bytes | memoryview) -> None:
        self._size += len(piece)
        if self._sha256:
            self._sha256.update(piece)
        else:
            self._crc32 = zlib.crc32(piece, self._crc32)

    def is_right(self) -> bool:
        """Whether the pieces were the whole file, as it was made."""
        if self._size != self._artifact.size:
            return False
        if self._sha256:
            return self._sha256.hexdigest() == self._artifact.sha256
        return self._crc32 == self._artifact.crc32


def artifact_of(path: Path, name: str) -> Artifact:
    """What is to be known about a finished file."""
    sha256, crc32, size = hashlib.sha256(), 0, 0
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(CHUNK_BYTES):
            sha256.update(piece)
            crc32, size = zlib.crc32(piece, crc32), size + len(piece)
    return Artifact(name, size, sha256.hexdigest(), crc32)
