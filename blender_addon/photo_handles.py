"""Two handles on the photo's horizon, or two lines along edges in it, stand the camera upright.

The mathematics stands on top and knows nothing of windows; the operators map the mouse to the photo's pixels.
"""

import math
from collections.abc import Sequence

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatVectorProperty
from bpy_extras import view3d_utils
from lookbeyond_kit.geometry.cameras import Camera, heading_pitch_roll
from mathutils import Vector

from .cameras_from_blender import metres_per_unit
from .photo import photo_camera, set_photo_camera

HANDLES = (0.2, 0.8)
"""Where the handles stand, as shares of the photo's width."""
LINES = {
    "UPRIGHT": ((0.25, 0.3), (0.25, 0.7), (0.75, 0.3), (0.75, 0.7)),
    "LEVEL": ((0.2, 0.9), (0.4, 0.65), (0.8, 0.9), (0.6, 0.65)),
}
"""Where the two lines begin, two ends each, as shares of the photo's width and height."""
GRAB_PX = 30

Pixel = tuple[float, float]


class HandleError(ValueError):
    """Clicks that say nothing: the message names what to click on."""


def horizon_row(camera: Camera, column: float) -> float:
    """The photo's row at which the horizon crosses a column, pixels."""
    up = camera.rotation[2]
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    return float(cy - fy * (up[2] + up[0] * (column - cx) / fx) / up[1])


def pitch_roll_of_horizon(camera: Camera, left: Pixel, right: Pixel) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera whose horizon goes through two pixels of its photo."""
    up, length = plane_normal(camera, left, right)
    if length < 1e-9:
        raise HandleError("The two handles stand on one point: move them apart.")
    return pitch_roll_of_up(up)


def pitch_roll_of_up(up: np.ndarray) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera that sees the vertical [3] along this direction, or its opposite."""
    up = up * (-1 if up[1] > 0 else 1)
    return math.asin(max(-1.0, min(1.0, up[2]))), math.atan2(-up[0], -up[1])


def plane_normal(camera: Camera, one: Pixel, other: Pixel) -> tuple[np.ndarray, float]:
    """The normal [3] (in the camera, of length 1) of the plane in which two pixels are seen; 0 if they are one."""
    rays = np.array([(*one, 1.0), (*other, 1.0)]) @ np.linalg.inv(camera.intrinsics).T
    normal = np.cross(rays[0], rays[1])
    length = float(np.linalg.norm(normal))
    return normal / max(length, 1e-12), length


def direction_of_lines(camera: Camera, ends: Sequence[Pixel]) -> np.ndarray:
    """Where two edges run that are parallel in the place: [3] in the camera, of length 1, either way.

    `ends` are two pixels of the one and two of the other. Whatever runs along a line of the photo lies in the plane
    through it and the camera: the direction of both is where the two planes meet, the lines' vanishing point.
    """
    (one, length), (other, other_length) = plane_normal(camera, *ends[:2]), plane_normal(camera, *ends[2:])
    if min(length, other_length) < 1e-9:
        raise HandleError("Both ends of a line stand on one point: move them apart.")
    direction = np.cross(one, other)
    turned = float(np.linalg.norm(direction))
    if turned < 1e-3:
        raise HandleError("Both lines lie along one edge: move one of them to another edge.")
    return direction / turned


def pitch_roll_of_lines(camera: Camera, kind: str, ends: Sequence[Pixel]) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera by two lines of its photo (see `direction_of_lines`).

    UPRIGHT edges tell both. LEVEL ones, parallel to each other, tell where they vanish, which is on the horizon: the
    pitch follows, the roll stays as it is.
    """
    direction = direction_of_lines(camera, ends)
    if kind == "UPRIGHT":
        return pitch_roll_of_up(direction)
    _, _, roll = heading_pitch_roll(camera)
    if abs(direction[2]) < 1e-3:
        raise HandleError("The two lines never meet: choose edges that run away from you, or level the roll first.")
    return math.atan((direction[0] * math.sin(roll) + direction[1] * math.cos(roll)) / direction[2]), roll


class OnPhoto:
    """What these operators share: the photo's camera fills the viewport, the mouse is on its pixels."""

    _draw_handle = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.look_beyond.photo_camera is None:
            cls.poll_message_set("Place a photo first")
            return False
        return True

    def look_through(self, context: bpy.types.Context) -> None:
        context.scene.camera = context.scene.look_beyond.photo_camera
        context.region_data.view_perspective = "CAMERA"

    def pixel_at(self, context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float]:
        """The photo's pixel under the mouse."""
        camera = photo_camera(context.scene)
        mouse = (event.mouse_region_x, event.mouse_region_y)
        direction = view3d_utils.region_2d_to_vector_3d(context.region, context.region_data, mouse)
        pixels, _ = camera.project(camera.position + np.array(direction))
        return float(pixels[0]), float(pixels[1])

    def region_at(self, context: bpy.types.Context, pixel: tuple[float, float]) -> Vector | None:
        """Where a pixel of the photo is in the viewport."""
        camera = photo_camera(context.scene)
        ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ (*pixel, 1.0)
        place = Vector((camera.position + ray) / metres_per_unit(context.scene))
        return view3d_utils.location_3d_to_region_2d(context.region, context.region_data, place)

    def begin(self, context: bpy.types.Context, words: str) -> set[str]:
        if context.space_data is None or context.space_data.type != "VIEW_3D" or context.region is None:
            self.report({"ERROR"}, "This is done in a 3D viewport: press it in the viewport's sidebar.")
            return {"CANCELLED"}
        self.look_through(context)
        self.region = next(region for region in context.area.regions if region.type == "WINDOW")
        self._draw_handle = bpy.types.SpaceView3D.draw_handler_add(
            self.draw_handles, (context,), "WINDOW", "POST_PIXEL"
        )
        context.workspace.status_text_set(words)
        context.window_manager.modal_handler_add(self)
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def end(self, context: bpy.types.Context, outcome: str) -> set[str]:
        if self._draw_handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._draw_handle, "WINDOW")
            self._draw_handle = None
        context.workspace.status_text_set(None)
        if context.area is not None:
            context.area.tag_redraw()
        return {outcome}

    def cancel(self, context: bpy.types.Context) -> None:
        self.end(context, "CANCELLED")

    def draw_points(self, context: bpy.types.Context, pixels: list[tuple[float, float]], line: bool) -> None:
        import gpu
        from gpu_extras.batch import batch_for_shader

        places = [place for pixel in pixels if (place := self.region_at(context, pixel)) is not None]
        if not places:
            return
        shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
        shader.bind()
        shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
        shader.uniform_float("lineWidth", 2.5)
        shader.uniform_float("color", (1.0, 0.75, 0.1, 1.0))
        gpu.state.blend_set("ALPHA")
        if line and len(places) == 2:
            ahead = (places[1] - places[0]) * 0.4
            ends = [(places[0] - ahead).to_tuple(), (places[1] + ahead).to_tuple()]
            batch_for_shader(shader, "LINES", {"pos": [(x, y, 0) for x, y in ends]}).draw(shader)
        for place in places:
            angles = np.linspace(0, 2 * math.pi, 25)
            ring = [(place.x + 9 * math.cos(a), place.y + 9 * math.sin(a), 0) for a in angles]
            batch_for_shader(shader, "LINE_STRIP", {"pos": ring}).draw(shader)
        gpu.state.blend_set("NONE")


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


def pixels(values: Sequence[float]) -> list[Pixel]:
    """x, y, x, y, ... as pairs."""
    values = tuple(values)
    return list(zip(values[::2], values[1::2], strict=True))


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
