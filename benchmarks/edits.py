"""Furniture taken out of held-out rooms: is what shows then the room without it, and does the spot show?

    python benchmarks/edits.py [--rooms 34-63] [--given photo|sphere] [--pictures FOLDER]
                               [--json docs/research/edits.json]

Of every room the largest furnished spot that its photo shows is emptied: a piece of furniture together with all that
touches it in the picture. The world is made as the product makes it: of the photo (768 pixels wide) and its camera
(`--given photo`), or of the true 360° picture of the furnished room (`--given sphere`); nothing else of the room is
told. The mask is what the artist would paint: all pixels where the furnished room looks otherwise than the same room
without those things, which are the things and their shadow, and a brush's margin around. In a photo's world it is what
the photo shows of that, and beside the photo's border some more, where the world continues what the border cuts; there
nothing is judged. Truth inside the mask is the picture of that emptier room.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_rows
from inference_service.wire.requests import WORLD_FILES, ShotRequest
from inference_service.work.requests import check_shot
from inference_service.work.units.clip import ShootClip
from inference_service.work.units.plan import Plan, PlannedAnchor
from lookbeyond import presets
from lookbeyond.data.room_drawing import ELLIPSOIDS, RoomDrawing
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, compile_renderer, render_panoramas, render_views
from lookbeyond.editing.edit import remove
from lookbeyond.editing.unchanged import is_whole, latest_same
from lookbeyond.errors import InputError
from lookbeyond.evaluation.metrics import psnr
from lookbeyond.evaluation.scenes import PATHS, Scene, held_out_room, to_bytes
from lookbeyond.evaluation.straightness import jump_across
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.files import load_panorama, save_panorama
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import plan_shot
from lookbeyond.geometry.layout import RoomLayout
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import equirectangular_directions, place_photo
from lookbeyond.pipelines.scene import ScenePipeline

WIDTH = 1024
PHOTO_WIDTH = 768
SHADE = 4
"""Levels of 255 by which a pixel has to change to be painted over."""
BRUSH = 6
"""Pixels of margin."""
BEYOND = 40
"""Pixels by which a spot that the photo's border cuts is painted over beside the photo."""
SHARES = (0.002, 0.1)
"""Of the sphere, that the photo shows of a spot."""
WANTED_DB, WANTED_JUMP = 24, 1.5
SAID = {"photo": "world of a photo", "sphere": "world of a true 360° picture"}
SPOT_HEAD = [
    "",
    "spots",
    "PSNR inside, dB: median",
    "mean",
    "10 %",
    f"at least {WANTED_DB} dB",
    "furnished, median",
    "without doors and windows behind: median",
    "mean",
    f"at least {WANTED_DB} dB",
    "jump across the edge: median",
    "mean",
    "90 %",
    f"at most {WANTED_JUMP}",
    "truth, median",
]
SHOT_HEAD = ["", "shots of 48 frames", "frames that see the change", "made again", "shots of which some are kept"]


@dataclass(frozen=True)
class Thing:
    """Something that stands or hangs in a room."""

    boxes: tuple[int, ...]
    ball: int
    """Number of its ellipsoid; -1: none."""
    furniture: bool


class KnownThings(RoomDrawing):
    """A room of which one knows which boxes are one thing."""

    def __init__(self, rng: np.random.Generator):
        super().__init__(rng)
        self.things: list[Thing] = []

    def draw(self) -> dict[str, np.ndarray]:
        drawn = super().draw()
        # the hanging lamp and each ball, without the foot of a ball that stands on one
        self.things += [Thing((), number, False) for number in range(ELLIPSOIDS) if self.ellipsoids[number, 2] > -100]
        return drawn

    def _place(self, x: float, y: float, yaw: float, parts) -> None:
        first = self.next_box
        super()._place(x, y, yaw, parts)
        if self.next_box > first:
            deep = max(half[1] for _, _, _, half, _, _ in parts) > 0.06  # no picture, no curtain
            self.things.append(Thing(tuple(range(first, self.next_box)), -1, deep))

    def _draw_balls(self) -> None:
        first = self.next_box
        super()._draw_balls()
        self.things += [Thing((number,), -1, False) for number in range(first, self.next_box)]


@dataclass(frozen=True)
class Case:
    """A spot of a room, and what is truly behind it."""

    scene: Scene
    furnished: np.ndarray
    """uint8 [H, W, 3], the true panorama."""
    empty: np.ndarray
    """The same without its things."""
    spot: np.ndarray
    """bool [H, W]"""


def without(room: Rooms, things: Sequence[Thing]) -> Rooms:
    boxes, balls = room.boxes.clone(), room.ellipsoids.clone()
    for thing in things:
        boxes[0, list(thing.boxes), :3] = torch.tensor([0, 0, -1000.0])
        if thing.ball >= 0:
            balls[0, thing.ball, :3] = torch.tensor([0, 0, -1000.0])
    return replace(room, boxes=boxes, ellipsoids=balls)


def sphere_of(room: Rooms, width: int) -> np.ndarray:
    """The true panorama, uint8 [width / 2, width, 3]."""
    return to_bytes(render_panoramas(room, width // 2, width)[0][0])


def mask_of(furnished: np.ndarray, empty: np.ndarray, margin: int) -> np.ndarray:
    changed = (np.abs(furnished.astype(int) - empty).max(-1) > SHADE).astype(np.uint8)
    changed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return cv2.dilate(changed, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2)) > 0


def case_of(number: int) -> Case | None:
    """The largest furnished spot of a room that its photo shows; None where there is none."""
    drawing = KnownThings(np.random.default_rng(HELD_OUT_SEED + number))
    drawing.draw()
    scene = held_out_room(number)
    assert scene.room is not None
    small = sphere_of(scene.room, 256)
    seen = seen_by(scene.camera, 256)
    rows = np.cos((np.arange(128) + 0.5) / 128 * np.pi - np.pi / 2)[:, None]
    margin = round(BRUSH * 256 / WIDTH)
    masks = [mask_of(small, sphere_of(without(scene.room, [thing]), 256), margin) for thing in drawing.things]
    best, most = None, SHARES[0]
    for group in groups(masks):
        spot = np.any([masks[each] for each in group], 0)
        things = [drawing.things[each] for each in group]
        share = float(((spot & seen) * rows).sum() / (256 * rows.sum()))
        if most < share < SHARES[1] and any(thing.furniture for thing in things):
            best, most = things, share
    if best is None:
        return None
    furnished, empty = (sphere_of(room, WIDTH) for room in (scene.room, without(scene.room, best)))
    return Case(scene, furnished, empty, mask_of(furnished, empty, BRUSH))


def groups(masks: Sequence[np.ndarray]) -> list[list[int]]:
    """Numbers of masks that overlap, directly or by others."""
    touching = [[bool((first & second).any()) for second in masks] for first in masks]
    count, labels = connected_components(csr_array(np.array(touching, int).reshape(len(masks), -1)), directed=False)
    return [np.flatnonzero(labels == number).tolist() for number in range(count)] if masks else []


def seen_by(camera: Camera, width: int) -> np.ndarray:
    """bool [width / 2, width]: what a photo shows."""
    return place_photo(np.full((camera.height, camera.width, 3), 255, np.uint8), camera, width)[1]


def world_of(case: Case, given: str, pipeline: ScenePipeline, number: int) -> Panorama:
    scene = case.scene
    if given == "sphere":
        return pipeline.measure_world(case.furnished, camera_height=scene.camera_height, seed=number)
    camera = scene.camera.resized(PHOTO_WIDTH, round(PHOTO_WIDTH * scene.camera.height / scene.camera.width))
    assert scene.room is not None
    photo = render_views(scene.room, [camera])[0].colour
    return pipeline.build_world(photo, camera, camera_height=scene.camera_height, width=WIDTH, seed=number)


def in_photo(case: Case) -> tuple[Case, np.ndarray]:
    """The part of a spot that a photo shows, and the mask of it: beside the photo it goes on for `BEYOND` pixels, where
    the world continues what the photo's border cuts."""
    seen = seen_by(case.scene.camera, WIDTH)
    spot = case.spot & seen
    grown = cv2.dilate(spot.astype(np.uint8), np.ones((2 * BEYOND + 1,) * 2, np.uint8)) > 0
    return replace(case, spot=spot), spot | (grown & ~seen)


def kept_case(number: int, folder: Path | None) -> Case | None:
    """`case_of`, from a folder of kept files where it is there."""
    file = folder and folder / f"case-{number}.npz"
    if file and file.is_file():
        arrays = np.load(file)
        return Case(held_out_room(number), **arrays) if arrays.files else None
    case = case_of(number)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {} if case is None else {"furnished": case.furnished, "empty": case.empty, "spot": case.spot}
        np.savez_compressed(file, **arrays)
    return case


def kept_world(case: Case, given: str, pipeline: ScenePipeline, number: int, folder: Path | None) -> Panorama:
    """`world_of`, from a folder of kept files where it is there."""
    kept = folder and folder / f"{given}-{number}"
    if kept and kept.is_dir():
        return load_panorama(kept)
    world = world_of(case, given, pipeline, number)
    if kept:
        save_panorama(kept, world, {})
    return world


def openings_of(scene: Scene) -> np.ndarray:
    """bool [H, W]: where one would look through a door or a window if nothing stood in the room."""
    assert scene.room is not None
    room = scene.room
    boxes, balls = torch.full_like(room.boxes, 0.01), torch.full_like(room.ellipsoids, 0.01)
    boxes[..., 2] = balls[..., 2] = -1000.0
    bare = render_panoramas(replace(room, boxes=boxes, ellipsoids=balls), WIDTH // 4, WIDTH // 2)[1][0, 0].numpy()
    walls = scene.layout.cast(np.zeros(3), equirectangular_directions(WIDTH // 2, WIDTH // 4))[0]
    return cv2.resize((bare > 1.02 * walls).astype(np.uint8), (WIDTH, WIDTH // 2), interpolation=cv2.INTER_NEAREST) > 0


def remade(world: Panorama, after: Panorama, cameras: Sequence[Camera]) -> tuple[float, float]:
    """Shares of a shot's frames: that see the change, or nearly; and that are made again in the changed world."""
    names = [{name: letter * 64 for name in WORLD_FILES} for letter in "ab"]
    plain, per_clip = [camera.to_dict() for camera in cameras], presets.get("builtin").frames_per_clip
    frames: list[dict[str, int]] = []
    same: tuple[int, ...] = ()
    plans = []
    for panorama, files, former in ((world, names[0], []), (after, names[1], names[:1])):
        request = check_shot(ShotRequest(world=files, cameras=plain, former=former))
        found = plan_shot(request.cameras, panorama, frames_per_clip=per_clip, first_frame=1)
        anchors = tuple(PlannedAnchor(anchor.frame, tuple(anchor.before)) for anchor in found.anchors)
        plans.append(found)
        alone: tuple[int, ...] = ()
        if former:
            same = tuple(latest_same(after, [world], request.cameras))
            if plans[0] == found:
                own = enumerate(request.cameras[anchor.frame] for anchor in anchors if same[anchor.frame])
                numbers = [number for number, anchor in enumerate(anchors) if same[anchor.frame]]
                alone = tuple(numbers[place] for place, camera in own if is_whole(after, camera))
        units = request.units("r", Plan(anchors, tuple(found.clips), same, alone))
        frames.append({unit.identity: len(unit.cameras) for unit in units if isinstance(unit, ShootClip)})
    new = sum(count for identity, count in frames[1].items() if identity not in frames[0])
    return 1 - float(np.mean(same)), new / sum(frames[1].values())


def draw(path: Path, case: Case, mask: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    """Before, after and truth around the spot, one under the other."""
    rows, columns = np.nonzero(mask)
    window = np.s_[max(0, rows.min() - 60) : rows.max() + 60, max(0, columns.min() - 60) : columns.max() + 60]
    outline = mask ^ cv2.erode(mask.astype(np.uint8), np.ones((3, 3))).astype(bool)
    marked = np.where(outline[..., None], np.uint8([255, 0, 0]), before)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack([image[window] for image in (marked, after, case.empty)])).save(path)


def spot_jump(picture: np.ndarray, spot: np.ndarray, layout: RoomLayout, origin: np.ndarray) -> float:
    """`border_jump` of a spot's edge: spot [H, W] of a panorama [H, W, 3], beside the jump between neighbours outside.

    origin: [3], where the panorama was seen from.
    """
    height, width = spot.shape
    away = cv2.GaussianBlur(spot.astype(np.float32), (0, 0), 2.0)
    right, down = cv2.Sobel(away, cv2.CV_32F, 1, 0), cv2.Sobel(away, cv2.CV_32F, 0, 1)
    edges = cv2.findContours(spot.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    rays = equirectangular_directions(width, height).astype(np.float64)
    borders = []
    for u, v in np.concatenate(edges)[:, 0]:
        aside = np.array([right[v, u], down[v, u]])
        length = float(np.linalg.norm(aside))
        if length < 1e-6 or not 4 < v < height - 5:
            continue
        # outwards: what is outside is known, as the photo is within its border
        column, row = np.rint([u, v] - 4 * aside / length).astype(int)
        borders.append((rays[v, u], rays[row, column % width]))
    return jump_across(picture, borders, layout, origin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", default="34-63", help="numbers of held-out rooms, first-last")
    parser.add_argument("--given", choices=("photo", "sphere"), default="photo")
    parser.add_argument("--pictures", type=Path, help="before, after and truth into this folder")
    parser.add_argument("--keep", type=Path, help="keep pictures and worlds in this folder, and take them from it")
    parser.add_argument("--json", type=Path, help="put the rows into the tables of this file")
    options = parser.parse_args()
    first, _, last = options.rooms.partition("-")
    pipeline = ScenePipeline.from_preset("builtin")
    compile_renderer()
    rows: list[tuple[float, ...]] = []
    shares: list[tuple[float, float]] = []
    refused = skipped = 0
    for number in range(int(first), int(last or first) + 1):
        case = kept_case(number, options.keep)
        if case is None:
            skipped += 1
            continue
        world = kept_world(case, options.given, pipeline, number, options.keep)
        mask = case.spot
        if options.given == "photo":
            case, mask = in_photo(case)
        try:
            after = remove(world, mask)
        except InputError as error:
            refused += 1
            print(f"room {number}: {world.place.kind}, refused: {error}", flush=True)
            continue
        figure, bare = (psnr(image.colour, case.empty, case.spot) for image in (after, world))
        layout, origin = case.scene.layout, np.zeros(3)
        jump, true = (spot_jump(image, case.spot, layout, origin) for image in (after.colour, case.empty))
        closed = psnr(after.colour, case.empty, case.spot & ~openings_of(case.scene))
        rows.append((figure, bare, jump, true, closed))
        shares += [remade(world, after, case.scene.path(kind, 48, 96, 64)) for kind in PATHS]
        print(
            f"room {number}: {world.place.kind}, {case.spot.mean():.1%}, {figure:.1f} dB (furnished {bare:.1f}), "
            f"jump {jump:.2f} (truth {true:.2f})",
            flush=True,
        )
        if options.pictures:
            draw(options.pictures / f"{options.given}-{number}.png", case, mask, world.colour, after.colour)
    if not rows:
        sys.exit("nothing was removed")
    print(f"{len(rows)} removed, {refused} refused, {skipped} rooms whose photo shows no such spot")
    settings = {"preset": pipeline.preset, "revision": pipeline.revision, "rooms": options.rooms, "refused": refused}
    said = SAID[options.given]
    by_path = [[f"{said}, {kind}", *shot_cells(shares[place :: len(PATHS)])] for place, kind in enumerate(PATHS)]
    tables = {
        "spots": [SPOT_HEAD, [said, *spot_cells(rows)]],
        "shots": [SHOT_HEAD, *by_path, [f"{said}, all", *shot_cells(shares)]],
    }
    for name, table in tables.items():
        print(rows_as_markdown(table))
        keep_rows(options.json, name, table, **{options.given: settings})


def spot_cells(rows: Sequence[tuple[float, ...]]) -> list[str]:
    """Of the figures of some spots: PSNR, furnished, jump, the truth's, PSNR without what is open behind."""
    figure, bare, jump, true, closed = np.array(rows).T
    jump, true, closed = (each[np.isfinite(each)] for each in (jump, true, closed))
    return [
        str(len(rows)),
        *(f"{each:.1f}" for each in (np.median(figure), figure.mean(), np.quantile(figure, 0.1))),
        f"{(figure >= WANTED_DB).mean():.0%}",
        *(f"{each:.1f}" for each in (np.median(bare), np.median(closed), closed.mean())),
        f"{(closed >= WANTED_DB).mean():.0%}",
        *(f"{each:.2f}" for each in (np.median(jump), jump.mean(), np.quantile(jump, 0.9))),
        f"{(jump <= WANTED_JUMP).mean():.0%}",
        f"{np.median(true):.2f}",
    ]


def shot_cells(shares: Sequence[tuple[float, float]]) -> list[str]:
    sees, again = np.array(shares).T
    return [str(len(shares)), f"{sees.mean():.0%}", f"{again.mean():.0%}", f"{(again < 1).mean():.0%}"]


if __name__ == "__main__":
    main()
