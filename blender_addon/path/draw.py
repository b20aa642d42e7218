"""The path in the viewport: coloured by how much of each view is known, anchors as frusta."""

from typing import TYPE_CHECKING

import numpy as np

from ..kit import Camera
from .check import PathCheck

if TYPE_CHECKING:
    from gpu.types import GPUBatch

FRUSTUM_M = 0.12
COLOURS = ((0.95, 0.2, 0.15), (0.98, 0.75, 0.1), (0.25, 0.85, 0.35))
"""Linear steps from nothing known over half to all."""
BEYOND = (0.9, 0.1, 0.75)


class PathDrawing:
    """What the viewports show of the last check, as batches for the graphics card."""

    def __init__(self) -> None:
        self._check: PathCheck | None = None
        self._batch: GPUBatch | None = None

    def draw(self, check: PathCheck, unit_m: float, width_px: float) -> None:
        """Draw it into the viewport whose draw handler runs now."""
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
    colours = [colour(known, far) for known, far in zip(check.known, check.too_far, strict=True)]
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


def colour(known: float, too_far: float) -> tuple[float, float, float, float]:
    """From red over yellow to green by what is known; magenta where nothing can be shot."""
    if too_far > 0:
        return (*BEYOND, 1.0)
    place = max(0.0, min(1.0, (known - 0.4) / 0.6)) * 2
    low, high = COLOURS[min(1, int(place))], COLOURS[min(1, int(place)) + 1]
    share = place - min(1, int(place))
    red, green, blue = (a + (b - a) * share for a, b in zip(low, high, strict=True))
    return red, green, blue, 1.0


def frustum_lines(camera: Camera) -> np.ndarray:
    """The ends of the eight lines of a camera's frustum, [16, 3] in metres."""
    corners = np.array([(0, 0, 1), (camera.width, 0, 1), (camera.width, camera.height, 1), (0, camera.height, 1)])
    rays = corners @ np.linalg.inv(camera.intrinsics).T @ camera.rotation.T
    tips = camera.position + FRUSTUM_M * rays
    ends = []
    for number in range(4):
        ends += [camera.position, tips[number], tips[number], tips[(number + 1) % 4]]
    return np.array(ends)
