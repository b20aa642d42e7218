"""What the add-on asks of the service: steps that run in the session's I/O thread. No bpy here."""

import json
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from lookbeyond_kit import __version__ as KIT_VERSION
from lookbeyond_kit import client as service
from lookbeyond_kit.client import (
    WORLD_FILES,
    WORLD_LAYERS,
    Client,
    Finished,
    Progress,
    Seen,
    ShotRequest,
    WorldRequest,
)

from .session import UNREACHABLE, Done, Event, Launched, Steps, Stopped, Submitted, Welcomed

Connect = Callable[[], Client]
"""Makes a client (a context manager) for the service that the preferences say; raises ServiceError."""

WRITING = threading.Lock()
"""Held while a job's request.json changes: the job's thread and the main thread both write it."""


class JobError(ValueError):
    """Something that keeps a job from being sent: the message names it and the remedy."""


def build_world(
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


def shoot(
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
            layers = [name for name in WORLD_LAYERS if (world / name).is_file()]
            digests = {name: client.upload(world / name) for name in (*WORLD_FILES, *layers)}
            count = steps_of(client.welcome, request.preset, steps_share)
            asked = replace(request, world=digests, steps=count)
            yield from submit_and_follow(client, asked, folder, about, cancelled)

    return steps


def steps_of(welcome: object, preset: str, share: float) -> int:
    """A share of the denoising steps of a preset; 0, which is its own number, where the service does not say that."""
    own = (known_preset(welcome, preset) or {}).get("views_steps", 0)
    return 0 if abs(share - 1) < 1e-6 or not own else max(1, round(own * share))


def known_preset(welcome: object, preset: str) -> Mapping[str, object] | None:
    """What the service says of a preset; None where it has said nothing."""
    return next((one for one in getattr(welcome, "presets", ()) if one.get("name") == preset), None)


def takes_prompt(welcome: object, preset: str) -> bool:
    """Whether a preset can be told what the place is; one that nobody knows yet may."""
    known = known_preset(welcome, preset)
    return preset != "builtin" if known is None else bool(known.get("takes_prompt"))


def room_for(welcome: object, preset: str) -> str:
    """In a few words whether a preset can run on the service's devices; empty where that is not known."""
    known = known_preset(welcome, preset)
    if known is None:
        return ""
    if not known.get("installed", True):
        return "not downloaded"
    said = [device.get("presets", {}).get(preset, "") for device in getattr(welcome, "devices", ())]
    # One device that it fits into is enough; the shortest words are the best news.
    return min((words for words in said if words.startswith("fits")), key=len, default=next(filter(None, said), ""))


def fetch_command(preset: str) -> str:
    """What downloads a preset on the service's machine, typed there."""
    return f"lookbeyond fetch {preset}"


def look_at_photo(connect: Connect, picture: Path, fov_x: float, seen: Callable[[Seen], None]) -> Steps:
    """Steps that tell `seen` what the service sees in a picture: faces, and how its camera was held.

    fov_x: its horizontal field of view in radians where it is known, else 0. Nobody has asked for it: a service that
    cannot say it is no error, and nothing is told then.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Looking at {picture.name}", None)
        try:
            with connect() as client:
                yield Welcomed(client.welcome)
                looked = client.look(client.upload(picture), fov_x)
                if looked.ready:
                    seen(looked)
        except service.ServiceError as error:
            if error.code in UNREACHABLE:
                yield Stopped()
        yield Done()

    return steps


def resume(connect: Connect, request: WorldRequest | ShotRequest, folder: Path, about: Mapping[str, object]) -> Steps:
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
    except service.ServiceError as error:
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


def write_request(
    file: Path,
    client: Client,
    request: WorldRequest | ShotRequest,
    job: str,
    about: Mapping[str, object],
    ended: bool,
) -> None:
    """What makes the files beside it: everything that was asked for, who answered, and whether it has ended."""
    content = {"job": job, "ended": ended, "kit": KIT_VERSION, "service": getattr(client.welcome, "service", "")}
    with WRITING:
        replace_json(file, content | {"about": dict(about), "request": asdict(request)})


def keep_for_later(folder: Path) -> None:
    """Have what was finished in a folder be found again as if it had not ended: nobody has seen it yet."""
    rewrite_request(folder / "request.json", lambda begun: begun.update(ended=False))


def belongs_to(folder: Path, files: Sequence[str]) -> None:
    """Have what was begun in a folder belong to these .blend files."""
    rewrite_request(folder / "request.json", lambda begun: begun["about"].update(files=list(files)))


def rewrite_request(file: Path, change: Callable[[dict], None]) -> None:
    with WRITING:
        begun = json.loads(file.read_text(encoding="utf-8"))
        change(begun)
        replace_json(file, begun)


def replace_json(file: Path, content: Mapping[str, object]) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(file)


def release_memory(connect: Connect) -> Steps:
    """Steps that have the service unload its models."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            client.release()
            yield from welcomed(client, cancelled, lambda device: not device.get("loaded"), 10.0)
        yield Done("The models are unloaded; they load again when they are needed.")

    return steps


def check_service(connect: Connect) -> Steps:
    """Steps that ask the service who it is."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        with connect() as client:
            yield from welcomed(client, cancelled)
        yield Done("The service answers.")

    return steps


def has_started(device: Mapping[str, object]) -> bool:
    return device.get("state") != "starting"


def welcomed(
    client: Client,
    cancelled: threading.Event,
    settled: Callable[[Mapping[str, object]], bool] = has_started,
    patience_s: float = 60.0,
) -> Iterator[Event]:
    """What the service says of itself, and again when all its devices are as they are waited for: only their workers,
    once they have started, know them."""
    yield Welcomed(client.welcome)
    devices, ends = client.welcome.devices, time.monotonic() + patience_s
    while not all(map(settled, devices)) and not cancelled.is_set() and time.monotonic() < ends:
        yield Progress(0.5, "Waiting for its workers", None)
        time.sleep(0.2)
        devices = client.service_status().devices
    yield Welcomed(replace(client.welcome, devices=devices))


def start_service(command: Sequence[str]) -> Steps:
    """Steps that launch the service, or find that it runs already."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, "Starting the service", None)
        try:
            with Client() as client:
                yield from welcomed(client, cancelled)
            yield Done("The service runs already.")
            return
        except service.ServiceError as error:
            if error.code == "version":
                raise
        process, address = service.start_service(command)
        yield Launched(process)
        with Client(address) as client:
            yield from welcomed(client, cancelled)
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


INSTALL_COMMAND = "pip install lookbeyond"
"""What puts the service on this machine; `pipx` and `uv tool` do as well."""


def find_program() -> str | None:
    """The program lookbeyond: on the PATH, or where pip, pipx and uv put programs of a user."""
    home = Path.home()
    usual = [home / ".local/bin", home / "bin", home / "Scripts", home / ".local/pipx/venvs/lookbeyond/bin"]
    usual += [home / ".local/share/pipx/venvs/lookbeyond/bin", home / ".local/share/uv/tools/lookbeyond/bin"]
    usual += sorted(home.glob("Library/Python/3.*/bin")) if sys.platform == "darwin" else []
    if appdata := os.environ.get("APPDATA"):
        usual += [*sorted(Path(appdata).glob("Python/Python3*/Scripts")), Path(appdata) / "uv/tools/lookbeyond/Scripts"]
    return shutil.which("lookbeyond") or shutil.which("lookbeyond", path=os.pathsep.join(map(str, usual)))


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
    program = find_program()
    if program is None:
        raise JobError(
            f"The program lookbeyond was not found: install the service ({INSTALL_COMMAND}), or give"
            " its path in the add-on's preferences."
        )
    return [program, "serve"]


def log_text(message: str) -> str:
    """The message and the last of what the service has said, as text."""
    log = service.runtime_file().with_name("service.log")
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
    except OSError:
        lines = ["(the service has written no log on this machine)"]
    return "\n".join([message, f"Add-on {KIT_VERSION}, Python {sys.version.split()[0]}, {sys.platform}", "", *lines])
