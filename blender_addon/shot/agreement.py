"""Whether a scene's camera still sees what a shot shows."""

import math
from pathlib import Path

import bpy
import numpy as np

from ..kit import Camera, CameraError, ShotRequest
from ..moved import present_path
from ..path.read import can_read_isolated, isolated_cameras
from ..results import absolute
from ..service.requests import RequestError, known_request, read_request
from ..world.distance import WorldError
from ..world.geometry import rotated_about_vertical
from ..world.info import read_world_info
from ..world.nodes import world_rotation_rad

SAMPLES = 7
"""Frames of a shot that are compared."""


def camera_note(scene: bpy.types.Scene, folder: Path) -> str:
    """A sentence if the scene's cameras do not see the frames as the shot in a folder has them; empty if they do.

    Frames spread over the shot are compared; nothing is said of a shot without a record, or of cameras that could only
    be read by playing the scene.
    """
    try:
        stored = read_request(folder)
        if not isinstance(stored.request, ShotRequest) or scene != bpy.context.scene:
            return ""
        if not can_read_isolated(bpy.context, trust_proven=True):
            return ""
        world = present_path(Path(stored.origin.world))
        info = read_world_info(world if world.is_dir() else absolute(scene.look_beyond.world_folder))
        shot = [Camera.from_dict(values) for values in stored.request.cameras]
        indices = np.unique(np.linspace(0, len(shot) - 1, SAMPLES).round().astype(int))
        numbers = [stored.request.first_frame + int(index) for index in indices]
        now = isolated_cameras(scene, numbers)
    except (RequestError, WorldError, CameraError):
        return ""
    rotation_rad = world_rotation_rad(scene, info.heading_rad)
    for number, index, camera in zip(numbers, indices, now, strict=True):
        if not is_same_view(rotated_about_vertical(camera, -rotation_rad, info.origin), shot[index]):
            return (
                f"Frame {number} was shot from another place than the scene renders it from: make"
                f" {stored.origin.camera} the scene's camera again, or shoot again."
            )
    return ""


def other_camera_note(scene: bpy.types.Scene, folder: Path) -> str:
    """A sentence if the scene's camera is none of those that shot the frames in a folder; quick enough for a panel."""
    stored = known_request(folder)
    if stored is None or scene.camera is None or scene.camera.name in (stored.origin.camera, *stored.origin.cameras):
        return ""
    if stored.origin.camera not in scene.objects:  # renamed, perhaps
        return ""
    return f"The compositor shows frames of {stored.origin.camera}, and the scene renders {scene.camera.name}."


def is_same_view(one: Camera, other: Camera) -> bool:
    """Whether two cameras have the same pose and field of view, whatever their resolution."""
    same = np.allclose(one.camera_to_world, other.camera_to_world, atol=1e-3)
    lenses = [camera.intrinsics[0] / camera.width for camera in (one, other)]
    return bool(same and math.isclose(one.fov_x, other.fov_x, abs_tol=1e-3) and np.allclose(*lenses, atol=2e-3))
