"""Camera moves as keys of a camera object."""

from collections.abc import Sequence

import bpy
import numpy as np

from ..cameras import matrix_world_of
from ..kit import Camera

SQUARE = 1e-3
"""Pixels whose sides differ by less than this share are square."""


def key_camera(placed: bpy.types.Object, cameras: Sequence[Camera], first_frame: int, unit_m: float) -> None:
    """A key on every frame for place and turn, and for lens and shift where they change.

    The camera's sensor fit has to be HORIZONTAL or AUTO. unit_m: length of one Blender unit, metres.
    """
    data = placed.data
    placed.rotation_mode = "QUATERNION"
    lenses = np.array([_lens(camera, data.sensor_width, data.sensor_fit) for camera in cameras])
    animated = [bool(np.ptp(values) > 1e-6) for values in lenses.T]
    before = None
    for frame, (camera, lens) in enumerate(zip(cameras, lenses), first_frame):
        placed.matrix_world = matrix_world_of(camera, unit_m)
        if before is not None:
            placed.rotation_quaternion.make_compatible(before)  # or it would turn the long way between two keys
        before = placed.rotation_quaternion.copy()
        placed.keyframe_insert("location", frame=frame)
        placed.keyframe_insert("rotation_quaternion", frame=frame)
        for prop, value, moves in zip(("lens", "shift_x", "shift_y"), lens, animated):
            if moves or frame == first_frame:
                setattr(data, prop, value)
            if moves:
                data.keyframe_insert(prop, frame=frame)


def _lens(camera: Camera, sensor_mm: float, fit: str) -> tuple[float, float, float]:
    """Focal length in millimetres, and shift to the right and up as shares of the side that the sensor is fitted to."""
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    aspect = fx / fy
    side = camera.width if fit == "HORIZONTAL" else max(camera.width, aspect * camera.height)
    return fx / side * sensor_mm, (camera.width / 2 - cx) / side, (cy - camera.height / 2) * aspect / side
