"""The service looks for people in the placed photo."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bpy

from ..kit import Progress, ServiceError
from ..results import absolute
from ..service import job_scene, preferences
from ..service.job_scene import SceneOf
from ..service.jobs import Connect
from ..session import session
from ..tasks import UNREACHABLE, Done, Event, Steps, Stopped, Welcomed, Work
from ..undo import remember_for_undo
from .quality import people_warning


def face_steps(connect: Connect, picture: Path, seen: Callable[[Sequence[float]], None]) -> Steps:
    """Steps that tell `seen` the share of the picture that each face in it covers.

    Nobody has asked for it: a service that cannot say it is no error, and nothing is told then.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Looking at {picture.name}", None)
        try:
            with connect() as client:
                yield Welcomed(client.welcome)
                seen(client.faces(client.upload(picture)))
        except ServiceError as error:
            if error.code in UNREACHABLE:
                yield Stopped()
        yield Done()

    return steps


def look_at_photo(scene: bpy.types.Scene, said: str = "") -> Work:
    """Have the service look for people in the placed photo; `said` is the closing sentence. Raises `JobError`."""
    where, stored = SceneOf(scene), scene.look_beyond.photo_path
    seen: list[Sequence[float]] = []

    def finish(done: Done) -> str:
        scene = where.find()
        camera = scene.look_beyond.photo_camera if scene is not None else None
        if seen and camera is not None and camera.data.look_beyond.photo_path == stored:
            camera.data.look_beyond.looked_at = True
            camera.data.look_beyond.people = people_warning(seen[0])
            if seen[0]:
                remember_for_undo("Look at Photo")
        return said

    return Work("Look at Photo", face_steps(preferences.connection(), absolute(stored), seen.append), finish)


def not_looked_at(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a photo in which nobody has looked for people yet."""
    camera = scene.look_beyond.photo_camera
    return camera is not None and bool(scene.look_beyond.photo_path) and not camera.data.look_beyond.looked_at


def looking(scene: bpy.types.Scene) -> Callable[[Done], str]:
    """When the service is there: have it look at the photo that was placed before."""
    where = job_scene.SceneOf(scene)

    def finish(done: Done) -> str:
        scene = where.find()
        if scene is not None and not_looked_at(scene):
            session.queue.append(look_at_photo(scene))
        return ""

    return finish
