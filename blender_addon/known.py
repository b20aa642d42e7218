"""The colours of what a view is made of: on the path, on the stage, in the draft, and in their legend. No bpy here."""

from dataclasses import dataclass

import numpy as np

from .kit import srgb_to_linear

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Kind:
    """One of the things that a view is made of."""

    word: str
    colour: Colour
    """As displayed (sRGB), 0..1."""
    icon: str
    """The icon of Blender's interface that comes closest."""


PHOTO = Kind("Photo", (0.25, 0.85, 0.35), "STRIP_COLOR_04")
INVENTED = Kind("Invented", (0.2, 0.55, 1.0), "STRIP_COLOR_05")
HOLE = Kind("Hole", (1.0, 0.15, 0.1), "STRIP_COLOR_01")
BEYOND = Kind("Cannot Be Shot", (0.9, 0.1, 0.75), "STRIP_COLOR_06")
LEGEND = (PHOTO, INVENTED, HOLE, BEYOND)


def linear(colour: Colour) -> Colour:
    """A displayed colour as scene-linear values."""
    red, green, blue = srgb_to_linear(np.array(colour)).tolist()
    return red, green, blue
