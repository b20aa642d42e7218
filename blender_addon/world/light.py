"""The scene's world as its light: the linear panorama beyond white, or the picture as it is displayed."""

from pathlib import Path

import bpy

from ..kit import WORLD_LIGHT
from ..moved import present_path
from ..results import absolute
from .nodes import show_panorama

NO_LIGHT = "This world was built without its light: build it again."


def shown_panorama(scene: bpy.types.Scene, folder: Path) -> Path:
    """The file that the scene's world shows of the world in a folder: its light, if that is wanted and there."""
    light = folder / WORLD_LIGHT
    return light if scene.look_beyond.light and present_path(light).is_file() else folder / "panorama.png"


def lacks_light(scene: bpy.types.Scene) -> bool:
    """Whether the scene's world is to be its light, and has none."""
    settings = scene.look_beyond
    if not (settings.light and settings.world_folder):
        return False
    return not (absolute(settings.world_folder) / WORLD_LIGHT).is_file()


def switch_light(scene: bpy.types.Scene) -> None:
    """Let the scene's world show what `light` says; strength and turn stay as the artist has set them."""
    folder = scene.look_beyond.world_folder
    if folder:
        show_panorama(scene, shown_panorama(scene, absolute(folder)))
