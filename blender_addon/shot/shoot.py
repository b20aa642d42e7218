"""The frames of the scene's cameras in its world, asked of the service and put into its scene."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import bpy

from ..kit import WORLD_FILES, Camera, ShotRequest
from ..marks import versions
from ..path.read import scene_frames, shot_cameras
from ..results import absolute, as_stored
from ..service import jobs, preferences
from ..service.job_scene import SceneOf
from ..service.unfinished import offer_unfinished
from ..tasks import Done, JobError, Work
from ..undo import undoable
from ..world.known import turned
from ..world.nodes import heading_of, turned_by
from .frames import Shot
from .show import Showing


def shoot(context: bpy.types.Context, cameras: Sequence[Camera] | None = None) -> Work:
    """The frames of the scene's cameras in its world; `cameras` if they are read already.

    Raises `JobError`, `CameraError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    world = absolute(settings.world_folder)
    for name in WORLD_FILES:
        if not (world / name).is_file():
            raise JobError(f"The world's file {world / name} is not there any more: build the world again.")
    cameras = shot_cameras(context) if cameras is None else cameras
    about = json.loads((world / "world.json").read_text(encoding="utf-8"))
    turn = turned_by(scene, heading_of(about))
    request = ShotRequest(
        cameras=[turned(camera, -turn, about["origin"]).to_dict() for camera in cameras],
        first_frame=scene_frames(scene).start,
        seed=settings.shot_seed,
        preset=settings.preset or "builtin",
        tau_position=settings.tau_position,
        tau_rotation=settings.tau_rotation,
    )
    where, camera = SceneOf(scene), scene.camera
    about = {
        "title": "Shoot",
        "files": where.files,
        "scene": scene.name,
        "camera": camera.name,
        "world": str(world),
        "places": sorted(settings.show_in),
    }
    folder = where.folder("shots", camera.name)
    steps = jobs.shot_steps(preferences.connection(), world, request, folder, about, settings.steps / 100)
    shows = shot_finish(where, request, about, camera.session_uid)
    return Work("Shoot", steps, *shows, saved=where.follow, failed=offer_unfinished)


def shot_finish(
    where: SceneOf, request: ShotRequest, about: Mapping[str, object], camera_uid: int | None = None
) -> tuple[Callable[[Done], str | None], Callable[[list[Path]], bool]]:
    """What puts a finished shot into its scene, and what shows its frames on the way.

    `camera_uid` is the camera's as long as the Blender runs in which the shot was begun.
    """
    names = tuple(jobs.frame_names(request))
    size = (request.cameras[0]["width"], request.cameras[0]["height"])
    places = about["places"]
    closing: list[Showing] = []
    showing: list[Showing] = []

    def camera_in(scene: bpy.types.Scene) -> str:
        """The camera's name: it may be another one by now."""
        return next((one.name for one in scene.objects if one.session_uid == camera_uid), str(about["camera"]))

    def finish(done: Done) -> str | None:
        scene = where.find()
        if scene is None:
            return where.later("shot", done.folder)
        if not closing:
            # Known before it is shown: what cannot be shown is not lost.
            scene.look_beyond.shot_folder = as_stored(done.folder)
            scene.look_beyond.shot_first, scene.look_beyond.shot_frames = request.first_frame, len(names)
            record = {
                "job": done.job,
                "world": about["world"],
                "folder": str(done.folder),
                "first_frame": request.first_frame,
                "seed": request.seed,
                "preset": request.preset,
                "tau_position": request.tau_position,
                "tau_rotation": request.tau_rotation,
                "steps": done.steps,
                "cameras": done.cameras,
                **versions(),
            }
            shot = Shot(done.folder / "frames", names, request.first_frame, size, record)
            closing.append(Showing(shot, camera_in(scene), places))
        if not closing[0].step(scene):
            return None
        return f"{len(names)} frames are finished. {closing[0].said}".strip()

    def arrived(files: list[Path]) -> bool:
        scene = where.find()
        there = next((file for file in files if file.parent.name == "frames"), None)
        if scene is None or there is None:
            return True
        if not showing:
            shot = Shot(there.parent, names, request.first_frame, size, {}, there.name)
            showing.append(Showing(shot, camera_in(scene), places))
        if showing[0].step(scene):
            showing.clear()
        return not showing

    return undoable("Shoot", finish), arrived
