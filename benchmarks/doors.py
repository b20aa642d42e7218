"""Through the door: frames around the crossing from one world to another, on held-out pairs of rooms.

    python benchmarks/doors.py [--rooms 0-11] [--worlds exact|photos|frame] [--pictures FOLDER]
                               [--json docs/research/doors.json]

Two rooms are joined by a doorway (`tests.support.two_rooms`); a camera goes from one into the other, and what it
truly sees is known. Three pairs of worlds are joined:

exact   both photographers' true panoramas, with true distances
photos  worlds of two photos: the first photographer's, and one taken half a metre before the doorway
frame   the first of these, and a world of a frame that was shot in it a metre before the doorway

The opening is found as `lookbeyond link` finds it; where the first world has no walls there, it is given. Judged are
the frames CROSSING_M around the opening, on the pixels that both worlds show: PSNR against what the camera truly sees,
and of one world's frame against the other's; the first alone, the second alone, and a plain cross-fade beside it.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_rows
from lookbeyond.data.rooms import HELD_OUT_SEED
from lookbeyond.errors import InputError
from lookbeyond.evaluation.metrics import psnr
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.layout import box_layout
from lookbeyond.geometry.opening import Opening
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.linking.find import find_opening
from lookbeyond.linking.judge import linked
from lookbeyond.pipelines.full_size import WarpedFrame, warp_frames
from lookbeyond.pipelines.scene import ScenePipeline
from tests.support.two_rooms import TwoRooms, draw_two_rooms

WIDTH = 1024
"""Of the worlds, pixels."""
FRAME = (256, 144)
CROSSING_M = (1.0, 0.5, 0.25, 0.02, -0.02, -0.25, -0.5, -1.0)
"""Metres before the opening, in the first room, and behind it."""
SEAM_M = 0.3
"""Frames so near to the opening are the seam."""
LENS = math.radians(75)
WANTED_DB = 26
SAID = {
    "exact": "true panoramas",
    "photos": "two photos",
    "frame": "a photo and a frame of its world",
}
HEAD = (
    "worlds, frames",
    "pairs",
    "of the frame both show",
    "joined, dB",
    "worst pair",
    "first alone",
    "second alone",
    "cross-fade",
    "one against the other",
    f"at least {WANTED_DB} dB",
    "all that is shown",
    "what both photos saw",
)


def camera_before(rooms: TwoRooms, away_m: float, size: tuple[int, int] = FRAME) -> Camera:
    """A camera before the doorway that looks straight through it."""
    opening = rooms.opening
    heading = math.atan2(-opening.normal[1], -opening.normal[0])
    place = np.array([*opening.centre[:2], 0.0]) + away_m * opening.normal
    return placed_camera(*size, LENS, heading_rad=heading, position=place)


def exact_worlds(rooms: TwoRooms) -> tuple[Panorama, Panorama]:
    room = rooms.first
    (centre, half), yaw = room.shell[0].double().numpy(), float(room.yaw[0])
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    ceiling = float(centre[2] + half[2])
    layout = box_layout(turn @ centre[:2], 2 * half[:2], yaw, -float(room.camera_height[0]), ceiling)
    first = replace(rooms.panorama(np.zeros(3), WIDTH), layout=layout)
    return first, rooms.panorama(rooms.second_to_first[:3, 3], WIDTH)


def made_worlds(rooms: TwoRooms, kind: str, pipeline: ScenePipeline) -> tuple[Panorama, Panorama]:
    """Worlds of photos, or the second one of a frame."""
    height = float(rooms.first.camera_height[0])
    camera = placed_camera(768, 576, LENS)
    first = pipeline.build_world(rooms.view(camera).colour, camera, camera_height=height, width=WIDTH)
    if kind == "photos":
        there = camera_before(rooms, 0.5, (768, 576))
        photo = rooms.view(there).colour
    else:
        there = camera_before(rooms, 1.0, (768, 432))
        photo = pipeline.fill_anchor(first, there, []).colour
    return first, pipeline.build_world(photo, there, camera_height=height, width=WIDTH)


def opening_of(rooms: TwoRooms, first: Panorama, second: Panorama) -> tuple[Opening, bool]:
    """The opening, and whether it was found."""
    try:
        found, _ = find_opening(first, second)
    except InputError:
        return rooms.opening, False
    if np.linalg.norm(found.centre - rooms.opening.centre) > 1:
        return rooms.opening, False
    return found, True


@dataclass(frozen=True)
class Crossing:
    """Figures of one frame, dB, on what both worlds show."""

    away_m: float
    both: float
    """Share of the frame."""
    joined: float
    first: float
    second: float
    fade: float
    between: float
    """Of one world's frame against the other's."""
    everywhere: float
    """Of all that either world shows."""
    photographed: float
    """Of what both photos saw, where worlds are made of photos."""


@dataclass(frozen=True)
class Pair:
    """What became of two rooms."""

    found: bool
    """Whether the opening was found; otherwise it was given."""
    off_m: float
    """Of the opening's centre."""
    crossings: Sequence[Crossing]
    """None where the two worlds were not joined."""


def judge_frame(
    rooms: TwoRooms, joined: Panorama, away_m: float, share: float
) -> tuple[Crossing | None, list[np.ndarray]]:
    """share: of the second world in a cross-fade."""
    assert joined.beyond is not None
    camera = camera_before(rooms, away_m)
    truth = rooms.view(camera).colour
    frame = _drawn(joined, camera)
    first, second = _drawn(replace(joined, beyond=None), camera), _drawn(joined.beyond.panorama, camera)
    both = first.known & second.known
    pictures = [truth, frame.colour, first.colour, second.colour]
    if both.mean() < 0.01:
        return None, pictures
    mixed = (first.colour + (second.colour.astype(float) - first.colour) * share).round().astype(np.uint8)
    figures = [psnr(image, truth, both) for image in (frame.colour, first.colour, second.colour, mixed)]
    between = psnr(first.colour, second.colour, both)
    saw = both & (first.from_photo > 127) & (second.from_photo > 127)
    photographed = psnr(frame.colour, truth, saw) if saw.sum() > 100 else np.nan
    known = psnr(frame.colour, truth, frame.known)
    return Crossing(away_m, float(both.mean()), *figures, between, known, photographed), pictures


def _drawn(world: Panorama, camera: Camera) -> WarpedFrame:
    return next(iter(warp_frames(world.shrunk_for(camera), [camera])))


def judge_rooms(number: int, kind: str, pipeline: ScenePipeline | None, pictures: Path | None) -> Pair:
    rooms = draw_two_rooms(HELD_OUT_SEED + number)
    first, second = exact_worlds(rooms) if pipeline is None else made_worlds(rooms, kind, pipeline)
    opening, found = opening_of(rooms, first, second)
    off_m = float(np.linalg.norm(opening.centre - rooms.opening.centre))
    try:
        link, fit = linked(first, second, np.eye(4), opening)
    except InputError as error:
        print(f"rooms {number}: refused: {error}", flush=True)
        return Pair(found, off_m, [])
    joined = link.joined(first, second)
    crossings, rows = [], []
    for place, away in enumerate(CROSSING_M):
        crossing, row = judge_frame(rooms, joined, away, (place + 0.5) / len(CROSSING_M))
        rows.append(np.vstack(row))
        if crossing is not None:
            crossings.append(crossing)
    seam = [each for each in crossings if abs(each.away_m) <= SEAM_M]
    print(
        f"rooms {number}: opening {'found' if found else 'given'}, {off_m:.2f} m off, {opening.width:.2f} m wide "
        f"(truly {rooms.opening.width:.2f}), open {fit.open_in_first:.0%} and {fit.open_in_second:.0%}, "
        f"agreeing {fit.agreeing:.0%}, gain {link.gain}; seam "
        f"{', '.join(f'{each.joined:.1f}' for each in seam)} dB",
        flush=True,
    )
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.hstack(rows)).save(pictures / f"{kind}-{number}.png")
    return Pair(found, off_m, crossings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", default="0-11", help="numbers of held-out pairs, first-last")
    parser.add_argument("--worlds", choices=("exact", "photos", "frame"), default="exact")
    parser.add_argument("--pictures", type=Path, help="truth, both joined, first and second into this folder")
    parser.add_argument("--json", type=Path, help="put the rows into the table of this file")
    options = parser.parse_args()
    first, _, last = options.rooms.partition("-")
    pipeline = None if options.worlds == "exact" else ScenePipeline.from_preset("builtin")
    numbers = range(int(first), int(last or first) + 1)
    pairs = [judge_rooms(number, options.worlds, pipeline, options.pictures) for number in numbers]
    joined = [pair for pair in pairs if pair.crossings]
    found_off_m = [pair.off_m for pair in pairs if pair.found]
    about = {
        "pairs": len(pairs),
        "first_pair": int(first),
        "joined": len(joined),
        "openings_found": len(found_off_m),
        "off_m_at_most": max(found_off_m, default=None),
    }
    if pipeline is not None:
        about |= {"preset": pipeline.preset, "revision": pipeline.revision}
    print(about)
    if not joined:
        sys.exit("nothing was joined")
    rows = [
        list(HEAD),
        row(f"{SAID[options.worlds]}, up to {SEAM_M:g} m", joined, SEAM_M),
        row(f"{SAID[options.worlds]}, up to 1 m", joined, 2.0),
    ]
    print(rows_as_markdown(rows))
    keep_rows(options.json, "doors", rows, **{options.worlds: about})


def row(title: str, pairs: Sequence[Pair], near_m: float) -> list[str]:
    """Means over the pairs of the means over their frames that are so near to the opening."""
    some = [[each for each in pair.crossings if abs(each.away_m) <= near_m] for pair in pairs]
    figures = np.array([np.mean([_figures(each) for each in pair], 0) for pair in some if pair])
    both, joined, first, second, fade, between, everywhere, _ = figures.mean(0)
    saw = figures[np.isfinite(figures[:, 7]), 7]
    return [
        title,
        str(len(figures)),
        f"{both:.0%}",
        *(f"{each:.1f}" for each in (joined, figures[:, 1].min(), first, second, fade, between)),
        f"{np.mean(figures[:, 1] >= WANTED_DB):.0%}",
        f"{everywhere:.1f}",
        f"{saw.mean():.1f} ({len(saw)} pairs)" if saw.size else "–",
    ]


def _figures(each: Crossing) -> list[float]:
    return [
        each.both,
        each.joined,
        each.first,
        each.second,
        each.fade,
        each.between,
        each.everywhere,
        each.photographed,
    ]


if __name__ == "__main__":
    main()
