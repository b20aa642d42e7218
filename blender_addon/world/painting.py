"""Marks that an artist paints over a picture in the Image Editor, with any brush and any colour.

What is painted on is a dimmed copy of the picture, an image of the open file: a mark is where the copy was changed.
Annotations would have been the other way; but Blender 5.0 moved them to other data, they have no area of their own, and
a lasso is no brush.
"""

from collections.abc import Mapping

import bpy
import numpy as np
from numpy.typing import NDArray

from ..marks import set_marks
from ..photo.image import pixels_of
from ..tasks import JobError

DARK, LIGHT = 0.15, 0.65
"""Black and white of the picture in its copy: the brush's own colours stand out from both."""
CHANGED = 4
"""Levels of 255 by which a painted pixel differs at least."""


def dimmed(colour: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A picture [h, w, 3], 0..1, as it is painted on."""
    return ((DARK + (LIGHT - DARK) * colour) * 255 + 0.5).astype(np.uint8)


def new_canvas(
    former: bpy.types.Image | None, name: str, marks: Mapping[str, object], values: NDArray[np.uint8]
) -> bpy.types.Image:
    """An image to paint on that shows these values [h, w, 3]: the former one again, if it has their size."""
    height, width = values.shape[:2]
    image = former
    if image is None or tuple(image.size) != (width, height):
        image = bpy.data.images.new(name, width, height, alpha=False)
        set_marks(image, dict(marks))
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = values[::-1].astype(np.float32) / 255
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def show_canvas(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """Show it for painting, in an Image Editor that is open, else in a new window."""
    windows = context.window_manager.windows
    editors = [area for window in windows for area in window.screen.areas if area.type == "IMAGE_EDITOR"]
    if not editors and not bpy.app.background:
        bpy.ops.wm.window_new()
        editors = [windows[-1].screen.areas[0]]
        editors[0].type = "IMAGE_EDITOR"
    for area in editors[:1]:
        area.spaces.active.image = image
        area.spaces.active.ui_mode = "PAINT"


def painted(image: bpy.types.Image, values: NDArray[np.uint8], picture: str) -> NDArray[np.bool_]:
    """Where an image that showed these values [h, w, 3] was painted over, [h, w]. `JobError` for another size.

    picture: what it is a copy of, for the message.
    """
    height, width = values.shape[:2]
    if tuple(image.size) != (width, height):
        raise JobError(f"The image {image.name} has another size than {picture}: press Clear and paint again.")
    shown = pixels_of(image)[::-1, :, :3] * 255
    return np.asarray((np.abs(shown - values) >= CHANGED).any(-1))
