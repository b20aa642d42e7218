"""The sphere as perspective views: which views cover it, in which order they are filled, and how they are put back.

Networks that know only perspective pictures work on such views; this module contains no network.
"""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.projection import (
    equirectangular_directions,
    extract_perspective,
    sample_pixels,
)

from .guidance import fill_holes
from .panorama import extend_outwards

Paint = Callable[[np.ndarray, np.ndarray, Camera], np.ndarray]
"""(picture uint8 [h, w, 3], its unknown pixels bool [h, w], its camera) -> the picture filled, [h, w, 3] of 0..255."""
PLAN_WIDTH = 256
"""Width of the coarse sphere on which views are planned."""
FEATHER = 1 / 90
"""Width, as a share of the way around, over which a view fades into what was made before it."""
LIGHT = 16
"""Pixels of a view over which a filler's error of light is averaged."""


def covering_cameras(size: int, fov_rad: float, heading_rad: float = 0.0) -> list[Camera]:
    """Square views that overlap by a third or more and cover the whole sphere, including the poles.

    Rings of equal pitch, the first view of each looking along the heading; views near the poles stand further apart.
    """
    step = fov_rad / 1.9
    rings = math.ceil(math.pi / 2 / step)
    cameras = []
    for ring in range(-rings, rings + 1):
        pitch = ring * math.pi / 2 / rings
        # a ring's frames are widest apart where they are nearest to the horizon
        nearest = max(0.0, abs(pitch) - fov_rad / 4)
        count = 1 if abs(ring) == rings else math.ceil(2 * math.pi * math.cos(nearest) / step)
        for index in range(count):
            turn = heading_rad + 2 * math.pi * index / count
            cameras.append(placed_camera(size, size, fov_rad, heading_rad=turn, pitch_rad=pitch))
    return cameras


def in_view(camera: Camera, directions: np.ndarray, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns and rows [...] of world directions [..., 3] in a camera's frame, and which are `margin` pixels inside."""
    x, y, depth = np.moveaxis(directions @ (camera.intrinsics @ camera.rotation.T).T.astype(directions.dtype), -1, 0)
    ahead = depth > 1e-6
    depth = np.where(ahead, depth, 1)
    columns, rows = x / depth, y / depth
    inside = ahead & (np.minimum(columns, camera.width - columns) >= margin)
    inside &= np.minimum(rows, camera.height - rows) >= margin
    return columns, rows, inside


def plan_views(known: np.ndarray, cameras: Sequence[Camera], heading_rad: float = 0.0) -> list[Camera]:
    """The order in which cameras fill a sphere known on bool [H, 2H]: always the one that knows most of its picture.

    Cameras that would find nothing left to fill are left out.
    """
    height = PLAN_WIDTH // 2
    # a coarse pixel is known only if everything that it covers is
    cell = np.ones([known.shape[1] // PLAN_WIDTH + 1] * 2, np.uint8)
    known = cv2.erode(np.pad(known, len(cell), mode="wrap").astype(np.uint8), cell) > 0
    known = known[len(cell) : -len(cell), len(cell) : -len(cell)]
    columns = (np.arange(PLAN_WIDTH) + 0.5) / PLAN_WIDTH * known.shape[1]
    rows = (np.arange(height) + 0.5) / height * known.shape[0]
    known = known[rows.astype(int)][:, columns.astype(int)].copy()
    directions = equirectangular_directions(PLAN_WIDTH, height, heading_rad)
    area = np.repeat(np.cos((0.5 - (np.arange(height) + 0.5) / height) * math.pi)[:, None], PLAN_WIDTH, 1)
    seen = [in_view(camera, directions, 0.02 * camera.width)[2] for camera in cameras]
    order, left = [], list(range(len(cameras)))
    while left:
        shares = {i: float((area * (seen[i] & known)).sum() / (area * seen[i]).sum()) for i in left}
        left = [i for i in left if (seen[i] & ~known).any()]
        if not left:
            break
        best = max(left, key=lambda i: shares[i])  # the first of equals, so that the same sphere gives the same order
        left.remove(best)
        known |= seen[best]
        order.append(cameras[best])
    return order


def fill_views(
    canvas: np.ndarray, known: np.ndarray, cameras: Sequence[Camera], paint: Paint, heading_rad: float = 0.0
) -> np.ndarray:
    """A panorama uint8 [H, 2H, 3] known on bool [H, 2H], the rest painted view by view in the order of `cameras`.

    What was known stays as it is; what was made before may be blended with what is made next, over `FEATHER`.
    """
    height, width = known.shape
    result, fixed, known = extend_outwards(canvas, known).astype(np.float32), known, known.copy()
    directions = equirectangular_directions(width, height, heading_rad)
    for camera in cameras:
        holes = extract_perspective((~known).astype(np.float32), camera, heading_rad) > 0
        if not holes.any():
            continue
        image = np.clip(extract_perspective(result, camera, heading_rad, "cubic") + 0.5, 0, 255).astype(np.uint8)
        painted = keep_light(paint(image, holes, camera).astype(np.float32), image, ~holes)
        columns, rows, inside = in_view(camera, directions, 1.0)
        share = np.where(known, _fade(known, FEATHER * width), 1.0)[inside] * ~fixed[inside]
        sampled = sample_pixels(painted, columns[inside], rows[inside], "cubic")
        result[inside] += share[:, None] * (sampled - result[inside])
        known |= inside
        # what is still unknown continues from its new neighbours
        result = extend_outwards(result, known)
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)


def fill_canvas(
    canvas: np.ndarray, known: np.ndarray, paint: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """The same in the equirectangular picture itself: once as it is, then turned by half, so that the seam is inside.

    paint: (picture, its unknown pixels, by how many columns it is rolled to the left) -> the picture filled. The second
    time only a band around the first picture's left and right edge is unknown.
    """
    height, width = known.shape
    image = extend_outwards(canvas, known)
    painted = keep_light(paint(image, ~known, 0).astype(np.float32), image, known)
    result = np.where(known[..., None], image, painted).astype(np.float32)
    half = width // 2
    rolled, fixed = np.roll(result, -half, 1), np.roll(known, -half, 1)
    away = np.abs(np.arange(width) + 0.5 - half) / width
    band = np.broadcast_to(away < 1 / 16, (height, width)) & ~fixed
    if band.any():
        image = np.clip(rolled + 0.5, 0, 255).astype(np.uint8)
        painted = keep_light(paint(image, band, half).astype(np.float32), image, ~band)
        share = np.clip((1 / 16 - away) / (1 / 48), 0, 1)[None] * band
        rolled += share[..., None] * (painted - rolled)
        result = np.roll(rolled, half, 1)
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)


def even_poles(panorama: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """A panorama uint8 [H, 2H, 3] whose rows have no more detail than the sphere has there, the outermost ones none.

    A network that paints the equirectangular picture does not know that its top row is one point. Each row is averaged
    over as many pixels as there are in one at the horizon; `fixed` pixels bool [H, 2H] stay.
    """
    height, width = fixed.shape
    result = panorama.copy()
    for row in range(height):
        reach = min(width, round(1 / math.cos((0.5 - (row + 0.5) / height) * math.pi)))
        if reach < 3:
            continue
        reach -= 1 - reach % 2  # around each pixel alike
        line = panorama[row].astype(np.float64)
        wrapped = np.concatenate([line[width - reach // 2 :], line, line[: reach // 2]]) if reach < width else line
        sums = np.concatenate([np.zeros((1, 3)), wrapped.cumsum(0)])
        mean = (sums[reach:] - sums[:-reach]) / reach if reach < width else line.mean(0, keepdims=True)
        result[row] = np.where(fixed[row, :, None], panorama[row], np.clip(mean + 0.5, 0, 255).astype(np.uint8))
    return result


def keep_light(painted: np.ndarray, image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A filled picture [h, w, 3] with its known part's error of light taken off it, smoothly continued into the holes.

    Autoencoders and few steps tint a whole picture; the tint is measured where the picture was known.
    """
    if not known.any():
        return painted
    error = torch.from_numpy(image.astype(np.float32) - painted).permute(2, 0, 1)[None]
    mask = torch.from_numpy(known.astype(np.float32))[None, None]
    pool = torch.nn.functional.avg_pool2d
    weight = pool(mask, LIGHT, ceil_mode=True, count_include_pad=False)
    coarse = pool(error * mask, LIGHT, ceil_mode=True, count_include_pad=False) / weight.clamp_min(1e-6)
    coarse = fill_holes(coarse, (weight > 0.2).float()) if bool((weight > 0.2).any()) else 0 * coarse
    smooth = torch.nn.functional.interpolate(coarse, image.shape[:2], mode="bilinear", align_corners=False)
    return painted + smooth[0].permute(1, 2, 0).numpy()


def blend_views(
    views: Sequence[np.ndarray], cameras: Sequence[Camera], width: int, heading_rad: float = 0.0
) -> np.ndarray:
    """Views float32 [h, w] of one thing on the sphere, [width / 2, width]: their mean, each fading to its frame's edge.

    Every direction must lie in one view at least.
    """
    directions = equirectangular_directions(width, width // 2, heading_rad)
    total, weights = np.zeros((2, width // 2, width), np.float32)
    for view, camera in zip(views, cameras, strict=True):
        columns, rows, inside = in_view(camera, directions)
        columns, rows = columns[inside], rows[inside]
        edge = np.minimum(
            np.minimum(columns, camera.width - columns) / camera.width,
            np.minimum(rows, camera.height - rows) / camera.height,
        )
        weight = np.square(edge).astype(np.float32) + 1e-6
        total[inside] += weight * sample_pixels(view, columns, rows)
        weights[inside] += weight
    return total / weights


def _fade(known: np.ndarray, reach: float) -> np.ndarray:
    """1 at the border of what is known, 0 from `reach` pixels inside it on; around the seam too."""
    margin = math.ceil(reach) + 1
    wrapped = np.concatenate([known[:, -margin:], known, known[:, :margin]], 1).astype(np.uint8)
    depth = cv2.distanceTransform(wrapped, cv2.DIST_L2, 5)[:, margin:-margin]
    return np.clip(1 - depth / reach, 0, 1)
