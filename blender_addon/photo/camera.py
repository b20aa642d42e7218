"""The photo's camera: read as a camera of geometry, and set."""

import math

import bpy
import numpy as np

from ..cameras import camera_of, matrix_world_of, metres_per_unit
from ..kit import Camera, heading_pitch_roll


def photo_path_of(data: bpy.types.Camera) -> str:
    """The path of the photo that a camera took; a linked camera's is relative to the file that it is linked from."""
    stored = data.look_beyond.photo_path
    return stored if data.library is None else bpy.path.abspath(stored, library=data.library)


def photo_camera(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> Camera | None:
    """The photo's camera as it is now, at the photo's resolution; None without a photo.

    `depsgraph` includes constraints, drivers and animation.
    """
    return camera_of_photo(scene, scene.look_beyond.photo_camera, depsgraph)


def camera_of_photo(
    scene: bpy.types.Scene, placed: bpy.types.Object | None, depsgraph: bpy.types.Depsgraph | None = None
) -> Camera | None:
    """The same of any camera of the scene that has a photo; None if this one has none."""
    if placed is None or placed.type != "CAMERA" or not placed.data.look_beyond.width:
        return None
    size = placed.data.look_beyond
    evaluated = placed if depsgraph is None else placed.evaluated_get(depsgraph)
    return camera_of(evaluated, size.width, size.height, metres_per_unit(scene))


def linked_reason(scene: bpy.types.Scene) -> str:
    """Why the photo's camera cannot be changed; empty if it can."""
    placed = scene.look_beyond.photo_camera
    if placed is None or placed.library is None:
        return ""
    return f"The camera {placed.name} is linked from another file: make it local, or place the photo in this file"


def own_lens(placed: bpy.types.Object) -> bpy.types.Camera:
    """The camera's data, to be changed; a copy if duplicates of the artist's share it, or if it is linked."""
    if placed.data.users > 1 or placed.data.library is not None:
        placed.data = placed.data.copy()
    assert isinstance(placed.data, bpy.types.Camera)
    return placed.data


def set_photo_camera(
    scene: bpy.types.Scene,
    *,
    fov_x_rad: float | None = None,
    heading_rad: float | None = None,
    pitch_rad: float | None = None,
    roll_rad: float | None = None,
    height_m: float | None = None,
) -> None:
    """Change lens or pose of the photo's camera; None keeps a value. No effect without a photo, or if it is linked."""
    camera = photo_camera(scene)
    placed = scene.look_beyond.photo_camera
    if camera is None or placed.library is not None:  # a linked camera would be as it was once the file is reopened
        return
    photo = own_lens(placed).look_beyond
    if pitch_rad is not None:
        photo.pitch_assumed = False
    if roll_rad is not None:
        photo.roll_assumed = False
    if fov_x_rad is not None:
        photo.fov_x_assumed = False
        focal_px = camera.width / 2 / math.tan(fov_x_rad / 2)
        placed.data.lens *= focal_px / float(camera.intrinsics[0, 0])
    heading, pitch, roll = heading_pitch_roll(camera)
    position = np.array(camera.position)
    if height_m is not None:
        position[2] = height_m
    moved = camera.placed(
        heading if heading_rad is None else heading_rad,
        pitch if pitch_rad is None else pitch_rad,
        roll if roll_rad is None else roll_rad,
        position,
    )
    placed.matrix_world = matrix_world_of(moved, metres_per_unit(scene))
