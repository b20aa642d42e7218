"""Two builds side by side, on one machine in one run: warping, shots at 1920 x 1080 and 384 x 256, first worlds.

    git worktree add ../former 8687c4f
    python benchmarks/hd.py --against ../former [--parts warp,walk,hd,cold,long] [--repeats 5]

Each build does the same in processes of its own, in turn, and the medians are printed with the processor seconds that
they took: on a machine that others use, those say more. Without `--against` only this build runs. The world is a room
of exact colour and distance, 4096 wide; each shot has a seed of its own, so that nothing of it is in the store.
`--json docs/research/speed.json` keeps the rows from which the tables of speed.md are written
(`python -m lookbeyond.evaluation.table docs/research/speed.md`).
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOM = 104
"""Beyond the rooms that figures of quality are taken from."""
SHOTS = {
    "walk": ("world", 48, 384, 256, 65.0, 0.8),
    "room": ("made", 48, 384, 256, 65.0, 0.8),
    "hd": ("world", 24, 1920, 1080, 60.0, 1.0),
    "hd room": ("made", 24, 1920, 1080, 60.0, 1.0),
}
"""World, frames, width, height, degrees of turn, metres of way. "world" is a room of exact colour and distance
without a clean plate; "made" is what this build makes of a photo of it, of which the former build leaves the plate."""
PARTS = ("warp", "colours", *SHOTS, "cold", "long")


# --- the child: one build ----------------------------------------------------------------------------------


def cameras(frames: int, width: int, height: int, turn_deg: float, way_m: float) -> list:
    import numpy as np

    from lookbeyond.geometry.cameras import placed_camera

    return [
        placed_camera(
            width, height, math.radians(65), heading_rad=-math.radians(turn_deg) * step, position=(way_m * step, 0, 0)
        )
        for step in np.linspace(0, 1, frames)
    ]


def of_the_service(name: str, otherwise=None):
    """A name of the service's client, wherever the build keeps it."""
    import importlib

    for module in ("inference_service.client", "inference_service.protocol"):
        try:
            return getattr(importlib.import_module(module), name)
        except (AttributeError, ModuleNotFoundError):
            continue
    if otherwise is None:
        raise AttributeError(name)
    return otherwise


class Build:
    """What a build is asked to do: each method's name is an order, its return value the answer."""

    def __init__(self, world: Path, scratch: Path):
        self.world, self.scratch, self.calls, self.service = world, scratch, 0, None

    def warp(self, source: str) -> dict:
        """One frame of 1920 x 1080 from the world or from an anchor of that size, another place each time."""
        from lookbeyond.files import load_panorama
        from lookbeyond.geometry.panorama import View
        from lookbeyond.models.warping import warp_to_views

        if not hasattr(self, "sources"):
            world = load_panorama(self.world)
            camera = cameras(2, 1920, 1080, 20.0, 0.2)[1]
            warped = warp_to_views(world, [camera])
            import numpy as np

            distance = warped.distance[0].numpy()
            distance = np.where(distance > 0, distance, np.median(distance))
            blank = np.zeros((1080, 1920, 3), np.uint8)
            self.sources = {"world": world, "anchor": View(camera, blank, distance, blank[..., 0])}
            for one in self.sources.values():  # meshes, reliefs and compiled code are there from the first frame on
                warp_to_views(one, [camera])
        self.calls += 1
        camera = cameras(60, 1920, 1080, 40.0, 0.4)[10 + self.calls % 40]
        wall, cpu = time.perf_counter(), time.process_time()
        warp_to_views(self.sources[source], [camera])
        return {"s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}

    def colours(self) -> dict:
        """What colours a path of 100 cameras in the viewport, as Blender's Python has it: without Numba."""
        from lookbeyond.files import load_panorama
        from lookbeyond.geometry.coverage import Coverage

        world = load_panorama(self.world)
        path = cameras(100, 384, 256, 65.0, 0.8)
        wall, cpu = time.perf_counter(), time.process_time()
        coverage = Coverage(world)
        known = getattr(coverage, "known", None) or coverage.share  # the former build's does not tell the two apart
        for camera in path:
            known(camera)
        return {"s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}

    def shot(self, world: str, frames: int, width: int, height: int, turn_deg: float, way_m: float) -> dict:
        """A shot through the service, warm: from submit to the last file on the client's disk."""
        Client, Finished, ShotRequest = (of_the_service(name) for name in ("Client", "Finished", "ShotRequest"))
        if self.service is None:
            self.start_service()
            self.shot(world, 4, 96, 64, turn_deg, way_m)  # loads the models
        self.calls += 1
        folder = self.world.parent / world
        names = [*of_the_service("WORLD_FILES"), *of_the_service("WORLD_LAYERS", ())]
        made = json.loads((folder / "world.json").read_text()).get("place", {}).get("kind", "neither") != "neither"
        path = [camera.to_dict() for camera in cameras(frames, width, height, turn_deg, way_m)]
        with Client(self.service[1]) as client:
            files = {
                name: client.upload(folder / name) for name in names if made or name in of_the_service("WORLD_FILES")
            }
            request = ShotRequest(world=files, cameras=path, seed=self.calls)
            folder = self.scratch / f"shot{self.calls}"
            wall, cpu, peak = time.perf_counter(), self.worker_cpu_s(), PeakWatch(self.worker())
            first_eta, estimates = 0.0, []
            job = client.submit(request)
            ended = False
            for event in client.follow(job, folder):
                ended |= isinstance(event, Finished)
                if getattr(event, "eta_s", None) is not None:
                    estimates.append((time.perf_counter() - wall, getattr(event, "fraction", 0.0), event.eta_s))
            assert ended
            took = time.perf_counter() - wall
        errors = [abs(at + eta - took) / max(took - at, 1.0) for at, fraction, eta in estimates if fraction > 0.1]
        gaps = [b[0] - a[0] for a, b in itertools.pairwise(estimates)]
        return {
            "s": took,
            "cpu_s": self.worker_cpu_s() - cpu,
            "peak_gb": peak.stop(),
            "eta_error": statistics.median(errors) if errors else first_eta,
            "eta_gap_s": max(gaps, default=took),
        }

    def first_world(self, wait_s: float) -> dict:
        """The first world of a service that has run for so long, from submit to the last file."""
        Client, Finished, WorldRequest = (of_the_service(name) for name in ("Client", "Finished", "WorldRequest"))
        self.end_service()
        begun = time.perf_counter()
        self.start_service()
        time.sleep(max(0.0, wait_s - (time.perf_counter() - begun)))
        photo = self.world.parent / "photo.png"
        camera = json.loads((self.world.parent / "photo.json").read_text())
        with Client(self.service[1]) as client:
            image = client.upload(photo)
            wall = begun if not wait_s else time.perf_counter()
            job = client.submit(WorldRequest(photo=image, camera=camera, seed=0, width=1024))
            assert any(isinstance(event, Finished) for event in client.follow(job, self.scratch / f"w{self.calls}"))
            took = time.perf_counter() - wall
        self.calls += 1
        self.end_service()
        return {"s": took, "cpu_s": 0.0}

    def start_service(self) -> None:
        from benchmarks.own_service import start_service

        store = tempfile.mkdtemp(dir=self.scratch)
        program = [sys.executable, "-m", "inference_service.cli"]
        self.service = start_service([*program, "serve", "--bind", "tcp://127.0.0.1:0", "--store", store])

    def end_service(self) -> None:
        from benchmarks.own_service import end

        if self.service is not None:
            end(self.service[0])
            self.service = None

    def worker(self):
        """The service's process that computes: the one with the most memory."""
        import psutil

        children = psutil.Process(self.service[0].pid).children(recursive=True)
        return max(children, key=lambda child: child.memory_info().rss)

    def worker_cpu_s(self) -> float:
        return sum(self.worker().cpu_times()[:2])


class PeakWatch:
    """The largest resident memory of a process, looked at ten times a second."""

    def __init__(self, process):
        self._process, self._peak, self._stopped = process, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def stop(self) -> float:
        self._stopped.set()
        self._thread.join()
        return self._peak / 2**30


def serve(world: str, scratch: str) -> None:
    """Orders come as lines of JSON, [name, arguments]; answers go the same way."""
    build, answers = Build(Path(world), Path(scratch)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answers.write(json.dumps(getattr(build, name)(*arguments)) + "\n")
        answers.flush()
    build.end_service()


# --- the parent --------------------------------------------------------------------------------------------


class Child:
    def __init__(self, name: str, build: Path, world: Path, scratch: Path):
        self.name = name
        scratch.mkdir()
        command = [sys.executable, "-P", __file__, "--child", str(world), str(scratch)]
        environment = os.environ | {"PYTHONPATH": str(build), "LOOKBEYOND_RUNTIME_DIR": str(scratch / "run")}
        self._process = subprocess.Popen(
            command, cwd=build, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, name: str, *arguments) -> dict:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended while it was asked for {name}")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def make_world(folder: Path) -> None:
    """A room of exact colour and distance, a photo taken in it, and what this build makes of that."""
    import numpy as np

    from lookbeyond.data.rooms import render_panoramas
    from lookbeyond.evaluation.scenes import held_out_room, to_bytes
    from lookbeyond.files import save_panorama, write_png
    from lookbeyond.geometry.panorama import Panorama
    from lookbeyond.geometry.projection import place_photo
    from lookbeyond.pipelines.scene import ScenePipeline

    scene = held_out_room(ROOM)
    colour, _ = render_panoramas(scene.room, 2048, 4096)
    _, distance = render_panoramas(scene.room, 512, 1024)
    own = place_photo(scene.photo, scene.camera, 4096)[1]
    world = Panorama(
        to_bytes(colour[0]),
        distance[0, 0].numpy(),
        own.astype(np.uint8) * 255,
        camera_height=scene.camera_height,
        photo_camera=scene.camera,
    )
    save_panorama(folder, world)
    write_png(folder.parent / "photo.png", scene.photo)
    made = ScenePipeline.from_preset().build_world(
        scene.photo, scene.camera, camera_height=scene.camera_height, width=4096, room="on"
    )
    save_panorama(folder.parent / "made", made)
    (folder.parent / "photo.json").write_text(json.dumps(scene.camera.to_dict()))


@dataclass(frozen=True)
class Row:
    """One line of a table: what every build took in the median."""

    title: str
    load: float
    """Of the machine, when it was measured."""
    builds: dict[str, dict[str, float]]
    """By build, its medians: "s", "cpu_s" and whatever else the order answers."""

    @property
    def cells(self) -> list[str]:
        """The title, each build, and how many times as fast the last one is: by the clock, by processor seconds."""
        found = list(self.builds.values())
        times = ""
        if len(found) == 2:
            times = f"{found[0]['s'] / found[1]['s']:.1f} times"
            times += f" ({found[0]['cpu_s'] / found[1]['cpu_s']:.1f})" if found[1]["cpu_s"] else ""
        return [self.title, *map(self._text, found), times, f"{self.load:.1f}"]

    @staticmethod
    def _text(medians: dict[str, float]) -> str:
        text = f"{medians['s']:.3g} s"
        text += f" ({medians['cpu_s']:.3g} of processors)" if medians["cpu_s"] else ""
        if "peak_gb" in medians:
            text += f", {medians['peak_gb']:.2f} GB, time to come off by {medians['eta_error']:.0%}"
        return text


def side_by_side(children: list[Child], title: str, repeats: int, *order) -> Row:
    """What every build takes for an order, in turn."""
    answers: dict[str, list[dict]] = {child.name: [] for child in children}
    for _ in range(repeats):
        for child in children:
            answers[child.name].append(child.ask(*order))
    builds = {
        name: {key: statistics.median(one[key] for one in given) for key in given[0]} for name, given in answers.items()
    }
    row = Row(title, os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan, builds)
    print("| " + " | ".join(row.cells) + " |", flush=True)
    return row


def orders_of(parts: Sequence[str]) -> dict[str, list[tuple]]:
    """By table: title, how often if not as often as asked, and the order to a build with its arguments."""
    warps = [
        ("`warp_to_views`, 1920 x 1080, from a world of 4096", 0, "warp", "world"),
        ("the same from an anchor of 1920 x 1080", 0, "warp", "anchor"),
    ]
    colours = [("the colours of a path of 100 cameras, in the add-on", 0, "colours")]
    shots = []
    for part, shot in SHOTS.items():
        of, frames, width, height, *_ = shot
        if part in parts:
            made = ", a world from a photo" if of == "made" else ""
            shots.append((f"{frames} frames {width} x {height}{made}, warm", 0, "shot", *shot))
    long = [(f"{frames} frames 96 x 64", 1, "shot", "world", frames, 96, 64, 65.0, 0.8) for frames in (100, 3000)]
    first = [
        ("from the start of the service", 0, "first_world", 0.0),
        ("of a service that was started 30 s before", 0, "first_world", 30.0),
    ]
    return {
        "warp": warps * ("warp" in parts) + colours * ("colours" in parts),
        "shots": shots,
        "long": long * ("long" in parts),
        "first": first * ("cold" in parts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="a folder with the former build")
    parser.add_argument("--parts", default=",".join(PARTS[:-1]))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--world", type=Path, help="a world of an earlier run, with photo.png and photo.json beside it")
    parser.add_argument("--json", type=Path, help="a file that keeps the rows, beside those of other parts")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(*options.child)
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.kept_tables import keep_rows
    from tests.support.machine import machine

    print(f"{machine()}; medians of {options.repeats}, seconds\n", flush=True)
    parts = options.parts.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        world = options.world.resolve() if options.world else Path(scratch) / "world"
        if not world.is_dir():
            make_world(world)
        builds = ([("former", options.against.resolve())] if options.against else []) + [("now", ROOT)]
        children = [Child(name, build, world, Path(scratch) / name) for name, build in builds]
        for table, orders in orders_of(parts).items():
            rows = [side_by_side(children, title, once or options.repeats, *order) for title, once, *order in orders]
            if rows:
                keep_rows(options.json, table, [["", *rows[0].builds, "", "load"], *(row.cells for row in rows)])
        for child in children:
            child.close()


if __name__ == "__main__":
    main()
