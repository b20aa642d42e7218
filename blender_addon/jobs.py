"""What the add-on asks of the service: steps that run in the session's I/O thread. No bpy here."""

import json
import os
import shlex
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from lookbeyond_kit import __version__ as KIT_VERSION
from lookbeyond_kit import client as service
from lookbeyond_kit.client import Client, Finished, Progress
from lookbeyond_kit.protocol import WORLD_FILES, ShotRequest, WorldRequest

from .session import Done, Event, Launched, Steps, Stopped, Submitted, Welcomed

Connect = Callable[[], Client]
"""Makes a client (a context manager) for the service that the preferences say; raises ServiceError."""


class JobError(ValueError):
    """Something that keeps a job from being sent: the message names it and the remedy."""


def build_world(
    connect: Connect,
    picture: Path,
    role: Literal["photo", "panorama"],
    request: WorldRequest,
    folder: Callable[[str], Path],
) -> Steps:
    """Steps that upload `picture` (a photo, or a panorama that only lacks its distance) and fetch the world.

    `request` is complete but for the picture's hash; `folder` says, given the job's id, where the files go.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Sending {picture.name}", None)
        with connect() as client:
            yield Welcomed(client.welcome)
            digest = client.upload(picture)
            yield from submit_and_follow(client, replace(request, **{role: digest}), folder, cancelled)

    return steps


def shoot(connect: Connect, world: Path, request: ShotRequest, folder: Callable[[str], Path]) -> Steps:
    """Steps that send the world in the folder `world` and the cameras of `request`, and fetch the shot."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Sending the world", None)
        with connect() as client:
            yield Welcomed(client.welcome)
            digests = {name: client.upload(world / name) for name in WORLD_FILES}
            yield from submit_and_follow(client, replace(request, world=digests), folder, cancelled)

    return steps


def submit_and_follow(
    client: Client,
    request: WorldRequest | ShotRequest,
    folder: Callable[[str], Path],
    cancelled: threading.Event,
) -> Iterator[Event]:
    job = client.submit(request)
    yield Submitted(job)
    place = folder(job)
    place.mkdir(parents=True, exist_ok=True)
    write_request(place / "request.json", client, request, job)
    asked = False
    for event in client.follow(job, place):
        if cancelled.is_set() and not asked:
            asked = True
            client.cancel(job)
        if not isinstance(event, Finished):
            yield event
    yield Done(folder=place, job=job)


def write_request(file: Path, client: Client, request: WorldRequest | ShotRequest, job: str) -> None:
    """What makes the files beside it: everything that was asked for, and who answered."""
    about = {"job": job, "kit": KIT_VERSION, "service": getattr(client.welcome, "service", "")}
    about |= {"request": asdict(request)}
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(about, indent=1), encoding="utf-8")
    temporary.replace(file)


def check_service(connect: Connect) -> Steps:
    """Steps that ask the service who it is."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            yield Welcomed(client.welcome)
        yield Done("The service answers.")

    return steps


def start_service(command: Sequence[str]) -> Steps:
    """Steps that launch the service, or find that it runs already."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Starting the service", None)
        try:
            with Client() as client:
                yield Welcomed(client.welcome)
            yield Done("The service runs already.")
            return
        except service.ServiceError as error:
            if error.code == "version":
                raise
        process, address = service.start_service(command)
        yield Launched(process)
        with Client(address) as client:
            yield Welcomed(client.welcome)
        yield Done("The service runs.")

    return steps


def stop_service(connect: Connect) -> Steps:
    """Steps that end the service; what it has finished stays in its store."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Stopping the service", None)
        with connect() as client:
            client.shutdown()
        yield Stopped()
        yield Done("The service has stopped.")

    return steps


def service_command(preference: str) -> list[str]:
    """The command that starts the service: what the preferences say, else `lookbeyond` where installers put
    it.

    Blender started from a desktop does not see the PATH of a shell, so the usual folders are looked into,
    too. Raises `JobError`.
    """
    if preference.strip():
        if Path(preference).expanduser().is_file():  # a path with spaces needs no quotes
            words = [str(Path(preference).expanduser())]
        else:
            words = shlex.split(preference, posix=os.name != "nt")
        if shutil.which(words[0]) is None:
            raise JobError(f"There is no program {words[0]}: correct the service command in the add-on's preferences.")
        return words if "serve" in words else [*words, "serve"]
    usual = os.pathsep.join(str(Path.home() / part) for part in (".local/bin", "bin", "Scripts"))
    program = shutil.which("lookbeyond") or shutil.which("lookbeyond", path=usual)
    if program is None:
        raise JobError(
            "The program lookbeyond was not found: install the service (pip install lookbeyond), or give"
            " its path in the add-on's preferences."
        )
    return [program, "serve"]
