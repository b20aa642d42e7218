"""Distances of worlds that tests make: a room whose walls are known, and the file that holds them."""

import math
import struct
from pathlib import Path

import numpy as np


def distance_file(path: Path, distance) -> Path:
    """Write an EXR file of one float channel Y, scan lines, not compressed; `distance` [H, W] metres."""
    height, width = distance.shape
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = {
        b"channels": (b"chlist", b"Y\0" + struct.pack("<iiii", 2, 0, 1, 1) + b"\0"),
        b"compression": (b"compression", b"\0"),
        b"dataWindow": (b"box2i", window),
        b"displayWindow": (b"box2i", window),
        b"lineOrder": (b"lineOrder", b"\0"),
        b"pixelAspectRatio": (b"float", struct.pack("<f", 1)),
        b"screenWindowCenter": (b"v2f", struct.pack("<2f", 0, 0)),
        b"screenWindowWidth": (b"float", struct.pack("<f", 1)),
    }
    head = b"\x76\x2f\x31\x01\x02\0\0\0"
    for name, (kind, value) in attributes.items():
        head += name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value
    head += b"\0"
    start, size = len(head) + 8 * height, 8 + 4 * width
    table = struct.pack(f"<{height}Q", *(start + size * row for row in range(height)))
    rows = np.asarray(distance, "<f4")
    body = b"".join(struct.pack("<ii", row, 4 * width) + rows[row].tobytes() for row in range(height))
    path.write_bytes(head + table + body)
    return path


def room_distance(width: int = 128, low=(-2.0, -2.5, -1.6), high=(3.0, 2.0, 1.1), heading: float = 0.0):
    """[width / 2, width]: from the origin to the walls of a box, as a panorama of this heading sees them."""
    height = width // 2
    azimuth = heading + (0.5 - (np.arange(width) + 0.5) / width) * 2 * math.pi
    elevation = ((0.5 - (np.arange(height) + 0.5) / height) * math.pi)[:, None]
    x, y, z = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    ways = [np.where(d > 0, top, bottom) / d for d, bottom, top in zip((x, y, z + 0 * x), low, high)]
    return np.minimum.reduce(ways).astype(np.float32)
