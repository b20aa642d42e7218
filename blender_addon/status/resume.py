"""Resumes unfinished jobs."""

from pathlib import Path

import bpy

from ..kit import EditRequest, ShotRequest
from ..service import jobs, preferences
from ..service.job_scene import JobScene
from ..service.requests import read_request
from ..service.unfinished import job_task
from ..shot.shoot import ShotResult, shot_task
from ..tasks import Task
from ..world.build import apply_world
from ..world.edit import apply_edit


def resume(context: bpy.types.Context, folder: Path) -> Task:
    """A task that resumes the job whose results lie in a folder. Raises `RequestError`, `JobError`."""
    stored = read_request(folder)
    origin, request = stored.origin, stored.request
    scene = bpy.data.scenes.get(origin.scene, context.scene)
    job_scene = JobScene(scene, folder.parents[1], origin.files, folder)
    origin.files = job_scene.files
    connect, message = preferences.connection(), "Looking for the unfinished job"
    steps = jobs.job_steps(connect, message, lambda client: request, lambda job: folder, origin)
    if isinstance(request, ShotRequest):
        return shot_task(job_scene, steps, ShotResult(job_scene, request, origin))
    if isinstance(request, EditRequest):
        title, finish = origin.title, apply_edit(job_scene, request, origin)
    else:
        role = "panorama" if request.panorama else "photo"
        title, finish = "Build World", apply_world(job_scene, request, Path(origin.source), role)
    return job_task(job_scene, title, steps, finish)
