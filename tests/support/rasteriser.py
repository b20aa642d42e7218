"""A reference rasteriser of Gaussian splats, after Kerbl et al. 2023 (section 6 and their forward pass): the oracle.

It knows the files' quantities only (means, log scales, quaternions, f_dc, opacity logits) and nothing of how they were
made. Splats are projected by the local affine approximation, 0.3 pixels are added to their covariance, they are sorted
by depth and blended from front to back; opacity is cut at 0.99 and below 1/255.
"""

import numba
import numpy as np


def rasterise(camera, position, log_scale, quaternion, f_dc, logit, background=0.0):
    """Colour [H, W, 3] sRGB and coverage [H, W] of splats seen by a `Camera`."""
    local = (position.astype(np.float64) - camera.position) @ camera.rotation
    depth = local[:, 2]
    fx, fy, cx, cy = camera.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    limit_x, limit_y = 1.3 * camera.width / 2 / fx, 1.3 * camera.height / 2 / fy
    seen = depth > 0.01
    seen &= np.abs(local[:, 0]) < (limit_x + 0.5) * np.maximum(depth, 1e-9)
    seen &= np.abs(local[:, 1]) < (limit_y + 0.5) * np.maximum(depth, 1e-9)
    order = np.flatnonzero(seen)
    order = order[np.argsort(depth[order], kind="stable")]
    local, depth = local[order], depth[order]
    rotation = rotation_matrices(quaternion[order])
    spread = camera.rotation.T @ rotation * np.exp(log_scale[order].astype(np.float64))[:, None, :]
    zeros = np.zeros_like(depth)
    tx = np.clip(local[:, 0] / depth, -limit_x, limit_x) * depth
    ty = np.clip(local[:, 1] / depth, -limit_y, limit_y) * depth
    jacobian = np.stack(
        [
            np.stack([fx / depth, zeros, -fx * tx / depth**2], -1),
            np.stack([zeros, fy / depth, -fy * ty / depth**2], -1),
        ],
        1,
    )
    flat = jacobian @ spread
    covariance = flat @ flat.transpose(0, 2, 1)
    a, b, c = covariance[:, 0, 0] + 0.3, covariance[:, 0, 1], covariance[:, 1, 1] + 0.3
    determinant = a * c - b * b
    conic = np.stack([c, -b, a], 1) / determinant[:, None]
    middle = (a + c) / 2
    radius = np.ceil(3 * np.sqrt(middle + np.sqrt(np.maximum(0.1, middle**2 - determinant))))
    centre = np.stack([fx * local[:, 0] / depth + cx, fy * local[:, 1] / depth + cy], 1)
    colour = np.maximum(0, 0.5 + 0.28209479177387814 * f_dc[order].astype(np.float64))
    opacity = 1 / (1 + np.exp(-logit[order].astype(np.float64)))
    image, through = _blend(camera.height, camera.width, centre, radius, conic, colour, opacity)
    return image + through[..., None] * background, 1 - through


def rotation_matrices(quaternion):
    """[n, 3, 3] of quaternions [n, 4], w first, of any length."""
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T.astype(np.float64)
    return np.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(-1, 3, 3)


@numba.njit(cache=True)
def _blend(height, width, centre, radius, conic, colour, opacity):
    image = np.zeros((height, width, 3))
    through = np.ones((height, width))
    for i in range(len(centre)):
        x, y = centre[i, 0] - 0.5, centre[i, 1] - 0.5
        r = radius[i]
        for row in range(max(0, int(np.ceil(y - r))), min(height, int(np.floor(y + r)) + 1)):
            for column in range(max(0, int(np.ceil(x - r))), min(width, int(np.floor(x + r)) + 1)):
                t = through[row, column]
                if t < 1e-4:
                    continue
                dx, dy = column - x, row - y
                power = -0.5 * (conic[i, 0] * dx * dx + conic[i, 2] * dy * dy) - conic[i, 1] * dx * dy
                alpha = min(0.99, opacity[i] * np.exp(power))
                if power > 0 or alpha < 1 / 255:
                    continue
                for k in range(3):
                    image[row, column, k] += t * alpha * colour[i, k]
                through[row, column] = t * (1 - alpha)
    return image, through
