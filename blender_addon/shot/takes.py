"""The shots that were made in a scene: takes, to play, compare, use again and delete."""

import functools
from pathlib import Path

import bpy

from ..kit import Camera, ShotRequest
from ..listed import date_of
from ..path.checker import path_checker
from ..results import absolute, as_stored
from ..service.jobs import frame_names
from ..service.requests import RequestError, StoredRequest, read_request
from ..tasks import JobError
from ..world.geometry import rotated_about_vertical
from ..world.info import read_world_info
from ..world.lineage import shows_a_change
from ..world.nodes import world_rotation_rad

MOVED = 1e-3
"""Camera matrices that differ by less, in metres and units of rotation, are the same."""


@functools.lru_cache(maxsize=32)
def stored_shot(folder: Path) -> StoredRequest:
    """The request of a shot: a folder's never changes but for its owners. Raises `RequestError`."""
    stored = read_request(folder)
    if not isinstance(stored.request, ShotRequest):
        raise RequestError(f"{folder} holds no shot: choose the folder of a shot.")
    return stored


def add_take(scene: bpy.types.Scene, folder: Path, camera: str, request: ShotRequest, world: Path) -> None:
    """Put a shot into the scene's list, unless it is there, and choose it."""
    shots = scene.look_beyond.shots
    known = [absolute(shot.folder) for shot in shots]
    if folder.resolve() in known:
        scene.look_beyond.shot_index = known.index(folder.resolve())
        return
    number = 1 + max((shot.take for shot in shots if shot.camera == camera), default=0)
    take = shots.add()
    take.name, take.folder, take.camera, take.take = f"{camera} {number}", as_stored(folder), camera, number
    take.seed, take.world, take.made = str(request.seed), as_stored(world), date_of(folder)
    take.first, take.frames = request.first_frame, len(request.cameras)
    scene.look_beyond.shot_index = len(shots) - 1


def load_take(scene: bpy.types.Scene, folder: Path) -> None:
    """Put the shot in a folder into the scene's list. Raises `RequestError`, `JobError`."""
    stored = stored_shot(folder.resolve())
    request = stored.request
    assert isinstance(request, ShotRequest)
    missing = next((name for name in frame_names(request) if not (folder / "frames" / name).is_file()), None)
    if missing:
        raise JobError(f"The frame {folder / 'frames' / missing} is missing: shoot again.")
    add_take(scene, folder, stored.origin.camera, request, Path(stored.origin.world))


def out_of_date(scene: bpy.types.Scene, take: bpy.types.PropertyGroup) -> str:
    """Why a take is not what shooting would give now; empty if nothing is known to have changed."""
    folder = absolute(take.folder)
    try:
        request = stored_shot(folder).request
    except RequestError:
        return "Its files are missing"
    world, shown = absolute(take.world) if take.world else None, absolute(scene.look_beyond.world_folder)
    if world is not None and world != shown:
        changed = shows_a_change(folder, shown, world)
        if changed is not False:
            return "The world was edited where it looks" if changed else "Shot in another world than the scene's"
    check = path_checker.check
    if check is None or not path_checker.idle or scene.camera is None or scene.camera.name != take.camera:
        return ""
    assert isinstance(request, ShotRequest)
    try:
        info = read_world_info(absolute(scene.look_beyond.world_folder))
    except ValueError:
        return ""
    rotation_rad = world_rotation_rad(scene, info.heading_rad)
    frames = dict(zip(check.frames, check.cameras, strict=True))
    for frame in {min(frames), sorted(frames)[len(frames) // 2], max(frames)}:
        number = frame - take.first
        if not 0 <= number < len(request.cameras):
            return "Frames have been added since"
        now = rotated_about_vertical(frames[frame], -rotation_rad, info.origin)
        if differ(now, Camera.from_dict(request.cameras[number])):
            return "Its camera has moved since"
    return ""


def differ(one: Camera, other: Camera) -> bool:
    """Whether two cameras stand, look or see differently; their resolutions may differ."""
    return bool(
        abs(one.position - other.position).max() > MOVED
        or abs(one.rotation - other.rotation).max() > MOVED
        or abs(one.fov_x - other.fov_x) > MOVED
    )
