"""Writes PNG files. No bpy here: Blender's own images belong to the main thread."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def grey_png(image: NDArray[np.uint8]) -> bytes:
    """A picture [H, W] as a grey PNG of 8 bits."""
    height, width = image.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each begins with the number of its filter: none
    lines[:, 1:] = image
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
