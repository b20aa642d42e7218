"""Two shots, or two worlds, side by side: a video with a wipe, their difference, and figures.

For choosing between seeds, presets and versions. Nothing here says which one is better: neither of them is the truth.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lookbeyond.errors import InputError
from lookbeyond.files import load_panorama, open_video, read_json, read_png, write_json, write_png
from lookbeyond.geometry.cameras import Camera, placed_camera
from lookbeyond.geometry.panorama import Panorama
from lookbeyond.geometry.projection import extract_perspective
from lookbeyond.monitors.findings import MAX_MONITORS_BYTES, findings
from lookbeyond.monitors.seam import seam_jump
from lookbeyond.whole import storage_errors, whole_folder

from .shots import Shot, load_shot

ENTRIES = ("compare.mp4", "difference.png", "figures.json", "compare.md")
MOST_WIDTH = 960
"""Of one of the four pictures of the video, pixels."""
LOOK_FRAMES = 144
"""Frames of the look around two worlds."""
SAME_POSE = 1e-3
"""Cameras whose matrices differ by less, in metres and units of rotation, are the same."""
GAIN = 4
"""Factor by which differences are brightened."""
WIPE_FRAMES = 72
"""Frames in which the wipe goes across and back."""


@dataclass
class Comparison:
    """Everything that is reported of two results."""

    kind: str
    """"shots" or "worlds"."""
    names: tuple[str, str]
    notes: list[str] = field(default_factory=list)
    """Why they cannot be compared fully: other paths, other sizes."""
    settings: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Those that differ."""
    figures: dict[str, float] = field(default_factory=dict)
    """Between the two."""
    own: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Of each."""
    frames: dict[str, list[float]] = field(default_factory=dict)
    """Between the two, by frame."""

    def to_markdown(self) -> str:
        one, other = self.names
        lines = [f"# {one} and {other}", "", *(f"- {note}" for note in self.notes), ""]
        lines += [f"| {self.kind} | {one} | {other} |", "|---|---|---|"]
        for name, values in (self.settings | self.own).items():
            lines.append(f"| {name} | {_text(values[0])} | {_text(values[1])} |")
        lines += ["", "| between the two | |", "|---|---|"]
        lines += [f"| {name} | {_text(value)} |" for name, value in self.figures.items()]
        return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "; ".join(map(str, value)) or "nothing" if isinstance(value, (list, tuple)) else str(value)


def compare(one: Path, other: Path, out: Path, fps: float = 24) -> Comparison:
    """Compare two folders of a kind and write the folder `out`. Raises InputError for what cannot be compared."""
    names = (str(one), str(other)) if one.name == other.name else (one.name, other.name)
    are_shots = [_is_shot(folder) for folder in (one, other)]
    if are_shots[0] != are_shots[1]:
        raise InputError(f"Of {one} and {other} one is a shot and the other a world; give two of a kind.")
    with whole_folder(out, ENTRIES) as folder:
        made = (_compare_shots if are_shots[0] else _compare_worlds)(one, other, names, folder, fps)
        write_json(folder / "figures.json", vars(made))
        with storage_errors(out):
            (folder / "compare.md").write_text(made.to_markdown(), encoding="utf-8")
    return made


def _is_shot(folder: Path) -> bool:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give the folders of two shots or of two worlds.")
    return (folder / "shot.json").is_file()


# --- shots ------------------------------------------------------------------------------------------------


def _compare_shots(one: Path, other: Path, names: tuple[str, str], folder: Path, fps: float) -> Comparison:
    shots = load_shot(one), load_shot(other)
    made = Comparison("shots", names)
    about = [read_json(each / "shot.json", MAX_MONITORS_BYTES) for each in (one, other)]
    _note_differences(made, *(each.get("settings", {}) for each in about))
    made.own["seconds of work"] = tuple(each.get("timings", {}).get("work_s", "not known") for each in about)
    monitors = [each.get("monitors") or {} for each in about]
    made.own["frames"] = tuple(len(shot.cameras) for shot in shots)
    for figure in ("misaligned", "contradicted", "flicker", "hole"):
        made.own[f"{figure}, worst frame"] = tuple(_worst(each, figure) for each in monitors)
    made.own["found"] = tuple([found["text"] for found in each.get("findings", [])] for each in monitors)
    count = min(len(shot.cameras) for shot in shots)
    if len(shots[0].cameras) != len(shots[1].cameras):
        made.notes.append(f"One has more frames: the first {count} of both are compared.")
    moved = sum(not _same_pose(*cameras) for cameras in zip(shots[0].cameras, shots[1].cameras))
    if moved:
        made.notes.append(f"{moved} frames have other cameras: their differences are those of the path, too.")
    pairs = _shot_pairs(shots, count)
    write_png(folder / "difference.png", _write_pictures(made, pairs, names, folder, fps))
    return made


def _note_differences(made: Comparison, one: dict[str, Any], other: dict[str, Any]) -> None:
    for name in sorted(one.keys() | other.keys()):
        values = one.get(name, "–"), other.get(name, "–")
        if values[0] != values[1]:
            made.settings[name] = values
    if not made.settings:
        made.notes.append("Both were made with the same settings.")


def _worst(monitors: dict[str, Any], figure: str) -> float | str:
    values = [value for value in monitors.get("frames", {}).get(figure, []) if value is not None]
    return max(values, default="not watched")


def _same_pose(one: Camera, other: Camera) -> bool:
    same_view = np.allclose(one.resized(other.width, other.height).intrinsics, other.intrinsics, rtol=SAME_POSE)
    return same_view and bool(np.abs(one.camera_to_world - other.camera_to_world).max() < SAME_POSE)


def _shot_pairs(shots: tuple[Shot, Shot], count: int) -> Iterator[tuple[NDArray, NDArray]]:
    for number in range(count):
        one, other = (read_png(shot.frames[number]) for shot in shots)
        yield one, _fitted(other, one.shape[1], one.shape[0])


# --- worlds -----------------------------------------------------------------------------------------------


def _compare_worlds(one: Path, other: Path, names: tuple[str, str], folder: Path, fps: float) -> Comparison:
    worlds = load_panorama(one), load_panorama(other)
    made = Comparison("worlds", names)
    described = [world.to_json_dict() for world in worlds]
    kept = ("preset", "seed", "revision", "distance_model", "camera_height")
    _note_differences(made, *({name: each[name] for name in kept} for each in described))
    made.own["width"] = tuple(world.colour.shape[1] for world in worlds)
    made.own["kind of place"] = tuple(world.place.kind for world in worlds)
    jumps = tuple(seam_jump(world) for world in worlds)
    made.own["seam jump"] = jumps
    made.own["found"] = tuple([found.text for found in findings((), seam_jump=jump)] for jump in jumps)
    width = min(2048, *(world.colour.shape[1] for world in worlds))
    colours = [_fitted(world.colour, width, width // 2) for world in worlds]
    turned = round((worlds[1].heading_rad - worlds[0].heading_rad) / (2 * math.pi) * width)
    if turned:
        colours[1] = np.roll(colours[1], -turned, 1)  # a heading counts counter-clockwise, columns clockwise
    _judge_spheres(made, worlds, colours, turned)
    pairs = _looks_around(colours, worlds[0].heading_rad)
    _write_pictures(made, pairs, names, folder, fps)
    write_png(folder / "difference.png", np.concatenate([*colours, _difference(*colours)]))
    return made


def _judge_spheres(made: Comparison, worlds: Sequence[Panorama], colours: Sequence[NDArray], turned: int) -> None:
    height, width = colours[0].shape[:2]
    weight = np.repeat(np.cos((np.arange(height) + 0.5) / height * np.pi - np.pi / 2)[:, None], width, 1)
    error = np.square(colours[0].astype(np.float32) - colours[1]).mean(-1)
    photo = [_fitted(world.from_photo, width, height) > 127 for world in worlds]
    photo[1] = np.roll(photo[1], -turned, 1)
    for name, where in (
        ("all of it", None),
        ("seen by both photos", photo[0] & photo[1]),
        ("seen by no photo", ~photo[0] & ~photo[1]),
    ):
        part = weight if where is None else weight * where
        if part.sum() > 0.01 * weight.sum():
            made.figures[f"PSNR, {name} (dB)"] = _psnr(float((error * part).sum() / part.sum()))
    distances = [_fitted(world.distance, 256, 128) for world in worlds]
    distances[1] = np.roll(distances[1], -round(turned * 256 / width), 1)
    made.figures["distance, median of the ratio"] = float(np.median(distances[1] / distances[0]))


def _looks_around(colours: Sequence[NDArray], heading_rad: float) -> Iterator[tuple[NDArray, NDArray]]:
    for number in range(LOOK_FRAMES):
        turn = heading_rad - 2 * math.pi * number / LOOK_FRAMES
        camera = placed_camera(640, 360, math.radians(80), heading_rad=turn)
        one, other = (extract_perspective(colour, camera, heading_rad) for colour in colours)
        yield one, other


# --- pictures ---------------------------------------------------------------------------------------------


def _write_pictures(
    made: Comparison, pairs: Iterator[tuple[NDArray, NDArray]], names: tuple[str, str], folder: Path, fps: float
) -> NDArray[np.uint8]:
    """The video, and figures of every pair; returns the mean difference of all pairs as a picture."""
    total: NDArray | None = None
    errors: list[float] = []
    shares: list[float] = []
    with open_video(folder / "compare.mp4", fps) as append:
        for number, (one, other) in enumerate(pairs):
            apart = cv2.absdiff(one, other)
            errors.append(float(np.square(apart.astype(np.float32)).mean()))
            shares.append(float((apart.max(-1) > 16).mean()))
            total = apart.astype(np.float32) if total is None else total + apart
            append(_four(one, other, names, number))
    assert total is not None
    made.frames = {
        "PSNR (dB)": [round(_psnr(e), 3) for e in errors],
        "share that differs": [round(s, 4) for s in shares],
    }
    made.figures["PSNR of all frames together (dB)"] = _psnr(float(np.mean(errors)))
    made.figures["share of pixels that differ by more than 16 levels"] = float(np.mean(shares))
    return np.clip(GAIN * total / len(errors), 0, 255).astype(np.uint8)


def _four(one: NDArray, other: NDArray, names: tuple[str, str], number: int) -> NDArray[np.uint8]:
    """Both beside each other; below them both with a wipe between, and their difference."""
    scale = min(1.0, MOST_WIDTH / one.shape[1])
    width, height = (max(2, round(scale * side / 2) * 2) for side in one.shape[1::-1])
    one, other = _fitted(one, width, height), _fitted(other, width, height)
    place = 0.5 - 0.5 * math.cos(2 * math.pi * (number + 0.25 * WIPE_FRAMES) / WIPE_FRAMES)
    edge = round(place * (width - 1))
    wiped = one.copy()
    wiped[:, edge:] = other[:, edge:]
    wiped[:, edge : edge + max(1, width // 320)] = 255
    difference = _difference(one, other)
    cells = ((one, names[0]), (other, names[1]), (wiped, ""), (difference, f"difference x {GAIN}"))
    drawn = [_labelled(picture, text) for picture, text in cells]
    return np.concatenate([np.concatenate(drawn[:2], 1), np.concatenate(drawn[2:], 1)])


def _labelled(picture: NDArray, text: str) -> NDArray:
    """With a short text in its corner; letters that OpenCV cannot draw become question marks."""
    picture = np.ascontiguousarray(picture)
    size = max(0.35, picture.shape[1] / 900)
    place = (round(12 * size), picture.shape[0] - round(12 * size))
    shown = text.encode("ascii", "replace").decode()[-40:]
    for colour, width in (((0, 0, 0), round(4 * size) + 1), ((255, 255, 255), max(1, round(1.5 * size)))):
        cv2.putText(picture, shown, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)
    return picture


def _difference(one: NDArray, other: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(cv2.absdiff(one, other), alpha=GAIN), np.uint8)


def _fitted(image: NDArray, width: int, height: int) -> NDArray:
    if image.shape[1::-1] == (width, height):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _psnr(squared_error: float) -> float:
    """Decibels; 100 where nothing differs."""
    return float(-10 * math.log10(max(squared_error / 255**2, 1e-10)))
