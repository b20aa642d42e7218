"""Through a door: a second world is built from a frame of a shot, and linked to the first one by the service."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ..cameras import metres_per_unit
from ..kit import Camera, LinkRequest
from ..moved import present_path
from ..path.plan import about_vertical, moved
from ..results import absolute
from ..service import jobs, preferences
from ..service.job_scene import JobScene
from ..service.jobs import answer_steps, frame_names, upload_world
from ..service.requests import JobOrigin, known_request
from ..service.unfinished import job_task
from ..session import session
from ..shot.takes import stored_shot
from ..tasks import JobError, Steps, Succeeded, Task
from ..undo import undoable
from .build import world_request
from .info import read_layout, read_world_info
from .links import add_link
from .nodes import world_rotation_rad
from .variants import add_variant, check_world_files

BUILD_TITLE = "Build World from Frame"
LEAST_WAY_M = 0.1
"""From where the first world was seen to a door."""


def build_from_frame(context: bpy.types.Context) -> Task:
    """A task that builds a second world from the shown shot's frame at the playhead, and then links it to the shot's.

    Raises `JobError`, `WorldError`, `RequestError`.
    """
    scene = context.scene
    settings = scene.look_beyond
    if not settings.shot_folder:
        raise JobError("There is no shot: shoot up to the door first, then build the next world from a frame there.")
    shot = absolute(settings.shot_folder)
    stored = stored_shot(shot.resolve())
    request, first = stored.request, present_path(Path(stored.origin.world))
    place = scene.frame_current - request.first_frame
    if not 0 <= place < len(request.cameras):
        last = request.first_frame + len(request.cameras) - 1
        raise JobError(
            f"The shot has frames {request.first_frame} to {last}: move the playhead to the one to go on from."
        )
    frame = shot / "frames" / frame_names(request)[place]
    if not frame.is_file():
        raise JobError(f"The frame {frame} is missing: shoot again.")
    check_world_files(first)
    info = read_world_info(first)
    camera = Camera.from_dict(request.cameras[place])
    height_m = float(camera.position[2]) - (info.origin[2] - info.camera_height_m)
    if height_m <= 0.05:
        raise JobError(f"This frame was taken {height_m:.2f} m above the floor: choose one from above it.")
    asked = world_request(settings, camera, height_m)
    job_scene = JobScene(scene)
    origin = JobOrigin(BUILD_TITLE, job_scene.files, scene.name, source=str(frame), world=str(first))
    name = f"{shot.name} {frame.stem}"
    steps = jobs.world_steps(
        preferences.connection(), frame, "photo", asked, job_scene.folder_of("worlds", name), origin
    )
    finish = apply_second(job_scene, first, f"Beyond, frame {frame.stem}", asked.seed, asked.prompt)
    return job_task(job_scene, BUILD_TITLE, steps, finish)


def apply_second(
    job_scene: JobScene, first: Path, name: str, seed: int, prompt: str
) -> Callable[[Succeeded], str | None]:
    """The `Task.finish` that lists a second world and has it linked; the scene's world stays."""

    def finish(result: Succeeded) -> str:
        folder = result.folder
        assert folder is not None
        read_world_info(folder)
        scene = job_scene.find()
        if scene is None:
            return job_scene.keep_result("world", folder)
        add_variant(scene, folder, name, seed, prompt)
        session.enqueue(preferences.with_service(link_worlds(scene, first, folder)))
        return "The second world is built; now the door to it is looked for."

    return undoable(BUILD_TITLE, finish)


def link_worlds(scene: bpy.types.Scene, first: Path, second: Path) -> Task:
    """A task that has the service link two worlds of the scene. Raises `JobError`, `WorldError`."""
    for world in (first, second):
        check_world_files(world)
    if first.resolve() == second.resolve():
        raise JobError("This is the scene's own world: choose the one beyond its door in the list.")
    job_scene, found = JobScene(scene), []
    opening = opening_at_cursor(scene, first) if scene.look_beyond.door_at_cursor else []
    request = LinkRequest(
        pose=pose_of(scene, first, second), opening=opening, preset=scene.look_beyond.preset or "builtin"
    )
    entry = next((each for each in scene.look_beyond.worlds if absolute(each.folder) == second.resolve()), None)
    name = entry.name if entry is not None else second.name

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        if scene is None:
            return "The scene of these worlds is no longer open."
        content, said = found[0]
        add_link(scene, first, second, content, name)
        return " ".join(["The worlds are linked: Shoot goes on in the second where the camera goes through.", *said])

    return Task("Link Worlds", link_steps(first, second, request, found), undoable("Link Worlds", finish))


def pose_of(scene: bpy.types.Scene, first: Path, second: Path) -> list[list[float]]:
    """Where a second world is in the first one's frame.

    One that was built from a frame of the first is in that frame; others stand in the scene, in which the artist may
    have turned the first one.
    """
    stored = known_request(second)
    if stored is not None and stored.origin.world and present_path(Path(stored.origin.world)) == first:
        return np.eye(4).tolist()
    info = read_world_info(first)
    turn = about_vertical(-world_rotation_rad(scene, info.heading_rad), info.origin)
    return np.array(turn).tolist()


def opening_at_cursor(scene: bpy.types.Scene, first: Path) -> list[float]:
    """The `LinkRequest.opening` of a door in the middle of which the 3D cursor is, in the first world as it was built.

    It lies across the way from where that was seen from, in line with one of its walls.
    """
    info = read_world_info(first)
    to_world = about_vertical(-world_rotation_rad(scene, info.heading_rad), info.origin)
    middle = moved(to_world, np.array([scene.cursor.location]) * metres_per_unit(scene))[0, :2]
    way = middle - info.origin[:2]
    if np.linalg.norm(way) < LEAST_WAY_M:
        raise JobError("The 3D cursor is where the first world was seen from: put it between the sides of the door.")
    ahead = way / np.linalg.norm(way)
    if (layout := read_layout(first)) is not None:
        outward = -layout.walls()[3]
        ahead = outward[(outward @ way).argmax()]
    # the first world lies to the left of the way from one side to the other
    half = np.array([-ahead[1], ahead[0]]) * scene.look_beyond.door_width / 2
    floor = info.origin[2] - info.camera_height_m
    return [*(middle - half).tolist(), *(middle + half).tolist(), floor, floor + scene.look_beyond.door_height]


def link_steps(first: Path, second: Path, request: LinkRequest, found: list[tuple[dict, list[str]]]) -> Steps:
    """Steps that upload two worlds and receive their link, which is put into `found` with what is said of it."""
    return answer_steps(
        preferences.connection(),
        lambda client: replace(request, world=upload_world(client, first), second=upload_world(client, second)),
        lambda folder: found.append(read_link(folder / "link.json")),
        sends="the worlds",
    )


def read_link(file: Path) -> tuple[dict, list[str]]:
    """A link.json, and what is said of it. Raises `JobError`."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return content, [str(each) for each in content.pop("said")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(f"The link cannot be read ({error}): update service or add-on to match.") from None
