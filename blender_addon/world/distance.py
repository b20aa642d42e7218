"""Reads a world's distance.exr without Blender, which has no reader outside its main thread. No bpy here."""

import struct
from pathlib import Path

import numpy as np

MAX_SIDE_PX = 16384


class WorldError(ValueError):
    """A world whose files cannot be used; the message names the file and the remedy."""


def read_distance(path: Path) -> np.ndarray:
    """The distances [H, W] float32: one float channel in uncompressed scan lines, as the service writes it.

    Raises `WorldError` for anything else.
    """
    try:
        data = path.read_bytes()
        return _scan_lines(data, *_header(data))
    except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
        raise WorldError(f"The file {path} cannot be read ({error}): build the world again.") from None


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes of an EXR file by name, and the position behind them."""
    if data[:4] != b"\x76\x2f\x31\x01" or data[5] & 0x1A:
        raise ValueError("not a single-part scan line OpenEXR file")
    attributes, position = {}, 8
    while data[position]:
        name_end = data.index(b"\0", position)
        kind_end = data.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        attributes[data[position:name_end].decode()] = data[kind_end + 5 : kind_end + 5 + size]
        position = kind_end + 5 + size
    return attributes, position + 1


def _scan_lines(data: bytes, attributes: dict[str, bytes], position: int) -> np.ndarray:
    """The image [H, W], whose table of offsets is at `position`."""
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels = attributes["channels"]
    name_end = channels.index(b"\0")
    (kind,) = struct.unpack_from("<i", channels, name_end + 1)
    if kind != 2 or len(channels) != name_end + 18 or attributes["compression"][0] != 0:
        raise ValueError("not one float channel in uncompressed scan lines")
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise ValueError("an impossible size")
    image = np.empty((height, width), np.float32)
    for offset in struct.unpack_from(f"<{height}Q", data, position):
        line, _ = struct.unpack_from("<ii", data, offset)
        image[line - top] = np.frombuffer(data, "<f4", width, offset + 8)
    return image
