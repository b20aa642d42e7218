"""A length that the artist knows gives a picture its size: two clicks on its ends, in a photo or in a 360° picture.

Only directions count, and the height h of the camera above the floor: a point of the floor that is seen an angle d
below the horizon lies h / tan(d) away, and what stands there ends where the ray to its top is above that place. Every
length in the picture grows with h; so the one that is known tells h.
"""

from collections.abc import Sequence

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty

from .camera import photo_camera, set_photo_camera
from .horizon import HandleError, Pixel, pixels
from .pointing import OnPhoto

KINDS = (
    ("UPRIGHT", "Something Standing", "Click its foot on the floor, then its top: a door is 2 m"),
    ("FLOOR", "Along the Floor", "Click its two ends, both on the floor: a tile, a rug, the length of a wall"),
)


def length_of(kind: str, one: np.ndarray, other: np.ndarray, height_m: float) -> float:
    """How long a thing is whose ends are seen in two directions [3] (any length, Z up) from so high above the floor.

    UPRIGHT things stand on the floor, `one` is their foot; both ends of a thing along the FLOOR lie on it.
    """
    foot = on_floor("first", one, height_m)
    if kind == "FLOOR":
        length = float(np.linalg.norm(on_floor("second", other, height_m) - foot))
        if length < 1e-6 * height_m:
            raise HandleError("Both clicks are on one point: click the two ends.")
        return length
    along = float(other[:2] @ foot)
    length = height_m + float(other[2] * (foot @ foot)) / along if along > 1e-9 else 0.0
    if length < 0.005 * height_m:
        raise HandleError("The second click is not above the first: click on the top of the same thing.")
    return length


def on_floor(click: str, direction: np.ndarray, height_m: float) -> np.ndarray:
    """Where a direction [3] meets the floor, [2] from the point below the camera, metres."""
    if direction[2] >= -1e-6 * np.linalg.norm(direction):
        raise HandleError(f"The {click} click was not on the floor: click below the horizon, where the floor is.")
    return direction[:2] * (height_m / -direction[2])


class ClicksEnds(OnPhoto):
    """Two clicks on the ends of something whose length is known: the camera's height follows."""

    kind: EnumProperty(name="What", items=KINDS)
    known: FloatProperty(name="Its Length (m)", description="A door is 2 m", default=2.0, min=0.05, soft_max=10.0)

    def directions(self, context: bpy.types.Context, ends: Sequence[Pixel]) -> np.ndarray:
        """Where the ends are seen, [2, 3], Z up."""
        raise NotImplementedError

    def resize(self, scene: bpy.types.Scene, height_m: float) -> None:
        """Have the picture's camera stand so high."""
        raise NotImplementedError

    def invoke(self, context, event):
        self.clicks: list[Pixel] = []
        if not self.properties.is_property_set("known"):
            self.known = context.scene.look_beyond.known_length
        standing = self.kind == "UPRIGHT"
        where = "the foot, then the top of something" if standing else "both ends on the floor of something"
        return self.begin(context, f"Click {where} {self.known:.3g} m {'high' if standing else 'long'}  |  Esc: leave")

    def draw_handles(self, context) -> None:
        self.draw_points(context, self.clicks, True)

    def execute(self, context):
        try:
            height = self.known / length_of(self.kind, *self.directions(context, pixels(self.ends)), 1.0)
        except HandleError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.resize(context.scene, height)
        self.report({"INFO"}, f"The camera stands {height:.2f} m above the floor. Build the world again to resize it.")
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


class MeasureHeight(ClicksEnds, bpy.types.Operator):
    """Click the ends of something in the photo whose length you know: the camera's height follows, and with it the
    size of the world"""

    bl_idname = "lookbeyond.measure_height"
    bl_label = "Measure by a Known Length"
    bl_options = {"REGISTER", "UNDO"}

    ends: FloatVectorProperty(name="Ends", description="Pixels of the photo: x, y, x, y", size=4, options={"SKIP_SAVE"})

    def directions(self, context, ends) -> np.ndarray:
        camera = photo_camera(context.scene)
        rays = np.array([(*end, 1.0) for end in ends]) @ np.linalg.inv(camera.intrinsics).T
        return rays @ camera.rotation.T

    def resize(self, scene, height_m) -> None:
        set_photo_camera(scene, height=height_m)


CLASSES = (MeasureHeight,)
