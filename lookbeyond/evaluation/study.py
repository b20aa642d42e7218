"""The paper's experiments, and the checks that nobody did, by one command.

    lookbeyond study --out report --quick      minutes: every experiment, too few rooms to claim anything
    lookbeyond study --out report              hours on a processor
    lookbeyond study --out report --full       for a GPU

Writes index.html (one file, readable on a phone), report.md with its plots, and study.json. What is done is kept below
--out and not done again while weights, settings and code stay: an interrupted study goes on when the same command is
given. What cannot be made (a broken picture, missing networks) is named in the report, and the rest goes on.
"""

import argparse
import functools
import hashlib
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

import lookbeyond
from lookbeyond.data.other_rooms import OTHER_KINDS
from lookbeyond.errors import InputError, LookBeyondError, StorageError
from lookbeyond.geometry.cameras import Camera, CameraError, PathError, placed_camera
from lookbeyond.geometry.keyframes import REACH, reach
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.monitors.frames import watch_frames
from lookbeyond.pipelines.full_size import tell_frames
from lookbeyond.pipelines.scene import Ablation, ScenePipeline
from lookbeyond.whole import require_space

from . import baselines, metrics, study_report
from .bench import OURS, Result, evaluate_panorama, remembered, shoot, with_noise
from .perceptual import PerceptualNetworks
from .scenes import Scene, held_out_room, other_scene, panorama_files, scenes_of_panorama

NEEDED_BYTES = 500 << 20
INPAINTED = "warp + inpainting"


@dataclass(frozen=True)
class Setting:
    """One way to shoot, of an experiment. What is not named is as shipped."""

    label: str
    x: float | None = None
    """Its place along the plot."""
    line: str = ""
    """Which of the plot's lines it belongs to."""
    path: str = "walk"
    """"walk", "turn", "look around", "crane", or "uneven": a walk that starts slowly and ends fast."""
    reach: float = 0.8
    """Length of a walk as a share of the free way; more than 0.8 is beyond what plans allow."""
    most_m: float = 2.0
    """Longest walk, metres."""
    turn_deg: float = 90.0
    speed: float = 1.0
    """By which the frames are fewer."""
    spacing: float = 0.25
    """Farthest way between two keyframes, in median distances."""
    weights: str = "spatial"
    raymap: str = "on"
    anchors: str = "both"
    guidance: str = "on"
    tau_position: float = 0.2
    tau_rotation: float = 0.2
    wrong: str = ""
    """What is wrong with the distance: "noise", "scale", "edges" or "blur"."""
    by: float = 0.0
    """How much: a deviation of the logarithm, a factor less 1, degrees, degrees."""
    strength: float | None = None
    """Share of the noise that views start from; None: the preset's own."""

    @property
    def key(self) -> str:
        """The same for settings that shoot alike, whatever they are called."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("label", "x", "line")}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Experiment:
    """A question, the settings that answer it, and what the paper says."""

    name: str
    title: str
    axis: str
    """What x is."""
    settings: tuple[Setting, ...]
    paper: str = ""
    grid: bool = False
    """Whether it is a heat map: x and line are its two axes."""

    @property
    def reference(self) -> Setting:
        """What the others are held against: the first."""
        return self.settings[0]


SHIPPED = Setting("as shipped")
SAMPLER = {"guidance": "off", "strength": 1.0, "path": "uneven"}


def experiments(size: str) -> list[Experiment]:
    """Those of a size: "quick", "default" or "full"."""
    quick = size == "quick"
    spacings = (0.25, 0.1, 0.5) if quick else (0.25, 0.05, 0.1, 0.15, 0.35, 0.5, 1.0)
    factors = (0.8, 0.5, 0.95) if quick else (0.8, 0.5, 0.6, 0.7, 0.9, 0.95)
    taus = (0.2, 1.0) if quick else (0.2, 0.05, 0.1, 0.5, 1.0)
    lengths = (2.0, 0.5, 4.0) if quick else (2.0, 0.25, 0.5, 1.0, 3.0, 4.0)
    turns = (30.0, 180.0) if quick else (10.0, 30.0, 60.0, 120.0, 180.0, 270.0)
    speeds = (2.0,) if quick else (2.0, 4.0)
    errors = {
        "noise": (0.1, 0.3) if quick else (0.05, 0.1, 0.2, 0.3, 0.5),
        "scale": (0.2,) if quick else (-0.3, -0.1, 0.1, 0.3, 0.6),
        "edges": (2.0,) if quick else (0.5, 1.0, 2.0, 4.0),
        "blur": (4.0,) if quick else (1.0, 2.0, 4.0, 8.0),
    }
    units = {"noise": "σ of its logarithm", "scale": "factor less 1", "edges": "degrees", "blur": "degrees"}
    return [
        Experiment(
            "keyframes", "Keyframes from the panorama alone, or walked in from those before them", "",
            (SHIPPED, replace(SHIPPED, label="panorama only", anchors="rotation"),
             replace(SHIPPED, label="walk-in only", anchors="walk")),
        ),
        Experiment(
            "overlap", "How much keyframes overlap", "way between keyframes, in median distances",
            tuple(Setting(f"every {each:g}", each, spacing=each) for each in spacings),
        ),
        Experiment(
            "walk-in", "How far a keyframe is walked in", "walk as a share of the free way",
            tuple(Setting(f"{each:g}", each, reach=each, most_m=9.0) for each in factors),
            "The paper walks 0.8 of the largest depth; ours counts 0.8 of the nearest distance in the way.",
        ),
        Experiment(
            "weights", "Spatial against temporal weights, with and without raymaps, at uneven speed", "",
            (Setting("spatial, raymap", **SAMPLER),
             Setting("temporal, raymap", weights="temporal", **SAMPLER),
             Setting("spatial, no raymap", raymap="off", **SAMPLER),
             Setting("temporal, no raymap", weights="temporal", raymap="off", **SAMPLER),
             Setting("guided: spatial", path="uneven"),
             Setting("guided: temporal", path="uneven", weights="temporal")),
            "The paper's ablation, mTSED: spatial with raymap 0.88, temporal with raymap 0.83, temporal without 0.75 "
            "(RealEstate10K, thresholds not listed, SVD; ours are drawn rooms and a network of a few megabytes, so "
            "only the order can be compared).",
        ),
        Experiment(
            "tau", "Reach of the anchors' noise", "τ of the position",
            tuple(
                Setting(f"τ_T {go:g}, τ_q {turn:g}", go, f"{turn:g}", tau_position=go, tau_rotation=turn, **SAMPLER)
                for go in taus for turn in taus
            ),
            grid=True,
        ),
        Experiment(
            "distance", "How wrong a distance may be", "error",
            (replace(SHIPPED, x=0.0, line=""), *(
                Setting(f"{kind} {each:g}", each, f"{kind}, {units[kind]}", wrong=kind, by=each)
                for kind, amounts in errors.items() for each in amounts
            )),
        ),
        Experiment(
            "paths", "How far a path may go", "",
            (replace(SHIPPED, label="walk 2 m", x=2.0, line="walk, m"),
             *(Setting(f"walk {each:g} m", each, "walk, m", most_m=each) for each in lengths[1:]),
             *(Setting(f"turn {each:g}°", each, "turn, degrees", path="turn", turn_deg=each) for each in turns),
             *(Setting(f"speed x {each:g}", each, "speed, of the walk's", speed=each) for each in speeds),
             Setting("look around 360°", None, "", path="look around"), Setting("crane", None, "", path="crane")),
            "mTSED over all its paths in the paper: 0.835 (best baseline 0.740), LPIPS 0.218, FVD 113.6; other data, "
            "so not to be compared with these numbers.",
        ),
    ]  # fmt: skip


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
        up = min(0.9, 0.9 * reach(panorama, (0.0, 0.0, 1.0)))
        return [
            placed_camera(width, height, fov, pitch_rad=-0.35 * each, position=(0.0, 0.0, up * each)) for each in share
        ]
    if setting.path == "uneven":
        share = share**2.5
    # `path` ends at 0.8 of the free way; here it may be less or more
    whole = scene.path("walk", 2, width, height, reach_m=1e3 if setting.most_m > 8 else setting.most_m)[-1].position
    end = whole * setting.reach / REACH
    return [placed_camera(width, height, fov, position=tuple(each * end)) for each in share]


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
        told = spoiled(panorama, setting.wrong, setting.by) if setting.wrong else panorama
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
                pipeline, told, cameras, setting.tau_position, setting.tau_rotation, planned_in,
                setting.spacing * panorama.median_distance(),
            )  # fmt: skip
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
        panorama, (guidance, _) = self.pipeline.warp_panorama(scene.sharp_panorama, cameras)
        known = guidance.known[:, 0].cpu().numpy() > 0.5
        methods = {OURS: [view.colour for view in views]}
        if with_baseline:
            methods[INPAINTED] = [
                baselines.inpainted(told.colour, mask, wraps=False)
                for told, mask in zip(tell_frames(panorama, cameras), known, strict=True)
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
            series["mTSED"][method] = _consistency(frames, cameras)
            if "LPIPS" in self.networks.networks:
                series["LPIPS"][method] = self.networks.lpips(frames, truth)
        watched = watch_frames(scene.sharp_panorama, views)
        result.frames["drift"][OURS] = [
            math.nan if frame.misaligned is None else 100 * frame.misaligned for frame in watched
        ]
        for figure, methods in result.frames.items():
            for method, values in methods.items():
                some = np.asarray(values, float)
                some = some[np.isfinite(some)]
                result.figures[figure][method] = float(some.mean()) if len(some) else math.nan
        return result


def _consistency(frames: Sequence[np.ndarray], cameras: Sequence[Camera]) -> list[float]:
    """Of every pair of neighbours the share of the thresholds at which it is consistent; NaN of too few matches."""
    pairs = metrics.match_frames(frames, cameras, [np.zeros(frame.shape[:2], bool) for frame in frames])
    found = []
    for pair in pairs:
        if len(pair.errors) < metrics.LEAST_MATCHES:
            found.append(math.nan)
        else:
            found.append(float(np.mean([np.median(pair.errors) < each for each in metrics.TSED_THRESHOLDS_PX])))
    return found


# --- the run ----------------------------------------------------------------------------------------------


@dataclass
class Study:
    """All that a report is made of; study.json holds it."""

    command: str
    about: dict[str, str]
    """Revision, machine, rooms, seeds, sizes."""
    walks: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    """experiment -> setting -> figure -> one value a room (NaN where there is none)."""
    baseline: dict[str, list[float]] = field(default_factory=dict)
    """figure -> one value a room, of the shipped setting's path, warped and inpainted."""
    courses: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """figure -> method -> mean over the rooms for each frame number, of the shipped setting."""
    panoramas: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    """kind of place -> figure -> method -> one value a place."""
    frechet: dict[str, dict[str, float]] = field(default_factory=dict)
    """kind of place -> method -> Fréchet excess over all its places."""
    left_out: list[str] = field(default_factory=list)
    """What is not in the report, and why."""


def run(options: argparse.Namespace, command: str) -> Study:
    """Everything that can be made; what cannot is in `left_out`."""
    pipeline = ScenePipeline.from_preset(options.preset, options.device)
    study = Study(command, about(options, pipeline))
    try:
        networks = PerceptualNetworks.load(options.perceptual, options.device)
    except InputError as error:
        networks = PerceptualNetworks.load(None, options.device)
        study.left_out.append(str(error))
    for name in networks.skipped:
        study.left_out.append(f"{name}: the file of its network is not given (--perceptual)")
    study.left_out += [
        "Attics: the room caster knows no sloping walls",
        "Captures of users: nothing measures them yet",
        "A checkpoint without cycle consistency: the built-in network cannot make a seam",
    ]
    settings = {"size": options.size, "frames": options.frames, "code": code_hash()}
    identity = hashlib.sha256(json.dumps([settings, pipeline.revision]).encode()).hexdigest()[:8]
    folder = options.out / "done" / identity
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run_panoramas(study, pipeline, networks, options, folder)
        run_walks(study, Walker(pipeline, networks, options.frames, options.size), options, folder)
    except KeyboardInterrupt:
        study.left_out.append("The run was interrupted: give the same command again for the rest")
    except StorageError as error:
        study.left_out.append(f"The run ended early: {error}")
    return study


def run_walks(study: Study, walker: Walker, options: argparse.Namespace, folder: Path) -> None:
    """Room by room, so that an interrupted run has whole rooms."""
    asked = experiments(options.size_name)
    settings = {setting.key: setting for experiment in asked for setting in experiment.settings}
    done: dict[str, list[Result | None]] = {key: [] for key in settings}
    rooms = range(options.first_room, options.first_room + options.rooms)
    try:
        for room in tqdm(rooms, desc="walks", unit="room"):
            scene = held_out_room(room)
            for key, setting in tqdm(settings.items(), desc=scene.name, unit="shot", leave=False):
                make = functools.partial(walker.shoot, scene, setting)
                what = f"{scene.name}, {setting.label}"
                done[key].append(_kept(study, folder, f"room_{room:03d}_{key}", make, what))
    finally:
        _collect(study, asked, done)


def _kept(study: Study, folder: Path, key: str, make: Callable[[], Result], what: str) -> Result | None:
    """Made now, or read where it was made before; None, and said so, where it cannot be."""
    path = folder / f"{key}.json"
    if path.exists():
        known = json.loads(path.read_text("utf-8"))
        return Result(known["figures"], known["frames"])
    try:
        result = make()
    except StorageError:
        raise
    except (LookBeyondError, CameraError, PathError) as error:
        study.left_out.append(f"{what}: {error}")
        return None
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"figures": result.figures, "frames": result.frames}), "utf-8")
    part.replace(path)
    return result


def _collect(study: Study, asked: list[Experiment], done: dict[str, list[Result | None]]) -> None:
    whole = min((len(results) for results in done.values()), default=0)  # rooms of which every setting was shot
    for experiment in asked:
        table = study.walks.setdefault(experiment.name, {})
        for setting in experiment.settings:
            results = done[setting.key][:whole]
            figures = sorted({figure for result in results if result for figure in result.figures})
            table[setting.label] = {
                figure: [
                    result.figures.get(figure, {}).get(OURS, math.nan) if result else math.nan for result in results
                ]
                for figure in figures
            }
    shipped = [result for result in done[SHIPPED.key][:whole] if result]
    for figure in sorted({figure for result in shipped for figure in result.frames}):
        methods = sorted({method for result in shipped for method in result.frames[figure]})
        study.courses[figure] = {
            method: _mean_course([result.frames[figure][method] for result in shipped]) for method in methods
        }
        study.baseline[figure] = [result.figures[figure].get(INPAINTED, math.nan) for result in shipped]


def _mean_course(courses: Sequence[Sequence[float]]) -> list[float]:
    values = np.array(courses, float)
    count = np.isfinite(values).sum(0)
    return np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), np.nan).tolist()


def run_panoramas(
    study: Study, pipeline: ScenePipeline, networks: PerceptualNetworks, options: argparse.Namespace, folder: Path
) -> None:
    """The panorama stage on rooms, on rooms of other kinds, and on real panoramas."""
    rooms = range(options.first_room, options.first_room + options.rooms)
    others = range(options.first_room, options.first_room + max(1, options.rooms // 2))
    places: list[tuple[str, str, Callable[[], Scene]]] = [
        ("rooms", f"room {room}", lambda room=room: held_out_room(room)) for room in rooms
    ]
    for kind in OTHER_KINDS:
        places += [(kind, f"{kind} {room}", lambda kind=kind, room=room: other_scene(kind, room)) for room in others]
    if options.panoramas is None:
        study.left_out.append("Real panoramas: no folder was given (--panoramas)")
    else:
        try:
            places += _real_places(study, options)
        except InputError as error:
            study.left_out.append(f"Real panoramas: {error}")
    pictures: dict[str, list[tuple[Result, np.ndarray]]] = {}
    try:
        for kind, name, load in tqdm(places, desc="panoramas", unit="place"):
            try:
                scene = load()
                found = remembered(
                    folder, f"panorama_{name.replace(' ', '_')}",
                    lambda scene=scene: evaluate_panorama(pipeline, scene, 1, networks),
                )  # fmt: skip
            except StorageError:
                raise
            except LookBeyondError as error:
                study.left_out.append(f"Panorama of {name}: {error}")
                continue
            pictures.setdefault(kind, []).append((found, scene.hidden))
            table = study.panoramas.setdefault(kind, {})
            for figure, methods in found.figures.items():
                if "mean of" in figure or "median of" in figure:
                    continue  # of one sample there is no mean
                for method, value in methods.items():
                    table.setdefault(figure, {}).setdefault(method, []).append(value)
    finally:
        for kind, found in pictures.items():
            truth, hidden = [each.pictures["truth"] for each, _ in found], [mask for _, mask in found]
            study.frechet[kind] = {
                method: metrics.frechet_excess([each.pictures[method] for each, _ in found], truth, hidden)
                for method in found[0][0].pictures if method != "truth"
            }  # fmt: skip


def _real_places(study: Study, options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], Scene]]]:
    """Photos of the panoramas in a folder; a picture that cannot be read is named."""
    for path in panorama_files(options.panoramas):
        try:
            for scene in scenes_of_panorama(path, 1 if options.size_name == "quick" else 4):
                yield "real panoramas", scene.name, lambda scene=scene: scene
        except LookBeyondError as error:
            study.left_out.append(f"Real panoramas: {error}")


def code_hash() -> str:
    """Changes with the method's code: what another code made is made again."""
    digest = hashlib.sha256()
    root = Path(lookbeyond.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.name != "study_report.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def about(options: argparse.Namespace, pipeline: ScenePipeline) -> dict[str, str]:
    """What somebody needs to do it again."""
    first, last = options.first_room, options.first_room + options.rooms - 1
    return {
        "preset": f"{pipeline.preset}, weights {pipeline.revision}",
        "code": f"{_git_revision()}, {code_hash()}",
        "rooms": f"held-out rooms {first} to {last}; every random number follows from a room's seed",
        "frames": f"{options.frames} a path, {options.size[0]} x {options.size[1]}",
        "TSED": f"thresholds {', '.join(f'{each:g}' for each in metrics.TSED_THRESHOLDS_PX)} px of a frame 256 wide, "
                f"at least {metrics.LEAST_MATCHES} matches a pair, otherwise no figure",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} "
                   f"thread(s), {options.device}",
        "libraries": f"Python {platform.python_version()}, torch {torch.__version__}, OpenCV {cv2.__version__}",
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def _git_revision() -> str:
    try:
        asked = ("git", "-C", str(Path(lookbeyond.__file__).parent), "rev-parse", "--short=12", "HEAD")
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"lookbeyond {lookbeyond.__version__}"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lookbeyond study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="2 rooms, 9 frames of 192x128")
    size.add_argument("--full", action="store_true", help="64 rooms, 48 frames of 576x384: for a GPU")
    parser.add_argument("--rooms", type=int, help="how many held-out rooms (16)")
    parser.add_argument("--first-room", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--panoramas", type=Path, help="folder of real panoramas")
    parser.add_argument("--perceptual", type=Path, help="folder of the networks of LPIPS, FID and FVD")
    parser.add_argument("--preset", default="builtin")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    options.size_name = "quick" if options.quick else "full" if options.full else "default"
    rooms, options.frames, options.size = {
        "quick": (2, 9, (192, 128)), "default": (16, 24, (384, 256)), "full": (64, 48, (576, 384)),
    }[options.size_name]  # fmt: skip
    options.rooms = rooms if options.rooms is None else options.rooms
    if options.rooms < 1:
        parser.error("--rooms: at least one")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    require_space(options.out, NEEDED_BYTES)
    options.out.mkdir(parents=True, exist_ok=True)
    command = "lookbeyond study " + shlex.join(sys.argv[2:] if argv is None else list(argv))
    study = run(options, command)
    study_report.write(options.out, study, experiments(options.size_name))
    print(f"{options.out / 'index.html'}: done; {len(study.left_out)} things were left out and are named there.")


if __name__ == "__main__":
    main()
