"""Messages that no client of ours would send: right ones changed, and what is no message at all."""

import copy
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference_service.wire import codec, files, messages, requests
from inference_service.wire.requests import ShotRequest, WorldRequest
from tests.support.service import path_cameras, photo_camera

HASH = "ab" * 32
ANSWERS = {
    messages.Welcome, messages.Pong, messages.Stored, messages.PhotoFindings, messages.Aligned, messages.Accepted,
    messages.JobStatus, messages.Jobs, messages.Data, messages.Cancelled, messages.ServiceStatus, messages.Acknowledged,
}  # fmt: skip
"""What a guest hears if its questions reach what lies behind the decoder."""
HINTS = {messages.ProgressHint, messages.PreviewHint, messages.ChangeHint}
NOT_FOR_CLIENTS = ANSWERS | HINTS | {messages.Pruned, messages.Price, messages.Located, messages.Error}
"""What only a service says: hints, which may be dropped, and what a guest is refused are among them."""


@dataclass(frozen=True)
class Known:
    """What messages name: by default nothing that is there."""

    photo: str = HASH
    world: str = HASH
    shot: str = HASH
    files: tuple[tuple[str, str], ...] = tuple(dict.fromkeys(requests.WORLD_FILES, HASH).items())
    """The world's: name and hash."""
    frame: str = "frames/0001.png"
    begun: WorldRequest = field(default_factory=lambda: WorldRequest(photo=HASH, camera=photo_camera(), width=512))
    """What is cancelled and handed in again and again, and so never done."""
    job: str = HASH
    unit: str = HASH
    """The job and the unit of it."""


def messages_about(known: Known) -> list[object]:
    """All that a client may say, and an answer, which it may not."""
    cameras = path_cameras(3)
    said = [
        messages.Hello((codec.VERSION,), ("previews",)),
        messages.Ping(),
        messages.Put(known.photo, 10, 0, "photo.jpg"),
        messages.InspectPhoto(known.photo),
        messages.Align((known.photo, known.photo), (photo_camera(), photo_camera())),
        messages.Submit("world", vars(WorldRequest(photo=known.photo, camera=photo_camera(), width=512))),
        messages.Submit("world", vars(known.begun)),
        messages.Submit("shot", vars(ShotRequest(dict(known.files), cameras=cameras))),
        messages.Submit("shot", vars(ShotRequest(world_job=known.world, cameras=cameras))),
        messages.Status(known.shot),
        messages.Status(known.job, 1),
        messages.ListJobs(),
        messages.Events(known.job),
        messages.Get(known.shot, known.frame, 0, 100),
        messages.Get(known.world, "panorama.png", 100, files.CHUNK_BYTES),
        messages.Locate(known.shot, (known.frame, known.frame)),
        messages.ReportDamage(known.shot, known.frame),
        messages.Cancel(known.job),
        messages.Cancel(unit=known.unit),
        messages.Cancel(known.job, known.unit),
        messages.Pause(known.job, True),
        messages.Pause(known.job, False),
        messages.Reorder(known.job, 3),
        messages.ServiceQuestion(),
        messages.PriceQuestion("builtin", 384, 256, 3, 48),
        messages.Prune(10**12, 1e9),
        messages.Release(),
        messages.Leave(),
        messages.Bye(),
        messages.Acknowledged(),
    ]
    assert {type(message) for message in said} | NOT_FOR_CLIENTS == set(messages.MESSAGES.values())
    return said


MESSAGES = messages_about(Known())
LAST_PING = 987_654_321
STRANGE: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0, 0.1, "", "*", "..", "../../etc/passwd",
    "a" * 10_000, "\x00", "\ud7ff\U0010ffff", HASH, HASH.upper(), [], [[]], [None] * 50, {}, {"": {}}, {"width": -1},
    [[1e30] * 4] * 4, "CON", "world", "NaN",
]  # fmt: skip


def mutated(rng: random.Random, said: Sequence[object] = MESSAGES) -> list[bytes]:
    """A message that was good once: its bytes, its fields or its frames are others now."""
    message = rng.choice(said)
    payload = rng.randbytes(rng.choice((0, 0, 10, 1000)))
    frames = codec.encode(message, rng.randrange(1, 1000), payload)
    way = rng.random()
    if way < 0.45:
        header = json.loads(frames[1])
        for _ in range(rng.randint(1, 3)):
            _change(header, rng)
        frames[1] = json.dumps(header).encode("utf-8", "surrogatepass")
    elif way < 0.9:
        frame = bytearray(rng.choice(frames[:2]))
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(frame) + 1)
            cut = rng.choice((0, 1, 1, 1, 5))
            frame[place : place + cut] = rng.choice((b"", rng.randbytes(1), rng.randbytes(1), b"[" * 50, b'"', b"\xff"))
            frame = frame or bytearray(b"{")
        frames[rng.randrange(2)] = bytes(frame)
    else:
        rng.shuffle(frames)
        frames = frames[: rng.randint(0, 3)] + [rng.randbytes(rng.choice((0, 5, 300)))] * rng.randint(0, 3)
    return frames or [b""]


def nonsense(rng: random.Random, count: int, said: Sequence[object]) -> Iterator[list[bytes]]:
    """So many mutated messages; after every fourth a whole one, for without them few jobs would come and go."""
    for number in range(count):
        yield mutated(rng, said)
        if number % 4 == 3:
            yield codec.encode(rng.choice(said), rng.randrange(1, 1000))


def _change(value: Any, rng: random.Random) -> None:
    """Change something somewhere in a JSON value, in place."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.7:
            value = value[key]
            continue
        if rng.random() < 0.2:
            del value[key]
        else:
            value[key] = copy.deepcopy(rng.choice(STRANGE))
        return
