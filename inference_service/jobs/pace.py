"""How long units take on this machine and how much they store, as measured: estimates are made from it.

Sizes are `Unit.size`: its weight times its frames' pixels in hundred thousands.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from inference_service.wire.files import written_whole
from inference_service.work.units.anchor import ANCHOR_WEIGHT

USUAL_BYTES = 6e5
"""Stored for 1e5 pixels of a frame, until that is measured: 4 bytes of depth and up to 2 of colour a pixel."""

Key = tuple[str, str]
"""Preset and kind of unit."""


@dataclass(frozen=True)
class Pace:
    """What one unit of size took the last few times."""

    seconds: float
    stored_bytes: float


class Paces:
    """Paces by preset and kind of unit, kept in a small file that outlives the service."""

    def __init__(self, path: Path):
        self._path = path
        self._paces: dict[Key, Pace] = {}
        # a damaged file: measured anew
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            for preset, kinds in json.loads(path.read_text()).items():
                for kind, pace in kinds.items():
                    self._paces[preset, kind] = Pace(float(pace["seconds"]), float(pace["stored_bytes"]))

    def measured(self, preset: str, kind: str, size: float, seconds: float, stored_bytes: float) -> None:
        """A unit of this size is done. On a full disk it is only the next service that does not know."""
        now = Pace(seconds / size, stored_bytes / size)
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
        # a kind that was never made here costs as much, for its size, as what was
        return known.get((preset, kind)) or max((known[key] for key in known if key[0] == preset), default=None)

    def price(
        self, preset: str, width: int, height: int, anchors: int, frames: int, workers: int = 1
    ) -> tuple[float | None, int]:
        """Seconds (None if nothing was measured) and stored bytes of a shot with so many anchors and frames.

        frames: of all clips together; an anchor counts in both clips that it ends.
        """
        size = width * height / 1e5
        total_s: float | None = 0.0
        total_bytes = 0.0
        for kind, count in (("anchor", ANCHOR_WEIGHT * anchors), ("clip", float(frames))):
            pace = self._paces.get((preset, kind))
            seconds = self.seconds(preset, kind)
            total_s = None if total_s is None or seconds is None else total_s + seconds * count * size
            stored = pace.stored_bytes if pace else USUAL_BYTES / (ANCHOR_WEIGHT if kind == "anchor" else 1)
            total_bytes += stored * count * size
        return None if total_s is None else total_s / max(1, workers), round(total_bytes)
