"""Has the service plan a camera move, and adds it: a curve, a camera that follows it, and what that looks at."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..cameras import metres_per_unit
from ..kit import MoveRequest, heading_pitch_roll, placed_camera
from ..results import absolute
from ..service import preferences
from ..service.job_scene import JobScene
from ..service.jobs import answer_steps, upload_world
from ..tasks import JobError, Steps, Succeeded, Task
from ..undo import undoable
from ..viewports import select_only
from ..world.info import read_world_info
from ..world.nodes import world_rotation_rad
from ..world.variants import check_world_files
from . import watch
from .add import add_curve, add_shot_camera, add_target, fcurves_of, keyed_follow, path_start
from .checker import path_checker
from .frames import shot_size

Purpose = Literal["SHOW_ROOM", "GO_TO", "END_ON"]
NAMES: dict[Purpose, str] = {"SHOW_ROOM": "Show Room", "GO_TO": "Planned Walk", "END_ON": "End On"}
"""A camera is named after the purpose of its move."""
GOALS: dict[Purpose, str] = {"SHOW_ROOM": "show-room", "GO_TO": "go-to", "END_ON": "end-on"}
KEYED = 8
"""Way and target have a key on every so many frames, so that they can be edited."""


@dataclass(frozen=True, eq=False)
class Planned:
    """A move as the service plans it; metres, in the world as it was built."""

    curve: np.ndarray
    """[3 n + 1, 3] ends and handles of Bezier segments."""
    way: np.ndarray
    """[N] share of the curve's length at each frame."""
    targets: np.ndarray
    """[N, 3] what each frame's camera looks at."""
    said: str


def read_planned(file: Path) -> Planned:
    """What a move.json holds. Raises `JobError`."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        curve, way, targets = (np.array(content[name], float) for name in ("curve", "way", "targets"))
        if len(curve) % 3 != 1 or curve.shape[1:] != (3,) or targets.shape != (len(way), 3) or len(way) < 2:
            raise ValueError("its numbers do not fit each other")
        return Planned(curve, way, targets, str(content["said"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"The planned move cannot be read ({error}): update service or add-on to match.") from None


def plan_path(context: bpy.types.Context, purpose: Purpose, from_camera: bool = False) -> Task:
    """A task that plans a move through the scene's world and adds it. Raises `JobError`, `WorldError`, `CameraError`.

    A GO_TO begins at the photo's place, or `from_camera` where the scene's camera is; it and END_ON end at the 3D
    cursor.
    """
    scene = context.scene
    settings = scene.look_beyond
    world = absolute(settings.world_folder)
    check_world_files(world)
    info = read_world_info(world)
    unit_m = metres_per_unit(scene)
    rotation_rad = world_rotation_rad(scene, info.heading_rad)
    to_scene = about_vertical(rotation_rad, info.origin)
    to_world = about_vertical(-rotation_rad, info.origin)
    start = path_start(scene, context)
    heading, pitch, _ = heading_pitch_roll(start)
    lens = placed_camera(
        *shot_size(scene), start.fov_x, heading_rad=heading - rotation_rad, pitch_rad=pitch, position=info.origin
    )
    cursor = moved(to_world, np.array([scene.cursor.location]) * unit_m)[0]
    begin: list[float] = []
    if purpose == "GO_TO" and from_camera:
        if scene.camera is None:
            raise JobError("The scene has no camera to start from: choose the photo's place, or add a camera.")
        begin = moved(to_world, np.array([scene.camera.matrix_world.translation]) * unit_m)[0][:2].tolist()
    request = MoveRequest(
        goal=GOALS[purpose],
        start=begin,
        target={"SHOW_ROOM": [], "GO_TO": cursor[:2].tolist(), "END_ON": cursor.tolist()}[purpose],
        lens=lens.to_dict(),
        clearance=settings.plan_clearance,
        speed=settings.plan_speed,
        turn=math.degrees(settings.plan_turn),
        fps=scene.render.fps / scene.render.fps_base,
        preset=settings.preset or "builtin",
    )
    job_scene, found = JobScene(scene), []

    def finish(result: Succeeded) -> str:
        scene = job_scene.find()
        if scene is None:
            return "The scene of this planned move is no longer open."
        return add_planned(bpy.context, scene, NAMES[purpose], found[0], to_scene)

    return Task("Plan Path", move_steps(world, request, found), undoable("Plan Path", finish))


def move_steps(world: Path, request: MoveRequest, found: list[Planned]) -> Steps:
    """Steps that upload the world in a folder and receive the move, which is put into `found`."""
    return answer_steps(
        preferences.connection(),
        lambda client: replace(request, world=upload_world(client, world)),
        lambda folder: found.append(read_planned(folder / "move.json")),
    )


def about_vertical(angle_rad: float, pivot: Sequence[float]) -> Matrix:
    """A turn about the vertical through a point."""
    at = Vector(pivot)
    return Matrix.Translation(at) @ Matrix.Rotation(angle_rad, 4, "Z") @ Matrix.Translation(-at)


def moved(matrix: Matrix, points: np.ndarray) -> np.ndarray:
    """Points [N, 3] under a transform."""
    values = np.array(matrix)
    return points @ values[:3, :3].T + values[:3, 3]


def add_planned(
    context: bpy.types.Context, scene: bpy.types.Scene, name: str, planned: Planned, to_scene: Matrix
) -> str:
    """Add the move to the scene and make its camera the scene's; a sentence about it."""
    unit_m, settings = metres_per_unit(scene), scene.look_beyond
    first, count = scene.frame_start, len(planned.way)
    points, targets = (moved(to_scene, values) / unit_m for values in (planned.curve, planned.targets))
    curve = add_curve(context, points - points[0], count)
    curve.location = points[0]
    camera = add_shot_camera(context, name, settings.photo_camera, path_start(scene, context))
    keyed = sorted({*range(0, count, KEYED), count - 1})
    keyed_follow(camera, curve, {first + number: float(planned.way[number]) for number in keyed})
    target = add_target(context, camera, targets[0], 0.1 / unit_m)
    for number in keyed:
        target.location = targets[number]
        target.keyframe_insert("location", frame=first + number)
    for fcurve in (*fcurves_of(camera), *fcurves_of(target)):
        for point in fcurve.keyframe_points:
            point.interpolation = "BEZIER"
            point.handle_left_type = point.handle_right_type = "AUTO_CLAMPED"
        fcurve.update()
    scene.camera = camera
    select_only(context, curve)
    path_checker.invalidate()
    watch.schedule()
    last = first + count - 1
    if settings.plan_range:
        scene.frame_end = last
        return planned.said
    if last != scene.frame_end:
        return f"{planned.said} It ends at frame {last}, the scene at {scene.frame_end}."
    return planned.said
