"""Shoots the move of a capture through the world made from its first frame, and compares with its other frames."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from lookbeyond.data.captures import read_capture
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera, PathError
from lookbeyond.geometry.keyframes import check_path
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.pipelines.full_size import warp_frames
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.warped_world import warp_world

from . import baselines, metrics
from .judge_path import shoot
from .perceptual import PerceptualNetworks
from .results import OURS, Result
from .scenes import SHARP_WIDTH
from .study_walks import INPAINTED, consistency

CAPTURED = "the capture itself"
LEAST_FRAMES = 3
CAMERA_HEIGHT = 1.6


def evaluate_capture(
    pipeline: ScenePipeline, path: Path, frames: int, width: int, networks: PerceptualNetworks
) -> Result:
    """Figures of a transforms.json: at most so many of its frames, evenly along it, as far as the world reaches.

    The first frame is the photo. Its depth, where the capture has it, gives the scale between the capture and the
    world; otherwise the capture's unit is taken for a metre and its camera to be 1.6 m above the floor. Raises
    InputError, PathError for a capture that cannot be read or leaves the world's reach at once.
    """
    move = read_capture(path).frames
    chosen = np.unique(np.linspace(0, len(move) - 1, min(frames, len(move))).round().astype(int))
    images, distances, cameras = zip(*(move[number].read() for number in chosen), strict=True)
    photo, distance, first = images[0], distances[0], cameras[0]
    # the first frame's own place is the world's origin
    cameras = [_moved(camera, first.position) for camera in cameras]
    world = pipeline.build_world(photo, cameras[0], camera_height=CAMERA_HEIGHT, width=SHARP_WIDTH)
    if distance is not None:
        factor = _scale(world, cameras[0], distance)
        world = replace(world, distance=world.distance * factor, camera_height=world.camera_height * factor)
        if world.plate is not None:
            world = replace(world, plate=replace(world.plate, distance=world.plate.distance * factor), layout=None)
    small = [_small(camera, width) for camera in cameras]
    count = _reached(world, small)
    if count < LEAST_FRAMES:
        raise InputError(
            f"{path}: only {count} of its {len(small)} frames lie within the reach of the world made from the first "
            "one; give a capture that moves less, or with depth"
        )
    small, truth = small[:count], [_resized(image, small[0]) for image in images[:count]]
    made = [view.colour for view in shoot(pipeline, world, small, 0.2, 0.2)]
    guidance, warped = warp_world(replace(world, plate=None), small, pipeline.device)
    known = guidance.known[:, 0].cpu().numpy() > 0.5
    expected = warp_frames(warped.panorama, small)
    methods = {
        OURS: made,
        INPAINTED: [
            baselines.inpainted(frame.colour, mask, wraps=False) for frame, mask in zip(expected, known, strict=True)
        ],
    }
    return _judged(methods, truth, small, networks)


def _judged(
    methods: dict[str, list[np.ndarray]],
    truth: list[np.ndarray],
    cameras: Sequence[Camera],
    networks: PerceptualNetworks,
) -> Result:
    result = Result()
    everywhere = np.ones(truth[0].shape[:2], bool)
    for method, frames in methods.items():
        pairs = list(zip(frames[1:], truth[1:], strict=True))  # the first frame is the photo
        result.frames["PSNR"][method] = [metrics.psnr(*pair, everywhere) for pair in pairs]
        result.frames["SSIM"][method] = [float(metrics.ssim_map(*pair).mean()) for pair in pairs]
        result.frames["mTSED"][method] = consistency(frames, cameras)
        if "LPIPS" in networks.networks:
            result.frames["LPIPS"][method] = networks.lpips(frames[1:], truth[1:])
    result.frames["mTSED"][CAPTURED] = consistency(truth, cameras)
    for figure, by_method in result.frames.items():
        for method, values in by_method.items():
            result.figures[figure][method] = metrics.mean_of_known(values)
    result.figures["frames"][OURS] = float(len(truth))
    return result


def _moved(camera: Camera, origin: np.ndarray) -> Camera:
    pose = camera.camera_to_world.copy()
    pose[:3, 3] -= origin
    return replace(camera, camera_to_world=pose)


def _small(camera: Camera, width: int) -> Camera:
    """Even sides, as the built-in network's frames have."""
    return camera.resized(width, 2 * round(camera.height * width / camera.width / 2))


def _resized(image: np.ndarray, camera: Camera) -> np.ndarray:
    return np.asarray(cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.uint8)


def _scale(world: Panorama, camera: Camera, distance: np.ndarray) -> np.float32:
    """What the world's distances are to be multiplied by: the median over what the first frame saw."""
    expected = world.distance_at(camera.rays())
    known = distance > 0
    if not known.any():
        raise InputError("the depth of the first frame knows no pixel; give it whole, or take depth out of the capture")
    return np.float32(np.median(distance[known] / expected[known]))


def _reached(world: Panorama, cameras: Sequence[Camera]) -> int:
    """How many of a path's first frames lie within a world's reach."""
    for count in range(len(cameras), 1, -1):
        try:
            check_path(cameras[:count], world)
        except PathError:
            continue
        return count
    return 1
