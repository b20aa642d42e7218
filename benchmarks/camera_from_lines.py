"""How well pitch, roll and field of view are found from a photo's lines.

    python benchmarks/camera_from_lines.py --panoramas FOLDER [--json docs/research/camera_from_lines.json]

Sixty-four photos, held at up to 15 degrees of pitch and roll and 60 to 100 degrees wide: half cut from the two indoor
panoramas that Blender brings (`interior.exr`, `studio.exr`; FOLDER is Blender's datafiles/studiolights/world), half
rendered in the sixteen held-out rooms. Nothing was tuned on either. Each is looked at twice: its field of view known,
as from EXIF, and not.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kept_tables import keep_table
from lookbeyond.data.panoramas import read_picture
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_panoramas, render_views
from lookbeyond.evaluation.table import rows_as_markdown
from lookbeyond.geometry.cameras import Camera, heading_pitch_roll, placed_camera
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.layout.camera import FROM_LINES, CameraFromPhoto, Estimate, camera_from_photo

PANORAMAS, ROOMS = ("interior", "studio"), 16
OF_EACH_PANORAMA, OF_EACH_ROOM = 16, 2
MOST_DEG = 15.0


@dataclass(frozen=True, eq=False)
class Case:
    """A photo whose camera is known."""

    kind: str
    photo: np.ndarray
    camera: Camera


def panorama_cases(folder: Path) -> Iterator[Case]:
    """Photos all around the panoramas. They are small (1024 wide), so that photos of them are soft."""
    for number, name in enumerate(PANORAMAS):
        panorama = read_picture(folder / f"{name}.exr")
        rng = np.random.default_rng(number)
        for turn in range(OF_EACH_PANORAMA):
            camera = _drawn_camera(rng, 512, heading_rad=2 * math.pi * turn / OF_EACH_PANORAMA)
            yield Case(name, extract_perspective(panorama, camera, interpolation="cubic"), camera)


def room_cases(first_seed: int = 0) -> Iterator[Case]:
    """Photos in rooms, towards where they are open."""
    for seed in range(first_seed, first_seed + ROOMS):
        room = Rooms.from_seeds([HELD_OUT_SEED + seed])
        distance = render_panoramas(room, 64, 128)[1]
        rng = np.random.default_rng(seed)
        openness = distance[0, 0, 28:36].mean(0).numpy()
        for _ in range(OF_EACH_ROOM):
            azimuth = math.pi * (1 - (2 * rng.choice(128, p=openness / openness.sum()) + 1) / 128)
            turned = replace(room, yaw=room.yaw - azimuth)
            camera = _drawn_camera(rng, 512, heading_rad=0.0)
            # four rays a pixel: edges as a camera would show them
            fine = render_views(turned, [camera.resized(2 * camera.width, 2 * camera.height)])[0].colour
            photo = cv2.resize(fine, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
            yield Case("room", photo, camera)


def _drawn_camera(rng: np.random.Generator, width: int, heading_rad: float) -> Camera:
    fov = math.radians(rng.uniform(60, 100))
    pitch, roll = np.radians(rng.uniform(-MOST_DEG, MOST_DEG, 2))
    return placed_camera(width, width * 3 // 4, fov, heading_rad=heading_rad, pitch_rad=pitch, roll_rad=roll)


def tables(cases: list[Case]) -> dict[str, list[list[str]]]:
    """How well angles and fields of view are found, by name; heads first."""
    known = [camera_from_photo(case.photo, case.camera.fov_x) for case in cases]
    unknown = [camera_from_photo(case.photo) for case in cases]
    kinds = [*dict.fromkeys(case.kind for case in cases), "all"]
    usual = ["found in", "median error", "90 % below", "within the stated ±", "within twice that"]
    angles = [["", *usual, "of all photos: median error", "within 3°"]]
    for title, found in (("field of view known", known), ("field of view unknown", unknown)):
        for kind in kinds:
            chosen = [(case, one) for case, one in zip(cases, found, strict=True) if kind in ("all", case.kind)]
            for name, index in (("pitch", 1), ("roll", 2)):
                truth = [heading_pitch_roll(case.camera)[index] for case, _ in chosen]
                estimates = [getattr(one, name) for _, one in chosen]
                angles.append([f"{title}, {kind}: {name}", *angle_cells(estimates, np.array(truth))])
    fields = [["", *usual]]
    for kind in kinds:
        chosen = [(case, one) for case, one in zip(cases, unknown, strict=True) if kind in ("all", case.kind)]
        fields.append([kind, *fov_cells(chosen)])
    return {"angles": angles, "fields of view": fields}


def angle_cells(estimates: list[Estimate], truth: np.ndarray) -> list[str]:
    """truth: radians."""
    error = np.degrees(np.abs([estimate.value_rad for estimate in estimates] - truth))
    found = np.array([estimate.source == FROM_LINES for estimate in estimates])
    unsure = np.degrees([estimate.uncertainty_rad for estimate in estimates if estimate.uncertainty_rad is not None])
    return [
        f"{found.sum()} of {len(found)}",
        f"{np.median(error[found]):.2f}°",
        f"{np.quantile(error[found], 0.9):.2f}°",
        f"{np.mean(error[found] <= unsure):.0%}",
        f"{np.mean(error[found] <= 2 * unsure):.0%}",
        f"{np.median(error):.2f}°",
        f"{np.mean(error <= 3):.0%}",
    ]


def fov_cells(chosen: list[tuple[Case, CameraFromPhoto]]) -> list[str]:
    wide = [(case, one) for case, one in chosen if one.fov_x.source == FROM_LINES]
    error = np.array([abs(one.fov_x.value_rad / case.camera.fov_x - 1) for case, one in wide])
    unsure = np.array([(one.fov_x.uncertainty_rad or 0) / case.camera.fov_x for case, one in wide])
    return [
        f"{len(wide)} of {len(chosen)}",
        f"{np.median(error):.1%}",
        f"{np.quantile(error, 0.9):.1%}",
        f"{np.mean(error <= unsure):.0%}",
        f"{np.mean(error <= 2 * unsure):.0%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panoramas", type=Path, required=True, help="folder with interior.exr and studio.exr")
    parser.add_argument("--json", type=Path, help="put the tables into this file")
    options = parser.parse_args()
    for name, rows in tables([*panorama_cases(options.panoramas), *room_cases()]).items():
        print(rows_as_markdown(rows))
        keep_table(options.json, name, rows)


if __name__ == "__main__":
    main()
