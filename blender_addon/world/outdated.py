"""Whether worlds still match their photos and those photos' cameras."""

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import bpy
import numpy as np

from ..kit import Camera, CameraError, WorldRequest, heading_pitch_roll
from ..made import made_objects
from ..moved import present_path
from ..photo.beside import BesidePhoto, photos_beside
from ..photo.camera import camera_of_photo, photo_path_of
from ..results import absolute
from ..service.requests import StoredRequest
from .lineage import request_of_world
from .nodes import world_rotation_rad

TOLERANCE_RAD, TOLERANCE_M = math.radians(0.1), 0.005
MISSING = "Its files are missing."


def outdated_reason(scene: bpy.types.Scene) -> str:
    """A sentence if the scene's world is not of its photo, or `variant_reason`; empty if it is up to date.

    Worlds without a record, such as those from the command line, are never called outdated.
    """
    settings = scene.look_beyond
    if not settings.world_folder:
        return ""
    folder = absolute(settings.world_folder)
    stored, picture = request_of_world(folder), settings.panorama_path or settings.photo_path
    if stored is not None and picture and not is_of(absolute(picture), stored):
        return f"This world is of another picture, {Path(stored.origin.source).name}: build it again."
    return variant_reason(scene, folder)


def variant_reason(scene: bpy.types.Scene, folder: Path) -> str:
    """A sentence if the files of a world are gone, or if its picture's camera has changed since it was built.

    The camera is that of the world's own picture, which need not be the one that the scene has chosen.
    """
    if not (folder / "world.json").is_file():
        return MISSING
    stored, settings = request_of_world(folder), scene.look_beyond
    if stored is None or not isinstance(stored.request, WorldRequest):
        return ""
    request, changed = stored.request, []
    try:
        built = Camera.from_dict(request.camera)
        if request.panorama:
            if not settings.panorama_path or not is_of(absolute(settings.panorama_path), stored):
                return ""
            turn = settings.panorama_heading - heading_pitch_roll(built)[0]
            if abs(math.remainder(turn, math.tau)) > TOLERANCE_RAD:
                changed.append("heading")
            if abs(settings.panorama_height - request.camera_height) > TOLERANCE_M:
                changed.append("height")
        elif (placed := camera_of_world(scene, stored)) is not None:
            used = settings.world_folder and absolute(settings.world_folder) == folder
            rotation_rad = world_rotation_rad(scene, heading_pitch_roll(built)[0]) if used else 0.0
            camera = camera_of_photo(scene, placed)
            changed = changes(camera, built, rotation_rad) if camera is not None else []
            if photos_changed(photos_beside(scene, placed), request.beside, rotation_rad):
                return "The further photos of this place changed since this world was built: build it again."
    except CameraError:
        return ""
    if not changed:
        return ""
    names = f"{', '.join(changed[:-1])} and {changed[-1]}" if len(changed) > 1 else changed[0]
    return f"The {names} of the camera changed since this world was built: build it again."


def camera_of_world(scene: bpy.types.Scene, stored: StoredRequest) -> bpy.types.Object | None:
    """The camera of the photo that a world was built from: the scene's, else another that was placed in it."""
    chosen = scene.look_beyond.photo_camera
    for placed in dict.fromkeys([chosen, *made_objects(scene)]):
        if placed is None or placed.type != "CAMERA" or not (photo := photo_path_of(placed.data)):
            continue
        if is_of(absolute(photo), stored):
            return placed
    return None


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


def photos_changed(now: Sequence[BesidePhoto], built: Sequence[dict], rotation_rad: float) -> bool:
    """Whether the further photos of a place are others than those of its world, or look elsewhere."""
    if len(now) != len(built):
        return True
    return any(
        not has_content(photo.path, former["photo"])
        or changes(photo.camera, Camera.from_dict(former["camera"]), rotation_rad)
        for photo, former in zip(now, built, strict=True)
    )


def is_of(picture: Path, stored: StoredRequest) -> bool:
    """Whether a world was built from a picture."""
    request = stored.request
    digest = request.panorama or request.photo if isinstance(request, WorldRequest) else ""
    return is_same_file(picture, Path(stored.origin.source), digest)


def is_same_file(file: Path, source: Path, digest: str) -> bool:
    """Whether a file is the one that was sent; its content (`digest`, SHA-256) counts where its path is another."""
    return file == present_path(source).resolve() or has_content(file, digest, file.name == source.name)


def has_content(file: Path, digest: str, gone: bool = True) -> bool:
    """Whether a file's SHA-256 is `digest`; `gone` if it cannot be read for now."""
    try:
        return _digest(file, file.stat().st_mtime_ns) == digest
    except OSError:
        return gone


@lru_cache(maxsize=64)  # the list of worlds asks of every photo at each redraw
def _digest(file: Path, modified_ns: int) -> str:
    return sha256(file.read_bytes()).hexdigest()
