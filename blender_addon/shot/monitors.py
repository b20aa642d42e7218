"""What the monitors found of the chosen take: a strip of colour over its frames, and where something is wrong."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import bpy

from .. import icons
from ..json_files import read_json
from ..panel_bases import draw_wrapped
from ..results import absolute

CELLS = 12
"""Most cells of the strip: as many icons as a narrow panel has room for."""
COLOURS = ((0.25, 0.75, 0.35), (0.95, 0.75, 0.2), (0.9, 0.2, 0.15))
"""Of cells: well below the limits, above half of one, above one."""
UNWATCHED = (0.35, 0.35, 0.35)
SHOWN = 3
"""Findings that are shown."""
FIGURES = ("misaligned", "contradicted", "flicker")


@dataclass(frozen=True)
class Watched:
    """What shot.json says of a take's frames."""

    levels: tuple[float | None, ...]
    """Of each frame the worst of its figures, 1 at its limit; None where nothing could be judged."""
    findings: tuple[str, ...]


def watched(folder: Path) -> Watched | None:
    """What was found of the shot in a folder; None of shots that were not watched."""
    path = folder / "shot.json"
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=32)
def _read(path: Path, changed: int) -> Watched | None:
    try:
        monitors = read_json(path)["monitors"]
        columns = [monitors["frames"][name] for name in FIGURES]
        limits = [float(monitors["limits"][name]) for name in FIGURES]
        levels = []
        for figures in zip(*columns, strict=True):
            known = [figure / limit for figure, limit in zip(figures, limits, strict=True) if figure is not None]
            levels.append(max(known, default=None))
        return Watched(tuple(levels), tuple(str(found["text"]) for found in monitors["findings"]))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
        return None


def cells(levels: tuple[float | None, ...], most: int = CELLS) -> list[float | None]:
    """The worst level of each of at most so many runs of frames that are about equally long."""
    count = min(most, len(levels))
    edges = [round(len(levels) * at / count) for at in range(count + 1)] if count else []
    runs = [levels[first:last] for first, last in itertools.pairwise(edges)]
    return [max((level for level in run if level is not None), default=None) for run in runs]


def colour_of(level: float | None) -> tuple[float, float, float]:
    """A cell's colour."""
    if level is None:
        return UNWATCHED
    return COLOURS[2] if level > 1 else COLOURS[1] if level > 0.5 else COLOURS[0]


def draw_monitors(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the strip of the chosen take and the findings; nothing for takes that were not watched."""
    settings = context.scene.look_beyond
    if settings.shot_index >= len(settings.shots):
        return
    found = watched(absolute(settings.shots[settings.shot_index].folder))
    if found is None:
        return
    row = layout.row(align=True)
    for level in cells(found.levels):
        row.label(text="", icon_value=icons.colours.icon(colour_of(level)))
    for text in found.findings[:SHOWN]:
        draw_wrapped(layout, context, text, "ERROR")
    if len(found.findings) > SHOWN:
        layout.label(text=f"and {len(found.findings) - SHOWN} more: see shot.json")
