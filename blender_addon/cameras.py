"""Blender's cameras as geometry's cameras, and back. Blender units become metres here and nowhere else."""

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from .kit import Camera, CameraError, blender_intrinsics, opencv_to_opengl


def metres_per_unit(scene: bpy.types.Scene) -> float:
    """Length of one Blender unit of the scene, metres."""
    units = scene.unit_settings
    return 1.0 if units.system == "NONE" else units.scale_length


def render_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Width and height of a render of the scene, pixels; the percentage is applied as Blender does."""
    render = scene.render
    percentage = render.resolution_percentage
    return render.resolution_x * percentage // 100, render.resolution_y * percentage // 100


@dataclass(frozen=True)
class CameraState:
    """A camera object as plain values. Only reading them needs Blender's main thread."""

    name: str
    kind: str
    lens_mm: float
    sensor: tuple[float, float, str]
    """Width and height in millimetres, and the sensor fit."""
    shift: tuple[float, float]
    matrix_world: Matrix
    size: tuple[int, int]
    """Pixels of the frame, width and height."""
    pixel_aspect: tuple[float, float]
    unit_m: float
    """Length of one Blender unit, metres."""
    frame: int | None = None
    """Frame number, for error messages."""

    def camera(self) -> Camera:
        """The camera in geometry's convention. Raises `CameraError` that names the camera and the frame."""
        where = "" if self.frame is None else f"Frame {self.frame}: "
        if self.kind != "PERSP":
            raise CameraError(
                f"{where}The camera {self.name} is not a perspective camera: set its type to Perspective in the"
                " camera's properties."
            )
        matrix = np.array(self.matrix_world)
        matrix[:3, 3] *= self.unit_m
        try:
            intrinsics = blender_intrinsics(self.lens_mm, *self.sensor, *self.shift, *self.size, *self.pixel_aspect)
            return Camera.from_blender(matrix, intrinsics, *self.size)
        except CameraError as error:
            raise CameraError(f"{where}The camera {self.name} cannot be used: {error}.") from None


def state_of(
    camera: bpy.types.Object,
    size: tuple[int, int],
    unit_m: float,
    pixel_aspect: tuple[float, float] = (1.0, 1.0),
    frame: int | None = None,
) -> CameraState:
    """The state of a camera object for a frame of `size` (width, height) pixels.

    Pass the evaluated object to include constraints, drivers and animation.
    """
    lens = camera.data
    sensor = lens.sensor_width, lens.sensor_height, lens.sensor_fit
    shift, matrix = (lens.shift_x, lens.shift_y), camera.matrix_world.copy()
    return CameraState(camera.name, lens.type, lens.lens, sensor, shift, matrix, size, pixel_aspect, unit_m, frame)


def camera_of(
    camera: bpy.types.Object,
    width: int,
    height: int,
    unit_m: float,
    pixel_aspect: tuple[float, float] = (1.0, 1.0),
) -> Camera:
    """The camera object as a camera of geometry (see `state_of`). Raises `CameraError`."""
    return state_of(camera, (width, height), unit_m, pixel_aspect).camera()


def matrix_world_of(camera: Camera, unit_m: float) -> Matrix:
    """The `matrix_world` of a Blender object for this camera."""
    matrix = opencv_to_opengl(camera.camera_to_world).copy()
    matrix[:3, 3] /= unit_m
    return Matrix(matrix.tolist())
