"""Two handles on the photo's horizon, and two clicks on something whose height is known.

The mathematics stands on top and knows nothing of windows; the operators map the mouse to the photo's pixels.
"""

import math

import bpy
import numpy as np
from bpy.props import FloatProperty
from bpy_extras import view3d_utils
from lookbeyond_kit.geometry.cameras import Camera
from mathutils import Vector

from .cameras_from_blender import metres_per_unit
from .photo import photo_camera, set_photo_camera

HANDLES = (0.2, 0.8)
"""Where the handles stand, as shares of the photo's width."""
GRAB_PX = 30


class HandleError(ValueError):
    """Clicks that say nothing: the message names what to click on."""


def horizon_row(camera: Camera, column: float) -> float:
    """The photo's row at which the horizon crosses a column, pixels."""
    up = camera.rotation[2]
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
    return float(cy - fy * (up[2] + up[0] * (column - cx) / fx) / up[1])


def pitch_roll_of_horizon(camera: Camera, left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
    """Pitch and roll, radians, of the camera whose horizon goes through two pixels of its photo."""
    rays = np.array([(*left, 1.0), (*right, 1.0)]) @ np.linalg.inv(camera.intrinsics).T
    up = np.cross(rays[0], rays[1])
    length = float(np.linalg.norm(up))
    if length < 1e-9:
        raise HandleError("The two handles stand on one point: move them apart.")
    up *= (-1 if up[1] > 0 else 1) / length
    return math.asin(max(-1.0, min(1.0, up[2]))), math.atan2(-up[0], -up[1])


def height_of(camera: Camera, foot: tuple[float, float], top: tuple[float, float]) -> float:
    """How high a thing is that stands upright on the floor (z = 0), by its foot and its top in the photo, metres."""
    to_world = camera.rotation @ np.linalg.inv(camera.intrinsics)
    down, up = to_world @ (*foot, 1.0), to_world @ (*top, 1.0)
    if down[2] >= -1e-6:
        raise HandleError("The first click was not on the floor: click where the thing stands, below the horizon.")
    place = camera.position + down * (camera.position[2] / -down[2])
    away = place[:2] - camera.position[:2]
    along = float(up[:2] @ away)
    if along <= 1e-9:
        raise HandleError("The second click is not above the first: click on the top of the same thing.")
    height = float(camera.position[2] + up[2] * (away @ away) / along)
    if height <= 0.01:
        raise HandleError("The second click is not above the first: click on the top of the same thing.")
    return height


class OnPhoto:
    """What both operators share: the photo's camera fills the viewport, the mouse is on its pixels."""

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


class AdjustHorizon(OnPhoto, bpy.types.Operator):
    """Drag two handles onto the photo's horizon, or along any line that is level there: pitch and roll follow"""

    bl_idname = "lookbeyond.adjust_horizon"
    bl_label = "Adjust Horizon"
    bl_options = {"REGISTER", "UNDO"}

    def invoke(self, context, event):
        self.before = context.scene.look_beyond.photo_camera.matrix_world.copy()
        self.dragged = None
        return self.begin(context, "Drag the two handles onto the horizon  |  Enter: done  |  Esc: as it was")

    def handles(self, context) -> list[tuple[float, float]]:
        camera = photo_camera(context.scene)
        return [(share * camera.width, horizon_row(camera, share * camera.width)) for share in HANDLES]

    def draw_handles(self, context) -> None:
        self.draw_points(context, self.handles(context), True)

    def modal(self, context, event):
        if event.type in ("RET", "NUMPAD_ENTER") and event.value == "PRESS":
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
            handles = self.handles(context)
            handles[self.dragged] = (handles[self.dragged][0], self.pixel_at(context, event)[1])
            try:
                pitch, roll = pitch_roll_of_horizon(photo_camera(context.scene), *handles)
            except HandleError as error:
                self.report({"WARNING"}, str(error))
                return {"RUNNING_MODAL"}
            set_photo_camera(context.scene, pitch=pitch, roll=roll)
            context.area.tag_redraw()
            return {"RUNNING_MODAL"}
        return {"PASS_THROUGH"}


class MeasureHeight(OnPhoto, bpy.types.Operator):
    """Click on the foot and on the top of something whose height you know: the camera's height follows"""

    bl_idname = "lookbeyond.measure_height"
    bl_label = "Measure by a Known Height"
    bl_options = {"REGISTER", "UNDO"}

    known: FloatProperty(name="Its Height (m)", description="A door is 2 m", default=2.0, min=0.05, soft_max=10.0)

    def invoke(self, context, event):
        self.clicks: list[tuple[float, float]] = []
        return self.begin(context, f"Click the foot, then the top of something {self.known:g} m high  |  Esc: leave")

    def draw_handles(self, context) -> None:
        self.draw_points(context, self.clicks, True)

    def modal(self, context, event):
        if event.type in ("ESC", "RIGHTMOUSE"):
            return self.end(context, "CANCELLED")
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}
        self.clicks.append(self.pixel_at(context, event))
        context.area.tag_redraw()
        if len(self.clicks) < 2:
            return {"RUNNING_MODAL"}
        try:
            height = calibrate(context.scene, *self.clicks, self.known)
        except HandleError as error:
            self.report({"ERROR"}, str(error))
            return self.end(context, "CANCELLED")
        self.report({"INFO"}, f"The camera stands {height:.2f} m above the floor. Build the world again to resize it.")
        return self.end(context, "FINISHED")


def calibrate(scene: bpy.types.Scene, foot: tuple[float, float], top: tuple[float, float], known_m: float) -> float:
    """Raise or lower the photo's camera so that the thing between two pixels is as high as it is; the height."""
    camera = photo_camera(scene)
    height = float(camera.position[2]) * known_m / height_of(camera, foot, top)
    set_photo_camera(scene, height=height)
    return height


CLASSES = (AdjustHorizon, MeasureHeight)
