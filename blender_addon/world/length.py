"""Sets the scale of a 360° picture by a known length (see `photo.length`)."""

import math

import bpy
import numpy as np
from bpy.props import FloatVectorProperty
from bpy_extras import view3d_utils
from mathutils import Vector

from ..cameras import matrix_world_of, metres_per_unit
from ..kit import directions_to_equirectangular, placed_camera
from ..photo.length import EndPicking
from .nodes import panorama_node
from .stage import set_stage_visible

LENS_MM = 24.0
"""Focal length of the viewport meanwhile."""


class MeasurePanorama(EndPicking, bpy.types.Operator):
    """Click the ends of a known length in the 360° picture to set its camera's height, and so the scale of the world"""

    bl_idname = "lookbeyond.measure_panorama"
    bl_label = "Measure in the 360° Picture"
    bl_options = {"REGISTER", "UNDO"}

    ends: FloatVectorProperty(
        name="Ends",
        description="Two points as shares of the picture's width and height, from its top left: x, y, x, y",
        size=4,
        options={"SKIP_SAVE"},
    )
    _before: tuple | None = None

    @classmethod
    def reason(cls, context):
        if panorama_node(context.scene.world) is None or not context.scene.look_beyond.panorama_path:
            return "Use a 360° picture first"
        return ""

    def directions(self, context, ends) -> np.ndarray:
        heading = panorama_node(context.scene.world).inputs["Heading"].default_value
        shares = np.array(ends, float)
        azimuth, elevation = heading + (0.5 - shares[:, 0]) * 2 * math.pi, (0.5 - shares[:, 1]) * math.pi
        level = np.cos(elevation)
        return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], 1)

    def set_height(self, scene, height_m) -> None:
        scene.look_beyond.panorama_height = height_m

    def look_through(self, context) -> None:
        """Show the world alone, horizontally; the artist can turn the view."""
        space, view = context.space_data, context.region_data
        shading = space.shading
        self._before = (shading.type, shading.use_scene_world, space.lens, set_stage_visible(context.scene, False))
        shading.type, shading.use_scene_world, space.lens = "MATERIAL", True, LENS_MM
        if view.view_perspective != "PERSP" or not view.is_perspective:
            heading = panorama_node(context.scene.world).inputs["Heading"].default_value
            level = placed_camera(64, 64, 1.0, heading_rad=heading, position=(0.0, 0.0, 1.6))
            matrix = matrix_world_of(level, metres_per_unit(context.scene))
            view.view_perspective = "PERSP"
            view.view_rotation = matrix.to_quaternion()
            view.view_location = matrix.translation

    def end(self, context, outcome):
        if self._before is not None and context.space_data is not None:
            shading = context.space_data.shading
            shading.type, shading.use_scene_world, context.space_data.lens, hidden = self._before
            if hidden:
                set_stage_visible(context.scene, True)
            self._before = None
        return super().end(context, outcome)

    def pixel_at(self, context, event):
        mouse = (event.mouse_region_x, event.mouse_region_y)
        direction = np.array(view3d_utils.region_2d_to_vector_3d(context.region, context.region_data, mouse))
        heading = panorama_node(context.scene.world).inputs["Heading"].default_value
        return tuple(float(share) for share in directions_to_equirectangular(direction, 1, 1, heading))

    def region_at(self, context, pixel):
        view = context.region_data
        (direction,) = self.directions(context, [pixel])
        place = view.view_matrix.inverted().translation + 1000 * Vector(direction)
        return view3d_utils.location_3d_to_region_2d(context.region, view, place)


CLASSES = (MeasurePanorama,)
