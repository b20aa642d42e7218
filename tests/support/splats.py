"""Splats drawn as a viewer draws them, and held against pictures."""

import numpy as np

from lookbeyond.exchange.splats import Splats
from lookbeyond.geometry.cameras import Camera
from tests.support.rasteriser import rasterise


def psnr(image, truth, mask):
    return -10 * np.log10(np.square(image - truth)[mask].mean())


def drawn(splats: Splats, camera: Camera):
    """Through the quantities of the files, as every viewer would."""
    logit = np.log(splats.opacity / (1 - splats.opacity))
    f_dc = (splats.colour - 0.5) / 0.28209479177387814
    return rasterise(camera, splats.position, np.log(splats.scale), splats.rotation, f_dc, logit)


def aside(camera: Camera, metres: float) -> Camera:
    pose = camera.camera_to_world.copy()
    pose[:3, 3] += metres * camera.rotation[:, 0]
    return Camera(camera.width, camera.height, camera.intrinsics, pose)
