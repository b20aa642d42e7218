"""Whether a scene's world still belongs to its photo and to the photo's camera."""

import math
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import bpy
import numpy as np

from ..kit import Camera, CameraError, WorldRequest, heading_pitch_roll
from ..moved import present_path
from ..photo.camera import photo_camera
from ..results import absolute
from ..service.requests import known_request
from .nodes import world_rotation_rad

TOLERANCE_RAD, TOLERANCE_M = math.radians(0.1), 0.005


def outdated_reason(scene: bpy.types.Scene) -> str:
    """A sentence if photo or camera have changed since the scene's world was built; empty if it is up to date.

    Nothing is said of worlds without a record, such as those of the command line.
    """
    settings = scene.look_beyond
    stored = known_request(absolute(settings.world_folder)) if settings.world_folder else None
    if stored is None or not isinstance(stored.request, WorldRequest):
        return ""
    request = stored.request
    picture = settings.panorama_path or settings.photo_path
    if not picture:
        return ""
    if not is_same_file(absolute(picture), Path(stored.origin.source), request.panorama or request.photo):
        return f"This world is of another picture, {Path(stored.origin.source).name}: build it again."
    changed = []
    try:
        built = Camera.from_dict(request.camera)
        if settings.panorama_path:
            turn = settings.panorama_heading - heading_pitch_roll(built)[0]
            if abs(math.remainder(turn, math.tau)) > TOLERANCE_RAD:
                changed.append("heading")
            if abs(settings.panorama_height - request.camera_height) > TOLERANCE_M:
                changed.append("height")
        elif (camera := photo_camera(scene)) is not None:
            changed = changes(camera, built, world_rotation_rad(scene, heading_pitch_roll(built)[0]))
    except CameraError:
        return ""
    if not changed:
        return ""
    names = f"{', '.join(changed[:-1])} and {changed[-1]}" if len(changed) > 1 else changed[0]
    return f"The {names} of the camera changed since this world was built: build it again."


def changes(now: Camera, built: Camera, rotation_rad: float) -> list[str]:
    """What differs between two cameras of a photo, the first in a world that was rotated since the second."""
    found = []
    lenses = [camera.intrinsics / [[camera.width], [camera.height], [1]] for camera in (now, built)]
    if abs(now.fov_x - built.fov_x) > TOLERANCE_RAD or not np.allclose(*lenses, atol=2e-3, rtol=2e-3):
        found.append("field of view")
    poses = zip(heading_pitch_roll(now), heading_pitch_roll(built), (rotation_rad, 0.0, 0.0), strict=True)
    for name, (angle, former, turn) in zip(("heading", "pitch", "roll"), poses, strict=True):
        if abs(math.remainder(angle - former - turn, math.tau)) > TOLERANCE_RAD:
            found.append(name)
    if not np.allclose(now.position, built.position, atol=TOLERANCE_M):
        found.append("position" if abs(now.position[2] - built.position[2]) <= TOLERANCE_M else "height")
    return found


def is_same_file(file: Path, source: Path, digest: str) -> bool:
    """Whether a file is the one that was sent; its content (`digest`, SHA-256) counts where its path is another."""
    if file == present_path(source).resolve():
        return True
    try:
        return _digest(file, file.stat().st_mtime_ns) == digest
    except OSError:
        return file.name == source.name  # gone for now: its name must do


@lru_cache(maxsize=8)
def _digest(file: Path, modified_ns: int) -> str:
    return sha256(file.read_bytes()).hexdigest()
