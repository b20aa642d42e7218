"""What the monitors' figures mean: in which frames a shot drifts, contradicts the world or flickers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["drift", "other", "flicker", "seam"]

MONITORS_VERSION = 1
"""Version of `monitors` in shot.json."""
MAX_MONITORS_BYTES = 16 << 20
"""The shot.json of 10 000 frames has a few megabytes."""
GAP = 1
"""Frames between two bad ones that are counted to the same run."""


@dataclass(frozen=True)
class WatchedFrame:
    """One frame beside its panorama; shares are 0..1, None where there was too little to judge."""

    misaligned: float | None
    """Of the textured pixels that the panorama shows: those that are off by more than two pixels."""
    contradicted: float | None
    """Of all pixels: those whose colour the panorama shows nowhere near."""
    flicker: float | None
    """Of the surfaces that the frame before showed too: those of another brightness. None of a first frame."""
    photo: float
    """Of all pixels: seen by the photo."""
    invented: float
    """Shown by the panorama, but not seen by the photo."""
    hole: float
    """Not shown by the panorama: made for the shot, or told by the clean plate."""


@dataclass(frozen=True)
class Limits:
    """What is still usual. Chosen on rooms 300 to 311, 320 to 331 and 400 to 423 (`benchmarks/monitors.py`)."""

    misaligned: float = 0.03
    contradicted: float = 0.02
    flicker: float = 0.09
    seam_jump: float = 1.6


LIMITS = Limits()
KINDS: tuple[tuple[str, Kind], ...] = (("misaligned", "drift"), ("contradicted", "other"), ("flicker", "flicker"))
"""Figure of a frame -> what it says when it is above its limit."""
SEAM_TEXT = "The panorama has a seam behind the photo"


@dataclass(frozen=True)
class Finding:
    """Something the artist should look at."""

    kind: Kind
    first: int = 0
    last: int = 0
    """Frame numbers, both included; 0 of a seam."""

    @property
    def text(self) -> str:
        """Such as "Frames 31–38 drift"."""
        if self.kind == "seam":
            return SEAM_TEXT
        one = self.first == self.last
        what = {
            "drift": ("drifts", "drift"),
            "other": ("shows what the panorama does not", "show what the panorama does not"),
            "flicker": ("flickers", "flicker"),
        }[self.kind][0 if one else 1]
        return f"Frame {self.first} {what}" if one else f"Frames {self.first}–{self.last} {what}"


def is_off(frame: WatchedFrame, limits: Limits = LIMITS) -> bool:
    """Whether any figure of a frame is above its limit."""
    return any((getattr(frame, figure) or 0) > getattr(limits, figure) for figure, _ in KINDS)


def findings(
    frames: Sequence[WatchedFrame], first_frame: int = 1, seam_jump: float = 1.0, limits: Limits = LIMITS
) -> list[Finding]:
    """What is wrong with the frames of a shot, in the path's order; the seam first."""
    found = [Finding("seam")] if seam_jump > limits.seam_jump else []
    runs: list[Finding] = []
    for figure, kind in KINDS:
        limit, run = getattr(limits, figure), None
        for number, frame in enumerate(frames, first_frame):
            value = getattr(frame, figure)
            if value is None or value <= limit:
                continue
            if run is not None and number - run.last <= GAP + 1:
                runs.remove(run)
                run = Finding(kind, run.first, number)
            else:
                run = Finding(kind, number, number)
            runs.append(run)
    return found + sorted(runs, key=lambda run: (run.first, run.last))


def monitors_json(frames: Sequence[WatchedFrame], first_frame: int, seam_jump: float) -> dict:
    """`monitors` of shot.json: a column a figure, the limits, and what was found."""
    names = [name for name in WatchedFrame.__dataclass_fields__]
    return {
        "version": MONITORS_VERSION,
        "seam_jump": round(seam_jump, 3),
        "frames": {name: [_rounded(getattr(frame, name)) for frame in frames] for name in names},
        "limits": asdict(LIMITS),
        "findings": [asdict(found) | {"text": found.text} for found in findings(frames, first_frame, seam_jump)],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
