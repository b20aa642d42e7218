"""Draws the path in the viewport: coloured by what each view is made of, with the frusta of the anchors."""

from typing import TYPE_CHECKING

import numpy as np

from ..kit import Camera, Known
from .check import PathCheck

if TYPE_CHECKING:
    from gpu.types import GPUBatch

FRUSTUM_M = 0.12
"""Size of the drawn frusta."""
PHOTO_COLOUR = (0.25, 0.85, 0.35)
INVENTED_COLOUR = (0.2, 0.55, 1.0)
HOLE_COLOUR = (1.0, 0.15, 0.1)
BEYOND_COLOUR = (0.9, 0.1, 0.75)
"""Where nothing can be shot."""


class PathDrawing:
    """The last check as a batch for the graphics card."""

    def __init__(self) -> None:
        self._check: PathCheck | None = None
        self._batch: GPUBatch | None = None

    def draw(self, check: PathCheck, unit_m: float, width_px: float) -> None:
        """Draw a check into the viewport whose draw handler is running."""
        import gpu
        from gpu_extras.batch import batch_for_shader

        shader = gpu.shader.from_builtin("POLYLINE_FLAT_COLOR")
        if self._check is not check or self._batch is None:
            points, paint = path_lines(check, unit_m)
            self._check, self._batch = check, batch_for_shader(shader, "LINES", {"pos": points, "color": paint})
        shader.bind()
        shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
        shader.uniform_float("lineWidth", width_px)
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("LESS_EQUAL")
        self._batch.draw(shader)
        gpu.state.depth_test_set("NONE")
        gpu.state.blend_set("NONE")


def path_lines(check: PathCheck, unit_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends [2 N, 3] of the drawn lines in Blender units, and their colours [2 N, 4]."""
    if not check.cameras:
        return np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32)
    colours = [colour(known, excess_m) for known, excess_m in zip(check.known, check.excess_m, strict=True)]
    positions = np.array([camera.position for camera in check.cameras])
    ends, paint = [], []
    for number in range(len(positions) - 1):
        ends += [positions[number], positions[number + 1]]
        paint += [colours[number], colours[number + 1]]
    for number in check.anchors:
        frustum = frustum_lines(check.cameras[number])
        ends += list(frustum)
        paint += [colours[number]] * len(frustum)
    return np.array(ends, np.float32) / np.float32(unit_m), np.array(paint, np.float32)


def colour(known: Known, excess_m: float) -> tuple[float, float, float, float]:
    """Green for the photo, blue for what was invented, red for holes, mixed by their shares; magenta where nothing can
    be shot."""
    if excess_m > 0:
        return (*BEYOND_COLOUR, 1.0)
    shares = np.array([known.photo, known.invented, known.hole])
    red, green, blue = shares @ np.array([PHOTO_COLOUR, INVENTED_COLOUR, HOLE_COLOUR])
    return float(red), float(green), float(blue), 1.0


def frustum_lines(camera: Camera) -> np.ndarray:
    """Ends [16, 3] of the eight lines of a camera's frustum, metres."""
    corners = np.array([(0, 0, 1), (camera.width, 0, 1), (camera.width, camera.height, 1), (0, camera.height, 1)])
    rays = corners @ np.linalg.inv(camera.intrinsics).T @ camera.rotation.T
    tips = camera.position + FRUSTUM_M * rays
    ends = []
    for number in range(4):
        ends += [camera.position, tips[number], tips[number], tips[(number + 1) % 4]]
    return np.array(ends)
