"""Compares the panorama stage with the truth on one place."""

import cv2
import numpy as np

from lookbeyond.layout.fit import fit_layout
from lookbeyond.layout.prediction import built_in_network
from lookbeyond.layout.world import Room
from lookbeyond.pipelines.panorama import enlarge
from lookbeyond.pipelines.scene import ScenePipeline

from . import baselines, layouts, metrics, straightness
from .perceptual import PerceptualNetworks
from .results import OURS, PAINTED, Result
from .scenes import WIDTH, Scene


def evaluate_panorama(
    pipeline: ScenePipeline, scene: Scene, samples: int, networks: PerceptualNetworks, room: Room = "auto"
) -> tuple[Result, np.ndarray]:
    """The panorama stage on one scene, and the row of its sheet."""
    worlds = [
        pipeline.build_world(
            scene.photo, scene.camera, camera_height=scene.camera_height, width=WIDTH, seed=seed, room=room
        )
        for seed in range(samples)
    ]
    canvas, seen = scene.placed
    painted = pipeline.build_world(
        scene.photo, scene.camera, camera_height=scene.camera_height, width=WIDTH, seed=0, room="off"
    )
    pictures = {
        OURS: worlds[0].colour,
        PAINTED: painted.colour,
        "mean colour": baselines.mean_colour(scene),
        "mirrored": baselines.mirrored(scene),
        "inpainted": baselines.inpainted(canvas, seen, wraps=True),
    }
    result = Result(pictures={**pictures, "truth": scene.truth})
    mean = np.mean([world.colour for world in worlds], 0)
    for method, picture in pictures.items():
        result.figures["hidden PSNR, one sample"][method] = metrics.psnr(picture, scene.truth, scene.hidden)
        similarity = metrics.ssim_map(picture, scene.truth)
        result.figures["hidden SSIM, one sample"][method] = metrics.mean_over(similarity, scene.hidden)
        result.figures["seam"][method] = metrics.seam(picture)
        if "LPIPS" in networks.networks:
            result.figures["LPIPS, one sample"][method] = networks.lpips([picture], [scene.truth])[0]
    single = [metrics.psnr(world.colour, scene.truth, scene.hidden) for world in worlds]
    result.figures["hidden PSNR, one sample"][OURS] = float(np.mean(single))
    many = result.figures[f"hidden PSNR, mean of {samples}"]
    many |= result.figures["hidden PSNR, one sample"] | {OURS: metrics.psnr(mean, scene.truth, scene.hidden)}
    _judge_straightness(result, scene, pictures)
    if scene.distance is not None:
        distances = [enlarge(world.distance, WIDTH, cv2.INTER_LINEAR) for world in (*worlds, painted)]
        _judge_distance(result, scene, distances[:-1], distances[-1])
        fit = fit_layout(scene.photo, scene.camera, scene.camera_height, built_in_network())
        for metric, values in layouts.judge_walls(scene, fit, distances[-1]).items():
            result.figures[metric] |= values
    row = [scene.truth, canvas, worlds[0].colour, worlds[-1].colour, *list(pictures.values())[1:]]
    if scene.distance is not None:
        row += [_shade(scene.distance), _shade(enlarge(worlds[0].distance, WIDTH, cv2.INTER_LINEAR))]
    return result, np.concatenate(row, 1)


def _judge_straightness(result: Result, scene: Scene, pictures: dict[str, np.ndarray]) -> None:
    heading = straightness.directions_of(scene.truth) if scene.room is None else float(scene.room.yaw[0])
    directions = straightness.room_directions(heading)
    whole = straightness.line_length(scene.truth, ~scene.seen, directions)
    for method, picture in pictures.items():
        if whole > 0.3:  # radians; a truth without lines says nothing
            length = straightness.line_length(picture, ~scene.seen, directions)
            result.figures["hidden straight lines, of the truth's"][method] = length / whole
        if scene.room is not None:
            jump = straightness.border_jump(picture, scene.camera, scene.layout)
            result.figures["jump across the photo's border"][method] = jump


def _judge_distance(result: Result, scene: Scene, distances: list[np.ndarray], painted: np.ndarray) -> None:
    truth, seen, hidden = scene.distance, scene.seen & scene.evenly, scene.hidden
    assert truth is not None
    first = distances[0]
    guesses = {
        PAINTED: painted,
        "box": baselines.fitted_box(first, scene.seen, scene.camera_height),
        "constant": np.full_like(first, np.median(first[scene.seen])),
        "seen mean": np.full_like(first, truth[scene.seen].mean()),
    }
    for name, metric in (("AbsRel", metrics.absrel), ("δ<1.25", metrics.delta)):
        for where, mask in (("hidden", hidden), ("seen", seen)):
            figures = result.figures[f"{where} {name}, one sample"]
            figures[OURS] = float(np.mean([metric(distance, truth, mask) for distance in distances]))
            figures |= {method: metric(guess, truth, mask) for method, guess in guesses.items()}
    together = result.figures[f"hidden AbsRel, median of {len(distances)}"]
    together |= result.figures["hidden AbsRel, one sample"]
    together[OURS] = metrics.absrel(np.median(distances, 0), truth, hidden)


def _shade(distance: np.ndarray) -> np.ndarray:
    """Near is bright: uint8 [H, W, 3]."""
    return np.repeat((255 * np.clip(0.6 / distance, 0, 1)).astype(np.uint8)[..., None], 3, -1)
