"""Photos that will disappoint, told before the work starts: each warning with its measure. No bpy here.

All but people, whom the service looks for, are found with NumPy alone.
"""

from collections.abc import Sequence

import numpy as np

MEASURED_WIDTH = 768
"""Longer side at which photos are measured: about what a panorama of 4096 columns keeps of them."""
DARK = 0.12
BLOWN = 0.25
BLURRED = 0.07
TINY = 640
FISHEYE_35MM = 14.0


def warnings(pixels: np.ndarray, longer_side: int, focal_35mm: float = 0.0) -> list[str]:
    """What to say about a photo: `pixels` [H, W, 3] sRGB 0..1, shrunk to `MEASURED_WIDTH`; the sizes its own."""
    luminance = pixels @ np.array([0.2126, 0.7152, 0.0722])
    said = []
    brightness = float(luminance.mean())
    if brightness < DARK:
        said.append(f"Very dark (mean brightness {brightness:.0%}): what is made of it will be dark and noisy.")
    blown = float((pixels.min(-1) > 0.985).mean())
    if blown > BLOWN:
        said.append(f"Blown out ({blown:.0%} of it is plain white): there is nothing there to go on with.")
    if longer_side < TINY:
        said.append(f"Small ({longer_side} pixels wide or high): the world will be coarser than its resolution.")
    elif (sharp := sharpness(luminance)) < BLURRED:
        said.append(f"Blurred (edges at {sharp:.0%} of a sharp photo's contrast): the world will be as soft.")
    if 0 < focal_35mm < FISHEYE_35MM or is_circle(luminance):
        how = f"{focal_35mm:g} mm" if 0 < focal_35mm < FISHEYE_35MM else "black corners"
        said.append(f"Fisheye ({how}): straight lines that are bent in the photo will be bent in the world.")
    return said


def people_warning(faces: Sequence[float]) -> str:
    """What to say about people in front, by the share of the photo that each face covers, the largest first."""
    if not faces:
        return ""
    share = f"{faces[0]:.0%}" if faces[0] >= 0.01 else f"{faces[0]:.1%}"
    seen = f"a face covers {share}" if len(faces) == 1 else f"{len(faces)} faces, the largest covers {share}"
    return f"People ({seen} of the photo): they stay as they are, and what is behind them is not made."


def sharpness(luminance: np.ndarray) -> float:
    """How abruptly the sharpest edges change, as a share of the picture's contrast: 0..1 and a little above."""
    inner = luminance[1:-1, 1:-1]
    bend_x = np.abs(luminance[1:-1, :-2] + luminance[1:-1, 2:] - 2 * inner)
    bend_y = np.abs(luminance[:-2, 1:-1] + luminance[2:, 1:-1] - 2 * inner)
    low, high = np.percentile(luminance, (1, 99))
    if high - low < 0.02:
        return 1.0  # a plain wall is no blur
    return float(np.percentile(np.maximum(bend_x, bend_y), 99.5) / (high - low))


def is_circle(luminance: np.ndarray) -> bool:
    """Whether all four corners are black and the middle is not: a circular fisheye."""
    height, width = luminance.shape
    side = max(2, min(height, width) // 12)
    corners = (luminance[y, x] for y in (slice(side), slice(-side, None)) for x in (slice(side), slice(-side, None)))
    middle = luminance[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3].mean()
    return middle > 0.1 and max(float(corner.max()) for corner in corners) < 0.02
