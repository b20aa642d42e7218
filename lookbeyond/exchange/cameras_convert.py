"""Converts camera moves between programs' files, and reports what each file cannot store.

Every format says what it carries. What a move has and the target format does not carry is reported in a sentence with
the amount, never dropped in silence.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera

from .camera_move import FAR_M, FPS, STILL_M, UNITS, CameraMove, centred
from .cameras_after_effects import write_after_effects
from .cameras_colmap import read_colmap, write_colmap
from .cameras_json import read_json_move, write_camera_path, write_transforms_move
from .cameras_text import read_chan, read_realestate10k_move, write_chan, write_realestate10k
from .cameras_usd import read_usd, write_usd

Part = Literal["size", "shift", "pixel aspect", "zoom", "frame rate", "frame numbers", "unit", "up", "names"]
PARTS: tuple[Part, ...] = get_args(Part)
"""What a camera move has besides its cameras' poses; `zoom` is a lens that changes during the move."""


@dataclass(frozen=True)
class Format:
    """A kind of camera file."""

    name: str
    title: str
    carries: frozenset[Part]
    axes: str
    """Which way the file's axes point."""
    # In the file's unit, unless it carries one: then in metres.
    read: Callable[[Path, "Reading"], CameraMove] | None
    write: Callable[[Path, CameraMove, "Writing"], None]


@dataclass(frozen=True)
class Reading:
    """What has to be known beside a file."""

    size: tuple[int, int] | None = None
    """Width and height in pixels, for formats that do not hold them."""
    unit: str = "m"
    """One of `UNITS`: the file's unit; USD states its own."""
    fps: float | None = None


@dataclass(frozen=True)
class Writing:
    unit: str = "m"
    up: str = "z"
    """For USD: "z" or "y"."""


def _sized(reading: Reading, path: Path, title: str) -> tuple[int, int]:
    if reading.size is None:
        raise InputError(f"{path}: {title} does not say how many pixels a frame has; give --size WIDTHxHEIGHT.")
    return reading.size


FORMATS = (
    Format(
        "transforms", "transforms.json (nerfstudio, instant-ngp)", frozenset(PARTS) - {"unit"},
        "Z up, camera looks along its -Z",
        lambda path, reading: read_json_move(path),
        lambda path, move, writing: write_transforms_move(path, move),
    ),
    Format(
        "colmap", "COLMAP model, binary", frozenset({"size", "shift", "pixel aspect", "zoom", "names"}),
        "as it was built, camera looks along its +Z",
        lambda path, reading: read_colmap(path),
        lambda path, move, writing: write_colmap(path, move, text=False),
    ),
    Format(
        "colmap-text", "COLMAP model, text", frozenset({"size", "shift", "pixel aspect", "zoom", "names"}),
        "as it was built, camera looks along its +Z",
        lambda path, reading: read_colmap(path),
        lambda path, move, writing: write_colmap(path, move, text=True),
    ),
    Format(
        "realestate10k", "RealEstate10K text",
        frozenset({"shift", "pixel aspect", "zoom", "frame rate", "frame numbers", "up"}),
        "Y down, camera looks along its +Z",
        lambda path, reading: read_realestate10k_move(path, *_sized(reading, path, "RealEstate10K")),
        lambda path, move, writing: write_realestate10k(path, move),
    ),
    Format(
        "usd", "USD", frozenset(PARTS) - {"names"}, "said in the file (Z or Y up), camera looks along its -Z",
        lambda path, reading: read_usd(path, *(reading.size or (None, None))),
        lambda path, move, writing: write_usd(path, move, UNITS[writing.unit], writing.up),
    ),
    Format(
        "chan", "Nuke .chan", frozenset({"zoom", "frame numbers", "up"}), "Y up, camera looks along its -Z",
        lambda path, reading: read_chan(path, *_sized(reading, path, "a .chan file")),
        lambda path, move, writing: write_chan(path, move),
    ),
    Format(
        "after-effects", "After Effects .jsx", frozenset({"size", "zoom", "frame rate", "frame numbers", "unit", "up"}),
        "Y down, camera looks along its +Z, 100 pixels a metre", None,
        lambda path, move, writing: write_after_effects(path, move),
    ),
    Format(
        "camera-path", "camera_path.json (nerfstudio viewer)", frozenset({"size", "zoom", "frame rate", "up"}),
        "Z up, camera looks along its -Z",
        lambda path, reading: read_json_move(path),
        lambda path, move, writing: write_camera_path(path, move),
    ),
)  # fmt: skip
_SUFFIXES = {".usd": "usd", ".usda": "usd", ".usdc": "usd", ".chan": "chan", ".jsx": "after-effects",
             ".txt": "realestate10k"}  # fmt: skip


def format_of(path: Path, chosen: str | None = None) -> Format:
    """The format of a path by its name, or the one called `chosen`. Raises InputError."""
    path = Path(path)
    known = {kind.name: kind for kind in FORMATS}
    if chosen is not None:
        if chosen not in known:
            raise InputError(f"There is no camera format {chosen!r}; choose one of {', '.join(known)}.")
        return known[chosen]
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return known[_SUFFIXES[suffix]]
    if suffix == ".json":
        return known["camera-path" if "camera_path" in path.name else "transforms"]
    if not suffix or path.is_dir():
        return known["colmap-text" if (path / "cameras.txt").is_file() else "colmap"]
    raise InputError(
        f"{path}: no camera format has this ending; choose one of {', '.join(known)} with --format-in or --format-out."
    )


def read_move(path: Path, kind: Format | None = None, reading: Reading | None = None) -> CameraMove:
    """A camera move in metres, Z up. Raises InputError, PathError or CameraError."""
    reading = reading or Reading()
    kind = kind or format_of(path)
    if kind.read is None:
        raise InputError(f"{path}: a {kind.title} script cannot be read; export the camera as .chan or USD instead.")
    if not Path(path).exists():
        raise InputError(f"There is no file {path}; check the path.")
    move = kind.read(Path(path), reading)
    if "unit" not in kind.carries and reading.unit != "m":
        move = move.scaled(1 / UNITS[reading.unit])
    return replace(move, fps=reading.fps) if reading.fps is not None else move


def write_move(path: Path, move: CameraMove, kind: Format | None = None, writing: Writing | None = None) -> list[str]:
    """Write a move whole or not at all; returns sentences on what the format cannot store of this one."""
    writing = writing or Writing()
    kind = kind or format_of(path)
    counted = "unit" not in kind.carries and writing.unit != "m"
    kind.write(Path(path), move.scaled(UNITS[writing.unit]) if counted else move, writing)
    return losses(move, kind, writing)


def losses(move: CameraMove, kind: Format, writing: Writing) -> list[str]:
    """What this format cannot store of this move, one sentence each, with the amount and the remedy."""
    said: list[str] = []
    lacks = [part for part in PARTS if part not in kind.carries]
    if "size" in lacks:
        said.append(f"The frame size is not in the file: set {move.width} x {move.height} pixels yourself.")
    shift = max(math.hypot(*centred(camera)) for camera in move.cameras)
    if "shift" in lacks and shift > 0.01:
        overscan = max(_overscan(camera) for camera in move.cameras)
        said.append(
            f"The lens shift is lost: the picture would lie up to {shift:.1f} pixels off. To keep it, render "
            f"{overscan:.0%} of the frame's size and crop, or use USD or transforms.json."
        )
    ratio = max(_aspect(camera) for camera in move.cameras)
    if "pixel aspect" in lacks and ratio > 1.0001:
        said.append(f"Pixels that are not square are lost: one side is off by {ratio - 1:.1%}; give square pixels.")
    skew = max(abs(camera.intrinsics[0, 1]) for camera in move.cameras)
    if skew > 1e-9:
        said.append(f"The skew of {skew:.3g} pixels is lost; none of these programs has one.")
    if "frame rate" in lacks and len(move.cameras) > 1:
        said.append(f"The frame rate is not in the file: set {move.fps:g} frames a second yourself.")
    if "frame numbers" in lacks and move.first_frame != 1:
        said.append(f"The frame numbers are not in the file: the first frame is {move.first_frame}.")
    if "unit" in lacks:
        said.append(f"The unit is not in the file: it is 1 {writing.unit}.")
    if "up" in lacks:
        said.append("Which way is up is not in the file: it is +Z.")
    if kind.name == "transforms" and move.span() < STILL_M:
        said.append(
            "The camera stands still, and nerfstudio divides by how far cameras are apart: give its dataparser "
            "`--auto-scale-poses False --center-method none`."
        )
    return said


def _overscan(camera: Camera) -> float:
    """How much larger a frame centred on the axis must be to contain this one."""
    right, down = np.abs(centred(camera))
    return max(1 + 2 * right / camera.width, 1 + 2 * down / camera.height)


def _aspect(camera: Camera) -> float:
    ratio = camera.intrinsics[0, 0] / camera.intrinsics[1, 1]
    return max(ratio, 1 / ratio)


def doubts(move: CameraMove, path: Path, reading: Reading) -> list[str]:
    """What may be wrong with a move that was read."""
    span = move.span()
    if span > FAR_M:
        return [
            f"The move in {path} is {span:.0f} m long when counted in {reading.unit}; if it is in another unit, "
            f"say so with --unit-in ({', '.join(UNITS)})."
        ]
    return []


def convert(
    source: Path, target: Path, kind_in: Format, kind_out: Format, reading: Reading, writing: Writing
) -> tuple[CameraMove, list[str]]:
    """From file to file: the move, and sentences on what is lost or doubtful."""
    move = read_move(source, kind_in, reading)
    said = [*move.said, *doubts(move, source, reading)]
    if "frame rate" not in kind_in.carries and reading.fps is None and len(move.cameras) > 1:
        said.append(f"{source} does not say the frame rate; {FPS:g} frames a second were taken (--fps sets others).")
    return move, said + write_move(target, move, kind_out, writing)
