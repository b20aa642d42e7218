"""Blender's cameras as geometry's, and back. Blender units become metres here and nowhere else."""

from collections.abc import Callable

import bpy
import numpy as np
from lookbeyond_kit.geometry.cameras import Camera, CameraError, blender_intrinsics, opencv_to_opengl
from mathutils import Matrix


def metres_per_unit(scene: bpy.types.Scene) -> float:
    """What one Blender unit of the scene is worth."""
    units = scene.unit_settings
    return 1.0 if units.system == "NONE" else units.scale_length


def render_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Pixels that a render of the scene has, the percentage taken into account as Blender does."""
    render = scene.render
    percentage = render.resolution_percentage
    return render.resolution_x * percentage // 100, render.resolution_y * percentage // 100


def camera_of(
    camera: bpy.types.Object,
    width: int,
    height: int,
    unit_m: float,
    pixel_aspect: tuple[float, float] = (1.0, 1.0),
) -> Camera:
    """The camera object as it stands, for a frame of width x height pixels.

    Give the evaluated object if constraints, drivers or an animated lens are to count. Raises `CameraError`.
    """
    lens = camera.data
    if lens.type != "PERSP":
        raise CameraError(
            f"The camera {camera.name} is not a perspective camera: set its type to Perspective in"
            " the camera's properties."
        )
    intrinsics = blender_intrinsics(
        lens.lens,
        lens.sensor_width,
        lens.sensor_height,
        lens.sensor_fit,
        lens.shift_x,
        lens.shift_y,
        width,
        height,
        *pixel_aspect,
    )
    matrix = np.array(camera.matrix_world)
    matrix[:3, 3] *= unit_m
    try:
        return Camera.from_blender(matrix, intrinsics, width, height)
    except CameraError as error:
        raise CameraError(f"The camera {camera.name} cannot be used: {error}.") from None


def matrix_world_of(camera: Camera, unit_m: float) -> Matrix:
    """Where the camera's object stands in Blender."""
    matrix = opencv_to_opengl(camera.camera_to_world).copy()
    matrix[:3, 3] /= unit_m
    return Matrix(matrix.tolist())


def shot_cameras(context: bpy.types.Context, say: Callable[[float], None] | None = None) -> list[Camera]:
    """The cameras that render the scene's frames, first to last: markers, constraints, drivers, lenses and
    all.

    The scene is stepped through its frames and put back on the one it was on. Raises `CameraError` that names
    the frame.
    """
    scene = context.scene
    width, height = render_size(scene)
    aspect = (scene.render.pixel_aspect_x, scene.render.pixel_aspect_y)
    frame, subframe, active = scene.frame_current, scene.frame_subframe, scene.camera
    first, last = scene.frame_start, scene.frame_end
    cameras = []
    try:
        for number in range(first, last + 1):
            scene.frame_set(number)
            if scene.camera is None:
                raise CameraError(f"Frame {number} has no camera: make one the scene's active camera.")
            evaluated = scene.camera.evaluated_get(context.evaluated_depsgraph_get())
            try:
                cameras.append(camera_of(evaluated, width, height, metres_per_unit(scene), aspect))
            except CameraError as error:
                raise CameraError(f"Frame {number}: {error}") from None
            if say is not None:
                say((number - first + 1) / (last - first + 1))
    finally:
        scene.frame_set(frame, subframe=subframe)
        if scene.camera != active:  # a marker had switched it before the artist chose another
            scene.camera = active
    return cameras
