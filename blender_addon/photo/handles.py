"""Two handles on the photo's horizon, or two lines along edges in it, stand the camera upright."""

import math
from collections.abc import Sequence

import bpy
from bpy.props import EnumProperty, FloatVectorProperty
from mathutils import Vector

from ..kit import Camera
from .camera import photo_camera, set_photo_camera
from .horizon import HandleError, Pixel, horizon_row, pitch_roll_of_horizon, pitch_roll_of_lines, pixels
from .pointing import OnPhoto

HANDLES = (0.2, 0.8)
"""Where the handles stand, as shares of the photo's width."""
LINES = {
    "UPRIGHT": ((0.25, 0.3), (0.25, 0.7), (0.75, 0.3), (0.75, 0.7)),
    "LEVEL": ((0.2, 0.9), (0.4, 0.65), (0.8, 0.9), (0.6, 0.65)),
}
"""Where the two lines begin, two ends each, as shares of the photo's width and height."""
GRAB_PX = 30


class DragsHandles(OnPhoto):
    """Handles to drag until the artist is content: pitch and roll follow while they move."""

    words = ""

    def handles(self, context: bpy.types.Context) -> list[Pixel]:
        """Where the handles stand now."""
        raise NotImplementedError

    def dropped(self, handles: Sequence[Pixel], moved: int, pixel: Pixel) -> list[Pixel]:
        """The handles when one is moved to a pixel."""
        return [pixel if number == moved else handle for number, handle in enumerate(handles)]

    def pitch_roll(self, camera: Camera, handles: Sequence[Pixel]) -> tuple[float, float]:
        raise NotImplementedError

    def remember(self, handles: Sequence[Pixel]) -> None:
        """Keep the handles as the operator's settings, so that a script can do the same."""
        self.ends = [value for handle in handles for value in handle]

    def turn(self, context: bpy.types.Context, handles: Sequence[Pixel]) -> None:
        """Give the photo's camera the pitch and roll of the handles. Raises HandleError."""
        pitch, roll = self.pitch_roll(photo_camera(context.scene), handles)
        set_photo_camera(context.scene, pitch=pitch, roll=roll)

    def execute(self, context):
        try:
            self.turn(context, pixels(self.ends))
        except HandleError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context, event):
        self.before = context.scene.look_beyond.photo_camera.matrix_world.copy()
        self.dragged = None
        return self.begin(context, f"{self.words}  |  Enter: done  |  Esc: as it was")

    def draw_handles(self, context) -> None:
        handles = self.handles(context)
        for number in range(0, len(handles), 2):
            self.draw_points(context, handles[number : number + 2], True)

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
            handles = self.dropped(self.handles(context), self.dragged, self.pixel_at(context, event))
            self.remember(handles)
            try:
                self.turn(context, handles)
            except HandleError as error:
                self.report({"WARNING"}, str(error))
            context.area.tag_redraw()
            return {"RUNNING_MODAL"}
        return {"PASS_THROUGH"}


def pixels_property(name: str, description: str, number: int) -> FloatVectorProperty:
    return FloatVectorProperty(name=name, description=description, size=2 * number, options={"SKIP_SAVE"})


class AdjustHorizon(DragsHandles, bpy.types.Operator):
    """Drag two handles onto the photo's horizon, or along any line that is level there: pitch and roll follow"""

    bl_idname = "lookbeyond.adjust_horizon"
    bl_label = "Adjust Horizon"
    bl_options = {"REGISTER", "UNDO"}
    words = "Drag the two handles onto the horizon"

    ends: pixels_property("Ends", "Two pixels of the photo on its horizon: x, y, x, y", 2)

    def handles(self, context) -> list[Pixel]:
        camera = photo_camera(context.scene)
        return [(share * camera.width, horizon_row(camera, share * camera.width)) for share in HANDLES]

    def dropped(self, handles, moved, pixel) -> list[Pixel]:
        return super().dropped(handles, moved, (handles[moved][0], pixel[1]))

    def pitch_roll(self, camera, handles) -> tuple[float, float]:
        return pitch_roll_of_horizon(camera, *handles)


class AlignLines(DragsHandles, bpy.types.Operator):
    """Lay two lines along edges of the photo that are upright, or level and parallel, in the place: pitch and roll
    follow"""

    bl_idname = "lookbeyond.align_lines"
    bl_label = "Align by Two Lines"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Edges",
        items=(
            ("UPRIGHT", "Upright Edges", "Of walls, doors or windows: pitch and roll follow"),
            ("LEVEL", "Level Edges", "Two that run away from you side by side, as floor boards do: the pitch follows"),
        ),
    )
    ends: pixels_property("Ends", "Pixels of the photo, two on one edge and two on another: x, y, x, y, ...", 4)

    @property
    def words(self) -> str:
        edges = "upright edges" if self.kind == "UPRIGHT" else "level edges that run side by side"
        return f"Drag the ends of the two lines onto two {edges}"

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
