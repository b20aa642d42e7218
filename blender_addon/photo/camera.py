"""The placed photo's camera as geometry has it: read and set."""

import math

import bpy
import numpy as np

from ..cameras import camera_of, matrix_world_of, metres_per_unit
from ..kit import Camera, heading_pitch_roll, placed_camera


def photo_camera(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> Camera | None:
    """The placed photo's camera as it stands now, for the photo's own pixels; None without a photo."""
    placed = scene.look_beyond.photo_camera
    if placed is None or placed.type != "CAMERA" or not placed.data.look_beyond.width:
        return None
    size = placed.data.look_beyond
    seen = placed if depsgraph is None else placed.evaluated_get(depsgraph)
    return camera_of(seen, size.width, size.height, metres_per_unit(scene))


def set_photo_camera(scene: bpy.types.Scene, **changes: float) -> None:
    """Change `fov_x`, `heading`, `pitch`, `roll` (radians), `height` (metres) of the photo's camera."""
    camera = photo_camera(scene)
    if camera is None:
        return
    placed = scene.look_beyond.photo_camera
    if "fov_x" in changes:
        wanted = camera.width / 2 / math.tan(changes.pop("fov_x") / 2)
        placed.data.lens *= wanted / float(camera.intrinsics[0, 0])
    heading, pitch, roll = heading_pitch_roll(camera)
    position = np.array(camera.position)
    position[2] = changes.get("height", position[2])
    moved = placed_camera(
        camera.width,
        camera.height,
        intrinsics=camera.intrinsics,
        heading_rad=changes.get("heading", heading),
        pitch_rad=changes.get("pitch", pitch),
        roll_rad=changes.get("roll", roll),
        position=position,
    )
    placed.matrix_world = matrix_world_of(moved, metres_per_unit(scene))
