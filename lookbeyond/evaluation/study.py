"""The paper's experiments, and checks that it leaves out, in one command.

    lookbeyond study --out report --quick      minutes: every experiment, on few rooms and small frames
    lookbeyond study --out report              two to three hours on a processor
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
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

import lookbeyond
from lookbeyond.data.captures import captures
from lookbeyond.data.other_rooms import OTHER_KINDS
from lookbeyond.errors import InputError, LookBeyondError, StorageError
from lookbeyond.geometry.cameras import CameraError, PathError
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.whole import require_space, storage_errors, whole_file

from . import metrics, study_report
from .judge_panorama import evaluate_panorama
from .options import parser_of
from .perceptual import PerceptualNetworks
from .results import OURS, Result, remembered
from .scenes import Scene, held_out_room, other_scene, panorama_files, scenes_of_panorama, training_room
from .study_captures import evaluate_capture
from .study_settings import SHIPPED, Experiment, experiments
from .study_walks import INPAINTED, Walker

NEEDED_BYTES = 500 << 20
REPORTING = ("study.py", "study_report.py", "study_claims.py", "paired.py", "table.py")
"""Modules that choose and tell what is made, and change none of it."""


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
    captures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """figure -> method -> one value a capture."""


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
    study.left_out.append("A checkpoint without cycle consistency: the built-in network cannot make a seam")
    settings = {"size": options.size, "frames": options.frames, "code": code_hash()}
    identity = hashlib.sha256(json.dumps([settings, pipeline.revision]).encode()).hexdigest()[:8]
    folder = options.out / "done" / identity
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic(), time.process_time()
    try:
        run_panoramas(study, pipeline, networks, options, folder)
        run_captures(study, pipeline, networks, options, folder)
        run_walks(study, Walker(pipeline, networks, options.frames, options.size), options, folder)
    except KeyboardInterrupt:
        study.left_out.append("The run was interrupted: give the same command again for the rest")
    except StorageError as error:
        study.left_out.append(f"The run ended early: {error}")
    study.about["took"] = took(folder, time.monotonic() - began[0], time.process_time() - began[1])
    return study


def took(folder: Path, wall_s: float, processor_s: float) -> str:
    """How long all runs took that made what is in a folder, this one included."""
    path = folder / "runs.json"
    runs = json.loads(path.read_text()) if path.exists() else []
    runs.append([wall_s, processor_s])
    with storage_errors(path), whole_file(path) as temporary:
        temporary.write_text(json.dumps(runs))
    wall, processor = (sum(run) / 60 for run in zip(*runs, strict=True))
    said = f"{wall:.0f} minutes, {processor:.1f} minutes of a processor"
    return f"{said}, in {len(runs)} runs" if len(runs) > 1 else said


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
        return Result.load(path)
    try:
        result = make()
    except StorageError:
        raise
    except (LookBeyondError, CameraError, PathError) as error:
        study.left_out.append(f"{what}: {error}")
        return None
    result.save(path)
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
            method: metrics.mean_course([result.frames[figure][method] for result in shipped]).tolist()
            for method in methods
        }
        study.baseline[figure] = [result.figures[figure].get(INPAINTED, math.nan) for result in shipped]


def run_panoramas(
    study: Study, pipeline: ScenePipeline, networks: PerceptualNetworks, options: argparse.Namespace, folder: Path
) -> None:
    """The panorama stage on rooms, those of training among them, on rooms of other kinds, and on real panoramas."""
    rooms = range(options.first_room, options.first_room + options.rooms)
    places: list[tuple[str, str, Callable[[], Scene]]] = [
        ("rooms", f"room {room}", lambda room=room: held_out_room(room)) for room in rooms
    ]
    places += [("rooms of training", f"training room {room}", lambda room=room: training_room(room)) for room in rooms]
    for kind in OTHER_KINDS:
        places += [(kind, f"{kind} {room}", lambda kind=kind, room=room: other_scene(kind, room)) for room in rooms]
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
                    folder,
                    f"panorama_{name.replace(' ', '_')}",
                    lambda scene=scene: evaluate_panorama(pipeline, scene, 1, networks),
                )
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
                for method in found[0][0].pictures
                if method != "truth"
            }


def run_captures(
    study: Study, pipeline: ScenePipeline, networks: PerceptualNetworks, options: argparse.Namespace, folder: Path
) -> None:
    """The move of every capture in a folder; one that cannot be read or followed is named."""
    if options.captures is None:
        study.left_out.append("Captures: no folder was given (--captures)")
        return
    try:
        paths = captures(options.captures)
    except InputError as error:
        study.left_out.append(f"Captures: {error}")
        return
    for path in tqdm(paths, desc="captures", unit="capture"):
        key = hashlib.sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()[:10]
        result = _kept(
            study,
            folder,
            f"capture_{key}",
            lambda path=path: evaluate_capture(pipeline, path, options.frames, options.size[0], networks),
            f"Capture {path.parent}",
        )
        for figure, methods in (result.figures if result else {}).items():
            for method, value in methods.items():
                study.captures.setdefault(figure, {}).setdefault(method, []).append(value)


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
        if path.name not in REPORTING:
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
    }


def _git_revision() -> str:
    try:
        asked = ("git", "-C", str(Path(lookbeyond.__file__).parent), "rev-parse", "--short=12", "HEAD")
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"lookbeyond {lookbeyond.__version__}"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(
        "study", __doc__ or "", quick="5 rooms, 9 frames of 192x128", full="64 rooms, 48 frames of 576x384: for a GPU"
    )
    parser.add_argument("--captures", type=Path, help="folder of captures: transforms.json beside its frames")
    parser.add_argument("--first-room", type=int, default=0, help="the first of them (0)")
    options = parser.parse_args(argv)
    options.size_name = "quick" if options.quick else "full" if options.full else "default"
    rooms, options.frames, options.size = {
        "quick": (5, 9, (192, 128)),
        "default": (8, 24, (384, 256)),
        "full": (64, 48, (576, 384)),
    }[options.size_name]
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
