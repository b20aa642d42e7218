"""Asks the service for faces in the placed photo, to warn about people."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bpy

from ..kit import Progress, ServiceError
from ..results import absolute
from ..service import preferences
from ..service.job_scene import JobScene
from ..service.jobs import Connect
from ..session import session
from ..tasks import UNREACHABLE, Connected, Event, ServiceStopped, Steps, Succeeded, Task
from ..undo import push_undo_step
from .quality import faces_warning


def find_faces_steps(connect: Connect, picture: Path, found: Callable[[Sequence[float]], None]) -> Steps:
    """Steps that pass to `found` the share of the picture that each face covers.

    The artist did not ask for this: a service that cannot do it is no error, and `found` is not called.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Looking for people in {picture.name}", None)
        try:
            with connect() as client:
                yield Connected(client.welcome)
                found(client.faces(client.upload(picture)))
        except ServiceError as error:
            if error.code in UNREACHABLE:
                yield ServiceStopped()
        yield Succeeded()

    return steps


def find_faces(scene: bpy.types.Scene, notice: str = "") -> Task:
    """A task that finds faces in the placed photo and ends with `notice`. Raises `JobError`."""
    job_scene, photo_path = JobScene(scene), scene.look_beyond.photo_path
    found: list[Sequence[float]] = []

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        camera = scene.look_beyond.photo_camera if scene is not None else None
        if found and camera is not None and camera.data.look_beyond.photo_path == photo_path:
            camera.data.look_beyond.looked_at = True
            camera.data.look_beyond.people = faces_warning(found[0])
            if found[0]:
                push_undo_step("Find People")
        return notice

    return Task("Find People", find_faces_steps(preferences.connection(), absolute(photo_path), found.append), finish)


def faces_unknown(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a photo that was not searched for faces yet."""
    camera = scene.look_beyond.photo_camera
    return camera is not None and bool(scene.look_beyond.photo_path) and not camera.data.look_beyond.looked_at


def find_faces_when_connected(scene: bpy.types.Scene) -> Callable[[Succeeded], str]:
    """A `Task.finish` that queues `find_faces` for a photo that was placed before the service was connected."""
    job_scene = JobScene(scene)

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        if scene is not None and faces_unknown(scene):
            session.queue.append(find_faces(scene))
        return ""

    return finish
