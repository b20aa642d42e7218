"""Picture files that tests make, through Blender."""

import math
import struct
from pathlib import Path

import numpy as np


def picture(path: Path, width: int, height: int, pixels=None) -> Path:
    """Write an image file through Blender; `pixels` [H, W, 3] in 0..1, first row on top, or a gradient."""
    import bpy

    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., 0] = np.linspace(0, 1, width)
    rgba[..., 1] = np.linspace(0, 1, height)[:, None]
    if pixels is not None:
        rgba[..., :3] = pixels
    image = bpy.data.images.new("picture", width, height)
    image.pixels.foreach_set(np.ascontiguousarray(rgba[::-1]).ravel())
    image.file_format = {".jpg": "JPEG", ".png": "PNG", ".exr": "OPEN_EXR"}[path.suffix]
    image.filepath_raw = str(path)
    image.save()
    bpy.data.images.remove(image)
    return path


def smooth_panorama(path, width=512):
    """A picture whose colour says the direction: no two directions of the sphere look alike."""
    u = (np.arange(width) + 0.5) / width
    v = (np.arange(width // 2)[:, None] + 0.5) / (width // 2)
    pixels = np.empty((width // 2, width, 3))
    pixels[..., 0] = 0.5 + 0.4 * np.sin(2 * math.pi * u) * np.sin(math.pi * v)
    pixels[..., 1] = 0.5 + 0.4 * np.cos(2 * math.pi * u) * np.sin(math.pi * v)
    pixels[..., 2] = 0.5 + 0.4 * np.cos(math.pi * v)
    picture(path, width, width // 2, pixels)
    return path, np.round(pixels * 255).astype(np.uint8)


def exif(focal_35mm: int, orientation: int = 1, order: str = "<") -> bytes:
    """A TIFF block with the two tags."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    main = struct.pack(f"{order}HHHIHHHHIII", 2, 0x0112, 3, 1, orientation, 0, 0x8769, 4, 1, 38, 0)
    return head + main + struct.pack(f"{order}HHHIHHI", 1, 0xA405, 3, 1, focal_35mm, 0, 0)


def with_exif(jpeg, block: bytes):
    data = jpeg.read_bytes()
    content = b"Exif\0\0" + block
    jpeg.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:])
    return jpeg
