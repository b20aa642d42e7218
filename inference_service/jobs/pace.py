"""How long units take on this machine and how much they store, measured: the basis of all estimates.

Sizes are `Unit.size`: its weight times its frames' pixels in hundred thousands.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from inference_service.wire.files import written_whole
from inference_service.wire.messages import PriceQuestion
from inference_service.work.unit import Unit
from inference_service.work.units.anchor import ANCHOR_WEIGHT
from inference_service.work.units.world import world_stored_size, world_weight

USUAL_BYTES = 6e5
"""Stored for 1e5 pixels of a frame, until that is measured: 4 bytes of depth and up to 2 of colour a pixel."""

Key = tuple[str, str]
"""Preset, and kind of unit with its steps (`kind_with_steps`)."""


def kind_with_steps(kind: str, steps: int) -> str:
    """A kind of unit, made in so many denoising steps; 0: the preset's own number."""
    return f"{kind} {steps}" if steps else kind


def kind_of(unit: Unit) -> str:
    """The kind of a unit with its steps."""
    return kind_with_steps(unit.kind, getattr(unit, "steps", 0))


@dataclass(frozen=True)
class Pace:
    """What one unit of size took the last few times."""

    seconds: float
    stored_bytes: float
    """For one of `Unit.stored_size`."""


class Paces:
    """Paces by preset and kind of unit, kept in a small file that outlives the service."""

    def __init__(self, path: Path):
        self._path = path
        self._paces: dict[Key, Pace] = {}
        # a damaged file: measured again
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            for preset, kinds in json.loads(path.read_text()).items():
                for kind, pace in kinds.items():
                    self._paces[preset, kind] = Pace(float(pace["seconds"]), float(pace["stored_bytes"]))

    def measured(
        self, preset: str, kind: str, size: float, seconds: float, stored_bytes: float, stored_size: float = 0.0
    ) -> None:
        """A unit of this size is done (`stored_size`: 0 where it is the same). On a full disk it is only the next
        service that does not know."""
        now = Pace(seconds / size, stored_bytes / (stored_size or size))
        before = self._paces.get((preset, kind), now)
        self._paces[preset, kind] = Pace(
            (before.seconds + now.seconds) / 2, (before.stored_bytes + now.stored_bytes) / 2
        )
        plain: dict[str, dict] = {}
        for (name, of), pace in sorted(self._paces.items()):
            plain.setdefault(name, {})[of] = asdict(pace)
        with contextlib.suppress(OSError), written_whole(self._path) as file:
            file.write(json.dumps(plain).encode())

    def seconds(self, preset: str, kind: str, live: Mapping[Key, float] | None = None) -> float | None:
        """For one unit of size: as measured, else by `live`; None if nothing is known of the preset."""
        known = {**(live or {}), **{key: pace.seconds for key, pace in self._paces.items()}}
        for name in (kind, kind.partition(" ")[0]):
            if (preset, name) in known:
                return known[preset, name]
        # a kind that was never made here costs as much, for its size, as what was; a world is not sized by pixels
        others = [known[key] for key in known if key[0] == preset and (key[1] == "world") == (kind == "world")]
        return max(others, default=None)

    def price(self, asked: PriceQuestion, workers: int = 1) -> tuple[float | None, int]:
        """Seconds (None if something of it was never measured) and stored bytes; an anchor counts in both clips that it
        ends."""
        pixels = asked.width * asked.height / 1e5
        anchors, frames = ANCHOR_WEIGHT * asked.anchors * pixels, asked.frames * pixels
        worlds, stored = world_weight(asked.width) * asked.worlds, world_stored_size(asked.width) * asked.worlds
        parts = (  # kind, size, size of what is stored, 100 000 pixels stored: while no pace is known
            (kind_with_steps("anchor", asked.steps), anchors, anchors, asked.anchors * pixels),
            (kind_with_steps("clip", asked.steps), frames, frames, frames),
            ("world", worlds, stored, asked.worlds * pixels),
        )
        total_s: float | None = 0.0
        total_bytes = 0.0
        for kind, size, stored_size, usual in parts:
            if not size:
                continue
            seconds = self.seconds(asked.preset, kind)
            total_s = None if total_s is None or seconds is None else total_s + seconds * size
            pace = self._paces.get((asked.preset, kind)) or self._paces.get((asked.preset, kind.partition(" ")[0]))
            total_bytes += pace.stored_bytes * stored_size if pace else USUAL_BYTES * usual
        return None if total_s is None else total_s / max(1, workers), round(total_bytes)
