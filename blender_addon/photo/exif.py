"""What a photo's EXIF block says that placing it needs: its 35 mm focal length and which way is up. No bpy
here.

Blender brings no EXIF reader, and reads the pixels of a photo as they lie. JPEG, PNG, WebP and TIFF.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

FOV_X_ASSUMED = math.radians(65)
"""Horizontal field of view of a photo that says nothing about it: a phone's or a reportage lens."""
_ORIENTATION, _EXIF_FOLDER, _FOCAL_35MM = 0x0112, 0x8769, 0xA405
_FOCAL, _SENSOR_RESOLUTION, _SENSOR_UNIT, _PIXELS_X, _PIXELS_Y = 0x920A, 0xA20E, 0xA210, 0xA002, 0xA003


@dataclass(frozen=True)
class Exif:
    """What was found; what is absent or broken has its default."""

    focal_35mm: float = 0.0
    """Focal length in millimetres as on 35 mm film; 0 when unknown."""
    orientation: int = 1
    """EXIF orientation 1..8; from 5 on, the upright photo is as wide as the pixels are high."""

    @property
    def turned(self) -> bool:
        return self.orientation >= 5


def read_exif(path: Path) -> Exif:
    """The EXIF of an image file; defaults for a file without any, or with a broken one. Raises OSError."""
    with open(path, "rb") as file:
        try:
            # Not read whole: EXIF may stand anywhere, in WebP behind the pixels, in TIFF where its writer liked.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read_tiff(_exif_block(data))
        except (struct.error, IndexError, ValueError):
            return Exif()


def fov_x_of_focal(focal_35mm: float, width: int, height: int) -> float:
    """Horizontal field of view, radians, of an upright photo: its longer side is the 36 mm of the film."""
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
    tags = _folder(block, order, first)
    if _EXIF_FOLDER in tags:
        tags |= _folder(block, order, int(tags[_EXIF_FOLDER]))
    focal, orientation = tags.get(_FOCAL_35MM, 0) or _focal_by_sensor(tags), tags.get(_ORIENTATION, 1)
    return Exif(
        focal_35mm=float(focal) if 4 <= focal <= 2000 else 0.0,
        orientation=int(orientation) if 1 <= orientation <= 8 else 1,
    )


def _focal_by_sensor(tags: dict[int, float]) -> float:
    """The 35 mm equivalent by the focal length and the sensor's size (pixels over pixels per length); 0 if unknown."""
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0}.get(int(tags.get(_SENSOR_UNIT, 2)), 0.0)
    pixels, resolution = max(tags.get(_PIXELS_X, 0), tags.get(_PIXELS_Y, 0)), tags.get(_SENSOR_RESOLUTION, 0)
    longer_mm = pixels / resolution * unit_mm if resolution else 0.0
    return round(tags.get(_FOCAL, 0) * 36 / longer_mm, 1) if longer_mm else 0.0


def _folder(block: bytes | mmap.mmap, order: str, offset: int) -> dict[int, float]:
    """The tags of one TIFF folder that are a single SHORT, LONG or RATIONAL."""
    (count,) = struct.unpack_from(f"{order}H", block, offset)
    tags = {}
    for index in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HHI", block, offset + 2 + 12 * index)
        if length == 1 and kind in (3, 4):
            form = f"{order}{'H' if kind == 3 else 'I'}"
            (tags[tag],) = struct.unpack_from(form, block, offset + 2 + 12 * index + 8)
        elif length == 1 and kind == 5:
            (where,) = struct.unpack_from(f"{order}I", block, offset + 2 + 12 * index + 8)
            over, under = struct.unpack_from(f"{order}II", block, where)
            tags[tag] = over / under if under else 0.0
    return tags
