"""Sets the scale of a picture by a known length: two clicks on its ends, in a photo or in a 360° picture.

A point on the floor that is seen at an angle d below the horizon is h / tan(d) away, where h is the camera's height; an
object that stands there ends where the ray to its top passes above that point. All lengths are proportional to h, so a
known one gives h.
"""

from collections.abc import Sequence

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty

from .camera import photo_camera, set_photo_camera
from .horizon import PickError, Pixel, pixels
from .picking import PhotoPicking

KINDS = (
    ("UPRIGHT", "Something Standing", "Click its foot on the floor, then its top. A door is 2 m high"),
    ("FLOOR", "Along the Floor", "Click its two ends, both on the floor: a tile, a rug, the length of a wall"),
)


def length_of(kind: str, one: np.ndarray, other: np.ndarray, height_m: float) -> float:
    """Length, metres, of an object whose ends are seen in two directions [3] (any length, Z up).

    `height_m` is the camera's height above the floor. An UPRIGHT object stands on the floor, `one` points to its foot;
    both ends of an object along the FLOOR lie on it. Raises `PickError`.
    """
    foot = on_floor("first", one, height_m)
    if kind == "FLOOR":
        length = float(np.linalg.norm(on_floor("second", other, height_m) - foot))
        if length < 1e-6 * height_m:
            raise PickError("Both clicks are at the same point: click the two ends.")
        return length
    along = float(other[:2] @ foot)
    length = height_m + float(other[2] * (foot @ foot)) / along if along > 1e-9 else 0.0
    if length < 0.005 * height_m:
        raise PickError("The second click is not above the first: click the top of the same object.")
    return length


def on_floor(click: str, direction: np.ndarray, height_m: float) -> np.ndarray:
    """Where a direction [3] meets the floor: [2], metres from the point below the camera."""
    if direction[2] >= -1e-6 * np.linalg.norm(direction):
        raise PickError(f"The {click} click is not on the floor: click below the horizon.")
    return direction[:2] * (height_m / -direction[2])


class EndPicking(PhotoPicking):
    """Two clicks on the ends of a known length, which set the camera's height."""

    kind: EnumProperty(name="What", items=KINDS)
    known: FloatProperty(
        name="Length (m)",
        description="Known length in metres; a door is 2 m high",
        default=2.0,
        min=0.05,
        soft_max=10.0,
    )

    def directions(self, context: bpy.types.Context, ends: Sequence[Pixel]) -> np.ndarray:
        """Directions [2, 3] of the ends, Z up."""
        raise NotImplementedError

    def set_height(self, scene: bpy.types.Scene, height_m: float) -> None:
        """Set the height of the picture's camera."""
        raise NotImplementedError

    def invoke(self, context, event):
        self.clicks: list[Pixel] = []
        if not self.properties.is_property_set("known"):
            self.known = context.scene.look_beyond.known_length
        standing = self.kind == "UPRIGHT"
        where = "the foot, then the top of an object" if standing else "both ends, on the floor, of an object"
        size = f"{self.known:.3g} m {'high' if standing else 'long'}"
        return self.begin(context, f"Click {where} that is {size}  |  Esc: cancel")

    def draw_handles(self, context) -> None:
        self.draw_points(context, self.clicks)

    def execute(self, context):
        try:
            height = self.known / length_of(self.kind, *self.directions(context, pixels(self.ends)), 1.0)
        except PickError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.set_height(context.scene, height)
        self.report({"INFO"}, f"The camera is {height:.2f} m above the floor. Build the world again to rescale it.")
        return {"FINISHED"}

    def modal(self, context, event):
        if event.type in ("ESC", "RIGHTMOUSE"):
            return self.end(context, "CANCELLED")
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}
        self.clicks.append(self.pixel_at(context, event))
        context.area.tag_redraw()
        if len(self.clicks) < 2:
            return {"RUNNING_MODAL"}
        self.ends = [value for click in self.clicks for value in click]
        return self.end(context, self.execute(context).pop())


class MeasureHeight(EndPicking, bpy.types.Operator):
    """Click the ends of a known length in the photo to set the camera's height, and so the scale of the world"""

    bl_idname = "lookbeyond.measure_height"
    bl_label = "Measure by a Known Length"
    bl_options = {"REGISTER", "UNDO"}

    ends: FloatVectorProperty(
        name="Ends", description="Two pixels of the photo: x, y, x, y", size=4, options={"SKIP_SAVE"}
    )

    def directions(self, context, ends) -> np.ndarray:
        camera = photo_camera(context.scene)
        rays = np.array([(*end, 1.0) for end in ends]) @ np.linalg.inv(camera.intrinsics).T
        return rays @ camera.rotation.T

    def set_height(self, scene, height_m) -> None:
        set_photo_camera(scene, height_m=height_m)


CLASSES = (MeasureHeight,)
