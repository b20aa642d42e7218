"""Base of the operators that pick pixels of the photo in the viewport."""

import math

import bpy
import numpy as np
from bpy_extras import view3d_utils
from mathutils import Vector

from ..cameras import metres_per_unit
from ..operator_bases import NEEDS_VIEWPORT, PollWithReason, viewport_reason
from .camera import linked_reason, photo_camera


class PhotoPicking(PollWithReason):
    """Looks through the photo's camera and maps the mouse to the photo's pixels."""

    _draw_handle = None

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        if context.scene.look_beyond.photo_camera is None:
            return "Place a photo first"
        return linked_reason(context.scene)

    def look_through(self, context: bpy.types.Context) -> None:
        """Show the picture in the viewport."""
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
        """The place of a photo's pixel in the viewport's region; None if it is not visible."""
        camera = photo_camera(context.scene)
        ray = camera.rotation @ np.linalg.inv(camera.intrinsics) @ (*pixel, 1.0)
        place = Vector((camera.position + ray) / metres_per_unit(context.scene))
        return view3d_utils.location_3d_to_region_2d(context.region, context.region_data, place)

    def begin(self, context: bpy.types.Context, status_text: str) -> set[str]:
        """Start the modal operator."""
        if viewport_reason(context) or context.region is None:
            self.report({"ERROR"}, f"{NEEDS_VIEWPORT}.")
            return {"CANCELLED"}
        self.look_through(context)
        self.region = next(region for region in context.area.regions if region.type == "WINDOW")
        self._draw_handle = bpy.types.SpaceView3D.draw_handler_add(
            self.draw_handles, (context,), "WINDOW", "POST_PIXEL"
        )
        context.workspace.status_text_set(status_text)
        context.window_manager.modal_handler_add(self)
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def end(self, context: bpy.types.Context, outcome: str) -> set[str]:
        """Stop drawing; returns the operator's result."""
        if self._draw_handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._draw_handle, "WINDOW")
            self._draw_handle = None
        context.workspace.status_text_set(None)
        if context.area is not None:
            context.area.tag_redraw()
        return {outcome}

    def cancel(self, context: bpy.types.Context) -> None:
        self.end(context, "CANCELLED")

    def draw_points(self, context: bpy.types.Context, pixels: list[tuple[float, float]]) -> None:
        """Draw a ring at each pixel, and the line through two of them."""
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
        if len(places) == 2:
            ahead = (places[1] - places[0]) * 0.4
            ends = [(places[0] - ahead).to_tuple(), (places[1] + ahead).to_tuple()]
            batch_for_shader(shader, "LINES", {"pos": [(x, y, 0) for x, y in ends]}).draw(shader)
        for place in places:
            angles = np.linspace(0, 2 * math.pi, 25)
            ring = [(place.x + 9 * math.cos(a), place.y + 9 * math.sin(a), 0) for a in angles]
            batch_for_shader(shader, "LINE_STRIP", {"pos": ring}).draw(shader)
        gpu.state.blend_set("NONE")
