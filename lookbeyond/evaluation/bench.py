"""The bench: both stages on places they never saw, beside the truth and the simplest things one could do instead.

    lookbeyond evaluate --out report                                 16 held-out rooms
    lookbeyond evaluate --out report --panoramas FOLDER              and photos of real panoramas
    lookbeyond evaluate --out report --weights temporal --raymap off the paper's experiments, one switch each
    lookbeyond evaluate --out report --quick --against table.json    fails where a figure is worse than it was

Writes table.md and table.json (means, 95 % bootstrap intervals over scenes, paired differences from each
baseline), a sheet of pictures per scene, and plots over the frame number. Scenes that are done are not done again while
the weights and the settings stay: an interrupted run goes on when the same command is given. After a change of code,
choose another folder.
"""

import argparse
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import anchor_seed, clip_seed, plan_shot
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.layout.fit import built_in_network, fit_layout
from lookbeyond.layout.world import Room, understand_panorama
from lookbeyond.pipelines.guidance import image_bytes
from lookbeyond.pipelines.panorama import enlarge
from lookbeyond.pipelines.scene import Ablation, ScenePipeline

from . import baselines, layouts, metrics, straightness
from .perceptual import PerceptualNetworks
from .scenes import PATHS, SHARP_WIDTH, WIDTH, Scene, held_out_room, real_scenes

OURS, PAINTED = "ours", "as painted"
EXPERIMENTS = (
    "weights", "raymap", "anchors", "guidance", "tau_position", "tau_rotation", "distance_noise", "motion", "steps",
    "strength", "panorama_steps", "room", "unseen",
)  # fmt: skip
"""Switches that the table names."""
LOWER_IS_BETTER = ("jump", "edges", "AbsRel", "Fréchet", "seam", "LPIPS", "FID", "FVD", "floor line")


@dataclass
class Result:
    """What was found out about one scene."""

    figures: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """metric -> method -> value."""
    frames: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))
    """metric -> method -> value of every frame or pair of frames."""
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    """method -> its panorama, for the Fréchet distance over all scenes."""
    features: dict[str, dict[str, np.ndarray]] = field(default_factory=lambda: defaultdict(dict))
    """FID or FVD -> method -> what they compare over all scenes."""


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
        OURS: worlds[0].colour, PAINTED: painted.colour, "mean colour": baselines.mean_colour(scene),
        "mirrored": baselines.mirrored(scene), "inpainted": baselines.inpainted(canvas, seen, wraps=True),
    }  # fmt: skip
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
            panorama, source, target, cameras[clip.first : clip.last + 1],
            seed=clip_seed(0, source.camera, target.camera), tau_position=tau_position, tau_rotation=tau_rotation,
        )  # fmt: skip
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
    told = panorama
    if options.distance_noise:
        told = with_noise(panorama, options.distance_noise)
    truth = [view.colour for view in scene.views(cameras)]
    # a wrong distance may be short of the path: it is to spoil the frames, not to have another path shot
    views = shoot(pipeline, told, cameras, options.tau_position, options.tau_rotation, planned_in=panorama)
    made = [view.colour for view in views]
    told, (guidance, warped) = pipeline.warp_panorama(replace(told, plate=None), cameras)
    known = guidance.known[:, 0].cpu().numpy() > 0.5
    photo = torch.from_numpy(told.from_photo).to(guidance.known)[None] / 255
    own = warped.front.sample(photo)[:, 0].cpu().numpy() > 0.5
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


def _shade(distance: np.ndarray) -> np.ndarray:
    """Near is bright: uint8 [H, W, 3]."""
    return np.repeat((255 * np.clip(0.6 / distance, 0, 1)).astype(np.uint8)[..., None], 3, -1)


def tabulate(results: Iterable[Result]) -> dict[str, dict[str, dict]]:
    """metric -> method -> mean, 95 % interval, and the paired difference of ours from it with its interval."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for metric, by_method in result.figures.items():
            for method in by_method:
                values[metric][method].append(by_method[method])
    table: dict[str, dict[str, dict]] = {}
    for metric, by_method in values.items():
        ours = np.array(by_method.get(OURS, []))
        table[metric] = {}
        for method, one in by_method.items():
            cell = {"mean": _mean(np.array(one)), "interval": metrics.interval(np.array(one)), "scenes": len(one)}
            if method != OURS and len(one) == len(ours):
                difference = ours - np.array(one)
                cell |= {"ours_minus": _mean(difference), "ours_minus_interval": metrics.interval(difference)}
            table[metric][method] = cell
    return table


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def add_frechet(table: dict[str, dict[str, dict]], results: list[Result], hidden: list[np.ndarray], name: str) -> None:
    """The Fréchet excess of the hidden parts of all panoramas together: one figure per method, no interval."""
    truth = [result.pictures["truth"] for result in results]
    table[f"{name}hidden Fréchet excess"] = {
        method: {"mean": metrics.frechet_excess([result.pictures[method] for result in results], truth, hidden)}
        for method in results[0].pictures
        if method != "truth"
    }


def add_perceptual(table: dict[str, dict[str, dict]], results: list[Result], kind: str) -> None:
    """FID and FVD of a kind of path over all scenes, where their networks are; of few scenes they say little."""
    for figure in results[0].features:
        of = {method: np.concatenate([result.features[figure][method] for result in results]) for method in
              results[0].features[figure]}  # fmt: skip
        truth = of.pop("truth")
        if len(truth) < 2:
            continue
        scale = np.ones(truth.shape[1])
        table[f"{kind}: {figure}"] = {
            method: {"mean": metrics.frechet(features, truth, scale)} for method, features in of.items()
        }


def as_markdown(table: dict[str, dict[str, dict]], heading: str) -> str:
    lines = [heading, "", "| figure | ours | others: mean (ours minus it, 95 % interval) |", "|---|---|---|"]
    for metric, by_method in table.items():
        arrow = "↓" if any(word in metric for word in LOWER_IS_BETTER) else "↑"
        cells = []
        for method, cell in by_method.items():
            text = f"{cell['mean']:.3f}"
            if method == OURS and "interval" in cell:
                text += " [{:.3f}, {:.3f}]".format(*cell["interval"])
            elif "ours_minus" in cell:
                low, high = cell["ours_minus_interval"]
                text = f"{method} {text} ({cell['ours_minus']:+.3f}, {low:+.3f} … {high:+.3f})"
            elif method != OURS:
                text = f"{method} {text}"
            cells.append((method, text))
        ours = next((text for method, text in cells if method == OURS), "–")
        others = "; ".join(text for method, text in cells if method != OURS)
        lines.append(f"| {metric} {arrow} | {ours} | {others} |")
    return "\n".join(lines) + "\n"


def plot_frames(results: list[Result], kind: str, folder: Path) -> None:
    """For every metric its mean over the scenes for each frame number."""
    from matplotlib.figure import Figure  # no window, no global state

    names = sorted({metric for result in results for metric in result.frames})
    if not names:
        return
    figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
    for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        having = [result.frames[metric] for result in results if metric in result.frames]
        for method in having[0]:
            values = np.array([frames[method] for frames in having])
            count = np.maximum(np.isfinite(values).sum(0), 1)
            axes.plot(np.arange(values.shape[1]) + 1, np.nansum(values, 0) / count, label=method)
        axes.set(title=metric, xlabel="frame")
    axes.legend()
    figure.savefig(folder / f"{kind.replace(' ', '_')}.png", dpi=100)


def remembered(folder: Path, key: str, make: Callable[[], tuple[Result, np.ndarray]]) -> Result:
    """Made now, or read where an earlier run had come as far; its sheet is beside it."""
    path = folder / f"{key}.json"
    pictures = folder / f"{key}.npz"
    if path.exists() and pictures.exists():
        known = json.loads(path.read_text("utf-8"))
        result = Result(known["figures"], known["frames"])
        with np.load(pictures) as stored:
            for name, values in stored.items():
                figure, _, method = name.rpartition("/")
                (result.features[figure] if figure else result.pictures)[method] = values
        return result
    result, sheet = make()
    cv2.imwrite(str(folder / f"{key}.png"), sheet[..., ::-1])
    features = {f"{figure}/{method}": of for figure, by in result.features.items() for method, of in by.items()}
    np.savez_compressed(pictures, **result.pictures, **features)
    path.write_text(json.dumps({"figures": result.figures, "frames": result.frames}), "utf-8")
    return result


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lookbeyond evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the table, the sheets and the plots")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="3 rooms, one path of 12 frames at 192x128")
    size.add_argument("--full", action="store_true", help="64 rooms: for a GPU")
    parser.add_argument("--rooms", type=int, help="held-out rooms (16)")
    parser.add_argument("--samples", type=int, help="panoramas of each photo (8); 0: views only")
    parser.add_argument("--paths", nargs="*", choices=PATHS, help="camera moves (all three); none: panoramas only")
    parser.add_argument("--frames", type=int, help="frames of a path (24)")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), help="of a frame (384x256)")
    parser.add_argument("--panoramas", type=Path, help="folder of real panoramas; four photos of each")
    parser.add_argument("--wall-bases", type=Path, help="walls' feet marked in them: tests/…/wall_bases.json")
    parser.add_argument("--perceptual", type=Path, help="folder of the networks of LPIPS, FID and FVD (see the manual)")
    parser.add_argument("--against", type=Path, help="table.json of an earlier run: fail where this one is worse")
    parser.add_argument("--preset", default="builtin")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    switches = parser.add_argument_group("experiments")
    switches.add_argument("--weights", choices=("spatial", "temporal"), default="spatial")
    switches.add_argument("--raymap", choices=("on", "off"), default="on")
    switches.add_argument("--anchors", choices=("both", "rotation", "walk"), default="both")
    switches.add_argument("--guidance", choices=("on", "off"), default="on", help="off: the sampler alone")
    switches.add_argument("--room", choices=("auto", "on", "off"), default="auto", help="off: worlds as painted")
    switches.add_argument("--unseen", choices=("plain", "dressed", "as-painted"), help="the preset's own")
    switches.add_argument("--tau-position", type=float, default=0.2)
    switches.add_argument("--tau-rotation", type=float, default=0.2)
    switches.add_argument("--distance-noise", type=float, default=0.0, help="deviation of the log-distance")
    switches.add_argument("--motion", type=float, default=1.0, help="length of walks, in units of 2 m")
    switches.add_argument("--steps", type=int, help="denoising steps of the views")
    switches.add_argument("--strength", type=float, help="share of the noise the views start from; 1: noise alone")
    switches.add_argument("--panorama-steps", type=int, help="denoising steps of the panorama")
    options = parser.parse_args(argv)
    if options.quick:
        sizes = {"rooms": 3, "samples": 4, "paths": ["there and back"], "frames": 12, "size": (192, 128)}
    else:
        sizes = {"rooms": 64 if options.full else 16, "samples": 8, "paths": list(PATHS), "frames": 24,
                 "size": (384, 256)}  # fmt: skip
    for name, value in sizes.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def set_switches(pipeline: ScenePipeline, options: argparse.Namespace) -> None:
    """Change the pipeline into the experiment's."""
    pipeline.ablation = Ablation(options.weights, options.raymap, options.anchors, options.guidance)
    asked = {
        "views_steps": options.steps, "strength": options.strength, "strength_in_holes": options.strength,
        "panorama_steps": options.panorama_steps, "unseen": options.unseen,
    }  # fmt: skip
    changes = {name: value for name, value in asked.items() if value is not None}
    pipeline.settings = replace(pipeline.settings, **changes)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    pipeline = ScenePipeline.from_preset(options.preset, options.device)
    set_switches(pipeline, options)
    shared = ("out", "rooms", "paths", "quick", "full", "panoramas", "against")  # do not change a scene's figures
    settings = {name: str(value) for name, value in sorted(vars(options).items()) if name not in shared}
    identity = hashlib.sha256(json.dumps([settings, pipeline.revision]).encode()).hexdigest()[:8]
    folder = options.out / "scenes" / identity
    folder.mkdir(parents=True, exist_ok=True)
    networks = PerceptualNetworks.load(options.perceptual, options.device)
    table, plots = evaluate(pipeline, options, folder, networks)
    for kind, results in plots.items():
        plot_frames(results, kind, options.out)
    heading = f"# {options.preset} {pipeline.revision}: {options.rooms} rooms, {options.samples} samples"
    switched = {name: settings[name] for name in EXPERIMENTS if settings[name] != "None"}
    text = as_markdown(table, heading) + f"\nSwitches: {switched}\n" + _skipped(networks)
    (options.out / "table.md").write_text(text, "utf-8")
    (options.out / "table.json").write_text(json.dumps({"settings": settings, "table": table}, indent=1), "utf-8")
    print(text)
    if options.against:
        earlier = json.loads(options.against.read_text("utf-8"))["table"]
        if worse := worse_than(table, earlier):
            raise SystemExit("worse than " + str(options.against) + ":\n" + "\n".join(worse))


def worse_than(table: dict[str, dict[str, dict]], earlier: dict[str, dict[str, dict]]) -> list[str]:
    """The figures of ours that are worse than an earlier table's by more than half that one's interval."""
    worse = []
    for metric, by_method in earlier.items():
        old = by_method.get(OURS, {})
        if not np.isfinite(old.get("mean", math.nan)) or "interval" not in old:
            continue
        new = table.get(metric, {}).get(OURS, {}).get("mean", math.nan)
        low, high = old["interval"]
        slack = max((high - low) / 2, 0.02 * abs(old["mean"]))
        sign = -1 if any(word in metric for word in LOWER_IS_BETTER) else 1
        if not sign * new >= sign * old["mean"] - slack:
            worse.append(f"{metric}: {new:.3f}, was {old['mean']:.3f} ± {slack:.3f}")
    return worse


def evaluate(pipeline: ScenePipeline, options: argparse.Namespace, folder: Path, networks: PerceptualNetworks):
    """The whole table, and the results of every path for the plots."""
    places = [("", (lambda seed=seed: held_out_room(seed)), f"room_{seed:03d}") for seed in range(options.rooms)]
    if options.panoramas:
        for scene in real_scenes(options.panoramas):
            places.append(("real ", (lambda scene=scene: scene), scene.name.replace(" ", "_")))
    everything: list[Result] = []
    stills: dict[str, list[tuple[Result, np.ndarray]]] = defaultdict(list)
    walks: dict[str, list[Result]] = defaultdict(list)
    for prefix, load, key in tqdm(places, unit="scene"):
        scene = load()
        found = Result()
        if options.samples:
            still = remembered(
                folder,
                key,
                lambda scene=scene: evaluate_panorama(pipeline, scene, options.samples, networks, options.room),
            )
            stills[prefix].append((still, scene.hidden))
            found.figures |= {prefix + metric: values for metric, values in still.figures.items()}
        if "walk" in options.paths and options.samples and scene.room is not None:
            walk = remembered(folder, f"{key}_made", lambda scene=scene: evaluate_walk(pipeline, scene, options))
            found.figures |= walk.figures
        for kind in options.paths if scene.room is not None else ():
            walk = remembered(
                folder, f"{key}_{kind.replace(' ', '_')}",
                lambda scene=scene, kind=kind: evaluate_path(pipeline, scene, kind, options, networks),
            )  # fmt: skip
            walks[kind].append(walk)
            found.figures |= walk.figures
        everything.append(found)
    if options.panoramas and options.wall_bases:
        bases = layouts.read_wall_bases(options.wall_bases)
        for _, values in layouts.judge_floor_lines(options.panoramas, bases, built_in_network()):
            one = Result()
            one.figures["real floor line, degrees"] |= {name: values[name] for name in ("ours", "network")}
            everything.append(one)
    table = tabulate(everything)
    for prefix, pairs in stills.items():
        add_frechet(table, [result for result, _ in pairs], [mask for _, mask in pairs], prefix)
    for kind, results in walks.items():
        add_perceptual(table, results, kind)
    return table, walks


def _skipped(networks: PerceptualNetworks) -> str:
    skipped = networks.skipped
    text = "The built-in network cannot make a seam, so it has no cycle loss; of one that can, bench two presets.\n"
    if skipped:
        text = f"Skipped: {', '.join(skipped)} (their networks' files are not given; `--perceptual`). " + text
    return text


if __name__ == "__main__":
    main()
