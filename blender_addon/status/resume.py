"""What was begun and not ended is gone on with."""

import json
from pathlib import Path

import bpy

from ..kit import ShotRequest, WorldRequest
from ..service import jobs, preferences
from ..service.job_scene import SceneOf
from ..service.unfinished import offer_unfinished
from ..shot.shoot import shot_finish
from ..tasks import JobError, Work
from ..world.build import world_finish


def resume(context: bpy.types.Context, folder: Path) -> Work:
    """Go on with a world or shot that was begun: what the service has finished is fetched. Raises `JobError`."""
    try:
        begun = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        about, values = begun["about"], begun["request"]
        request = ShotRequest(**values) if "cameras" in values else WorldRequest(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"What was begun in {folder} cannot be read ({error}): start it again.") from None
    scene = bpy.data.scenes.get(about["scene"], context.scene)
    where = SceneOf(scene, folder.parents[1], about.get("files", ()))
    where.begun, about["files"] = folder, where.files
    steps = jobs.resume_steps(preferences.connection(), request, folder, about)
    if isinstance(request, ShotRequest):
        title, shows = "Shoot", shot_finish(where, request, about)
    else:
        role = "panorama" if request.panorama else "photo"
        title, shows = "Build World", (world_finish(where, request, Path(about["source"]), role),)
    return Work(title, steps, *shows, saved=where.follow, failed=offer_unfinished)
