"""Clips per minute for one worker and for two, by both executors; and how far a long path can be shared out.

    python benchmarks/scaling.py [--model double|builtin] [--frames 97] [--executors process,ray] [--json FILE]

Every worker has one thread. `double` stands in for a model on a device of its own (its steps wait, they do not
compute), so that what is measured is the sharing out; `builtin` computes, and needs as many idle cores as workers.
The anchors are made beforehand; the clips of one shot are then timed from submit to done. Results of one and two
workers, and of both executors, are compared byte for byte. Fails if they differ, or if two workers make less than
`WANTED` times as many clips as one.

The share of a path that can run side by side comes from the plan of a 1000-frame walk: anchors are made one after
the other where they help each other, clips as soon as both their anchors stand. How long it takes with so many
workers is played through with what an anchor and a clip cost.
"""

import argparse
import functools
import heapq
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.kept_tables import day_and_code, keep_rows
from benchmarks.own_service import end, start_service
from inference_service.client import Client
from inference_service.server.logs import set_up_logs
from inference_service.server.presets import Presets
from inference_service.server.server import serve
from inference_service.wire.files import file_sha256
from inference_service.wire.requests import ShotRequest, WorldRequest
from inference_service.work.requests import check
from inference_service.work.unit import Unit
from inference_service.work.units.plan import Plan, PlannedAnchor
from inference_service.workers.handle import WORKER_COMMAND
from inference_service.workers.process_pool import ProcessPool
from lookbeyond.files import load_panorama, write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.keyframes import plan_shot
from tests.support.double import DoublePresets, worker_command
from tests.support.machine import machine
from tests.support.service import SLOW, shot_request, world_request

ROOT = Path(__file__).resolve().parents[1]
FRAMES_PER_CLIP = {"double": 5, "builtin": 13}
WANTED = 1.8
NAMES = {"process": "processes", "ray": "Ray"}
MODELS = {"double": "a stand-in that waits", "builtin": "the built-in preset"}
LONG, WORKERS = 1000, (1, 2, 4, 8, 16, 32, 64)
"""The walk that is played through, in frames, and with how many workers."""
COST_S = {"anchor": 1.5, "frame": 1.0}
"""Where nothing was measured: an anchor costs as much as one and a half frames of a clip."""


def walk(frames: int, width: int = 192, height: int = 128, loops: float = 1.0) -> list[dict]:
    """A walk around the photo's place that looks about and never comes to the same camera twice."""
    cameras = []
    for step in np.linspace(0, loops, frames):
        turn = 2 * math.pi * step
        position = (0.3 * math.sin(turn), 0.2 * math.sin(1.618 * turn), 1.6 + 0.05 * math.sin(2.414 * turn))
        cameras.append(placed_camera(width, height, 1.2, heading_rad=turn, position=position).to_dict())
    return cameras


# --- measured --------------------------------------------------------------------------------------------


def service(model: str, executor: str, workers: int, store: Path) -> None:
    """The service's process."""
    set_up_logs(json_lines=True, folder=store / "log")
    devices = ["cpu"] * workers
    if executor == "ray":
        from inference_service.workers.ray_pool import RayPool

        double = "tests.support.double"
        named = {"load": f"{double}:load_double", "describe": f"{double}:describe_double"} if model == "double" else {}
        make = functools.partial(RayPool, devices=devices, threads=1, **named)
    else:
        command = worker_command() if model == "double" else WORKER_COMMAND
        make = functools.partial(ProcessPool, devices=devices, threads=1, command=command)
    serve(store, models=DoublePresets() if model == "double" else Presets(), executor=make)


def clips_per_minute(
    folder: Path, model: str, executor: str, workers: int, frames: int
) -> tuple[float, dict[str, str], dict[str, float]]:
    """The pace of a shot's clips, the hashes of its frames, and the seconds of an anchor and of a frame."""
    os.environ["LOOKBEYOND_RUNTIME_DIR"] = str(folder / "runtime")
    arguments = ["service", model, executor, str(workers), str(folder / "store")]
    process, address = start_service([sys.executable, __file__, *arguments], timeout_s=300)
    try:
        with Client(address, timeout_s=120) as client:
            deadline = time.monotonic() + 600
            while {device["state"] for device in client.service_status().devices} != {"ready"}:
                assert time.monotonic() < deadline, "the workers did not start"
                time.sleep(0.2)
            if model == "double":
                request: WorldRequest = world_request(client, folder, steer=SLOW)
            else:
                pixels = np.random.default_rng(0).integers(60, 200, (384, 512, 3), np.uint8)
                write_png(folder / "photo.png", pixels)
                camera = placed_camera(512, 384, 1.2, position=(0, 0, 1.6)).to_dict()
                request = WorldRequest(photo=client.upload(folder / "photo.png"), camera=camera, width=1024)
            list(client.follow(client.submit(request), folder / "W"))
            shot: ShotRequest = shot_request(client, folder / "W", walk(frames, loops=0.5))
            list(client.follow(client.submit(shot), folder / "anchors", 600))  # and the models are loaded
            begun = time.perf_counter()
            list(client.follow(client.submit(replace(shot, tau_position=0.3)), folder / "S", 600))
            seconds = time.perf_counter() - begun
    finally:
        end(process)
    made = json.loads((folder / "S/shot.json").read_text())
    paths = [path for path in (folder / "S").glob("*/*") if path.is_file()]
    costs = {
        "anchor": float(np.mean([anchor["seconds"] for anchor in made["anchors"][1:]])),  # with the first, models load
        "frame": sum(c["seconds"] for c in made["clips"]) / sum(c["last"] - c["first"] + 1 for c in made["clips"]),
    }
    return 60 * len(made["clips"]) / seconds, {f"{p.parent.name}/{p.name}": file_sha256(p) for p in paths}, costs


# --- played through --------------------------------------------------------------------------------------


def units_of(world: Path, frames: int, frames_per_clip: int) -> list[Unit]:
    """The anchors and clips of a long walk through a world."""
    cameras = walk(frames, loops=6.0)
    found = plan_shot(
        [Camera.from_dict(camera) for camera in cameras], load_panorama(world), frames_per_clip=frames_per_clip
    )
    plan = Plan(tuple(PlannedAnchor(anchor.frame, anchor.before) for anchor in found.anchors), found.clips)
    files = dict.fromkeys(("panorama.png", "distance.exr", "from_photo.png", "world.json"), "a" * 64)
    request = check(ShotRequest(world=files, cameras=cameras))
    return [unit for unit in request.units("r", plan) if unit.kind in ("anchor", "clip")]


def cost(unit: Unit, costs: dict[str, float]) -> float:
    return costs["anchor"] if unit.kind == "anchor" else costs["frame"] * unit.weight


def play(units: list[Unit], workers: int, costs: dict[str, float]) -> float:
    """Seconds until all is done, each free worker taking the first unit whose needs are met, as the queue does."""
    done: set[str] = set()
    waiting, running, now = list(units), [], 0.0
    while waiting or running:
        while len(running) < workers and (unit := next((u for u in waiting if done.issuperset(u.needs)), None)):
            waiting.remove(unit)
            heapq.heappush(running, (now + cost(unit, costs), unit.identity))
        now, identity = heapq.heappop(running)
        done.add(identity)
    return now


def longest_chain(units: list[Unit], costs: dict[str, float]) -> float:
    """Seconds that remain however many workers there are."""
    ends: dict[str, float] = {}
    for unit in units:
        ends[unit.identity] = max((ends[need] for need in unit.needs), default=0.0) + cost(unit, costs)
    return max(ends.values())


def main() -> None:
    if sys.argv[1:2] == ["service"]:
        _, _, model, executor, workers, store = sys.argv
        return service(model, executor, int(workers), Path(store))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["double", "builtin"], default="double")
    parser.add_argument("--frames", type=int, default=97)
    parser.add_argument("--executors", default="process,ray")
    parser.add_argument("--json", type=Path, help="put the results into this file, beside what is in it")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    print(f"{machine()}; model {options.model}, one thread each")
    costs, results, wrong = COST_S, [], []
    rows = [["times as fast, with so many workers", *map(str, WORKERS)]]
    with tempfile.TemporaryDirectory() as name:
        for executor in options.executors.split(","):
            paces = []
            for workers in (1, 2):
                folder = Path(name) / f"{executor}{workers}"
                folder.mkdir()
                pace, hashes, measured = clips_per_minute(folder, options.model, executor, workers, options.frames)
                paces.append(pace)
                results.append(hashes)
                costs = measured if options.model == "builtin" and workers == 1 else costs
            one, two = paces
            print(f"{executor}: {one:.1f} clips a minute with 1 worker, {two:.1f} with 2: {two / one:.2f} x")
            measured = f"{options.frames} frames, their clips, {NAMES[executor]}, {MODELS[options.model]}: measured"
            rows.append([measured, "1", f"{two / one:.2f}", *["–"] * (len(WORKERS) - 2)])
            if two < WANTED * one:
                wrong.append(f"{executor}: two workers make {two / one:.3f} times as many clips, not {WANTED}")
        same = all(hashes == results[0] for hashes in results)
        print(f"{len(results[0])} frames and depths, the same bytes every time: {same}")
        units = units_of(folder / "W", LONG, FRAMES_PER_CLIP["builtin"])
    total, chain = play(units, 1, costs), longest_chain(units, costs)
    anchors = [unit for unit in units if unit.kind == "anchor"]
    print(f"{LONG} frames: {len(anchors)} anchors of {costs['anchor']:.2f} s, clips of {costs['frame']:.2f} s a frame")
    side_by_side = sum(cost(unit, costs) for unit in units if unit.kind == "clip") / total
    print(f"  clips, which run side by side: {side_by_side:.0%} of the work; longest chain: {chain / total:.1%}")
    title = f"{LONG} frames, their anchors and clips, {MODELS[options.model]}: played through"
    rows.append([title])
    for workers in WORKERS:
        seconds = play(units, workers, costs)
        print(f"  {workers:2} workers: {seconds:7.0f} s, {total / seconds:5.1f} x")
        rows[-1].append(f"{total / seconds:.1f}")
    made_with = {
        **day_and_code(),
        "anchor_in_frames": round(costs["anchor"] / costs["frame"], 2),
        "anchors": len(anchors),
        "clips_percent_of_work": round(100 * side_by_side, 1),
        "longest_chain_percent_of_work": round(100 * chain / total, 1),
    }
    keep_rows(options.json, "scaling", rows, **{options.model: made_with})
    if not same:
        wrong.append("the executors do not agree")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
