"""Planned moves in held-out rooms: do they hit anything that is truly there, and how much of the photo do they see?

    python benchmarks/moves.py [--rooms 0-63] [--world predicted] [--pictures FOLDER] [--json docs/research/moves.json]

In every room: the move that shows it, two ways between places, and an end on a point of the photo, each a world's own
as it was predicted from the room's photo (or as it truly is: `--world true`). A move collides where a camera is inside
something of the *true* room. Beside them the preset moves of *Add Path*, as long as the same world allows.
"""

import argparse
import importlib.util
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_table
from lookbeyond.errors import InputError
from lookbeyond.evaluation.scenes import SHARP_WIDTH, Scene, held_out_room
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll
from lookbeyond.geometry.coverage import Coverage
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.pipelines.scene import ScenePipeline
from lookbeyond.planning.free_space import free_space
from lookbeyond.planning.goals import EndOn, FromTo, Goal, MoveSettings, ShowRoom
from lookbeyond.planning.plan import PlannedMove, first_view, plan_move

SIZE = (192, 108)
PRESETS = ("PUSH_IN", "WALK", "ORBIT", "LOOK_AROUND", "CRANE")
NEAR_M = 0.1
MOST_M = 4.0
"""As in the add-on's `path.add`, and the next."""
REACH_SHARE = 0.9


@dataclass(frozen=True)
class Moved:
    """What became of one move."""

    hits: int
    """Frames whose camera is inside something of the true room."""
    near: int
    """Frames whose camera is nearer to it than `NEAR_M`."""
    photo: float
    """Share of the views that the photo shows."""
    length_m: float = math.nan
    cpu_s: float = math.nan
    """Of planning it."""


def add_on_moves():
    """The add-on's own module of moves: it needs no Blender, but its package does."""
    path = Path(__file__).parents[1] / "blender_addon" / "path" / "moves.py"
    spec = importlib.util.spec_from_file_location("add_on_moves", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def preset_cameras(kind: str, world: Panorama, lens: Camera) -> list[Camera]:
    """What *Add Path* gives: the longest move of this kind that the world allows."""
    moves, coverage = add_on_moves(), Coverage(world)
    heading, pitch, _ = heading_pitch_roll(lens)
    cosine, sine = math.cos(heading), math.sin(heading)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    flat_m = max(0.3, float(world.distance_at(lens.forward)) * math.cos(pitch))
    turn_rad = math.radians(360 if kind == "LOOK_AROUND" else 65)
    frame = moves.MoveFrame(kind, turn_rad, flat_m, (0.0, 0.0, 0.0), flat_m * math.tan(pitch))

    def is_free(move) -> bool:
        places = world.position + move.samples() @ turn.T / REACH_SHARE
        return all(coverage.reach.too_far(place) <= 0 for place in places)

    move = frame.longest_move(MOST_M, is_free)
    places = world.position + move.samples(25) @ turn.T
    target = world.position + turn @ np.array(move.target)
    cameras = []
    for number, place in enumerate(places):
        step = places[min(number + 1, len(places) - 1)] - places[max(number - 1, 0)]
        if move.look == "TARGET":
            step = target - place
            pitch = math.atan2(step[2], math.hypot(step[0], step[1]))
        ahead = math.atan2(step[1], step[0])
        cameras.append(lens.placed(ahead, pitch, position=place))
    return cameras


def goals(world: Panorama, lens: Camera, rng: np.random.Generator) -> Iterator[tuple[str, Goal]]:
    """What is asked for in a room: places that its world says are free, a point that the photo shows."""
    yield "show the room", ShowRoom()
    free = free_space(world, MoveSettings().clearance_m)
    cells = np.argwhere(free.open)
    for _ in range(2):
        start, end = free.places(cells[rng.choice(len(cells), 2, replace=False)])
        yield "from here to there", FromTo((float(end[0]), float(end[1])), (float(start[0]), float(start[1])))
    column, row = rng.uniform(0.3, 0.7, 2) * SIZE
    ray = lens.rays_at([column, row])
    x, y, z = world.position + ray * float(world.distance_at(ray))
    yield "end on this", EndOn((float(x), float(y), float(z)))


def hits(scene: Scene, cameras, margin_m: float) -> int:
    """Frames whose camera is inside something of the true room, or nearer to it than this."""
    assert scene.room is not None
    places = torch.tensor(np.array([camera.position for camera in cameras]), dtype=torch.float32)[None]
    return int((~scene.room.free_positions(places, margin_m)).sum())


def moved(scene: Scene, cameras, photo: float, length_m: float = math.nan, cpu_s: float = math.nan) -> Moved:
    return Moved(hits(scene, cameras, 0.0), hits(scene, cameras, NEAR_M), photo, length_m, cpu_s)


def photo_share(world: Panorama, cameras) -> float:
    coverage = Coverage(world)
    return float(np.mean([coverage.known(camera).photo for camera in cameras[:: max(1, len(cameras) // 24)]]))


def draw(path: Path, scene: Scene, world: Panorama, moves: list[tuple[str, PlannedMove]]) -> None:
    """The plan of a room with its moves: free cells white, the true walls green, what was predicted dotted."""
    from matplotlib.figure import Figure

    free = free_space(world, MoveSettings().clearance_m)
    figure = Figure(figsize=(5 * len(moves), 5))
    half = free.cell_m * (free.middle + 0.5)
    steps = np.linspace(-half, half, 200)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(1, -1, 2)
    level = torch.tensor(np.concatenate([grid, np.zeros((1, grid.shape[1], 1))], -1), dtype=torch.float32)
    assert scene.room is not None
    solid = ~scene.room.free_positions(level, 0.0)[0].numpy().reshape(200, 200)
    for axes, (name, move) in zip(figure.subplots(1, len(moves), squeeze=False)[0], moves, strict=True):
        shade = np.where(free.open, 1.0, 0.75)
        box = (-half, half, -half, half)
        axes.imshow(shade.T, origin="lower", extent=box, cmap="gray", vmin=0, vmax=1)
        axes.contourf(steps, steps, solid.T, levels=[0.5, 1.5], colors=["#c0504060"])
        axes.plot(*np.vstack([scene.layout.corners, scene.layout.corners[:1]]).T, "g")
        if world.layout is not None:
            axes.plot(*np.vstack([world.layout.corners, world.layout.corners[:1]]).T, "k:")
        places = np.array([camera.position[:2] for camera in move.cameras])
        axes.plot(*places.T, "r")
        for camera in move.cameras[::12]:
            axes.arrow(*camera.position[:2], *(0.3 * camera.forward[:2]), color="b", width=0.005)
        axes.set_title(f"{name}: {move.length_m:.1f} m, photo {move.photo:.0%}")
        axes.set_xlim(-half, half)
        axes.set_ylim(-half, half)
    figure.savefig(path, dpi=70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", default="0-63", help="numbers of held-out rooms, first-last")
    parser.add_argument("--world", choices=("predicted", "true"), default="predicted")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further room after these")
    parser.add_argument("--pictures", type=Path, help="draw the plans into this folder")
    parser.add_argument("--json", type=Path, help="put the table into this file")
    options = parser.parse_args()
    first, _, last = options.rooms.partition("-")
    pipeline = ScenePipeline.from_preset("builtin") if options.world == "predicted" else None
    planned: dict[str, list[Moved]] = defaultdict(list)
    presets: dict[str, list[Moved]] = defaultdict(list)
    refused: list[str] = []
    rooms = 0
    ends = time.monotonic() + 60 * options.minutes
    for seed in range(int(first), int(last or first) + 1):
        if time.monotonic() > ends:
            break
        scene, rooms = held_out_room(seed), rooms + 1
        if pipeline is None:
            world = replace(scene.sharp_panorama, layout=scene.layout)
        else:
            world = pipeline.build_world(
                scene.photo, scene.camera, camera_height=scene.camera_height, width=SHARP_WIDTH, seed=seed
            )
        lens = first_view(world, *SIZE)
        drawn = []
        for name, goal in goals(world, lens, np.random.default_rng(seed)):
            worked = time.process_time()
            try:
                move = plan_move(world, goal, lens)
            except InputError as error:
                refused.append(f"room {seed}, {name}: {error}")
                continue
            cpu_s = time.process_time() - worked
            planned[name].append(moved(scene, move.cameras, move.photo, move.length_m, cpu_s))
            drawn.append((name, move))
        for kind in PRESETS:
            cameras = preset_cameras(kind, world, lens)
            presets[kind].append(moved(scene, cameras, photo_share(world, cameras)))
        if options.pictures and drawn:
            options.pictures.mkdir(parents=True, exist_ok=True)
            draw(options.pictures / f"{seed}.png", scene, world, drawn)
        hit = [hits(scene, move.cameras, 0.0) for _, move in drawn]
        print(f"room {seed}: {world.place.kind}, {len(drawn)} moves, frames that hit: {hit}", flush=True)
    for line in refused:
        print("refused:", line)
    rows = table(planned, presets)
    print(rows_as_markdown(rows))
    settings = {"rooms": rooms, "first_room": int(first), "world": options.world, "refused": refused}
    if pipeline is not None:
        settings |= {"preset": pipeline.preset, "revision": pipeline.revision}
    keep_table(options.json, "moves", rows, **settings)


def table(planned: dict[str, list[Moved]], presets: dict[str, list[Moved]]) -> list[list[str]]:
    """Rows of the planned moves by what was asked for, then of the presets; their head first."""
    head = ["", "moves", "without a hit", "0.1 m clear", "photo in the views", "length", "CPU s, mean", "most"]
    of_each = {f"preset: {kind.replace('_', ' ').lower()}": moves for kind, moves in presets.items()}
    of_all = [("all planned", [*chain(*planned.values())]), ("all presets", [*chain(*presets.values())])]
    return [head, *(row(*each) for each in (*planned.items(), of_all[0], *of_each.items(), of_all[1]))]


def row(name: str, moves: Sequence[Moved]) -> list[str]:
    shares = [
        f"{np.mean([each.hits == 0 for each in moves]):.1%}",
        f"{np.mean([each.near == 0 for each in moves]):.1%}",
        f"{np.mean([each.photo for each in moves]):.3f}",
    ]
    cpu_s = np.array([each.cpu_s for each in moves])
    if np.isnan(cpu_s).any():
        return [name, str(len(moves)), *shares, "", "", ""]
    length_m = np.mean([each.length_m for each in moves])
    return [name, str(len(moves)), *shares, f"{length_m:.2f} m", f"{cpu_s.mean():.2f}", f"{cpu_s.max():.2f}"]


if __name__ == "__main__":
    main()
