"""Compares the views stage with the truth on the frames of a path."""

import argparse
from dataclasses import replace

import cv2
import numpy as np
import torch

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import anchor_seed, clip_seed, plan_shot
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.layout.world import understand_panorama
from lookbeyond.pipelines.guidance import image_bytes
from lookbeyond.pipelines.panorama import enlarge
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.pipelines.warped_world import warp_world

from . import baselines, metrics, straightness
from .perceptual import PerceptualNetworks
from .results import OURS, PAINTED, Result
from .scenes import SHARP_WIDTH, Scene


def evaluate_walk(pipeline: ScenePipeline, scene: Scene, options: argparse.Namespace) -> tuple[Result, np.ndarray]:
    """The whole way, from the photo to the frames of a walk, beside the same way with the world as painted."""
    width, height = options.size
    cameras = scene.path("walk", 9, width, height, reach_m=2.0 * options.motion)
    photo = scene.views([scene.camera])[0]
    truth = scene.views(cameras)
    result, rows = Result(), [[view.colour for view in truth]]
    for method, room in ((OURS, options.room), (PAINTED, "off")):
        world = pipeline.build_world(
            scene.photo, scene.camera, camera_height=scene.camera_height, width=SHARP_WIDTH, room=room
        )
        views = shoot(pipeline, world, cameras, options.tau_position, options.tau_rotation, scene.sharp_panorama)
        rows.append([view.colour for view in views])
        error = straightness.edge_error(rows[-1], truth, photo, scene.layout)
        result.figures["walk in the made world: edges, px"][method] = error
    return result, np.concatenate([np.concatenate(row[::2], 1) for row in rows])


def shoot(
    pipeline: ScenePipeline,
    panorama: Panorama,
    cameras: list[Camera],
    tau_position: float,
    tau_rotation: float,
    planned_in: Panorama | None = None,
    max_translation: float | None = None,
) -> list[View]:
    """All frames of a path, as the service shoots them; it is planned in `panorama` or, if given, in another one."""
    plan = plan_shot(
        cameras, planned_in or panorama, frames_per_clip=pipeline.frames_per_clip, max_translation=max_translation
    )
    anchors: list[View] = []
    for anchor in plan.anchors:
        before = [anchors[k] for k in anchor.before]
        anchors.append(pipeline.fill_anchor(panorama, anchor.camera, before, seed=anchor_seed(0, anchor.camera)))
    frames: list[View] = []
    for clip in plan.clips:
        source, target = anchors[clip.source], anchors[clip.target]
        views = pipeline.shoot_clip(
            panorama,
            source,
            target,
            cameras[clip.first : clip.last + 1],
            seed=clip_seed(0, source.camera, target.camera),
            tau_position=tau_position,
            tau_rotation=tau_rotation,
        )
        frames += views if not frames else views[1:]
    return frames


def with_noise(panorama: Panorama, deviation: float) -> Panorama:
    """The panorama with smooth noise in its distance; deviation: of the logarithm."""
    noise = np.random.default_rng(0).normal(0, deviation, (8, 16)).astype(np.float32)
    smooth = enlarge(noise, panorama.distance.shape[1], cv2.INTER_CUBIC)
    return replace(panorama, distance=panorama.distance * np.exp(smooth))


def evaluate_path(
    pipeline: ScenePipeline, scene: Scene, kind: str, options: argparse.Namespace, networks: PerceptualNetworks
) -> tuple[Result, np.ndarray]:
    """The views stage on the true panorama along one path, and the rows of its sheet."""
    width, height = options.size
    cameras = scene.path(kind, options.frames, width, height, reach_m=2.0 * options.motion)
    panorama = scene.sharp_panorama
    if pipeline.layout is not None and options.room != "off":
        panorama = replace(panorama, plate=understand_panorama(panorama, pipeline.layout).plate)
    given = panorama
    if options.distance_noise:
        given = with_noise(panorama, options.distance_noise)
    truth = [view.colour for view in scene.views(cameras)]
    # a wrong distance may be short of the path: it is to spoil the frames, not to have another path shot
    views = shoot(pipeline, given, cameras, options.tau_position, options.tau_rotation, planned_in=panorama)
    made = [view.colour for view in views]
    guidance, world = warp_world(replace(given, plate=None), cameras, pipeline.device)
    known = guidance.known[:, 0].cpu().numpy() > 0.5
    photo = torch.from_numpy(world.panorama.from_photo).to(guidance.known)[None] / 255
    own = world.front.sample(photo)[:, 0].cpu().numpy() > 0.5
    filled = image_bytes(guidance.filled().colour)
    methods = {
        OURS: made,
        "warp only": list(filled * known[..., None]),
        "warp + inpainting": [baselines.inpainted(f, k, wraps=False) for f, k in zip(filled, known, strict=True)],
    }
    regions = {"from photo": own & known, "visible": known & ~own, "holes": ~known}
    result = Result()
    for method, frames in methods.items():
        similarity = [metrics.ssim_map(frame, true) for frame, true in zip(frames, truth, strict=True)]
        for region, masks in regions.items():
            if masks.mean() < 1e-3:
                continue
            one = [metrics.psnr(*parts) for parts in zip(frames, truth, masks, strict=True)]
            result.frames[f"{region} PSNR"][method] = one
            result.frames[f"{region} SSIM"][method] = [
                metrics.mean_over(*parts) for parts in zip(similarity, masks, strict=True)
            ]
    for method, frames in methods.items() if "LPIPS" in networks.networks else ():
        result.frames["LPIPS"][method] = networks.lpips(frames, truth)
    for method, frames in {**methods, "truth": truth}.items():
        for figure, features in networks.features(frames).items():
            result.features[figure][method] = features
    for metric, by_method in result.frames.items():
        for method, values in by_method.items():
            result.figures[f"{kind}: {metric}"][method] = float(np.nanmean(values))
    _judge_consistency(result, kind, {"truth": truth, **methods}, cameras, list(~known))
    if np.allclose(cameras[0].camera_to_world, cameras[-1].camera_to_world, atol=1e-6):
        everywhere = np.ones(truth[0].shape[:2], bool)
        result.figures[f"{kind}: loop closure PSNR"][OURS] = metrics.psnr(made[-1], made[0], everywhere)
    shown = np.linspace(0, len(cameras) - 1, 6).round().astype(int)
    rows = [np.concatenate([frames[k] for k in shown], 1) for frames in (truth, *methods.values())]
    return result, np.concatenate(rows)


def _judge_consistency(result: Result, kind: str, methods, cameras: list[Camera], holes: list[np.ndarray]) -> None:
    matches = {method: metrics.match_frames(frames, cameras, holes) for method, frames in methods.items()}
    countable = {
        False: np.ones(len(cameras) - 1, bool),
        # pairs whose truth has anything to match there
        True: np.array([pair.in_hole.sum() >= metrics.LEAST_MATCHES for pair in matches["truth"]]),
    }
    for touching, where in ((False, ""), (True, " touching holes")):
        if not countable[touching].any():
            continue
        for method, pairs in matches.items():
            scores = []
            for threshold in metrics.TSED_THRESHOLDS_PX:
                consistent = np.array(metrics.tsed(pairs, threshold, touching_holes=touching))
                scores.append(float(consistent[countable[touching]].mean()))
                result.figures[f"{kind}: TSED {threshold:g} px{where}"][method] = scores[-1]
            result.figures[f"{kind}: mTSED{where}"][method] = float(np.mean(scores))
