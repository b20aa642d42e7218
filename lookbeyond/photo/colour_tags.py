"""What a picture file says about its colours."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Cicp(NamedTuple):
    """Coding-independent code points (ITU-T H.273)."""

    primaries: int
    transfer: int


class Chromaticities(NamedTuple):
    """x and y of white, red, green and blue."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


@dataclass(frozen=True)
class ColourTags:
    """What a file says of its colours; the first that is there counts, sRGB where there is none."""

    cicp: Cicp | None = None
    profile: bytes = field(default=b"", repr=False)
    """An ICC profile."""
    srgb: bool = False
    """PNG's sRGB chunk, or EXIF's colour space."""
    adobe_rgb: bool = False
    """Adobe RGB by EXIF ("R03"), as cameras write it."""
    gamma: float = 0.0
    """PNG's gAMA: the exponent that encoded the pixels; 0 where it is not said."""
    chromaticities: Chromaticities | None = None
