"""The bench: both stages on unseen places, compared with the truth and with the simplest alternatives.

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
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lookbeyond.layout.prediction import built_in_network
from lookbeyond.pipelines.network_frames import Ablation
from lookbeyond.pipelines.scene import ScenePipeline

from . import layouts
from .judge_panorama import evaluate_panorama
from .judge_path import evaluate_path, evaluate_walk
from .options import parser_of
from .perceptual import PerceptualNetworks
from .results import Result, remembered
from .scenes import PATHS, held_out_room, real_scenes
from .table import add_frechet, add_perceptual, as_markdown, plot_frames, tabulate, worse_than

EXPERIMENTS = (
    "weights",
    "raymap",
    "anchors",
    "guidance",
    "tau_position",
    "tau_rotation",
    "distance_noise",
    "motion",
    "steps",
    "strength",
    "panorama_steps",
    "room",
    "unseen",
)
"""Switches that the table names."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = parser_of(
        "evaluate", __doc__ or "", quick="3 rooms, one path of 12 frames at 192x128", full="64 rooms: for a GPU"
    )
    parser.add_argument("--samples", type=int, help="panoramas of each photo (8); 0: views only")
    parser.add_argument("--paths", nargs="*", choices=PATHS, help="camera moves (all three); none: panoramas only")
    parser.add_argument("--frames", type=int, help="frames of a path (24)")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), help="of a frame (384x256)")
    parser.add_argument("--wall-bases", type=Path, help="walls' feet marked in them: tests/…/wall_bases.json")
    parser.add_argument("--against", type=Path, help="table.json of an earlier run: fail where this one is worse")
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
        sizes = {
            "rooms": 64 if options.full else 16,
            "samples": 8,
            "paths": list(PATHS),
            "frames": 24,
            "size": (384, 256),
        }
    for name, value in sizes.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def set_switches(pipeline: ScenePipeline, options: argparse.Namespace) -> None:
    """Change the pipeline into the experiment's."""
    pipeline.ablation = Ablation(options.weights, options.raymap, options.anchors, options.guidance)
    asked = {
        "views_steps": options.steps,
        "strength": options.strength,
        "strength_in_holes": options.strength,
        "panorama_steps": options.panorama_steps,
        "unseen": options.unseen,
    }
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
    text = f"{heading}\n\n{as_markdown(table)}" + f"\nSwitches: {switched}\n" + _skipped(networks)
    (options.out / "table.md").write_text(text, "utf-8")
    (options.out / "table.json").write_text(json.dumps({"settings": settings, "table": table}, indent=1), "utf-8")
    print(text)
    if options.against:
        earlier = json.loads(options.against.read_text("utf-8"))["table"]
        if worse := worse_than(table, earlier):
            raise SystemExit("worse than " + str(options.against) + ":\n" + "\n".join(worse))


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
                folder,
                f"{key}_{kind.replace(' ', '_')}",
                lambda scene=scene, kind=kind: evaluate_path(pipeline, scene, kind, options, networks),
            )
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
