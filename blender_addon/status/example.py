"""The example: a photo that comes with the extension goes through all steps, at a small size."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import bpy

from ..path.add import add_path
from ..path.checker import scene_world_geometry
from ..photo.place import place_photo
from ..results import output_folder
from ..session import session
from ..shot.play import played
from ..shot.shoot import shoot
from ..tasks import Succeeded, Task
from ..viewports import look_through
from ..world.build import build_world

PHOTO = Path(__file__).resolve().parents[1] / "example.jpg"
FOV_X_RAD, PITCH_RAD = math.radians(75), math.radians(-9)
"""Horizontal field of view and pitch of the example's photo; it is not rolled."""
FRAMES = 24


def example(context: bpy.types.Context) -> Task:
    """Place the example's photo; a task that builds its world, adds a path and queues its shot, at a draft's size.

    Raises OSError if the photo cannot be copied beside the results.
    """
    scene = context.scene
    photo = output_folder(scene) / "photos" / PHOTO.name
    photo.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PHOTO, photo)
    camera, _ = place_photo(context, photo, fov_x_rad=FOV_X_RAD, pitch_rad=PITCH_RAD, roll_rad=0.0)
    look_through(context, camera)
    settings = scene.look_beyond
    settings.panorama_width, settings.quality = "1024", "DRAFT"
    scene.render.resolution_x, scene.render.resolution_y = 768, 512
    scene.render.resolution_percentage = 100
    scene.frame_end = scene.frame_start + FRAMES - 1
    task = build_world(context)
    build = task.finish
    assert build is not None

    def finish(result: Succeeded) -> str | None:
        message = build(result)
        if message is not None and bpy.context.scene == scene and settings.world_folder:
            add_path(bpy.context, kind="PUSH_IN", world=scene_world_geometry(scene))
            session.queue.insert(0, played(shoot(bpy.context), scene))
        return message

    return replace(task, finish=finish)
