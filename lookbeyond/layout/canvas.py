"""The photo as the layout network sees it: upright, in angles, with its heading in the middle."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.geometry.cameras import Camera, heading_pitch_roll

COLUMNS, ROWS = 192, 144
"""Pixels of the canvas, all of them as wide and as high as `PIXEL_RAD`."""
PIXEL_RAD = 2 * math.pi / 512
ALL_COLUMNS = 256
"""Directions all around in which the network predicts the wall's distance: every second pixel of the canvas is one."""
CELL_COLUMNS, CELL_ROWS = COLUMNS // 2, ROWS // 2
"""The grid on which it predicts distance and kind of what is seen."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A photo resampled to equal angles of azimuth and elevation."""

    colour: NDArray[np.uint8]
    """[ROWS, COLUMNS, 3], 0 where the photo saw nothing."""
    known: NDArray[np.bool_]
    """[ROWS, COLUMNS]"""
    heading_rad: float
    """Azimuth in the world of the canvas's middle."""

    @property
    def known_cells(self) -> NDArray[np.bool_]:
        """[CELL_ROWS, CELL_COLUMNS]: those that lie in the photo, all four pixels of them."""
        return np.asarray(self.known.reshape(CELL_ROWS, 2, CELL_COLUMNS, 2).all((1, 3)))


def canvas_directions(columns: int = COLUMNS, rows: int = ROWS, heading_rad: float = 0.0) -> NDArray[np.float64]:
    """Unit world directions [rows, columns, 3] of the canvas, cut into so many columns and rows."""
    azimuth = heading_rad + (0.5 - (np.arange(columns) + 0.5) / columns) * COLUMNS * PIXEL_RAD
    elevation = ((0.5 - (np.arange(rows) + 0.5) / rows) * ROWS * PIXEL_RAD)[:, None]
    level = np.cos(elevation)
    return np.stack(
        [level * np.cos(azimuth), level * np.sin(azimuth), np.broadcast_to(np.sin(elevation), (rows, columns))], -1
    )


def place_on_canvas(photo: NDArray[np.uint8], camera: Camera, bend: float = 0.0) -> Canvas:
    """A photo [h, w, 3] on the canvas. `camera` is the photo's, at any resolution and place.

    bend: radial distortion k of the lens: a point at r (tangent from the axis) is found at r (1 + k r²).
    """
    heading, pitch, roll = heading_pitch_roll(camera)
    # a pixel of the photo as large as two thirds of one of the canvas: what is finer would flicker
    wanted = 1 / (0.66 * PIXEL_RAD)
    step = max(1.0, camera.resized(photo.shape[1], photo.shape[0]).intrinsics[0, 0] / wanted)
    if step > 1:
        size = max(1, round(photo.shape[1] / step)), max(1, round(photo.shape[0] / step))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    small = camera.resized(photo.shape[1], photo.shape[0])
    level = small.placed(pitch_rad=pitch, roll_rad=roll)
    local = canvas_directions() @ level.rotation
    depth = local[..., 2]
    flat = local / np.where(depth > 0.05, depth, np.inf)[..., None]
    ends = np.array([[0, 0, 1], [small.width, small.height, 1]]) @ np.linalg.inv(small.intrinsics).T
    near = (depth > 0.05) & (np.abs(flat[..., :2]) < 1.3 * np.abs(ends[:, :2]).max(0)).all(-1)
    flat[..., :2] *= 1 + bend * (flat[..., :2] ** 2).sum(-1, keepdims=True)
    flat[..., 2] = 1
    x, y = np.moveaxis((flat @ level.intrinsics.T)[..., :2], -1, 0)
    # far outside, a distorted lens would show the frame a second time
    known = near & (x >= 0) & (x <= small.width) & (y >= 0) & (y <= small.height)
    pixels = _sampled(photo, x - 0.5, y - 0.5)
    return Canvas(np.where(known[..., None], pixels, 0).astype(np.uint8), known, heading)


def grid_in_photo(values: NDArray, camera: Camera, columns: int, rows: int) -> NDArray[np.float32]:
    """Values [CELL_ROWS, CELL_COLUMNS] of the canvas along the rays of `camera` at another resolution: [rows, columns].

    Beyond the canvas its border goes on.
    """
    small = camera.resized(columns, rows)
    heading, *_ = heading_pitch_roll(camera)
    x, y, z = np.moveaxis(small.rays(), -1, 0)
    azimuth = (np.arctan2(y, x) - heading + math.pi) % (2 * math.pi) - math.pi
    column = CELL_COLUMNS / 2 - azimuth / (2 * PIXEL_RAD) - 0.5
    row = CELL_ROWS / 2 - np.arcsin(np.clip(z, -1, 1)) / (2 * PIXEL_RAD) - 0.5
    return _sampled(values.astype(np.float32), column, row)


def grid_on_canvas(values: NDArray, camera: Camera) -> NDArray[np.float32]:
    """The inverse: values [rows, columns] over a photo's frame, on the canvas's cells; its border goes on outside."""
    rows, columns = values.shape
    small = camera.resized(columns, rows)
    heading, *_ = heading_pitch_roll(camera)
    local = canvas_directions(CELL_COLUMNS, CELL_ROWS, heading) @ small.rotation
    flat = local / np.maximum(local[..., 2:], 0.05)
    x, y = np.moveaxis((flat @ small.intrinsics.T)[..., :2], -1, 0)
    return _sampled(values.astype(np.float32), x - 0.5, y - 0.5)


def _sampled(image: NDArray, columns: NDArray, rows: NDArray) -> NDArray:
    """An image at places whose pixel centres lie at integers, bilinear; its border goes on outside."""
    maps = columns.astype(np.float32), rows.astype(np.float32)
    return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
