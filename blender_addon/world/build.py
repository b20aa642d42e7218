"""The scene's world, asked of the service and put into its scene."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import bpy

from ..kit import Camera, WorldRequest, placed_camera
from ..photo.camera import photo_camera
from ..results import absolute, as_stored
from ..service import jobs, preferences, presets
from ..service.job_scene import SceneOf
from ..service.unfinished import offer_unfinished
from ..session import session
from ..tasks import Done, JobError, Work
from ..undo import undoable
from .nodes import heading_of, show_world
from .variants import remember_variant, stage_note, world_record


def build_world(context: bpy.types.Context) -> Work:
    """The world of the scene's 360° picture, else of the placed photo, its camera as it stands now.

    Raises `JobError`, `CameraError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    if settings.panorama_path:
        picture = absolute(settings.panorama_path)
        return use_panorama(context, picture, settings.panorama_height, settings.panorama_heading)
    camera = photo_camera(scene, context.evaluated_depsgraph_get())
    if camera is None:
        raise JobError("No photo is placed in this scene: place one first.")
    height_m = float(camera.position[2])
    if height_m <= 0:
        raise JobError(f"The photo's camera stands at {height_m:.2f} m and the floor is Z = 0: raise the camera.")
    return world_of(scene, absolute(scene.look_beyond.photo_path), "photo", camera, height_m)


def use_panorama(context: bpy.types.Context, picture: Path, height_m: float, heading: float) -> Work:
    """The world of an existing 360° picture, seen from `height_m` metres above the origin. Raises `JobError`.

    `heading` is where its centre looks, radians counter-clockwise from +X.
    """
    camera = placed_camera(64, 64, math.radians(65), heading_rad=heading, position=(0.0, 0.0, height_m))
    return world_of(context.scene, picture, "panorama", camera, height_m)


def world_of(
    scene: bpy.types.Scene,
    picture: Path,
    role: Literal["photo", "panorama"],
    camera: Camera,
    height_m: float,
) -> Work:
    if not picture.is_file():
        raise JobError(f"The file {picture} is not there: choose the picture again.")
    settings = scene.look_beyond
    request = WorldRequest(
        camera=camera.to_dict(),
        camera_height=height_m,
        width=int(settings.panorama_width),
        seed=settings.seed,
        preset=settings.preset or "builtin",
        prompt=prompt_of(settings) if role == "photo" else "",
    )
    where = SceneOf(scene)
    about = {"title": "Build World", "files": where.files, "scene": scene.name, "source": str(picture)}
    steps = jobs.world_steps(
        preferences.connection(), picture, role, request, where.folder("worlds", picture.stem), about
    )
    finish = world_finish(where, request, picture, role)
    return Work("Build World", steps, finish, saved=where.follow, failed=offer_unfinished)


def world_finish(
    where: SceneOf, request: WorldRequest, picture: Path, role: Literal["photo", "panorama"]
) -> Callable[[Done], str | None]:
    """What puts a finished world into its scene."""

    def finish(done: Done) -> str:
        about = json.loads((done.folder / "world.json").read_text(encoding="utf-8"))
        scene = where.find()
        if scene is None:
            return where.later("world", done.folder)
        said = show_world(scene, done.folder / "panorama.png", heading_of(about), world_record(done.folder, about))
        settings = scene.look_beyond
        settings.world_folder = as_stored(done.folder)
        settings.panorama_path = as_stored(picture) if role == "panorama" else ""
        if role == "panorama":
            settings.panorama_height, settings.panorama_heading = request.camera_height, heading_of(about)
        remember_variant(scene, done.folder, picture.stem, request)
        return f"The world stands: See World shows it. {said} {stage_note(scene, done.folder)}".strip()

    return undoable("Build World", finish)


def prompt_of(settings: bpy.types.PropertyGroup) -> str:
    """What the service is told of the place: nothing where the chosen preset does not understand words."""
    preset = settings.preset or "builtin"
    return settings.prompt.strip() if presets.takes_prompt(session.service, preset) else ""
