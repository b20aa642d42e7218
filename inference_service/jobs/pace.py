"""How long units take on this machine and how much they store, measured: the basis of all estimates.

Times are in seconds for one of `Unit.weight`, that is for one frame, by the size of the frames: networks that work at a
size of their own take no longer for larger frames, while files and warping do.
"""

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from inference_service.wire.files import written_whole
from inference_service.wire.messages import PriceQuestion
from inference_service.work.unit import Unit, pixels_of
from inference_service.work.units.anchor import ANCHOR_WEIGHT
from inference_service.work.units.world import world_stored_size, world_weight

USUAL_BYTES = 6e5
"""Stored for 1e5 pixels of a frame, until that is measured: 4 bytes of depth and up to 2 of colour a pixel."""
GROWTH, GROWTH_OF = 1.0, {"builtin": 0.5}
"""Times grow by this power of a frame's pixels, until frames of two sizes were made. The built-in networks work at a
size of their own: from 96 x 64 to 1920 x 1080, frames of 340 times as many pixels took 10 times as long."""
SIZES_PER_OCTAVE = 2
"""Frames whose pixels differ by less than a factor of 2^(1/2) count as of one size."""


class Key(NamedTuple):
    """What a pace is known by."""

    preset: str
    kind: str
    """Of unit, with its steps (`kind_with_steps`)."""
    pixels: float
    """Of its frames, in 100 000; 1 where it has none."""


def kind_with_steps(kind: str, steps: int) -> str:
    """A kind of unit, made in so many denoising steps; 0: the preset's own number."""
    return f"{kind} {steps}" if steps else kind


def key_of(unit: Unit) -> Key:
    """What a unit's pace is known by."""
    return Key(unit.preset, kind_with_steps(unit.kind, getattr(unit, "steps", 0)), pixels_of(unit.frame))


@dataclass
class Pace:
    """What units of one kind took the last few times."""

    seconds: dict[int, float] = field(default_factory=dict)
    """By size of frames (`_size`), for one of `Unit.weight`."""
    stored_bytes: float = 0.0
    """For one of `Unit.stored_size`."""


class Paces:
    """Paces by preset and kind of unit, kept in a small file that outlives the service."""

    def __init__(self, path: Path):
        self._path = path
        self._paces: dict[tuple[str, str], Pace] = {}
        # a damaged file: measured again
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            for preset, kinds in json.loads(path.read_text()).items():
                for kind, pace in kinds.items():
                    seconds = {int(size): float(each) for size, each in pace["seconds"].items()}
                    known = {size: each for size, each in seconds.items() if abs(size) < 99 and 0 < each < math.inf}
                    if known:
                        self._paces[preset, kind] = Pace(known, float(pace["stored_bytes"]))

    def measured(self, key: Key, weight: float, seconds: float, stored_bytes: float, stored_size: float) -> None:
        """A unit is done. On a full disk it is only the next service that does not know."""
        pace = self._paces.setdefault((key.preset, key.kind), Pace(stored_bytes=stored_bytes / stored_size))
        size, now = _size(key.pixels), max(seconds / weight, 1e-6)
        now *= (_pixels(size) / key.pixels) ** GROWTH_OF.get(key.preset, GROWTH)
        pace.seconds[size] = (pace.seconds.get(size, now) + now) / 2
        pace.stored_bytes = (pace.stored_bytes + stored_bytes / stored_size) / 2
        plain: dict[str, dict] = {}
        for (name, of), each in sorted(self._paces.items()):
            plain.setdefault(name, {})[of] = asdict(each)
        with contextlib.suppress(OSError), written_whole(self._path) as file:
            file.write(json.dumps(plain).encode())

    def seconds(self, key: Key, live: Mapping[Key, float] | None = None) -> float | None:
        """For one of `Unit.weight`: as measured, also of units at work (`live`); None if nothing is known."""
        growth = GROWTH_OF.get(key.preset, GROWTH)
        known = {kind: dict(pace.seconds) for (preset, kind), pace in self._paces.items() if preset == key.preset}
        for at_work, each in (live or {}).items():
            if at_work.preset == key.preset:
                size = _size(at_work.pixels)
                now = each * (_pixels(size) / at_work.pixels) ** growth
                known.setdefault(at_work.kind, {}).setdefault(size, now)
        name = next((name for name in (key.kind, key.kind.partition(" ")[0]) if known.get(name)), None)
        if name is None:
            # a kind that was never made here costs as much, for its weight, as what was; but a world is no frame
            others = [
                sizes
                for kind, sizes in known.items()
                if (kind == "world") == (key.kind == "world") and _makes_frames(kind) >= _makes_frames(key.kind)
            ]
            return max((_read_off(sizes, key.pixels, growth) for sizes in others), default=None)
        found = _read_off(known[name], key.pixels, growth)
        size = _size(key.pixels)
        if size in known[name]:
            return found
        # frames of a new size: what other kinds of unit took for it, against what was expected of them
        surprises = [
            math.log(sizes[size] / _read_off(rest, _pixels(size), growth))
            for kind, sizes in known.items()
            if _makes_frames(kind)
            and size in sizes
            and (rest := {of: each for of, each in sizes.items() if of != size})
        ]
        return found * math.exp(sum(surprises) / len(surprises)) if surprises else found

    def price(self, asked: PriceQuestion, workers: int = 1) -> tuple[float | None, int]:
        """Seconds (None if something of it was never measured) and stored bytes; an anchor counts in both clips that it
        ends."""
        pixels = asked.width * asked.height / 1e5
        anchors, worlds = ANCHOR_WEIGHT * asked.anchors, world_weight(asked.width) * asked.worlds
        stored = world_stored_size(asked.width) * asked.worlds
        # kind, pixels of its frames, weight, size of what is stored, 100 000 pixels stored: while no pace is known
        parts = (
            (kind_with_steps("anchor", asked.steps), pixels, anchors, anchors * pixels, asked.anchors * pixels),
            (kind_with_steps("clip", asked.steps), pixels, asked.frames, asked.frames * pixels, asked.frames * pixels),
            ("world", 1.0, worlds, stored, asked.worlds * pixels),
        )
        total_s: float | None = 0.0
        total_bytes = 0.0
        for kind, of, weight, stored_size, usual in parts:
            if not weight:
                continue
            seconds = self.seconds(Key(asked.preset, kind, of))
            total_s = None if total_s is None or seconds is None else total_s + seconds * weight
            pace = self._paces.get((asked.preset, kind)) or self._paces.get((asked.preset, kind.partition(" ")[0]))
            total_bytes += pace.stored_bytes * stored_size if pace else USUAL_BYTES * usual
        return None if total_s is None else total_s / max(1, workers), round(total_bytes)


def _makes_frames(kind: str) -> bool:
    return kind.partition(" ")[0] in ("anchor", "clip")


def _size(pixels: float) -> int:
    return round(SIZES_PER_OCTAVE * math.log2(pixels))


def _pixels(size: float) -> float:
    return 2 ** (size / SIZES_PER_OCTAVE)


def _read_off(sizes: Mapping[int, float], pixels: float, growth: float) -> float:
    """Seconds for frames of so many pixels, between those of the nearest sizes or beyond the nearest one."""
    at = SIZES_PER_OCTAVE * math.log2(pixels)
    if round(at) in sizes:
        return _grown(sizes, round(at), pixels, growth)
    below, above = _nearest(sizes, at, below=True), _nearest(sizes, at, below=False)
    if below is None or above is None:
        return _grown(sizes, next(size for size in (below, above) if size is not None), pixels, growth)
    share = (at - below) / (above - below)
    return math.exp((1 - share) * math.log(sizes[below]) + share * math.log(sizes[above]))


def _nearest(sizes: Iterable[int], at: float, below: bool) -> int | None:
    some = [size for size in sizes if (size < at) == below]
    return max(some, default=None) if below else min(some, default=None)


def _grown(sizes: Mapping[int, float], size: int, pixels: float, growth: float) -> float:
    return sizes[size] * (pixels / _pixels(size)) ** growth
