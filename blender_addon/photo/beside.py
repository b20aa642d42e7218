"""Further photos from the standpoint of the scene's photo: all of them make one world.

Each has a camera of its own, a child of the first photo's camera: it turns with it, and can be turned by itself.
"""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..cameras import matrix_world_of, metres_per_unit
from ..kit import Camera, Progress, heading_pitch_roll
from ..made import made_objects
from ..results import absolute
from ..service import preferences
from ..service.job_scene import JobScene
from ..service.jobs import Connect
from ..tasks import Connected, Event, JobError, Steps, Succeeded, Task
from ..undo import undoable
from .camera import camera_of_photo, own_lens, photo_camera, photo_path_of
from .place import place_photo

BY_HAND = "Turn its camera by hand, or correct its field of view and align it again."


@dataclass(frozen=True)
class BesidePhoto:
    """A photo of the scene's place, and the camera that took it."""

    path: Path
    camera: Camera


def cameras_beside(scene: bpy.types.Scene, first: bpy.types.Object | None) -> list[bpy.types.Object]:
    """The cameras of the photos that belong to the place of a first photo's camera."""
    if first is None:
        return []
    cameras = [camera for camera in made_objects(scene) if camera.type == "CAMERA" and camera != first]
    return [camera for camera in cameras if camera.data.look_beyond.place_camera == first]


def photos_beside(
    scene: bpy.types.Scene, first: bpy.types.Object | None, depsgraph: bpy.types.Depsgraph | None = None
) -> list[BesidePhoto]:
    """The further photos of a place, as their cameras are now. Raises `CameraError`."""
    found = []
    for placed in cameras_beside(scene, first):
        camera = camera_of_photo(scene, placed, depsgraph)
        if camera is not None:
            found.append(BesidePhoto(absolute(photo_path_of(placed.data)), camera))
    return found


def place_beside(context: bpy.types.Context, path: Path, first: bpy.types.Object, **angles) -> bpy.types.Object:
    """Make the camera of a further photo of the place; it looks where the first one does until it is aligned.

    angles: as `place_photo` takes them. A photo of the first one's size, without a focal length, is taken to have its
    field of view. Raises `PhotoError`.
    """
    scene = context.scene
    camera = photo_camera(scene)
    assert camera is not None
    heading_rad, pitch_rad, roll_rad = heading_pitch_roll(camera)
    held = {"heading_rad": heading_rad, "pitch_rad": pitch_rad, "roll_rad": roll_rad}
    placed, _ = place_photo(context, path, height_m=camera.position[2], **{**angles, **held})
    data, known = placed.data.look_beyond, first.data.look_beyond
    if data.fov_x_assumed and (data.width, data.height) == (known.width, known.height):
        own_lens(placed).lens = first.data.lens * placed.data.sensor_width / first.data.sensor_width
        placed.data.look_beyond.fov_x_assumed = known.fov_x_assumed
    data = placed.data.look_beyond
    data.place_camera, data.alignment, data.looked_at = first, "", True
    data.pitch_assumed = data.roll_assumed = False  # the first photo's lines say them
    placed.parent = first
    placed.matrix_parent_inverse = first.matrix_world.inverted()
    placed.matrix_world = first.matrix_world.copy()
    scene.look_beyond.photo_camera = first
    return placed


def separate(placed: bpy.types.Object) -> None:
    """Make a photo a separate place; its camera stays where it is."""
    data = own_lens(placed).look_beyond
    data.place_camera, data.alignment = None, ""
    world = placed.matrix_world.copy()
    placed.parent = None
    placed.matrix_world = world


def align_photo(scene: bpy.types.Scene, placed: bpy.types.Object) -> Task:
    """A task that turns the camera of a further photo so that it shows what the place's other photos show.

    Raises `JobError`, `CameraError`.
    """
    job_scene, name = JobScene(scene), placed.name
    first = placed.data.look_beyond.place_camera
    path, lens = absolute(photo_path_of(placed.data)), camera_of_photo(scene, placed)
    camera = camera_of_photo(scene, first)
    if lens is None or camera is None:
        raise JobError(f"The camera {placed.name if lens is None else first.name} has no photo: place it again.")
    known = [BesidePhoto(absolute(photo_path_of(first.data)), camera)]
    known += [each for each in photos_beside(scene, first) if each.path != path]
    found: list = []
    steps = alignment_steps(preferences.connection(), [*known, BesidePhoto(path, lens)], found)

    def finish(result: Succeeded) -> str:
        aligned = found[0]
        if not aligned.ready:
            raise JobError(f"Aligning {path.name} took too long. {BY_HAND}")
        if aligned.camera is None:
            raise JobError(f"{aligned.reason} {BY_HAND}")
        scene = job_scene.find()
        camera = scene.objects.get(name) if scene is not None else None
        if camera is None or camera.type != "CAMERA" or camera.data.look_beyond.place_camera is None:
            return f"{path.name} is no longer part of this place: nothing was turned."
        turned = Camera.from_dict(aligned.camera)
        camera.matrix_world = matrix_world_of(turned, metres_per_unit(scene))
        own_lens(camera).look_beyond.alignment = f"{aligned.residual_deg:.2f}°"
        return f"{path.name} is aligned: {aligned.matches} details agree, to {aligned.residual_deg:.2f}°."

    return Task("Align Photo", steps, undoable("Align Photo", finish))


def alignment_steps(connect: Connect, photos: list[BesidePhoto], found: list) -> Steps:
    """Steps that ask where the last of several photos looks, and put the answer into `found`."""

    def steps(cancelled: threading.Event) -> Iterator[Event]:
        yield Progress(0.0, f"Aligning {photos[-1].path.name}", None)
        with connect() as client:
            yield Connected(client.welcome)
            hashes = [client.upload(photo.path) for photo in photos]
            found.append(client.align(hashes, [photo.camera.to_dict() for photo in photos]))
        yield Succeeded()

    return steps


def direction_text(placed: bpy.types.Object, first: bpy.types.Object) -> str:
    """How far a photo looks to the side of the first one: "34° left"."""
    there, here = (thing.matrix_world.to_quaternion().to_matrix().col[2] for thing in (placed, first))
    turn = math.degrees(math.remainder(math.atan2(there.y, there.x) - math.atan2(here.y, here.x), math.tau))
    if abs(turn) < 0.5:
        return "ahead"
    return f"{abs(turn):.0f}° {'left' if turn > 0 else 'right'}"
