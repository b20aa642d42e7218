"""The tags in the folders of TIFF, which EXIF uses too."""

import math
import mmap
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from .containers import MAX_PROFILE_BYTES

_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}
"""Types of TIFF that are single numbers: short, long, their signed ones, float, double, folder, BigTIFF's long."""


class Tag(IntEnum):
    """Tags that are read, by their numbers."""

    WIDTH = 0x0100
    HEIGHT = 0x0101
    ORIENTATION = 0x0112
    EXTRA_SAMPLES = 0x0152
    SAMPLE_FORMAT = 0x0153
    XMP_TAG = 0x02BC
    EXIF_FOLDER = 0x8769
    PROFILE_TAG = 0x8773
    FOCAL = 0x920A
    COLOUR_SPACE = 0xA001
    PIXELS_X = 0xA002
    PIXELS_Y = 0xA003
    INTEROPERABILITY = 0xA005
    SENSOR_X = 0xA20E
    SENSOR_Y = 0xA20F
    SENSOR_UNIT = 0xA210
    FOCAL_35MM = 0xA405


@dataclass
class ExifFolder:
    """Tags of a TIFF folder and those below it."""

    numbers: dict[int, float] = field(default_factory=dict)
    """Single numbers, and the first of a TIFF's sample formats."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    """The ICC profile and the XMP packet."""
    interoperability: bytes = b""
    orientation_at: int = 0
    order: str = "<"


def read_exif(block: bytes | mmap.mmap) -> ExifFolder:
    """The tags of a TIFF structure: its first folder, EXIF's and that of interoperability."""
    order = {b"II": "<", b"MM": ">"}[bytes(block[:2])] if bytes(block[:2]) in (b"II", b"MM") else ""
    if not order:
        raise ValueError("no TIFF header")
    big = struct.unpack_from(f"{order}H", block, 2)[0] == 43
    folder = ExifFolder(order=order)
    first = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, 8 if big else 4)[0]
    _read_folder(block, order, big, first, folder)
    for pointer in (Tag.EXIF_FOLDER, Tag.INTEROPERABILITY):
        if pointer in folder.numbers:
            _read_folder(block, order, big, int(folder.numbers[pointer]), folder, pointer)
    return folder


def _read_folder(
    block: bytes | mmap.mmap, order: str, big: bool, offset: int, folder: ExifFolder, within: int = 0
) -> None:
    """Adds the tags of one folder that are single numbers, and of the blocks those that are wanted."""
    count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", block, offset)[0]
    size, head, inline = (20, 8, 8) if big else (12, 2, 4)
    for index in range(min(count, 4096)):
        at = offset + head + size * index
        tag, kind = struct.unpack_from(f"{order}HH", block, at)
        (length,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, at + 4)
        value_at = at + size - inline
        width = {1: 1, 2: 1, 7: 1, 5: 8, 10: 8}.get(kind) or struct.calcsize(_NUMBERS.get(kind, ""))
        if not width:
            continue
        if width * length > inline:
            (value_at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, value_at)
        if within == Tag.INTEROPERABILITY:
            if tag == 1 and kind == 2:
                folder.interoperability = bytes(block[value_at : value_at + 3])
            continue
        if tag in (Tag.XMP_TAG, Tag.PROFILE_TAG) and kind in (1, 2, 7):
            folder.blocks[tag] = bytes(block[value_at : value_at + min(length, MAX_PROFILE_BYTES)])
        elif kind in _NUMBERS and (length == 1 or tag == Tag.SAMPLE_FORMAT):
            (value,) = struct.unpack_from(order + _NUMBERS[kind], block, value_at)
            if math.isfinite(value):
                folder.numbers[tag] = value
            if tag == Tag.ORIENTATION and kind == 3 and not within:
                folder.orientation_at = value_at
        elif length == 1 and kind in (5, 10):
            over, under = struct.unpack_from(f"{order}{'ii' if kind == 10 else 'II'}", block, value_at)
            folder.numbers[tag] = over / under if under else 0.0
