"""Operators that level the photo's camera: two handles on the horizon, or two lines along edges."""

import math
from collections.abc import Sequence
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatVectorProperty
from mathutils import Vector

from ..kit import Camera
from .camera import photo_camera, set_photo_camera
from .horizon import PickError, Pixel, horizon_row, pitch_roll_of_horizon, pitch_roll_of_lines, pixels
from .picking import PhotoPicking

HANDLES = (0.2, 0.8)
"""Columns of the horizon's handles, as shares of the photo's width."""
LINES = {
    "UPRIGHT": ((0.25, 0.3), (0.25, 0.7), (0.75, 0.3), (0.75, 0.7)),
    "LEVEL": ((0.2, 0.9), (0.4, 0.65), (0.8, 0.9), (0.6, 0.65)),
}
"""First positions of the two lines, two ends each, as shares of the photo's width and height."""
GRAB_PX = 30
"""Distance within which a press grabs a handle."""


class HandleDragging(PhotoPicking):
    """Handles to drag: pitch and roll follow while they move."""

    status_text = ""

    def handles(self, context: bpy.types.Context) -> list[Pixel]:
        """The handles' present pixels."""
        raise NotImplementedError

    def moved(self, handles: Sequence[Pixel], index: int, pixel: Pixel) -> list[Pixel]:
        """The handles after one was moved to a pixel."""
        return [pixel if number == index else handle for number, handle in enumerate(handles)]

    def pitch_roll(self, camera: Camera, handles: Sequence[Pixel]) -> tuple[float, float]:
        """Pitch and roll, radians, by the handles. Raises `PickError`."""
        raise NotImplementedError

    def remember(self, handles: Sequence[Pixel]) -> None:
        """Store the handles as operator properties, so that a script can repeat the operation."""
        self.ends = [value for handle in handles for value in handle]

    def apply(self, context: bpy.types.Context, handles: Sequence[Pixel]) -> None:
        """Set pitch and roll of the photo's camera by the handles. Raises `PickError`."""
        pitch_rad, roll_rad = self.pitch_roll(photo_camera(context.scene), handles)
        set_photo_camera(context.scene, pitch_rad=pitch_rad, roll_rad=roll_rad)

    def execute(self, context):
        try:
            self.apply(context, pixels(self.ends))
        except PickError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context, event):
        self.before = context.scene.look_beyond.photo_camera.matrix_world.copy()
        self.dragged = None
        return self.begin(context, f"{self.status_text}  |  Enter: confirm  |  Esc: cancel")

    def draw_handles(self, context) -> None:
        handles = self.handles(context)
        for number in range(0, len(handles), 2):
            self.draw_points(context, handles[number : number + 2])

    def modal(self, context, event):
        if event.type in ("RET", "NUMPAD_ENTER") and event.value == "PRESS":
            self.remember(self.handles(context))
            return self.end(context, "FINISHED")
        if event.type == "ESC":
            context.scene.look_beyond.photo_camera.matrix_world = self.before
            return self.end(context, "CANCELLED")
        if event.type == "LEFTMOUSE" and event.value == "RELEASE" and self.dragged is not None:
            self.dragged = None
            return {"RUNNING_MODAL"}
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            mouse = Vector((event.mouse_region_x, event.mouse_region_y))
            places = [self.region_at(context, handle) for handle in self.handles(context)]
            near = [(place - mouse).length if place is not None else math.inf for place in places]
            if min(near) > GRAB_PX:
                return {"PASS_THROUGH"}
            self.dragged = near.index(min(near))
            return {"RUNNING_MODAL"}
        if event.type == "MOUSEMOVE" and self.dragged is not None:
            handles = self.moved(self.handles(context), self.dragged, self.pixel_at(context, event))
            self.remember(handles)
            try:
                self.apply(context, handles)
            except PickError as error:
                self.report({"WARNING"}, str(error))
            context.area.tag_redraw()
            return {"RUNNING_MODAL"}
        return {"PASS_THROUGH"}


def pixels_property(description: str, number: int) -> Any:
    """A property for a number of pixels."""
    return FloatVectorProperty(name="Ends", description=description, size=2 * number, options={"SKIP_SAVE"})


class AdjustHorizon(HandleDragging, bpy.types.Operator):
    """Drag two handles onto the photo's horizon to set pitch and roll"""

    bl_idname = "lookbeyond.adjust_horizon"
    bl_label = "Adjust Horizon"
    bl_options = {"REGISTER", "UNDO"}
    status_text = "Drag the two handles onto the horizon"

    ends: pixels_property("Two pixels on the photo's horizon: x, y, x, y", 2)

    def handles(self, context) -> list[Pixel]:
        camera = photo_camera(context.scene)
        return [(share * camera.width, horizon_row(camera, share * camera.width)) for share in HANDLES]

    def moved(self, handles, index, pixel) -> list[Pixel]:
        return super().moved(handles, index, (handles[index][0], pixel[1]))

    def pitch_roll(self, camera, handles) -> tuple[float, float]:
        return pitch_roll_of_horizon(camera, *handles)


class AlignLines(HandleDragging, bpy.types.Operator):
    """Drag two lines along vertical edges, or along parallel horizontal edges, to set pitch and roll"""

    bl_idname = "lookbeyond.align_lines"
    bl_label = "Align by Two Lines"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Edges",
        items=(
            ("UPRIGHT", "Upright Edges", "Vertical edges of walls, doors or windows: sets pitch and roll"),
            ("LEVEL", "Level Edges", "Two parallel edges that run away from you, such as floorboards: sets the pitch"),
        ),
    )
    ends: pixels_property("Pixels of the photo, two on each edge: x, y, x, y, ...", 4)

    @property
    def status_text(self) -> str:
        edges = "vertical edges" if self.kind == "UPRIGHT" else "parallel horizontal edges"
        return f"Drag the ends of the lines onto two {edges}"

    def invoke(self, context, event):
        camera = photo_camera(context.scene)
        self.lines = [(x * camera.width, y * camera.height) for x, y in LINES[self.kind]]
        return super().invoke(context, event)

    def handles(self, context) -> list[Pixel]:
        return self.lines

    def pitch_roll(self, camera, handles) -> tuple[float, float]:
        return pitch_roll_of_lines(camera, self.kind, handles)

    def remember(self, handles) -> None:
        super().remember(handles)
        self.lines = list(handles)


CLASSES = (AdjustHorizon, AlignLines)
