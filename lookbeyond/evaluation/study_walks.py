"""Shoots walks through rooms with a given setting, and judges them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import REACH, Reach
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.monitors.frames import watch_frames
from lookbeyond.pipelines.full_size import warp_frames
from lookbeyond.pipelines.network_frames import Ablation
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.warped_world import warp_world

from . import baselines, metrics
from .judge_path import shoot, with_noise
from .perceptual import PerceptualNetworks
from .results import OURS, Result
from .scenes import Scene
from .study_settings import SHIPPED, Setting

INPAINTED = "warp + inpainting"


def path_of(scene: Scene, setting: Setting, frames: int, width: int, height: int) -> list[Camera]:
    """The cameras of a setting in a room."""
    count = max(3, round(frames / setting.speed))
    share = np.linspace(0, 1, count)
    fov = math.radians(75)
    if setting.path in ("turn", "look around"):
        whole = 360.0 if setting.path == "look around" else setting.turn_deg
        return [placed_camera(width, height, fov, heading_rad=math.radians(whole * each)) for each in share]
    if setting.path == "crane":
        panorama = scene.sharp_panorama
        up = min(0.9, 0.9 * Reach(panorama).free((0.0, 0.0, 1.0)))
        return [
            placed_camera(width, height, fov, pitch_rad=-0.35 * each, position=(0.0, 0.0, up * each)) for each in share
        ]
    turned = np.zeros(count)
    if setting.path == "uneven":
        share = share**2.5
        turned = math.radians(90) * share
    # `path` ends at 0.8 of the free way; here it may be less or more
    whole = scene.path("walk", 2, width, height, reach_m=1e3 if setting.most_m > 8 else setting.most_m)[-1].position
    end = whole * setting.reach / REACH
    return [
        placed_camera(width, height, fov, heading_rad=heading, position=tuple(each * end))
        for each, heading in zip(share, turned, strict=True)
    ]


def spoiled(panorama: Panorama, kind: str, by: float) -> Panorama:
    """A panorama whose distance is wrong."""
    distance, width = panorama.distance, panorama.distance.shape[1]
    if kind == "noise":
        return with_noise(panorama, by)
    if kind == "scale":
        return replace(panorama, distance=distance * np.float32(1 + by))
    pixels = by / 360 * width
    if kind == "edges":  # what stands in front is told as too large
        side = 2 * max(1, round(pixels)) + 1
        near = cv2.erode(np.pad(distance, ((0, 0), (side, side)), mode="wrap"), np.ones((side, side), np.uint8))
        return replace(panorama, distance=np.ascontiguousarray(near[:, side:-side]))
    wide = cv2.GaussianBlur(np.pad(distance, ((0, 0), (width // 4,) * 2), mode="wrap"), (0, 0), max(pixels, 0.1))
    return replace(panorama, distance=np.ascontiguousarray(wide[:, width // 4 : -(width // 4)]))


class Walker:
    """Shoots settings in rooms and judges their frames; the truth of a path is rendered once."""

    def __init__(self, pipeline: ScenePipeline, networks: PerceptualNetworks, frames: int, size: tuple[int, int]):
        self.pipeline, self.networks, self.frames, self.size = pipeline, networks, frames, size
        self._settings = pipeline.settings
        self._truths: dict[tuple, list[View]] = {}

    def shoot(self, scene: Scene, setting: Setting) -> Result:
        """Figures and their course over the frames. Raises InputError, PathError for a path that cannot be shot."""
        cameras = path_of(scene, setting, self.frames, *self.size)
        panorama = scene.sharp_panorama
        given = spoiled(panorama, setting.wrong, setting.by) if setting.wrong else panorama
        # a path beyond the reach is planned in a larger room of the same shape
        wide = max(1.0, 1.02 * setting.reach / REACH)
        planned_in = replace(panorama, distance=panorama.distance * np.float32(wide))
        pipeline = self.pipeline
        pipeline.ablation = Ablation(setting.weights, setting.raymap, setting.anchors, setting.guidance)  # type: ignore[arg-type]
        strength = (
            {} if setting.strength is None else {"strength": setting.strength, "strength_in_holes": setting.strength}
        )
        pipeline.settings = replace(self._settings, **strength)
        try:
            views = shoot(
                pipeline,
                given,
                cameras,
                setting.tau_position,
                setting.tau_rotation,
                planned_in,
                setting.spacing * panorama.median_distance,
            )
        finally:
            pipeline.ablation, pipeline.settings = Ablation(), self._settings
        return self._judge(scene, cameras, views, with_baseline=setting.key == SHIPPED.key)

    def _truth(self, scene: Scene, cameras: Sequence[Camera]) -> list[View]:
        key = (scene.name, *cameras)
        if key not in self._truths:
            self._truths = {known: views for known, views in self._truths.items() if known[0] == scene.name}
            self._truths[key] = scene.views(list(cameras))
        return self._truths[key]

    def _judge(self, scene: Scene, cameras: list[Camera], views: list[View], with_baseline: bool) -> Result:
        truth = [view.colour for view in self._truth(scene, cameras)]
        guidance, world = warp_world(scene.sharp_panorama, cameras, self.pipeline.device)
        known = guidance.known[:, 0].cpu().numpy() > 0.5
        methods = {OURS: [view.colour for view in views]}
        if with_baseline:
            methods[INPAINTED] = [
                baselines.inpainted(frame.colour, mask, wraps=False)
                for frame, mask in zip(warp_frames(world.panorama, cameras), known, strict=True)
            ]
        result = Result()
        for method, frames in methods.items():
            series = result.frames
            everywhere = np.ones(known.shape[1:], bool)
            series["PSNR"][method] = [metrics.psnr(*pair, everywhere) for pair in zip(frames, truth, strict=True)]
            series["PSNR in holes"][method] = [
                metrics.psnr(frame, true, ~mask) if (~mask).mean() > 1e-3 else math.nan
                for frame, true, mask in zip(frames, truth, known, strict=True)
            ]
            series["SSIM"][method] = [float(metrics.ssim_map(*pair).mean()) for pair in zip(frames, truth, strict=True)]
            series["mTSED"][method] = consistency(frames, cameras)
            if "LPIPS" in self.networks.networks:
                series["LPIPS"][method] = self.networks.lpips(frames, truth)
        watched = watch_frames(scene.sharp_panorama, views)
        result.frames["drift"][OURS] = [
            math.nan if frame.misaligned is None else 100 * frame.misaligned for frame in watched
        ]
        for figure, methods in result.frames.items():
            for method, values in methods.items():
                result.figures[figure][method] = metrics.mean_of_known(values)
        return result


def consistency(frames: Sequence[np.ndarray], cameras: Sequence[Camera]) -> list[float]:
    """Of every pair of neighbours the share of the thresholds at which it is consistent; NaN of too few matches."""
    pairs = metrics.match_frames(frames, cameras, [np.zeros(frame.shape[:2], bool) for frame in frames])
    found = []
    for pair in pairs:
        if len(pair.errors) < metrics.LEAST_MATCHES:
            found.append(math.nan)
        else:
            found.append(float(np.mean([np.median(pair.errors) < each for each in metrics.TSED_THRESHOLDS_PX])))
    return found
