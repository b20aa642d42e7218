"""The simplest alternatives, which every figure is compared with."""

import math

import cv2
import numpy as np
from scipy.optimize import minimize

from lookbeyond.geometry.projection import equirectangular_directions, sample_pixels

from .scenes import WIDTH, Scene


def mean_colour(scene: Scene) -> np.ndarray:
    """The photo, and its mean colour wherever it saw nothing: uint8 [256, 512, 3]."""
    canvas, seen = scene.placed
    return np.where(seen[..., None], canvas, scene.truth[seen].mean(0)).astype(np.uint8)


def mirrored(scene: Scene) -> np.ndarray:
    """The photo reflected at its borders, in angles, over and over."""
    canvas, seen = scene.placed
    x, y, z = np.moveaxis(equirectangular_directions(WIDTH, WIDTH // 2) @ scene.camera.rotation, -1, 0)
    width, height = scene.camera.width, scene.camera.height
    focal = scene.camera.intrinsics[0, 0]
    half_x, half_y = math.atan(width / 2 / focal), math.atan(height / 2 / focal)
    across, down = (
        np.abs((angle + half) % (4 * half) - 2 * half) - half
        for angle, half in ((np.arctan2(x, z), half_x), (np.arctan2(y, np.hypot(x, z)), half_y))
    )
    # the reflection begins mirrored: turn it, so that the photo itself comes first
    column, row = width / 2 - focal * np.tan(across), height / 2 - focal * np.tan(down)
    return np.where(seen[..., None], canvas, sample_pixels(scene.photo, column, row))


def inpainted(image: np.ndarray, known: np.ndarray, *, wraps: bool) -> np.ndarray:
    """Telea's fast marching (cv2.inpaint) over what is unknown; around the seam where the picture `wraps`."""
    margin = image.shape[1] // 2 if wraps else 0
    padding = ((0, 0), (margin, margin))
    holes = np.pad((~known).astype(np.uint8), padding, mode="wrap" if wraps else "edge")
    wide = np.pad(image, (*padding, (0, 0)), mode="wrap" if wraps else "edge")
    return cv2.inpaint(wide, holes, 3, cv2.INPAINT_TELEA)[:, margin : margin + image.shape[1]]


def fitted_box(distance: np.ndarray, seen: np.ndarray, camera_height: float) -> np.ndarray:
    """The empty room that agrees best with the seen part of a distance map [H, 2H]: [H, 2H] metres.

    Floor at the camera's height; ceiling, four walls and yaw by Nelder-Mead from the median distance, on the mean
    absolute error of the logarithm; a wall that nobody saw stays near the median.
    """
    height, width = distance.shape
    directions = equirectangular_directions(width, height)
    rows, columns = np.nonzero(seen)
    chosen = np.random.default_rng(0).choice(len(rows), min(1500, len(rows)), replace=False)
    rays, target = directions[rows[chosen], columns[chosen]], np.log(distance[rows[chosen], columns[chosen]])
    middle = math.log(max(float(np.median(distance[seen])), 0.3))

    def error(parameters: np.ndarray) -> float:
        unseen_walls = 0.01 * np.square(parameters[:4] - middle).sum()
        return float(np.abs(np.log(_box(rays, parameters, camera_height)) - target).mean() + unseen_walls)

    starts = [np.array([middle] * 4 + [math.log(1.0), yaw]) for yaw in (0.0, 0.4, -0.4)]
    fits = [minimize(error, start, method="Nelder-Mead", options={"maxiter": 600}) for start in starts]
    return _box(directions, min(fits, key=lambda fit: fit.fun).x, camera_height)


def _box(rays: np.ndarray, parameters: np.ndarray, camera_height: float) -> np.ndarray:
    """Distance to the box along rays [..., 3]; parameters: log of four walls and of the ceiling, yaw."""
    *walls, ceiling = np.exp(np.clip(parameters[:5], -1.5, 3.5))
    c, s = math.cos(parameters[5]), math.sin(parameters[5])
    x, y, z = rays[..., 0] * c + rays[..., 1] * s, rays[..., 1] * c - rays[..., 0] * s, rays[..., 2]
    faces = ((x, walls[0]), (-x, walls[1]), (y, walls[2]), (-y, walls[3]), (z, ceiling), (-z, camera_height))
    return np.min([np.where(part > 1e-4, reach / np.maximum(part, 1e-4), np.inf) for part, reach in faces], 0)
