"""A camera path to begin with: an editable curve in front of the photo, and a camera that follows it."""

import math
from dataclasses import dataclass
from typing import Literal

import bpy
import numpy as np
from lookbeyond_kit.geometry.cameras import LEVEL, Camera, heading_pitch_roll, placed_camera
from mathutils import Matrix, Vector

from .cameras_from_blender import metres_per_unit
from .photo import photo_camera

Kind = Literal["WALK", "PUSH_IN", "LOOK_AROUND"]
Look = Literal["ALONG", "TARGET"]


@dataclass(frozen=True)
class Arc:
    """A level walk: so many metres on a circle that turns by so many radians (positive: to the left)."""

    length_m: float
    turn: float

    def bezier(self) -> np.ndarray:
        """Control points [4, 3] in metres; starts at the origin along +X.

        The usual approximation of an arc, exact in both ends and their tangents: handles of 4/3 tan(turn/4)
        r.
        """
        if abs(self.turn) < 1e-4:
            return np.outer(np.linspace(0, 1, 4), (self.length_m, 0.0, 0.0))
        radius = self.length_m / self.turn
        handle = 4 / 3 * math.tan(self.turn / 4) * radius
        end = np.array([math.sin(self.turn), 1 - math.cos(self.turn), 0.0]) * radius
        leaving = np.array([math.cos(self.turn), math.sin(self.turn), 0.0])
        return np.array([(0, 0, 0), (handle, 0, 0), end - handle * leaving, end])


def add_path(
    context: bpy.types.Context,
    *,
    kind: Kind = "WALK",
    length_m: float = 1.5,
    turn: float = math.radians(65),
    look: Look = "ALONG",
    level: bool = True,
    frames: int = 0,
) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Add a Bezier curve that starts at the photo's camera, and a camera that runs along it; (camera, curve).

    A WALK is an arc, PUSH_IN a straight line, LOOK_AROUND a turn by `turn` on the spot's own small circle.
    The camera looks along the curve or at a target (an empty). `level` keeps the horizon level; otherwise the
    shot begins with the photo's own pitch and roll. `frames` from the scene's first frame on; 0 is the whole
    range. The new camera becomes the scene's. Angles in radians.
    """
    scene = context.scene
    unit_m = metres_per_unit(scene)
    start = path_start(scene, context)
    heading, pitch, roll = heading_pitch_roll(start)
    frame_first = scene.frame_start
    frame_last = frame_first + frames - 1 if frames > 0 else scene.frame_end

    arc = Arc(length_m, 0.0 if kind == "PUSH_IN" else turn)
    if kind == "LOOK_AROUND":
        arc = Arc(min(length_m, 0.2 * abs(turn)), turn)  # at most 20 cm of radius
    to_world = Matrix.Translation(Vector(start.position) / unit_m) @ Matrix.Rotation(heading, 4, "Z")
    curve = add_curve(context, arc.bezier() / unit_m, frame_last - frame_first + 1)
    curve.matrix_world = to_world

    camera = add_camera(context, scene.look_beyond.photo_camera, start)
    follow = camera.constraints.new("FOLLOW_PATH")
    follow.target = curve
    follow.use_fixed_location = True
    follow.forward_axis, follow.up_axis = "TRACK_NEGATIVE_Z", "UP_Y"
    follow.use_curve_follow = look == "ALONG"
    if look == "ALONG" and not level:
        # Under the constraint, which supplies the heading, pitch and roll are the camera's own turn.
        tilt = placed_camera(1, 1, 1.0, pitch_rad=pitch, roll_rad=roll).rotation
        camera.matrix_basis = Matrix(
            (np.diag([1.0, -1, -1]) @ LEVEL.T @ tilt @ np.diag([1.0, -1, -1])).tolist()
        ).to_4x4()
    if look == "TARGET":
        target = bpy.data.objects.new("Look Beyond Target", None)
        target.empty_display_size = 0.1 / unit_m
        context.collection.objects.link(target)
        ahead = 2 * max(length_m, 0.5)
        target.location = to_world @ Vector((ahead / unit_m, 0, 0))
        track = camera.constraints.new("TRACK_TO")
        track.target = target
        track.track_axis, track.up_axis = "TRACK_NEGATIVE_Z", "UP_Y"

    for frame, factor in ((frame_first, 0.0), (frame_last, 1.0)):
        follow.offset_factor = factor
        follow.keyframe_insert("offset_factor", frame=frame)
    for fcurve in fcurves_of(camera):
        for point in fcurve.keyframe_points:
            point.interpolation = "LINEAR"

    scene.camera = camera
    for other in context.selected_objects:
        other.select_set(False)
    if curve.name in context.view_layer.objects:
        curve.select_set(True)
        context.view_layer.objects.active = curve
    return camera, curve


def path_start(scene: bpy.types.Scene, context: bpy.types.Context) -> Camera:
    """The photo's camera; without one, a level camera 1.6 m above the floor that looks along +X."""
    placed = photo_camera(scene, context.evaluated_depsgraph_get())
    return placed or placed_camera(1, 1, math.radians(65), position=(0, 0, 1.6))


def add_curve(context: bpy.types.Context, points: np.ndarray, frames: int) -> bpy.types.Object:
    """A Bezier curve object of one segment; `points` [4, 3] in Blender units: end, handle, handle, end."""
    data = bpy.data.curves.new("Look Beyond Path", "CURVE")
    data.dimensions = "3D"
    data.twist_mode = "Z_UP"  # the camera that follows stays level
    data.resolution_u = 32
    data.use_path = True
    data.path_duration = frames
    spline = data.splines.new("BEZIER")
    spline.bezier_points.add(1)
    first, last = spline.bezier_points
    for point in (first, last):
        point.handle_left_type = point.handle_right_type = "ALIGNED"
    first.co, first.handle_right, first.handle_left = points[0], points[1], 2 * points[0] - points[1]
    last.co, last.handle_left, last.handle_right = points[3], points[2], 2 * points[3] - points[2]
    curve = bpy.data.objects.new(data.name, data)
    context.collection.objects.link(curve)
    return curve


def add_camera(context: bpy.types.Context, photo: bpy.types.Object | None, start: Camera) -> bpy.types.Object:
    """A camera with the photo's lens; its pose is the constraints' business."""
    data = bpy.data.cameras.new("Shot Camera")
    if photo is not None:
        for name in ("sensor_fit", "sensor_width", "sensor_height", "lens", "clip_start", "clip_end"):
            setattr(data, name, getattr(photo.data, name))
    else:
        data.sensor_fit = "HORIZONTAL"
        data.lens = data.sensor_width / 2 / math.tan(start.fov_x / 2)
    camera = bpy.data.objects.new(data.name, data)
    context.collection.objects.link(camera)
    return camera


def fcurves_of(thing: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The F-curves of an object's action, in whichever place this Blender keeps them."""
    animation = thing.animation_data
    if animation is None or animation.action is None:
        return []
    if hasattr(animation.action, "fcurves"):
        return list(animation.action.fcurves)
    from bpy_extras import anim_utils

    channels = anim_utils.action_get_channelbag_for_slot(animation.action, animation.action_slot)
    return list(channels.fcurves) if channels is not None else []
