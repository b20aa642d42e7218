"""Image files as icons of the interface."""

import time
from pathlib import Path

import bpy.utils.previews

from .known import Colour

COLOUR_PX = 16
SHOWN_S = 3.0
"""Shortest time between previews: Blender loads them in a thread, and faster ones would never be seen."""


class PreviewIcon:
    """The newest preview as an icon. Blender loads an icon once per name, when it is first drawn."""

    def __init__(self) -> None:
        self._icons: bpy.utils.previews.ImagePreviewCollection | None = None
        self._shown: Path | None = None
        self._since = 0.0

    @property
    def icon(self) -> int:
        """For `template_icon`; 0 when there is none."""
        return next(iter(self._icons.values())).icon_id if self._icons else 0

    def show(self, file: Path | None) -> None:
        now = time.monotonic()
        if file == self._shown or (file is not None and now - self._since < SHOWN_S):
            return
        self.clear()
        self._shown, self._since = file, now
        if file is not None:
            self._icons = bpy.utils.previews.new()
            self._icons.load(str(file), str(file), "IMAGE")

    def clear(self) -> None:
        self._shown, self._since = None, 0.0
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
            self._icons = None


class Icons:
    """Icons by name, each made when it is first drawn."""

    def __init__(self) -> None:
        self._icons: bpy.utils.previews.ImagePreviewCollection | None = None

    @property
    def _made(self) -> bpy.utils.previews.ImagePreviewCollection:
        if self._icons is None:
            self._icons = bpy.utils.previews.new()
        return self._icons

    def clear(self) -> None:
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
            self._icons = None


class ThumbnailIcons(Icons):
    """Image files as icons. Blender loads them in a thread."""

    def icon(self, file: Path) -> int:
        """For `template_icon`; 0 when the file is not there."""
        name = str(file)
        if name not in self._made:
            if not file.is_file():
                return 0
            self._made.load(name, name, "IMAGE")
        return self._made[name].icon_id


class ColourIcons(Icons):
    """One-coloured icons."""

    def icon(self, colour: Colour) -> int:
        """The number of the icon of a colour, as displayed (sRGB), 0..1."""
        name = str(colour)
        if name not in self._made:
            icon = self._made.new(name)
            icon.icon_size = (COLOUR_PX, COLOUR_PX)
            icon.icon_pixels_float = [*colour, 1.0] * COLOUR_PX**2
        return self._made[name].icon_id


preview_icon = PreviewIcon()
thumbnails = ThumbnailIcons()
colours = ColourIcons()


def clear() -> None:
    preview_icon.clear()
    thumbnails.clear()
    colours.clear()
