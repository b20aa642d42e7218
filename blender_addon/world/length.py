"""A length that the artist knows gives a 360° picture its size (see `photo.length`)."""

import math

import bpy
import numpy as np
from bpy.props import FloatVectorProperty
from bpy_extras import view3d_utils
from mathutils import Vector

from ..cameras import matrix_world_of, metres_per_unit
from ..kit import directions_to_equirectangular, placed_camera
from ..photo.length import ClicksEnds
from .nodes import our_node
from .stage import shows_stage

LENS_MM = 24.0
"""Of the viewport while one looks for a door in a 360° picture."""


class MeasurePanorama(ClicksEnds, bpy.types.Operator):
    """Look around in the 360° picture and click the ends of something whose length you know: its camera's height
    follows, and with it the size of the world"""

    bl_idname = "lookbeyond.measure_panorama"
    bl_label = "Measure in the 360° Picture"
    bl_options = {"REGISTER", "UNDO"}

    ends: FloatVectorProperty(
        name="Ends",
        description="In shares of the picture's width and height from its top left: x, y, x, y",
        size=4,
        options={"SKIP_SAVE"},
    )
    _before: tuple | None = None

    @classmethod
    def poll(cls, context):
        if our_node(context.scene.world) is None or not context.scene.look_beyond.panorama_path:
            cls.poll_message_set("Use a 360° picture first")
            return False
        return True

    def directions(self, context, ends) -> np.ndarray:
        heading = our_node(context.scene.world).inputs["Heading"].default_value
        shares = np.array(ends, float)
        azimuth, elevation = heading + (0.5 - shares[:, 0]) * 2 * math.pi, (0.5 - shares[:, 1]) * math.pi
        level = np.cos(elevation)
        return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], 1)

    def resize(self, scene, height_m) -> None:
        scene.look_beyond.panorama_height = height_m

    def look_through(self, context) -> None:
        """The world alone, looked at level; the view can be turned while one looks for something."""
        space, view = context.space_data, context.region_data
        shading = space.shading
        self._before = (shading.type, shading.use_scene_world, space.lens, shows_stage(context.scene, False))
        shading.type, shading.use_scene_world, space.lens = "MATERIAL", True, LENS_MM
        if view.view_perspective != "PERSP" or not view.is_perspective:
            heading = our_node(context.scene.world).inputs["Heading"].default_value
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
                shows_stage(context.scene, True)
            self._before = None
        return super().end(context, outcome)

    def pixel_at(self, context, event):
        mouse = (event.mouse_region_x, event.mouse_region_y)
        direction = np.array(view3d_utils.region_2d_to_vector_3d(context.region, context.region_data, mouse))
        heading = our_node(context.scene.world).inputs["Heading"].default_value
        return tuple(float(share) for share in directions_to_equirectangular(direction, 1, 1, heading))

    def region_at(self, context, pixel):
        view = context.region_data
        (direction,) = self.directions(context, [pixel])
        place = view.view_matrix.inverted().translation + 1000 * Vector(direction)
        return view3d_utils.location_3d_to_region_2d(context.region, view, place)


CLASSES = (MeasurePanorama,)
