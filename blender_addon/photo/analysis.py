"""Asks the service what it sees in the placed photo: faces, to warn about people, and the angles of its camera."""

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

from ..kit import CameraFindings, PhotoFindings, Progress, ServiceError, fov_x_assumed, heading_pitch_roll
from ..results import absolute
from ..service import preferences
from ..service.job_scene import JobScene
from ..service.jobs import Connect
from ..session import session
from ..tasks import UNREACHABLE, Connected, Event, ServiceStopped, Steps, Succeeded, Task
from ..undo import push_undo_step
from .camera import linked_reason, photo_camera, set_photo_camera
from .quality import faces_warning

UNCHANGED_RAD = 1e-4
"""Angles that differ by less are unchanged: Blender's matrices are single precision."""


def analysis_steps(connect: Connect, picture: Path, fov_x_rad: float, found: Callable[[PhotoFindings], None]) -> Steps:
    """Steps that pass to `found` what the service sees in a picture.

    `fov_x_rad` is its horizontal field of view, 0 if unknown. The artist did not ask for this: a service that cannot
    do it is not an error, and `found` is not called.
    """

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Analysing {picture.name}", None)
        try:
            with connect() as client:
                yield Connected(client.welcome)
                findings = client.inspect_photo(client.upload(picture), fov_x_rad)
                if findings.ready:
                    found(findings)
        except ServiceError as error:
            if error.code in UNREACHABLE:
                yield ServiceStopped()
        yield Succeeded()

    return steps


def analyse_photo(scene: bpy.types.Scene, notice: str = "") -> Task:
    """A task that analyses the placed photo and ends with `notice`. Raises `JobError`.

    Angles that the artist has set by then are kept.
    """
    job_scene, photo_path = JobScene(scene), scene.look_beyond.photo_path
    found: list[PhotoFindings] = []

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        placed = scene.look_beyond.photo_camera if scene is not None else None
        if found and placed is not None and placed.data.look_beyond.photo_path == photo_path:
            findings = found[0]
            placed.data.look_beyond.looked_at = True
            placed.data.look_beyond.people = faces_warning(findings.faces)
            turned = findings.camera is not None and apply_angles(scene, findings.camera)
            if turned or findings.faces:
                push_undo_step("Analyse Photo")
        return notice

    camera = photo_camera(scene)
    fov_x_known = camera is not None and not scene.look_beyond.photo_camera.data.look_beyond.fov_x_assumed
    fov_x_rad = camera.fov_x if fov_x_known else 0.0
    steps = analysis_steps(preferences.connection(), absolute(photo_path), fov_x_rad, found.append)
    return Task("Analyse Photo", steps, finish)


def apply_angles(scene: bpy.types.Scene, findings: CameraFindings) -> bool:
    """Set those angles of the photo's camera that are still assumed; returns whether any changed."""
    camera = photo_camera(scene)
    if camera is None or linked_reason(scene):
        return False
    photo = scene.look_beyond.photo_camera.data.look_beyond
    _, pitch_rad, roll_rad = heading_pitch_roll(camera)
    angles = (
        ("fov_x", "Field of view", findings.fov_x, camera.fov_x - fov_x_assumed(photo.width, photo.height)),
        ("pitch", "Pitch", findings.pitch, pitch_rad),
        ("roll", "Roll", findings.roll, roll_rad),
    )
    found, notes = {}, []
    for name, label, angle, change_rad in angles:
        # The artist may also have turned the camera itself.
        if not getattr(photo, f"{name}_assumed") or abs(change_rad) >= UNCHANGED_RAD:
            continue
        uncertainty = f", ± {math.degrees(angle.uncertainty_rad):.1f}°" if angle.uncertainty_rad else ""
        notes.append(f"{label}: {math.degrees(angle.value_rad):.1f}° {angle.source}{uncertainty}.")
        if angle.uncertainty_rad:
            found[f"{name}_rad"] = angle.value_rad
    if found:
        set_photo_camera(scene, **found)
        photo.found_angles = " ".join(found)
    photo.angle_notes = "\n".join(notes)
    return bool(found)


def forget_angles(scene: bpy.types.Scene) -> None:
    """Set the angles that `apply_angles` found to what is assumed without it."""
    photo = scene.look_beyond.photo_camera.data.look_beyond
    assumed = {
        "fov_x_rad": fov_x_assumed(photo.width, photo.height),
        "pitch_rad": 0.0,
        "roll_rad": 0.0,
    }
    set_photo_camera(scene, **{name: assumed[name] for name in photo.found_angles.split()})
    photo.found_angles = photo.angle_notes = ""


def not_analysed(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a photo that was not analysed yet."""
    camera = None if linked_reason(scene) else scene.look_beyond.photo_camera
    return camera is not None and bool(scene.look_beyond.photo_path) and not camera.data.look_beyond.looked_at


def analyse_when_connected(scene: bpy.types.Scene) -> Callable[[Succeeded], str]:
    """A `Task.finish` that queues `analyse_photo` for a photo that was placed before the service was connected."""
    job_scene = JobScene(scene)

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        if scene is not None and not_analysed(scene):
            session.queue.append(analyse_photo(scene))
        return ""

    return finish
