"""Focal length and orientation from the EXIF of a JPEG, PNG, WebP or TIFF file. No bpy here.

Blender has no EXIF reader and ignores the orientation.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

DEFAULT_FOV_RAD = math.radians(65)
"""Assumed field of view, across the longer side, of a photo without a focal length: a phone's main camera."""
_ORIENTATION, _EXIF_DIRECTORY, _FOCAL_35MM = 0x0112, 0x8769, 0xA405
_FOCAL, _SENSOR_RESOLUTION, _SENSOR_UNIT, _PIXELS_X, _PIXELS_Y = 0x920A, 0xA20E, 0xA210, 0xA002, 0xA003


@dataclass(frozen=True)
class Exif:
    """Values from EXIF; absent or damaged ones have their defaults."""

    focal_35mm: float = 0.0
    """35 mm equivalent focal length, millimetres; 0 if unknown."""
    orientation: int = 1
    """EXIF orientation 1..8; from 5 on, width and height are swapped."""

    @property
    def turned(self) -> bool:
        return self.orientation >= 5


def read_exif(path: Path) -> Exif:
    """The EXIF values of an image file; defaults if there are none. Raises OSError."""
    with open(path, "rb") as file:
        try:
            # Mapped, not read: the EXIF may be anywhere, in WebP behind the pixels.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read_tiff(_exif_block(data))
        except (struct.error, IndexError, ValueError):
            return Exif()


def default_fov_x_rad(width: int, height: int) -> float:
    """Assumed horizontal field of view, radians, of an upright photo without a focal length."""
    return 2 * math.atan(math.tan(DEFAULT_FOV_RAD / 2) * width / max(width, height))


def fov_x_rad_of_focal(focal_35mm: float, width: int, height: int) -> float:
    """Horizontal field of view, radians, of an upright photo whose longer side is the 36 mm of 35 mm film."""
    return 2 * math.atan(18 / focal_35mm * width / max(width, height))


def _exif_block(data: mmap.mmap) -> bytes | mmap.mmap:
    """The TIFF structure inside an image file's bytes; ValueError if there is none."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return data
    if data[:2] == b"\xff\xd8":  # JPEG: segments of marker, length (itself included), content
        position = 2
        while data[position] == 0xFF and data[position + 1] != 0xDA:
            (length,) = struct.unpack_from(">H", data, position + 2)
            content = data[position + 4 : position + 2 + length]
            if data[position + 1] == 0xE1 and content.startswith(b"Exif\0\0"):
                return content[6:]
            position += 2 + length
    elif data[:8] == b"\x89PNG\r\n\x1a\n":  # chunks of length, type, content, checksum
        position = 8
        while position + 8 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, position)
            if kind == b"eXIf":
                return data[position + 8 : position + 8 + length]
            position += 12 + length
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":  # chunks of type, length, content padded to even
        position = 12
        while position + 8 <= len(data):
            kind, length = struct.unpack_from("<4sI", data, position)
            if kind == b"EXIF":
                return data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0")
            position += 8 + length + length % 2
    raise ValueError("no EXIF")


def _read_tiff(block: bytes | mmap.mmap) -> Exif:
    order = {b"II": "<", b"MM": ">"}[block[:2]] if block[:2] in (b"II", b"MM") else ""
    if not order:
        raise ValueError("no TIFF header")
    (first,) = struct.unpack_from(f"{order}I", block, 4)
    tags = _directory(block, order, first)
    if _EXIF_DIRECTORY in tags:
        tags |= _directory(block, order, int(tags[_EXIF_DIRECTORY]))
    focal, orientation = tags.get(_FOCAL_35MM, 0) or _focal_by_sensor(tags), tags.get(_ORIENTATION, 1)
    return Exif(
        focal_35mm=float(focal) if 4 <= focal <= 2000 else 0.0,
        orientation=int(orientation) if 1 <= orientation <= 8 else 1,
    )


def _focal_by_sensor(tags: dict[int, float]) -> float:
    """35 mm equivalent from focal length and sensor size (pixels / pixels per length); 0 if unknown."""
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0}.get(int(tags.get(_SENSOR_UNIT, 2)), 0.0)
    pixels, resolution = max(tags.get(_PIXELS_X, 0), tags.get(_PIXELS_Y, 0)), tags.get(_SENSOR_RESOLUTION, 0)
    longer_mm = pixels / resolution * unit_mm if resolution else 0.0
    return round(tags.get(_FOCAL, 0) * 36 / longer_mm, 1) if longer_mm else 0.0


def _directory(block: bytes | mmap.mmap, order: str, offset: int) -> dict[int, float]:
    """The tags of one TIFF directory (IFD) that are a single SHORT, LONG or RATIONAL."""
    (count,) = struct.unpack_from(f"{order}H", block, offset)
    tags = {}
    for index in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HHI", block, offset + 2 + 12 * index)
        if length == 1 and kind in (3, 4):
            form = f"{order}{'H' if kind == 3 else 'I'}"
            (tags[tag],) = struct.unpack_from(form, block, offset + 2 + 12 * index + 8)
        elif length == 1 and kind == 5:
            (where,) = struct.unpack_from(f"{order}I", block, offset + 2 + 12 * index + 8)
            numerator, denominator = struct.unpack_from(f"{order}II", block, where)
            tags[tag] = numerator / denominator if denominator else 0.0
    return tags
