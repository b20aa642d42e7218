"""Shoots the frames of the scene's camera in its world with the service."""

import json
from collections.abc import Sequence
from pathlib import Path

import bpy

from ..kit import Camera, ShotRequest
from ..marks import versions
from ..path.frames import scene_frames
from ..path.read import camera_at, shot_cameras
from ..results import absolute, as_stored
from ..service import jobs, preferences
from ..service.job_scene import JobScene
from ..service.requests import JobOrigin
from ..service.unfinished import job_task
from ..tasks import Steps, Succeeded, Task
from ..undo import undoable
from ..world.geometry import rotated_about_vertical
from ..world.info import read_world_info
from ..world.lineage import former_worlds
from ..world.links import link_used
from ..world.nodes import world_rotation_rad
from ..world.variants import check_world_files, is_whole
from .display import ShotDisplay
from .frames import ShotFrames
from .takes import add_take, load_take, stored_shot


def shoot(context: bpy.types.Context, cameras: Sequence[Camera] | None = None) -> Task:
    """A task that shoots the scene's frames in its world; `cameras` if they were read already.

    Raises `JobError`, `WorldError`, `CameraError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    world = absolute(settings.world_folder)
    check_world_files(world)
    cameras = shot_cameras(context) if cameras is None else cameras
    info = read_world_info(world)
    rotation_rad = world_rotation_rad(scene, info.heading_rad)
    in_world = [rotated_about_vertical(camera, -rotation_rad, info.origin) for camera in cameras]
    request = ShotRequest(
        cameras=[camera.to_dict() for camera in in_world],
        first_frame=scene_frames(scene).start,
        seed=settings.shot_seed,
        preset=settings.preset or "builtin",
        tau_position=settings.tau_position,
        tau_rotation=settings.tau_rotation,
    )
    job_scene, camera = JobScene(scene), scene.camera
    rendering = dict.fromkeys(filter(None, (camera_at(scene, number) for number in scene_frames(scene))))
    origin = JobOrigin(
        "Shoot",
        job_scene.files,
        scene.name,
        world=str(world),
        camera=camera.name,
        cameras=[each.name for each in rendering],
        places=sorted(settings.show_in),
    )
    folder_of = job_scene.folder_of("shots", camera.name)
    former = [each for each in former_worlds(world) if is_whole(each)]
    used = link_used(scene, world, in_world)
    beyond = None if used is None else (used.second, used.link.to_json_dict())
    share = settings.steps / 100
    steps = jobs.shot_steps(preferences.connection(), world, request, folder_of, origin, share, former, beyond)
    result = ShotResult(job_scene, request, origin, [each.session_uid for each in rendering])
    return shot_task(job_scene, steps, result)


def shot_task(job_scene: JobScene, steps: Steps, result: "ShotResult") -> Task:
    """A task whose steps receive a shot."""
    return job_task(job_scene, "Shoot", steps, undoable("Shoot", result.finish), result.show_files)


class ShotResult:
    """Puts a shot into its scene: frames while they arrive, and the whole shot at the end.

    `camera_uids` identify the cameras as long as the Blender runs that started the shot.
    """

    def __init__(
        self, job_scene: JobScene, request: ShotRequest, origin: JobOrigin, camera_uids: Sequence[int] = ()
    ) -> None:
        self._job_scene, self._request, self._origin, self._camera_uids = job_scene, request, origin, camera_uids
        self._names = tuple(jobs.frame_names(request))
        self._size = (request.cameras[0]["width"], request.cameras[0]["height"])
        self._final: ShotDisplay | None = None
        self._partial: ShotDisplay | None = None

    def finish(self, result: Succeeded) -> str | None:
        """Show the whole shot, piece by piece (see `Task.finish`)."""
        folder = result.folder
        assert folder is not None
        scene = self._job_scene.find()
        if scene is None:
            return self._job_scene.keep_result("shot", folder)
        if self._final is None:
            # Stored before the frames are shown: a shot that cannot be shown is not lost.
            scene.look_beyond.shot_folder = as_stored(folder)
            add_take(scene, folder, self._camera_names(scene)[0], self._request, Path(self._origin.world))
            scene.look_beyond.shot_first, scene.look_beyond.shot_frames = self._request.first_frame, len(self._names)
            self._final = self._display(scene, folder / "frames", self._record(result, folder))
        if not self._final.step(scene):
            return None
        return f"{len(self._names)} frames are finished. {self._final.message}".strip()

    def show_files(self, files: list[Path]) -> bool:
        """Show the frames that have arrived (see `Task.show_files`)."""
        scene = self._job_scene.find()
        frame = next((file for file in files if file.parent.name == "frames"), None)
        if scene is None or frame is None:
            return True
        if self._partial is None:
            self._partial = self._display(scene, frame.parent, {}, frame.name)
        if not self._partial.step(scene):
            return False
        self._partial = None
        return True

    def _display(
        self, scene: bpy.types.Scene, folder: Path, record: dict[str, object], first_available: str = ""
    ) -> ShotDisplay:
        first_frame = self._request.first_frame
        frames = ShotFrames(folder, self._names, first_frame, self._size, record, first_available)
        return ShotDisplay(frames, self._camera_names(scene), self._origin.places)

    def _camera_names(self, scene: bpy.types.Scene) -> list[str]:
        """The names of the shot's cameras, which may be others by now."""
        named = [thing.name for thing in scene.objects if thing.session_uid in self._camera_uids]
        return named or list(self._origin.cameras) or [self._origin.camera]

    def _record(self, result: Succeeded, folder: Path) -> dict[str, object]:
        request = self._request
        return {
            "job": result.job,
            "world": self._origin.world,
            "folder": str(folder),
            "first_frame": request.first_frame,
            "seed": request.seed,
            "preset": request.preset,
            "tau_position": request.tau_position,
            "tau_rotation": request.tau_rotation,
            "steps": result.steps,
            "cameras": result.cameras,
            **versions(),
        }


def use_take(scene: bpy.types.Scene, folder: Path) -> str:
    """Show a take as when it was shot; returns where. Raises `RequestError`, `JobError`."""
    load_take(scene, folder)
    stored = stored_shot(folder.resolve())
    request, origin = stored.request, stored.origin
    assert isinstance(request, ShotRequest)
    result = ShotResult(JobScene(scene), request, origin)
    succeeded = Succeeded(folder=folder, job=stored.job, cameras=json.dumps(request.cameras), steps=request.steps)
    while (message := result.finish(succeeded)) is None:
        pass
    return message
