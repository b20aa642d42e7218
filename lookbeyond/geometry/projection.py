"""Conversion between equirectangular panoramas and perspective frames, and rays.

Equirectangular images lie exactly as Cycles samples an environment texture: for a direction (x, y, z) of the
world turned by -heading, u = 1/2 - atan2(y, x) / 2 pi runs from left (0) to right (1) and v = 1/2 - asin(z) /
pi from the top row (+Z) to the bottom row. The centre column looks along the heading, what lies right of it
is seen on turning clockwise. Columns wrap around without a duplicate; across a pole the sphere goes on half a
turn away. Pixel coordinates are (column, row), continuous, with pixel centres at half-integers.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .cameras import Camera

Interpolation = Literal["nearest", "bilinear", "cubic"]

_BAND = 256
"""Rows of a panorama worked on at a time where whole-panorama temporaries would be large."""

_CHUNK = 3 << 13
"""Samples taken at a time: few enough that they and the pixels around them stay in the processor's cache."""


def equirectangular_directions(width: int, height: int, heading_rad: float = 0.0) -> NDArray[np.float32]:
    """Unit world directions [height, width, 3] through the pixel centres of an equirectangular image."""
    columns, rows = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    return pixel_directions(columns, rows, width, height, heading_rad)


def directions_to_equirectangular(
    directions: NDArray, width: int, height: int, heading_rad: float = 0.0
) -> NDArray[np.floating]:
    """Pixel coordinates [..., 2] of world directions [..., 3] (any length), columns in [0, width)."""
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack(_equirectangular_pixels(x, y, z, width, height, heading_rad), -1)


def sample_equirectangular(
    panorama: NDArray,
    directions: NDArray,
    heading_rad: float = 0.0,
    interpolation: Interpolation = "bilinear",
) -> NDArray:
    """What a panorama [H, W(, C)] shows along world directions [..., 3] of any length: [...(, C)].

    The result has the panorama's type; integers are rounded. Nothing is filtered: shrink the panorama first
    where the directions lie further apart than its pixels.
    """
    height, width = panorama.shape[:2]
    directions = np.asarray(directions, np.float32)
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    columns, rows = _equirectangular_pixels(x, y, z, width, height, heading_rad)
    return sample_pixels(panorama, columns, rows, interpolation, sphere=True)


def extract_perspective(
    panorama: NDArray, camera: Camera, heading_rad: float = 0.0, interpolation: Interpolation = "bilinear"
) -> NDArray:
    """What a camera turned like `camera` sees of a panorama [H, W(, C)] from the panorama's own origin.

    Returns [camera.height, camera.width(, C)] of the panorama's type, one sample a pixel centre.
    """
    height, width = panorama.shape[:2]
    to_world = (camera.rotation @ np.linalg.inv(camera.intrinsics)).astype(np.float32)
    across = to_world[:, :1] * (np.arange(camera.width, dtype=np.float32) + np.float32(0.5)) + to_world[:, 2:]
    down = to_world[:, 1:2] * (np.arange(camera.height, dtype=np.float32) + np.float32(0.5))
    seen = np.empty((camera.height, camera.width, *panorama.shape[2:]), panorama.dtype)
    band = max(1, _CHUNK // camera.width)
    sample = _sampler(panorama, interpolation, band * camera.width, sphere=True)
    for top in range(0, camera.height, band):
        x, y, z = across[:, None, :] + down[:, top : top + band, None]
        columns, rows = _equirectangular_pixels(x, y, z, width, height, heading_rad)
        sample(columns.reshape(-1), rows.reshape(-1), seen[top : top + band].reshape(columns.size, -1))
    return seen


def place_photo(
    photo: NDArray, camera: Camera, width: int, heading_rad: float = 0.0
) -> tuple[NDArray, NDArray[np.bool_]]:
    """A photo [h, w, C] placed where its camera looks in an empty panorama `width` pixels wide.

    Returns the canvas [width // 2, width, C] of the photo's type (0 where the photo saw nothing) and the mask
    [width // 2, width] of the pixels that hold it: its frame and the one pixel around it that is needed to
    sample its border. A photo finer than the panorama is averaged over the panorama's pixels. `camera` is the
    photo's own at any resolution. A fourth channel of a uint8 photo says what it knows, 255 or 0: pixels that touch
    what it does not know are not in the mask, and the canvas has three.
    """
    height = width // 2
    canvas = np.zeros((height, width, *photo.shape[2:]), photo.dtype)
    mask = np.zeros((height, width), bool)
    camera = camera.resized(photo.shape[1], photo.shape[0])
    fineness = math.sqrt(camera.intrinsics[0, 0] * camera.intrinsics[1, 1]) * 2 * math.pi / width
    step = max(1, int(fineness))
    source, camera = _shrunk(photo, camera, step)
    # Towards the frame's corners a pixel spans less of the sphere: what is left there is averaged by samples.
    frame = [[0, camera.width] * 2, [0, 0, camera.height, camera.height], [1] * 4]
    finest = fineness / step * (np.linalg.norm(np.linalg.inv(camera.intrinsics) @ frame, axis=0) ** 2).max()
    spread = max(1, round(finest))
    for top in range(0, height, _BAND):
        columns, rows = np.arange(width) + 0.5, np.arange(top, min(top + _BAND, height))[:, None] + 0.5
        directions = pixel_directions(columns, rows, width, height, heading_rad)
        seen = _in_frame(*_perspective_pixels(directions, camera), camera, finest)
        row, column = np.nonzero(seen)
        if not row.size:
            continue
        total = np.float32(0)
        for offset in np.ndindex(spread, spread):
            right, below = (np.array(offset) + 0.5) / spread
            directions = pixel_directions(column + right, row + top + below, width, height, heading_rad)
            total = total + sample_pixels(source, *_perspective_pixels(directions, camera), "cubic")
        total = total / spread**2
        if photo.shape[2:] == (4,):  # beside a hole the cubic kernel leaves 255 on either side
            whole = np.abs(total[:, 3] - 255) < 0.5
            row, column, total = row[whole], column[whole], total[whole]
        canvas[row + top, column] = _finish(total, photo.dtype)
        mask[row + top, column] = True
    return (canvas[..., :3] if photo.shape[2:] == (4,) else canvas), mask


def plucker_rays(cameras: Sequence[Camera], reference: Camera, scale: float) -> NDArray[np.float32]:
    """Plücker coordinates [N, H, W, 6] = (d, o x d) of every pixel's ray, in the frame of `reference`.

    d is the unit direction, o the camera's position divided by `scale` (metres; the panorama's median
    distance), both in the reference camera's OpenCV axes with its position as the origin. d . m = 0, and m is
    the same for every point o on the ray.
    """
    to_reference = reference.rotation.T
    rays = np.empty((len(cameras), cameras[0].height, cameras[0].width, 6), np.float32)
    for ray, camera in zip(rays, cameras, strict=True):
        directions = camera.rays() @ to_reference.T
        origin = to_reference @ (camera.position - reference.position) / scale
        ray[..., :3] = directions
        ray[..., 3:] = np.cross(origin, directions)
    return rays


def sample_pixels(
    image: NDArray,
    columns: NDArray,
    rows: NDArray,
    interpolation: Interpolation = "bilinear",
    *,
    sphere: bool = False,
) -> NDArray:
    """Values [...(, C)] of an image [H, W(, C)] at pixel coordinates [...], centres at half-integers.

    Outside, a flat image continues with its border pixels and a `sphere` with its other side. The result has
    the image's type; integers are rounded.
    """
    flat_columns, flat_rows = columns.reshape(-1), rows.reshape(-1)
    values = np.empty((columns.size, image[0, 0].size), image.dtype)
    sample = _sampler(image, interpolation, min(_CHUNK, columns.size), sphere)
    for start in range(0, columns.size, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        sample(flat_columns[chunk], flat_rows[chunk], values[chunk])
    return values.reshape((*columns.shape, *image.shape[2:]))


def pixel_directions(
    columns: NDArray, rows: NDArray, width: int, height: int, heading_rad: float
) -> NDArray[np.float32]:
    """Unit world directions [..., 3] of equirectangular pixel coordinates (broadcast against each other)."""
    azimuth = heading_rad + (0.5 - columns / width) * (2 * math.pi)
    elevation = (0.5 - rows / height) * math.pi
    directions = np.empty((*np.broadcast_shapes(columns.shape, rows.shape), 3), np.float32)
    directions[..., 0] = np.cos(elevation) * np.cos(azimuth)
    directions[..., 1] = np.cos(elevation) * np.sin(azimuth)
    directions[..., 2] = np.sin(elevation)
    return directions


def _equirectangular_pixels(
    x: NDArray, y: NDArray, z: NDArray, width: int, height: int, heading_rad: float
) -> tuple[NDArray, NDArray]:
    turn = np.asarray(np.arctan2(y, x))
    turn *= -1 / (2 * math.pi)
    turn += 0.5 + heading_rad / (2 * math.pi)
    turn -= np.floor(turn)
    turn *= width
    rise = np.asarray(np.arctan2(z, np.sqrt(x * x + y * y)))
    rise *= -height / math.pi
    rise += height / 2
    return turn, rise


def _perspective_pixels(directions: NDArray, camera: Camera) -> tuple[NDArray, NDArray]:
    """Columns and rows [...] where a camera sees world directions [..., 3]; NaN behind it."""
    to_pixels = (camera.intrinsics @ camera.rotation.T).astype(directions.dtype)
    x, y, depth = np.moveaxis(directions @ to_pixels.T, -1, 0)
    depth = np.where(depth > 1e-6, depth, np.nan)
    return x / depth, y / depth


def _in_frame(columns: NDArray, rows: NDArray, camera: Camera, margin: float) -> NDArray[np.bool_]:
    inside = (columns >= -margin) & (columns <= camera.width + margin)
    return inside & (rows >= -margin) & (rows <= camera.height + margin)


def _sampler(image: NDArray, interpolation: Interpolation, count: int, sphere: bool) -> Callable[..., None]:
    """A function (columns [n], rows [n], values [n, C] to be written) that samples an image; n <= count."""
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    pixels = image.reshape(height * width, -1)
    to_index = _sphere_index if sphere else _flat_index

    def nearest(columns: NDArray, rows: NDArray, values: NDArray) -> None:
        column, row = np.floor(columns).astype(np.int32), np.floor(rows).astype(np.int32)
        values[:] = pixels.take(to_index(column, row, width, height), 0)

    def cubic(columns: NDArray, rows: NDArray, values: NDArray) -> None:
        (column, across), (row, down) = _split(columns), _split(rows)
        total = np.zeros(values.shape, np.float32)
        for y, weight_y in zip(range(-1, 3), _cubic_weights(down), strict=True):
            for x, weight_x in zip(range(-1, 3), _cubic_weights(across), strict=True):
                gathered = pixels.take(to_index(column + x, row + y, width, height), 0)
                total += (weight_y * weight_x)[:, None] * gathered
        values[:] = _finish(total, image.dtype)

    if interpolation == "bilinear":
        return _Bilinear(pixels, width, height, to_index, count)
    return nearest if interpolation == "nearest" else cubic


class _Bilinear:
    """`_sampler`'s bilinear: works in its own buffers, since fresh memory costs as much as the arithmetic."""

    def __init__(self, pixels: NDArray, width: int, height: int, to_index: Callable, count: int):
        self.pixels, self.width, self.height, self.to_index = pixels, width, height, to_index
        channels = pixels.shape[1]
        self.integers = np.issubdtype(pixels.dtype, np.integer)
        self.shifted, self.before = np.empty((2, count), np.float32)
        self.column, self.row = np.empty((2, count), np.intp)
        self.across, self.down, self.above, self.below = np.empty((4, count, channels), np.float32)
        self.corners = np.empty((4, count, channels), pixels.dtype)

    def __call__(self, columns: NDArray, rows: NDArray, values: NDArray) -> None:
        count, width = len(columns), self.width
        across, down = self.across[:count], self.down[:count]
        column = self._split(columns, self.column[:count], across)
        row = self._split(rows, self.row[:count], down)
        corners = self.corners[:, :count]
        if column.min() >= 0 and column.max() < width - 1 and row.min() >= 0 and row.max() < self.height - 1:
            row *= width
            row += column
            for corner, offset in zip(corners, (0, 1, width, width + 1), strict=True):
                self.pixels[offset:].take(row, 0, out=corner, mode="clip")
        else:
            for corner, (x, y) in zip(corners, ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True):
                index = self.to_index(column + x, row + y, width, self.height)
                self.pixels.take(index, 0, out=corner, mode="clip")
        above = _mix(corners[0], corners[1], across, self.above[:count])
        below = _mix(corners[2], corners[3], across, self.below[:count])
        mixed = _mix(above, below, down, below)
        if self.integers:
            np.rint(mixed, out=mixed)  # a mean needs no clipping
        np.copyto(values, mixed, casting="unsafe")

    def _split(self, coordinates: NDArray, whole: NDArray, share: NDArray) -> NDArray:
        """The pixel before each coordinate; `share` receives the offset from its centre, for every channel."""
        shifted = np.subtract(coordinates, np.float32(0.5), out=self.shifted[: len(whole)], casting="same_kind")
        before = np.floor(shifted, out=self.before[: len(whole)])
        np.copyto(whole, before, casting="unsafe")
        shifted -= before
        for channel in range(share.shape[1]):
            share[:, channel] = shifted
        return whole


def _split(coordinates: NDArray) -> tuple[NDArray, NDArray]:
    """The pixel before each coordinate, and the offset from its centre (0..1)."""
    shifted = coordinates - np.float32(0.5)
    before = np.floor(shifted)
    return before.astype(np.int32), shifted - before


def _mix(first: NDArray, second: NDArray, share: NDArray, out: NDArray) -> NDArray:
    """first + share * (second - first), written to `out`, which may be `second`."""
    np.subtract(second, first, out=out, dtype=out.dtype)
    out *= share
    out += first
    return out


def _cubic_weights(share: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Catmull-Rom weights of the four pixels around (Keys 1981, a = -1/2)."""
    square, cube = share**2, share**3
    return (
        -0.5 * cube + square - 0.5 * share,
        1.5 * cube - 2.5 * square + 1,
        -1.5 * cube + 2 * square + 0.5 * share,
        0.5 * cube - 0.5 * square,
    )


def _sphere_index(column: NDArray, row: NDArray, width: int, height: int) -> NDArray:
    beyond = (row < 0) | (row >= height)
    if beyond.any():
        column = np.where(beyond, column + width // 2, column)
        row = np.where(row < 0, -1 - row, np.where(beyond, 2 * height - 1 - row, row))
    outside = (column < 0) | (column >= width)
    if outside.any():
        column = np.where(outside, column % width, column)
    return row * width + column


def _flat_index(column: NDArray, row: NDArray, width: int, height: int) -> NDArray:
    return row.clip(0, height - 1) * width + column.clip(0, width - 1)


def _finish(values: NDArray, dtype: np.dtype) -> NDArray:
    """Float results in another type: integers rounded and clipped to its range."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return np.rint(values).clip(limits.min, limits.max).astype(dtype)
    return values.astype(dtype, copy=False)


def _shrunk(photo: NDArray, camera: Camera, step: int) -> tuple[NDArray, Camera]:
    """Photo as float32, averaged over blocks of step x step pixels, and its camera then."""
    if step == 1:
        return photo.astype(np.float32), camera
    height, width = photo.shape[:2]
    rows, columns = -(-height // step), -(-width // step)
    margin = [(0, rows * step - height), (0, columns * step - width)] + [(0, 0)] * (photo.ndim - 2)
    blocks = np.pad(photo, margin, mode="edge").reshape(rows, step, columns, step, *photo.shape[2:])
    intrinsics = np.diag([1 / step, 1 / step, 1.0]) @ camera.intrinsics
    return blocks.mean((1, 3), dtype=np.float32), Camera(columns, rows, intrinsics, camera.camera_to_world)
