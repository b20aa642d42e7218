"""Worlds as assets: each is a separate World, because the scene's World changes when another one is used."""

from pathlib import Path

import bpy
import numpy as np

from ..marks import find_marked, is_local, set_marks
from ..photo.image import small_pixels
from .info import read_world_info
from .nodes import MAKER, add_panorama_node, panorama_group, panorama_image
from .variants import check_world_files, world_record

PICTURE_PX = 256
"""Longer side of an asset's picture."""
DESCRIPTION = "A world that Look Beyond built from a photo"


def mark_world(folder: Path, name: str) -> bpy.types.World:
    """The World that shows the world in a folder, as an asset of this file. Raises `JobError`, `WorldError`."""
    check_world_files(folder)
    info = read_world_info(folder)
    record = world_record(folder, info)
    known = (world for world in bpy.data.worlds if is_local(world) and world.asset_data is not None)
    world = find_marked(known, maker=MAKER, folder=str(folder))
    if world is None:
        world = bpy.data.worlds.new(name)
        add_panorama_node(world, panorama_group(folder / "panorama.png", info.heading_rad), info.heading_rad)
        world.asset_mark()
    world.name = name
    set_marks(world, {"maker": MAKER, **record})
    world.asset_data.description = DESCRIPTION
    world.asset_data.tags.new("Look Beyond", skip_if_exists=True)
    set_picture(world, panorama_image(folder / "panorama.png"))
    return world


def set_picture(world: bpy.types.World, panorama: bpy.types.Image) -> None:
    """Give an asset the panorama as its picture."""
    pixels = small_pixels(panorama, PICTURE_PX, PICTURE_PX // 2)
    square = np.zeros((PICTURE_PX, PICTURE_PX, 4), np.float32)
    square[PICTURE_PX // 4 : PICTURE_PX // 4 + len(pixels)] = np.dstack([pixels[..., :3], np.ones(pixels.shape[:2])])
    picture = world.preview_ensure()
    picture.image_size = (PICTURE_PX, PICTURE_PX)
    picture.image_pixels_float.foreach_set(square.ravel())
