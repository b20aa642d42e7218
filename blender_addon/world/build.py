"""Builds the scene's world with the service."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import bpy
import numpy as np
from numpy.typing import NDArray

from ..kit import Camera, WorldRequest, placed_camera
from ..photo.beside import BesidePhoto, photos_beside
from ..photo.camera import photo_camera
from ..results import absolute, as_stored
from ..service import jobs, preferences, presets
from ..service.job_scene import JobScene
from ..service.requests import JobOrigin
from ..service.unfinished import job_task
from ..session import session
from ..tasks import JobError, Succeeded, Task
from ..undo import undoable
from .cards import CardsError, place_cards
from .cut import painted_cuts
from .info import read_world_info
from .variants import add_variant, show_world

Role = Literal["photo", "panorama"]


def build_world(context: bpy.types.Context) -> Task:
    """A task that builds the world of the scene's 360° picture, else of its photo with the camera as it is now.

    Raises `JobError`, `CameraError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    if settings.panorama_path:
        picture = absolute(settings.panorama_path)
        return use_panorama(context, picture, settings.panorama_height, settings.panorama_heading)
    camera = photo_camera(scene, context.evaluated_depsgraph_get())
    if camera is None:
        raise JobError("This scene has no photo: place one first.")
    height_m = float(camera.position[2])
    if height_m <= 0:
        raise JobError(f"The photo's camera is at a height of {height_m:.2f} m, not above the floor: raise the camera.")
    beside = photos_beside(scene, settings.photo_camera, context.evaluated_depsgraph_get())
    cuts = painted_cuts(settings.photo_camera)
    if cuts and beside:
        raise JobError("Things are cut out of one photo only: separate the photos beside it, or clear what is painted.")
    return world_task(scene, absolute(settings.photo_path), "photo", camera, height_m, beside, cuts)


def use_panorama(context: bpy.types.Context, picture: Path, height_m: float, heading_rad: float) -> Task:
    """A task that builds the world of an existing 360° picture. Raises `JobError`.

    The viewpoint is `height_m` above the origin; `heading_rad` is the direction of the picture's centre,
    counter-clockwise from +X.
    """
    camera = placed_camera(64, 64, math.radians(65), heading_rad=heading_rad, position=(0.0, 0.0, height_m))
    return world_task(context.scene, picture, "panorama", camera, height_m)


def world_task(
    scene: bpy.types.Scene,
    picture: Path,
    role: Role,
    camera: Camera,
    height_m: float,
    beside: Sequence[BesidePhoto] = (),
    cuts: Sequence[NDArray[np.bool_]] = (),
) -> Task:
    """A task that builds the world of a picture, or of a photo and those `beside` it, or without what is cut out of it.

    Raises `JobError`.
    """
    for path in (picture, *(photo.path for photo in beside)):
        if not path.is_file():
            raise JobError(f"The file {path} does not exist: choose the picture again.")
    prompt = prompt_of(scene.look_beyond) if role == "photo" and not beside else ""
    request = world_request(scene.look_beyond, camera, height_m, prompt)
    job_scene = JobScene(scene)
    origin = JobOrigin("Build World", job_scene.files, scene.name, source=str(picture))
    folder_of = job_scene.folder_of("worlds", picture.stem)
    further = [(photo.path, photo.camera.to_dict()) for photo in beside]
    steps = jobs.world_steps(preferences.connection(), picture, role, request, folder_of, origin, further, cuts)
    return job_task(job_scene, "Build World", steps, apply_world(job_scene, request, picture, role))


def world_request(settings: bpy.types.PropertyGroup, camera: Camera, height_m: float, prompt: str = "") -> WorldRequest:
    """What the scene's settings ask of a world; it lacks the picture."""
    return WorldRequest(
        camera=camera.to_dict(),
        camera_height=height_m,
        width=int(settings.panorama_width),
        seed=settings.seed,
        preset=settings.preset or "builtin",
        prompt=prompt,
        room=settings.room,
        unseen="" if settings.unseen == "preset" else settings.unseen,
        hdr=settings.light,
    )


def apply_world(
    job_scene: JobScene, request: WorldRequest, picture: Path, role: Role
) -> Callable[[Succeeded], str | None]:
    """The `Task.finish` that makes a finished world the scene's."""

    def finish(result: Succeeded) -> str:
        folder = result.folder
        assert folder is not None
        info = read_world_info(folder)
        scene = job_scene.find()
        if scene is None:
            return job_scene.keep_result("world", folder)
        note = show_world(scene, folder, info)
        settings = scene.look_beyond
        settings.panorama_path = as_stored(picture) if role == "panorama" else ""
        if role == "panorama":
            settings.panorama_height, settings.panorama_heading = request.camera_height, info.heading_rad
        add_variant(scene, folder, f"{picture.stem} {request.seed}", request.seed, request.prompt)
        placed = _placed_cards(scene, folder)
        return f"The world is built. Press See World to view it. {placed}{note}".strip()

    return undoable("Build World", finish)


def _placed_cards(scene: bpy.types.Scene, folder: Path) -> str:
    """Put the cards of what was cut out into the scene; a sentence about them."""
    try:
        cards = place_cards(scene, folder)
    except (CardsError, RuntimeError) as error:
        return f"{error} "
    return f"{len(cards)} cards of what was cut out stand in the scene. " if cards else ""


def prompt_of(settings: bpy.types.PropertyGroup) -> str:
    """The prompt to send; empty if the preset takes none."""
    preset = settings.preset or "builtin"
    return settings.prompt.strip() if presets.takes_prompt(session.service, preset) else ""
