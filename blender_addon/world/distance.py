"""The file of a world's distances, read without Blender: that offers no reader outside its main thread. No bpy here."""

import struct
import zlib
from pathlib import Path

import numpy as np

MAX_SIDE = 16384


class WorldError(ValueError):
    """A world whose files cannot be used: the message names the file and the remedy."""


def read_distance(path: Path) -> np.ndarray:
    """The one float channel of a world's distance.exr, [H, W] float32: scan lines, raw or ZIP compressed.

    Raises `WorldError` for anything else. Blender offers no reader outside its main thread.
    """
    try:
        data = path.read_bytes()
        return _scan_lines(data, *_header(data))
    except (OSError, ValueError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise WorldError(f"The file {path} cannot be read ({error}): build the world again.") from None


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes of an EXR file, by name, and where they end."""
    if data[:4] != b"\x76\x2f\x31\x01" or data[5] & 0x1A:
        raise ValueError("no single-part scan line OpenEXR file")
    attributes, position = {}, 8
    while data[position]:
        name_end = data.index(b"\0", position)
        kind_end = data.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        attributes[data[position:name_end].decode()] = data[kind_end + 5 : kind_end + 5 + size]
        position = kind_end + 5 + size
    return attributes, position + 1


def _scan_lines(data: bytes, attributes: dict[str, bytes], position: int) -> np.ndarray:
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels, compression = attributes["channels"], attributes["compression"][0]
    name_end = channels.index(b"\0")
    (kind,) = struct.unpack_from("<i", channels, name_end + 1)
    if kind != 2 or len(channels) != name_end + 18 or compression not in (0, 2, 3):
        raise ValueError("not one float channel in scan lines")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError("an impossible size")
    rows = 16 if compression == 3 else 1
    image = np.empty((height, width), np.float32)
    for offset in struct.unpack_from(f"<{-(-height // rows)}Q", data, position):
        line, size = struct.unpack_from("<ii", data, offset)
        lines = image[line - top : line - top + rows]
        block = data[offset + 8 : offset + 8 + size]
        if size < lines.nbytes:
            deltas = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
            deltas[1:] -= 128
            halves = (np.cumsum(deltas) & 255).astype(np.uint8)
            whole = np.empty(lines.nbytes, np.uint8)
            middle = (len(whole) + 1) // 2
            whole[::2], whole[1::2] = halves[:middle], halves[middle:]
            block = whole.tobytes()
        lines[:] = np.frombuffer(block, "<f4").reshape(lines.shape)
    return image
