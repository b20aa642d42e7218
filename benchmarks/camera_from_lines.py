"""How well pitch, roll and field of view are found from a photo's lines.

    python benchmarks/camera_from_lines.py --panoramas FOLDER

Sixty-four photos, held at up to 15 degrees of pitch and roll and 60 to 100 degrees wide: half cut from the two indoor
panoramas that Blender brings (`interior.exr`, `studio.exr`; FOLDER is Blender's datafiles/studiolights/world), half
rendered in the sixteen held-out rooms. Nothing was tuned on either. Each is looked at twice: its field of view known,
as from EXIF, and not.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from lookbeyond.data.panoramas import read_picture
from lookbeyond.data.rooms import HELD_OUT_SEED, Rooms, render_panoramas, render_views
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


def report(cases: list[Case]) -> None:
    known = [camera_from_photo(case.photo, case.camera.fov_x) for case in cases]
    unknown = [camera_from_photo(case.photo) for case in cases]
    kinds = [*dict.fromkeys(case.kind for case in cases), "all"]
    for title, found in (("field of view known", known), ("field of view not known", unknown)):
        print(title)
        for kind in kinds:
            chosen = [(case, one) for case, one in zip(cases, found, strict=True) if kind in ("all", case.kind)]
            for name, index in (("pitch", 1), ("roll", 2)):
                truth = [heading_pitch_roll(case.camera)[index] for case, _ in chosen]
                _print_angle(f"{kind:9} {name:5}", [getattr(one, name) for _, one in chosen], np.array(truth))
    print("field of view, where the lines tell it")
    for kind in kinds:
        _print_fov(kind, [(c, one) for c, one in zip(cases, unknown, strict=True) if kind in ("all", c.kind)])


def _print_angle(name: str, estimates: list[Estimate], truth: np.ndarray) -> None:
    error = np.degrees(np.abs([estimate.value_rad for estimate in estimates] - truth))
    found = np.array([estimate.source == FROM_LINES for estimate in estimates])
    unsure = np.degrees([estimate.uncertainty_rad for estimate in estimates if estimate.uncertainty_rad is not None])
    print(
        f"  {name} found in {found.sum():2} of {len(found)}: median error {np.median(error[found]):.2f}°, 90 % below "
        f"{np.quantile(error[found], 0.9):.2f}°, within 3° {np.mean(error[found] <= 3):.0%}, within the stated ± "
        f"{np.mean(error[found] <= unsure):.0%}, within twice that {np.mean(error[found] <= 2 * unsure):.0%}; "
        f"of all photos: median {np.median(error):.2f}°, within 3° {np.mean(error <= 3):.0%}"
    )


def _print_fov(kind: str, chosen: list[tuple[Case, CameraFromPhoto]]) -> None:
    wide = [(case, one) for case, one in chosen if one.fov_x.source == FROM_LINES]
    error = np.array([abs(one.fov_x.value_rad / case.camera.fov_x - 1) for case, one in wide])
    unsure = np.array([(one.fov_x.uncertainty_rad or 0) / case.camera.fov_x for case, one in wide])
    print(
        f"  {kind:9} found in {len(wide):2} of {len(chosen)}: median error {np.median(error):.1%}, 90 % below "
        f"{np.quantile(error, 0.9):.1%}, within the stated ± {np.mean(error <= unsure):.0%}, "
        f"within twice that {np.mean(error <= 2 * unsure):.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panoramas", type=Path, required=True, help="folder with interior.exr and studio.exr")
    options = parser.parse_args()
    report([*panorama_cases(options.panoramas), *room_cases()])


if __name__ == "__main__":
    main()
