"""Steps that send a job to the service and receive its results. No bpy here."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..kit import (
    WORLD_FILES,
    WORLD_LAYERS,
    Client,
    EditRequest,
    Finished,
    LinkRequest,
    MoveRequest,
    Progress,
    ServiceError,
    ShotRequest,
    WorldRequest,
)
from ..moved import present_path
from ..tasks import UNREACHABLE, Connected, Event, JobError, JobSubmitted, Steps, Succeeded
from .png import grey_png
from .presets import step_count
from .requests import JobOrigin, Request, stored_request, write_request

MASK_FILE = "mask.png"
"""In the folder of a changed world: what of it was changed."""
Connect = Callable[[], Client]
"""Makes a client (a context manager) for the service of the preferences; raises ServiceError."""


def world_steps(
    connect: Connect,
    picture: Path,
    role: Literal["photo", "panorama"],
    request: WorldRequest,
    folder_of: Callable[[str], Path],
    origin: JobOrigin,
    beside: Sequence[tuple[Path, dict]] = (),
    cuts: Sequence[NDArray[np.bool_]] = (),
) -> Steps:
    """Steps that upload a photo, or a panorama that only lacks distances, and receive the world.

    `request` lacks only the picture's hash, the photos `beside` it with their cameras, and the `cuts` [H, W] that are
    taken out of it; `folder_of` gives the result folder for the job's id.
    """

    def complete(client: Client) -> WorldRequest:
        digest = client.upload(present_path(picture))
        further = [{"photo": client.upload(present_path(path)), "camera": camera} for path, camera in beside]
        cut = [_upload_mask(client, mask, f"cut{number}.png") for number, mask in enumerate(cuts, 1)]
        return replace(request, **{role: digest}, beside=further, cut=cut)

    return job_steps(connect, f"Sending {picture.name}", complete, folder_of, origin)


def answer_steps(
    connect: Connect,
    complete: Callable[[Client], MoveRequest | LinkRequest],
    receive: Callable[[Path], None],
    sends: str = "the world",
) -> Steps:
    """Steps of a job whose result is only read: `complete` uploads what its request names, `receive` reads the folder
    of the results, which is then gone. `sends`: what is uploaded, for the artist."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Sending {sends}", None)
        with connect() as client, tempfile.TemporaryDirectory(prefix="look_beyond_") as folder:
            yield Connected(client.welcome)
            job = client.submit(complete(client))
            yield JobSubmitted(job)
            for event in follow(client, job, Path(folder), cancelled):
                if isinstance(event, Progress):
                    yield event
            receive(Path(folder))
        yield Succeeded()

    return steps


def shot_steps(
    connect: Connect,
    world: Path,
    request: ShotRequest,
    folder_of: Callable[[str], Path],
    origin: JobOrigin,
    steps_share: float = 1.0,
    former: Sequence[Path] = (),
    beyond: tuple[Path, dict] | None = None,
) -> Steps:
    """Steps that upload the world in a folder, and `former` ones that it was changed from, and receive the shot.

    beyond: a second world's folder and the link to it, of a shot that goes on in it; then former worlds are left out.

    `request` lacks the world's hashes and the number of denoising steps, which is `steps_share` of the preset's number.
    """

    def complete(client: Client) -> ShotRequest:
        digests = upload_world(client, world)
        count = step_count(client.welcome, request.preset, steps_share)
        second = {} if beyond is None else {"world": upload_world(client, beyond[0]), "link": beyond[1]}
        before = [] if second else [upload_world(client, each) for each in former]
        return replace(request, world=digests, steps=count, former=before, beyond=second)

    return job_steps(connect, "Sending the world", complete, folder_of, origin)


def edit_steps(
    connect: Connect,
    world: Path,
    spot: NDArray[np.bool_],
    request: EditRequest,
    folder_of: Callable[[str], Path],
    origin: JobOrigin,
) -> Steps:
    """Steps that upload the world in a folder with a spot [H, W] of it and receive the changed world.

    `request` lacks only the hashes of both.
    """

    def complete(client: Client) -> EditRequest:
        return replace(request, world=upload_world(client, world), mask=_upload_mask(client, spot, MASK_FILE))

    return job_steps(connect, "Sending the world", complete, folder_of, origin)


def _upload_mask(client: Client, mask: NDArray[np.bool_], name: str) -> str:
    """Upload a mask [H, W] as a PNG of this name; its hash."""
    with tempfile.TemporaryDirectory(prefix="look_beyond_mask_") as folder:
        path = Path(folder) / name
        path.write_bytes(grey_png(mask.astype(np.uint8) * 255))
        return client.upload(path)


def upload_world(client: Client, world: Path) -> dict[str, str]:
    """Upload the files of the world in a folder; their names and hashes."""
    layers = [name for name in WORLD_LAYERS if present_path(world / name).is_file()]
    return {name: client.upload(present_path(world / name)) for name in (*WORLD_FILES, *layers)}


def job_steps(
    connect: Connect,
    message: str,
    complete: Callable[[Client], Request],
    folder_of: Callable[[str], Path],
    origin: JobOrigin,
) -> Steps:
    """Steps that submit a job and receive its results: `complete` uploads what its request names, which `message`
    tells the artist. The service continues from what it has stored of the same job."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, message, None)
        with connect() as client:
            yield Connected(client.welcome)
            yield from submit_and_follow(client, complete(client), folder_of, origin, cancelled)

    return steps


def submit_and_follow(
    client: Client,
    request: Request,
    folder_of: Callable[[str], Path],
    origin: JobOrigin,
    cancelled: threading.Event,
) -> Iterator[Event]:
    """Submit a job and receive its results until it ends, or until the artist cancels it."""
    job = client.submit(request)
    yield JobSubmitted(job)
    folder = folder_of(job)
    folder.mkdir(parents=True, exist_ok=True)
    stored = stored_request(job, getattr(client.welcome, "service", ""), origin, request)
    write_request(folder, stored)
    try:
        yield from follow(client, job, folder, cancelled)
    except ServiceError as error:
        if error.code not in UNREACHABLE:  # the job has failed permanently
            write_request(folder, replace(stored, ended=True))
        raise
    write_request(folder, replace(stored, ended=True))
    if isinstance(request, ShotRequest):
        check_frames(folder / "frames", request)
        yield Succeeded(folder=folder, job=job, cameras=json.dumps(request.cameras), steps=request.steps)
    elif isinstance(request, WorldRequest):
        yield Succeeded(folder=folder, job=job, cameras=json.dumps([request.camera]))
    else:
        yield Succeeded(folder=folder, job=job)


def follow(client: Client, job: str, folder: Path, cancelled: threading.Event) -> Iterator[Event]:
    """The events of a job until its results are in a folder; it is cancelled once the artist has said so."""
    cancel_sent = False
    for event in client.follow(job, folder):
        if cancelled.is_set() and not cancel_sent:
            cancel_sent = True
            client.cancel(job)
        if not isinstance(event, Finished):
            yield event


def frame_names(request: ShotRequest) -> list[str]:
    """File names of a shot's frames, in order."""
    first = request.first_frame
    return [f"{number:04d}.png" for number in range(first, first + len(request.cameras))]


def check_frames(folder: Path, request: ShotRequest) -> None:
    """Raise `JobError` if a frame is missing."""
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = next((name for name in frame_names(request) if name not in present), None)
    if missing is not None:
        raise JobError(f"The frame {missing} did not arrive in {folder.parent}: shoot again.")
