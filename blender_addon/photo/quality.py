"""Warnings about flaws in a photo that will show in the result, each with its measured value. No bpy here."""

from collections.abc import Sequence

import numpy as np

MEASURED_SIDE_PX = 768
"""Longer side of the copy that is measured: about the resolution that a panorama of 4096 columns keeps."""
DARK_BRIGHTNESS = 0.12
BLOWN_SHARE = 0.25
BLURRED_SHARPNESS = 0.07
SMALL_SIDE_PX = 640
FISHEYE_35MM = 14.0


def quality_warnings(pixels: np.ndarray, longer_side_px: int, focal_35mm: float = 0.0) -> list[str]:
    """Warnings about a photo: `pixels` [H, W, 3] sRGB 0..1, scaled to `MEASURED_SIDE_PX`; the rest unscaled."""
    luminance = pixels @ np.array([0.2126, 0.7152, 0.0722])
    found = []
    brightness = float(luminance.mean())
    if brightness < DARK_BRIGHTNESS:
        found.append(f"Very dark (mean brightness {brightness:.0%}): the world will be dark and noisy.")
    blown = float((pixels.min(-1) > 0.985).mean())
    if blown > BLOWN_SHARE:
        found.append(f"Blown out ({blown:.0%} is pure white): these areas have no detail to continue.")
    if longer_side_px < SMALL_SIDE_PX:
        found.append(
            f"Small ({longer_side_px} pixels wide or high): the world will be less detailed than its resolution."
        )
    elif (sharp := sharpness(luminance)) < BLURRED_SHARPNESS:
        found.append(f"Blurred (edges have {sharp:.0%} of a sharp photo's contrast): the world will be just as soft.")
    if 0 < focal_35mm < FISHEYE_35MM or is_circle(luminance):
        how = f"{focal_35mm:g} mm" if 0 < focal_35mm < FISHEYE_35MM else "black corners"
        found.append(f"Fisheye ({how}): lines that are curved in the photo will be curved in the world.")
    return found


def faces_warning(faces: Sequence[float]) -> str:
    """A warning about people, by the share of the photo that each face covers, largest first; empty without faces."""
    if not faces:
        return ""
    share = f"{faces[0]:.0%}" if faces[0] >= 0.01 else f"{faces[0]:.1%}"
    seen = f"a face covers {share}" if len(faces) == 1 else f"{len(faces)} faces, the largest covers {share}"
    return f"People ({seen} of the photo): they stay in the picture, and what is behind them is not created."


def sharpness(luminance: np.ndarray) -> float:
    """Second difference at the sharpest edges, as a share of the picture's contrast: 0 to a little above 1."""
    inner = luminance[1:-1, 1:-1]
    bend_x = np.abs(luminance[1:-1, :-2] + luminance[1:-1, 2:] - 2 * inner)
    bend_y = np.abs(luminance[:-2, 1:-1] + luminance[2:, 1:-1] - 2 * inner)
    low, high = np.percentile(luminance, (1, 99))
    if high - low < 0.02:
        return 1.0  # a plain wall is not blurred
    return float(np.percentile(np.maximum(bend_x, bend_y), 99.5) / (high - low))


def is_circle(luminance: np.ndarray) -> bool:
    """Whether all four corners are black and the middle is not, as in a circular fisheye photo."""
    height, width = luminance.shape
    side = max(2, min(height, width) // 12)
    corners = (luminance[y, x] for y in (slice(side), slice(-side, None)) for x in (slice(side), slice(-side, None)))
    middle = luminance[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3].mean()
    return middle > 0.1 and max(float(corner.max()) for corner in corners) < 0.02
