"""The frames of a played shot: a room as its cameras see it. Run by session.py, in a process of its own as the real
service is, with the extension's wheel on its path.

python3 frames.py REQUEST      a JSON file: the cameras, each one's file, the room's colours and distances (.npy)
"""

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from lookbeyond_kit.geometry.cameras import Camera
from lookbeyond_kit.geometry.panorama import Panorama
from lookbeyond_kit.geometry.projection import extract_perspective
from lookbeyond_kit.geometry.warping import warp_to_view


def main(request: dict) -> None:
    colours, distance = np.load(request["colours"]), np.load(request["distance"])
    room = Panorama(colours, distance, np.zeros(colours.shape[:2], np.uint8), 0.0, (0, 0, 1.6))
    for file, values in zip(request["files"], request["cameras"], strict=True):
        camera = Camera.from_dict(values)
        warped = warp_to_view(room, camera)
        behind = extract_perspective(colours, camera, 0.0)
        write_png(Path(file), np.where(warped.known[..., None], warped.colour, behind))


def write_png(file: Path, pixels: np.ndarray) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
