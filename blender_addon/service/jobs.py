"""Steps that send a job to the service and fetch what it makes. No bpy here."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..kit import WORLD_FILES, Client, Finished, Progress, ServiceError, ShotRequest, WorldRequest
from ..tasks import UNREACHABLE, Done, Event, JobError, Steps, Submitted, Welcomed
from .presets import steps_of
from .requests import write_request

Connect = Callable[[], Client]
"""Makes a client (a context manager) for the service that the preferences say; raises ServiceError."""


def world_steps(
    connect: Connect,
    picture: Path,
    role: Literal["photo", "panorama"],
    request: WorldRequest,
    folder: Callable[[str], Path],
    about: Mapping[str, object],
) -> Steps:
    """Steps that upload `picture` (a photo, or a panorama that only lacks its distance) and fetch the world.

    `request` is complete but for the picture's hash; `folder` says, given the job's id, where the files go;
    `about` is what finding the job again later needs.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Sending {picture.name}", None)
        with connect() as client:
            yield Welcomed(client.welcome)
            digest = client.upload(picture)
            yield from submit_and_follow(client, replace(request, **{role: digest}), folder, about, cancelled)

    return steps


def shot_steps(
    connect: Connect,
    world: Path,
    request: ShotRequest,
    folder: Callable[[str], Path],
    about: Mapping[str, object],
    steps_share: float = 1.0,
) -> Steps:
    """Steps that send the world in the folder `world` and the cameras of `request`, and fetch the shot.

    `steps_share` is how many denoising steps its views take, of the preset's own number: the service knows that.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Sending the world", None)
        with connect() as client:
            yield Welcomed(client.welcome)
            digests = {name: client.upload(world / name) for name in WORLD_FILES}
            count = steps_of(client.welcome, request.preset, steps_share)
            asked = replace(request, world=digests, steps=count)
            yield from submit_and_follow(client, asked, folder, about, cancelled)

    return steps


def resume_steps(
    connect: Connect, request: WorldRequest | ShotRequest, folder: Path, about: Mapping[str, object]
) -> Steps:
    """Steps that ask again for what was begun: the service attaches to it, and goes on from what it has."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Looking for what was begun", None)
        with connect() as client:
            yield Welcomed(client.welcome)
            yield from submit_and_follow(client, request, lambda job: folder, about, cancelled)

    return steps


def submit_and_follow(
    client: Client,
    request: WorldRequest | ShotRequest,
    folder: Callable[[str], Path],
    about: Mapping[str, object],
    cancelled: threading.Event,
) -> Iterator[Event]:
    job = client.submit(request)
    yield Submitted(job)
    place = folder(job)
    place.mkdir(parents=True, exist_ok=True)
    written = place / "request.json"
    write_request(written, client, request, job, about, ended=False)
    asked = False
    try:
        for event in client.follow(job, place):
            if cancelled.is_set() and not asked:
                asked = True
                client.cancel(job)
            if not isinstance(event, Finished):
                yield event
    except ServiceError as error:
        if error.code not in UNREACHABLE:  # it will not come to another end
            write_request(written, client, request, job, about, ended=True)
        raise
    write_request(written, client, request, job, about, ended=True)
    if isinstance(request, ShotRequest):
        check_frames(place / "frames", request)
        yield Done(folder=place, job=job, cameras=json.dumps(request.cameras), steps=request.steps)
    else:
        yield Done(folder=place, job=job, cameras=json.dumps([request.camera]))


def frame_names(request: ShotRequest) -> list[str]:
    """The files of a shot's frames, in their order."""
    first = request.first_frame
    return [f"{number:04d}.png" for number in range(first, first + len(request.cameras))]


def check_frames(folder: Path, request: ShotRequest) -> None:
    there = set(os.listdir(folder)) if folder.is_dir() else set()
    missing = next((name for name in frame_names(request) if name not in there), None)
    if missing is not None:
        raise JobError(f"The frame {missing} did not arrive in {folder.parent}: shoot again.")
