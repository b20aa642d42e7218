"""Do the monitors find what is wrong with a shot, are they silent where nothing is, and what do they cost?

    python benchmarks/monitors.py --rooms 400-423             faults put into 216 clean shots, each kind into each
    python benchmarks/monitors.py --rooms 300-311 --spread    the figures themselves: what limits are chosen from
    python benchmarks/monitors.py --cost                      processor seconds beside the shot's own
    ... --json docs/monitors.json                             keeps the tables that docs/monitors.md quotes

Nine shots of every drawn room: turns, walks and a way there and back, in several directions, four through its true
panorama and five through the world made of its photo. They are kept in --work and not made again by the same code.

`--cost` sets the monitors' processor seconds beside those of making the same frames and writing their files in this
process, and beside those that the same shot takes through a service, warm, with its workers and its client.
"""

import argparse
import math
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_table
from benchmarks.own_service import end, start_service
from benchmarks.pipeline import PROGRAM, finished
from inference_service.client import Client
from inference_service.wire.requests import WORLD_FILES, WORLD_LAYERS, ShotRequest
from lookbeyond.evaluation.judge_path import shoot
from lookbeyond.evaluation.scenes import held_out_room
from lookbeyond.evaluation.study import code_hash
from lookbeyond.files import save_frames, save_panorama
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import Reach, anchor_seed, plan_shot
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.monitors.findings import LIMITS, Finding, findings
from lookbeyond.monitors.frames import watch_frames
from lookbeyond.monitors.seam import seam_jump
from lookbeyond.pipelines.scene import ScenePipeline

FRAMES, WIDTH, HEIGHT = 9, 192, 128
VISIBLE = 8
"""Levels by which a hundredth of a frame's pixels must differ for a fault to be one."""
RUNS, RUNS_S = 15, 10.0
SERVED_RUNS = 5
TRIES = 12
"""Draws until a fault is one; the last counts in any case."""
SHOTS = (("turn", "true"), ("walk", "true"), ("walk", "made"), ("there and back", "made"))
MORE_SHOTS = (
    ("turn", "true", math.pi),
    ("walk", "true", 2.1),
    ("turn", "made", math.pi),
    ("walk", "made", 2.1),
    ("walk", "made", -2.1),
)
"""And in which direction they begin, radians."""
SAID = {
    "shifted anchor": "an anchor made for a camera that is turned by 1 to 3 degrees",
    "swapped frame": "two frames swapped",
    "seam": "a seam: the light falls by 6 to 15 % at the wrap",
    "repainted corner": "a corner of a frame shows another room",
}
FAULTS = tuple(SAID)


@dataclass(frozen=True, eq=False)
class Shot:
    """A clean shot, and what is needed to spoil it."""

    panorama: Panorama
    views: list[View]
    anchor: int
    """The frame of one of its anchors."""
    shifted: View
    """That anchor as it is made for a camera that is off by one to three degrees."""


def made_shots(pipeline: ScenePipeline, room: int) -> list[Shot]:
    """The shots of a room; the same every time."""
    scene = held_out_room(room)
    true = scene.sharp_panorama
    made = pipeline.build_world(scene.photo, scene.camera, camera_height=scene.camera_height, width=1024)
    rng = np.random.default_rng(room)
    shots = []
    for kind, which in SHOTS:
        panorama, cameras = made if which == "made" else true, scene.path(kind, FRAMES, WIDTH, HEIGHT)
        shots.append(_shot(pipeline, panorama, cameras, true, rng))
    return shots + more_shots(pipeline, room, true, made)


def more_shots(pipeline: ScenePipeline, room: int, true: Panorama, made: Panorama) -> list[Shot]:
    """Those in other directions, which need nothing but the panoramas."""
    rng = np.random.default_rng([room, 1])
    shots = []
    for kind, which, heading in MORE_SHOTS:
        panorama = made if which == "made" else true
        shots.append(_shot(pipeline, panorama, _way(panorama, kind, heading), panorama, rng))
    return shots


def _way(panorama: Panorama, kind: str, heading_rad: float) -> list[Camera]:
    """Half a turn, or a straight walk as far as the panorama reaches, up to 1.5 m."""
    direction = np.array([math.cos(heading_rad), math.sin(heading_rad), 0.0])
    length = min(1.5, Reach(panorama).free(direction) - 1e-3) if kind == "walk" else 0.0
    return [
        placed_camera(
            WIDTH,
            HEIGHT,
            math.radians(75),
            heading_rad=heading_rad + (0.0 if kind == "walk" else math.pi * share),
            position=tuple(panorama.position + share * length * direction),
        )
        for share in np.linspace(0, 1, FRAMES)
    ]


def _shot(
    pipeline: ScenePipeline, panorama: Panorama, cameras: list[Camera], planned_in: Panorama, rng: np.random.Generator
) -> Shot:
    views = shoot(pipeline, panorama, cameras, 0.2, 0.2, planned_in)
    plan = plan_shot(cameras, planned_in, frames_per_clip=pipeline.frames_per_clip)
    for _ in range(TRIES):
        anchor = int(rng.choice([each.frame for each in plan.anchors]))
        wrong = _turned(cameras[anchor], rng)
        shifted = pipeline.fill_anchor(panorama, wrong, (), seed=anchor_seed(0, wrong))
        if _differs(shifted.colour, views[anchor].colour):
            break
    return Shot(panorama, views, anchor, replace(shifted, camera=cameras[anchor]))


def _differs(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a fault can be seen at all: a bare wall that is shifted, or two frames of one pose, are no faults."""
    return float((np.abs(one.astype(int) - other).max(-1) > VISIBLE).mean()) > 0.01


def _turned(camera: Camera, rng: np.random.Generator) -> Camera:
    """The camera turned about its own axes, by one to three degrees in some direction across its view."""
    angle, way = np.radians(rng.uniform(1, 3)), rng.uniform(0, 2 * np.pi)
    axis = np.array([np.cos(way), np.sin(way), 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    pose = camera.camera_to_world.copy()
    pose[:3, :3] = pose[:3, :3] @ (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    return replace(camera, camera_to_world=pose)


def spoil(shot: Shot, fault: str, rng: np.random.Generator, donor: Shot) -> tuple[Panorama, list[View], set[int]]:
    """The shot with a fault in it, and the indices of the frames that have it (none: the panorama)."""
    views = list(shot.views)
    if fault == "shifted anchor":
        views[shot.anchor] = shot.shifted
        return shot.panorama, views, {shot.anchor}
    if fault == "swapped frame":
        for _ in range(TRIES):
            apart = int(rng.integers(2, FRAMES - 2))
            first = int(rng.integers(0, FRAMES - apart))
            one, other = views[first], views[first + apart]
            if _differs(one.colour, other.colour):
                break
        views[first] = replace(other, camera=one.camera)
        views[first + apart] = replace(one, camera=other.camera)
        return shot.panorama, views, {first, first + apart}
    if fault == "seam":
        return replace(shot.panorama, colour=_seamed(shot.panorama.colour, rng)), views, set()
    at = int(rng.integers(FRAMES))
    views[at] = replace(views[at], colour=_repainted(views[at].colour, donor.views[at].colour, rng))
    return shot.panorama, views, {at}


def _seamed(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The panorama's light grows around it, by 6 to 15 %, and falls back at the wrap."""
    share = rng.uniform(0.06, 0.15) * rng.choice([-1, 1])
    gain = 1 + share * (np.linspace(0, 1, colour.shape[1]) - 0.5)
    return np.clip(colour * gain[None, :, None], 0, 255).round().astype(np.uint8)


def _repainted(colour: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One corner of a frame, a quarter to two fifths of each side, shows a part of another room's frame instead."""
    share = rng.uniform(0.25, 0.4)
    height, width = (round(share * side) for side in colour.shape[:2])
    flip = np.s_[:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]
    result = colour.copy()
    result[flip][:height, :width] = other[flip][:height, :width]
    return result


def look(panorama: Panorama, views: list[View]) -> list[Finding]:
    return findings(watch_frames(panorama, views), 0, seam_jump(panorama))


def is_found(found: list[Finding], bad: set[int]) -> bool:
    """Whether what was found is where the fault is."""
    if not bad:
        return any(each.kind == "seam" for each in found)
    return any(each.first <= at <= each.last for each in found if each.kind != "seam" for at in bad)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", default="300-311", help="seeds of rooms, first-last")
    parser.add_argument("--work", type=Path, default=Path("out/monitors"), help="where shots are kept")
    parser.add_argument("--spread", action="store_true", help="print the figures of clean shots and of spoilt ones")
    parser.add_argument("--cost", action="store_true", help="processor seconds only")
    parser.add_argument("--json", type=Path, help="put the tables into this file, beside what is in it")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    pipeline = ScenePipeline.from_preset("builtin", "cpu")
    settings = {"preset": pipeline.preset, "revision": pipeline.revision, "limits": asdict(LIMITS)}
    if options.cost:
        return keep_table(options.json, "cost", print_cost(pipeline), **settings)
    first, last = map(int, options.rooms.split("-"))
    made_by = f"{pipeline.revision}_{code_hash()}"
    paths = [options.work / f"{room}_{made_by}.pickle" for room in range(first, last + 1)]
    for room, path in enumerate(tqdm(paths, desc="shooting", unit="room"), first):
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(made_shots(pipeline, room)))
            part.replace(path)
    found, unseen = dict.fromkeys(FAULTS, 0), dict.fromkeys(FAULTS, 0)
    alarms: list[str] = []
    spread: list[str] = []
    shots = 0
    for number, path in enumerate(tqdm(paths, desc="watching", unit="room"), first):
        donors = pickle.loads(paths[(number + 1 - first) % len(paths)].read_bytes())
        for (kind, which, *_), shot, donor in zip(
            (*SHOTS, *MORE_SHOTS), pickle.loads(path.read_bytes()), donors, strict=True
        ):
            name, shots = f"room {number}, {kind}, {which} panorama", shots + 1
            if clean := look(shot.panorama, shot.views):
                alarms.append(f"{name}: " + "; ".join(each.text for each in clean))
            for fault in FAULTS:
                spoilt = spoil(shot, fault, np.random.default_rng([number, shots, FAULTS.index(fault)]), donor)
                hit = is_found(look(*spoilt[:2]), spoilt[2])
                if spoilt[2] and not any(_differs(spoilt[1][at].colour, shot.views[at].colour) for at in spoilt[2]):
                    unseen[fault] += 1  # of no draw: a bare wall, or a path of one pose
                    continue
                found[fault] += hit
                if not hit or options.spread:
                    spread.append(_figures(f"{name}, {fault}{'' if hit else ' MISSED'}", *spoilt))
            if options.spread:
                spread.append(_figures(f"{name}, clean", shot.panorama, shot.views, set(range(FRAMES))))
    print("\n".join(spread))
    print(f"{shots} shots of {FRAMES} frames, rooms {options.rooms}, {pipeline.preset} {pipeline.revision}; {LIMITS}")
    for fault, count in found.items():
        print(
            f"{fault}: found in {count} of {shots - unseen[fault]}; of {unseen[fault]} more shots nothing can be seen"
        )
    print(f"clean: {len(alarms)} false alarms in {shots}")
    print("\n".join(alarms))
    rows = [["fault", "found"]]
    rows += [[SAID[fault], f"{count} of {shots - unseen[fault]}"] for fault, count in found.items()]
    rows.append(["none: false alarms", f"{len(alarms)} of {shots}"])
    keep_table(options.json, "faults", rows, **settings, rooms=options.rooms, alarms=alarms)


def _figures(name: str, panorama: Panorama, views: list[View], bad: set[int]) -> str:
    watched = watch_frames(panorama, views)
    frames = [watched[at] for at in sorted(bad)]
    most = {
        name: max((getattr(frame, name) or 0.0 for frame in frames), default=0.0)
        for name in ("misaligned", "contradicted", "flicker")
    }
    figures = ", ".join(f"{name} {value:.3f}" for name, value in most.items())
    return f"{name}: {figures}, seam {seam_jump(panorama):.2f}"


def print_cost(pipeline: ScenePipeline) -> list[list[str]]:
    """Processor seconds of the monitors, and of making and writing the frames that they watch."""
    rows = [["shot", "a frame", "its files", "watching it", "of both", "through a service", "of that"]]
    for name, size, room in (
        ("holes made by the views network", (384, 256), "off"),
        ("a drawn room, whose clean plate tells every hole", (1920, 1080), "auto"),
        ("a drawn room", (384, 256), "auto"),
    ):
        scene = held_out_room(100)
        world = pipeline.build_world(
            scene.photo, scene.camera, camera_height=scene.camera_height, width=4096, room=room
        )
        way = np.linspace(0, 0.8, 24)
        cameras = [
            placed_camera(*size, np.radians(75), heading_rad=float(step), position=(0.0, 0.0, 0.0 + float(step) / 2))
            for step in way
        ]
        shoot(pipeline, world, cameras[:3], 0.2, 0.2)  # what is made once for a world, and compiled once for ever
        views, own_s = _timed(lambda world=world, cameras=cameras: shoot(pipeline, world, cameras, 0.2, 0.2))
        watch(world, views[:2])
        _, watching_s = _timed(lambda world=world, views=views: watch(world, views))
        with TemporaryDirectory() as folder:
            _, writing_s = _timed(lambda folder=folder, views=views: save_frames(Path(folder), views))
        whole_s = served_shot_s(world, cameras)
        own, files, watching, whole = (
            f"{1e3 * seconds / len(views):.1f} ms" for seconds in (own_s, writing_s, watching_s, whole_s)
        )
        shares = [f"{watching_s / seconds:.1%}" for seconds in (own_s + writing_s, whole_s)]
        rows.append([f"{name}, {size[0]} x {size[1]}", own, files, watching, shares[0], whole, shares[1]])
        print(", ".join(f"{head} {cell}" for head, cell in zip(rows[0], rows[-1], strict=True)))
    return rows


def served_shot_s(world: Panorama, cameras: list[Camera]) -> float:
    """Processor seconds that a shot takes through a service of its own, warm: its workers, and the client here."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(scratch / "runtime")
        save_panorama(scratch / "world", world)
        process, service = start_service([PROGRAM, "serve", "--store", str(scratch / "store")])
        try:
            with Client(service) as client:
                kept = [name for name in (*WORLD_FILES, *WORLD_LAYERS) if (scratch / "world" / name).exists()]
                files = {name: client.upload(scratch / "world" / name) for name in kept}
                spent = []
                for seed in range(1 + SERVED_RUNS):
                    request = ShotRequest(world=files, cameras=[camera.to_dict() for camera in cameras], seed=seed)
                    began = _spent_s(process.pid)
                    finished(client, request, scratch / f"shot{seed}")
                    spent.append(_spent_s(process.pid) - began)
        finally:
            end(process)
    return float(np.median(spent[1:]))  # the first one loads the models


def _spent_s(pid: int) -> float:
    """Processor seconds of this process, and of a service with its workers."""
    service = psutil.Process(pid)
    times = [each.cpu_times() for each in (service, *service.children(recursive=True))]
    return time.process_time() + sum(each.user + each.system for each in times)


def watch(world: Panorama, views: list[View]) -> None:
    """As a clip's unit does."""
    watch_frames(world, views)
    seam_jump(world)


def _timed(work: Callable[[], object]) -> tuple:
    """What some work gives, and its processor seconds: the median of as many runs as take `RUNS_S`, at most `RUNS`."""
    spent: list[float] = []
    while True:
        began = time.process_time()
        result = work()
        spent.append(time.process_time() - began)
        if sum(spent) > RUNS_S or len(spent) == RUNS:
            return result, float(np.median(spent))


if __name__ == "__main__":
    main()
