"""Draws the path in the viewport: coloured by what each view is made of, with the frusta of the anchors."""

from typing import TYPE_CHECKING

import numpy as np

from ..kit import Camera, Known
from ..known import BEYOND, HOLE, INVENTED, LEGEND, PHOTO
from .check import PathCheck

if TYPE_CHECKING:
    from gpu.types import GPUBatch

FRUSTUM_M = 0.12
"""Size of the drawn frusta."""
LEGEND_PX = (60, 56)
"""Place of the legend in the viewport, pixels at interface scale 1: beside the toolbar, above the settings of the last
operator."""


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


def draw_legend(scale: float) -> None:
    """Draw what the colours mean into the lower left of the viewport whose draw handler is running."""
    import blf
    import gpu
    from bpy.app.translations import pgettext_iface
    from gpu_extras.batch import batch_for_shader

    shader, font, x, y = gpu.shader.from_builtin("UNIFORM_COLOR"), 0, LEGEND_PX[0] * scale, LEGEND_PX[1] * scale
    blf.size(font, 12 * scale)
    blf.enable(font, blf.SHADOW)
    blf.shadow(font, 3, 0.0, 0.0, 0.0, 1.0)
    blf.color(font, 1.0, 1.0, 1.0, 1.0)
    side = 11 * scale
    for kind in LEGEND:
        corners = [(x, y), (x + side, y), (x, y + side), (x + side, y + side)]
        shader.bind()
        shader.uniform_float("color", (*kind.colour, 1.0))
        batch_for_shader(shader, "TRI_STRIP", {"pos": corners}).draw(shader)
        word = pgettext_iface(kind.word)
        blf.position(font, x + 1.6 * side, y + 1, 0)
        blf.draw(font, word)
        x += 1.6 * side + blf.dimensions(font, word)[0] + 16 * scale
    blf.disable(font, blf.SHADOW)


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
        return (*BEYOND.colour, 1.0)
    shares = np.array([known.photo, known.invented, known.hole])
    red, green, blue = shares @ np.array([PHOTO.colour, INVENTED.colour, HOLE.colour])
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
