"""Has the service change a spot of the scene's world: the changed world is another variant, the former one stays."""

from collections.abc import Callable
from typing import Literal

import bpy

from ..kit import EditRequest
from ..results import absolute
from ..service import jobs, preferences, presets
from ..service.job_scene import JobScene
from ..service.requests import JobOrigin, known_request
from ..service.unfinished import job_task
from ..session import session
from ..tasks import Succeeded, Task
from ..undo import undoable
from .info import read_world_info
from .nodes import panorama_node, world_rotation_rad
from .spot import painted_spot
from .variants import add_variant, check_world_files, show_world, unused_seed

Way = Literal["remove", "repaint"]
TITLES: dict[Way, str] = {"remove": "Remove", "repaint": "Repaint"}
DONE: dict[Way, str] = {"remove": "removed", "repaint": "repainted"}
"""What a variant is called after."""


def edit_world(context: bpy.types.Context, way: Way) -> Task:
    """A task that changes what the artist has painted over. Raises `JobError`, `WorldError`."""
    scene = context.scene
    settings = scene.look_beyond
    world = absolute(settings.world_folder)
    check_world_files(world)
    spot = painted_spot(world)
    preset = settings.preset or "builtin"
    prompted = way == "repaint" and presets.takes_prompt(session.service, preset)
    request = EditRequest(
        way=way,
        seed=unused_seed(scene) if way == "repaint" else 0,
        preset=preset,
        prompt=settings.edit_prompt.strip() if prompted else "",
    )
    job_scene = JobScene(scene)
    former = known_request(world)
    source = former.origin.source if former is not None else ""
    name = next((each.name for each in settings.worlds if absolute(each.folder) == world), world.name)
    origin = JobOrigin(TITLES[way], job_scene.files, scene.name, source=source, world=str(world))
    folder_of = job_scene.folder_of("worlds", f"{name} {DONE[way]}")
    steps = jobs.edit_steps(preferences.connection(), world, spot, request, folder_of, origin)
    return job_task(job_scene, TITLES[way], steps, apply_edit(job_scene, request, origin))


def apply_edit(job_scene: JobScene, request: EditRequest, origin: JobOrigin) -> Callable[[Succeeded], str | None]:
    """The `Task.finish` that makes a changed world the scene's."""

    def finish(result: Succeeded) -> str:
        folder = result.folder
        assert folder is not None
        info = read_world_info(folder)
        scene = job_scene.find()
        if scene is None:
            return job_scene.keep_result("world", folder)
        settings = scene.look_beyond
        former = absolute(origin.world)
        used = settings.world_folder and absolute(settings.world_folder) == former
        turn_rad = world_rotation_rad(scene, info.heading_rad) if used else 0.0
        note = show_world(scene, folder, info)
        panorama_node(scene.world).inputs["Heading"].default_value = info.heading_rad + turn_rad
        name = next((each.name for each in settings.worlds if absolute(each.folder) == former), former.name)
        add_variant(scene, folder, f"{name}, {DONE[request.way]}", request.seed, request.prompt)
        return f"The spot is {DONE[request.way]}; the former world is in the list. {note}".strip()

    return undoable(origin.title, finish)
