"""Photos of one place."""

import math
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.projection import extract_perspective


def save_overlapping_photos(folder: Path) -> list[Camera]:
    """a.png and b.png of one sphere, 70° wide, 35° apart, the second one darker; their true cameras."""
    rng, sphere = np.random.default_rng(0), np.full((1024, 2048, 3), 128, np.float32)
    for size in (8, 16, 32, 64, 128):
        noise = rng.normal(size=(1024 // size, 2048 // size, 3)).astype(np.float32)
        sphere += 14 * cv2.resize(noise, (2048, 1024), interpolation=cv2.INTER_CUBIC)
    sphere = np.clip(sphere, 20, 235).astype(np.uint8)
    cameras = []
    for name, turn, gain in (("a.png", 0, 1.0), ("b.png", 35, 0.8)):
        cameras.append(placed_camera(640, 480, math.radians(70), heading_rad=math.radians(turn)))
        Image.fromarray((extract_perspective(sphere, cameras[-1]) * gain).astype(np.uint8)).save(folder / name)
    return cameras
