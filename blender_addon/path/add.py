"""A camera path to begin with: an editable curve in front of the photo, and a camera that follows it."""

import math
from typing import Literal

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..cameras import metres_per_unit
from ..kit import LEVEL, Camera, heading_pitch_roll, placed_camera
from ..photo.camera import photo_camera
from ..photo.place import DISPLAY_M
from ..viewports import select_only
from ..world.known import KnownWorld
from .moves import Kind, Move, fitted, move

Look = Literal["", "ALONG", "TARGET"]
LENGTH_M = 1.5
"""Of a path in an unknown world."""
MOST_M = 4.0
"""Longest path that is made unasked."""
SHARE = 0.9
"""Share of what can be reached that such a path uses."""


def add_path(
    context: bpy.types.Context,
    *,
    kind: Kind = "WALK",
    length_m: float = 0.0,
    turn: float = math.radians(65),
    look: Look = "",
    level: bool = True,
    ease: bool = False,
    frames: int = 0,
    world: KnownWorld | None = None,
) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Add a Bezier curve that starts at the photo's camera, and a camera that runs along it; (camera, curve).

    A WALK is an arc, PUSH_IN a straight line, ORBIT goes around what stands ahead, LOOK_AROUND turns on the
    spot's own small circle, WALK_TO goes below or above the 3D cursor, CRANE rises. `length_m` 0 is as far as
    the `world` is known. The camera looks along the curve or at a target (an empty); empty is the kind's own
    way. `level` keeps the horizon level; otherwise the shot begins with the photo's own pitch and roll. `ease`
    sets off and stops softly. `frames` from the scene's first frame on; 0 is the whole range. The new camera
    becomes the scene's. Angles in radians.
    """
    scene = context.scene
    unit_m = metres_per_unit(scene)
    start = path_start(scene, context)
    heading, pitch, roll = heading_pitch_roll(start)
    frame_first = scene.frame_start
    frame_last = frame_first + frames - 1 if frames > 0 else scene.frame_end

    turned = np.array(Matrix.Rotation(heading, 3, "Z"))
    aim = np.array(scene.cursor.location) * unit_m - start.position
    aim[2] = 0.0  # on the way, the eyes stay at their height
    aim = tuple(aim @ turned)
    if world is None:
        ahead_m = 2 * max(length_m, 1.0)
        most = 1.0 if kind == "WALK_TO" else LENGTH_M
        chosen = move(kind, length_m if length_m and kind != "WALK_TO" else most, turn, ahead_m, aim)
    else:
        ahead_m = max(0.3, float(world.panorama.distance_at(turned[:, 0])))
        most = 1.0 if kind == "WALK_TO" else length_m or MOST_M

        def free(tried: Move) -> bool:
            places = start.position + tried.samples() @ turned.T / SHARE
            return all(world.coverage.too_far(place) <= 0 for place in places)

        if length_m and kind != "WALK_TO":
            chosen = move(kind, length_m, turn, ahead_m, aim)
        else:
            chosen = fitted(kind, turn, ahead_m, aim, most, free)
    look = look or chosen.look
    to_world = Matrix.Translation(Vector(start.position) / unit_m) @ Matrix.Rotation(heading, 4, "Z")
    curve = add_curve(context, chosen.points / unit_m, frame_last - frame_first + 1)
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
        target.location = to_world @ (Vector(chosen.target) / unit_m)
        track = camera.constraints.new("TRACK_TO")
        track.target = target
        track.track_axis, track.up_axis = "TRACK_NEGATIVE_Z", "UP_Y"

    for frame, factor in ((frame_first, 0.0), (frame_last, 1.0)):
        follow.offset_factor = factor
        follow.keyframe_insert("offset_factor", frame=frame)
    for fcurve in fcurves_of(camera):
        for point in fcurve.keyframe_points:
            point.interpolation = "BEZIER" if ease else "LINEAR"

    scene.camera = camera
    select_only(context, curve)
    return camera, curve


def path_start(scene: bpy.types.Scene, context: bpy.types.Context) -> Camera:
    """The photo's camera; without one, a level camera 1.6 m above the floor that looks along +X."""
    placed = photo_camera(scene, context.evaluated_depsgraph_get())
    return placed or placed_camera(1, 1, math.radians(65), position=(0, 0, 1.6))


def add_curve(context: bpy.types.Context, points: np.ndarray, frames: int) -> bpy.types.Object:
    """A Bezier curve object; `points` [3 n + 1, 3] in Blender units: end, handle, handle, end, ..."""
    data = bpy.data.curves.new("Look Beyond Path", "CURVE")
    data.dimensions = "3D"
    data.twist_mode = "Z_UP"  # the camera that follows stays level
    data.resolution_u = 32
    data.use_path = True
    data.path_duration = frames
    spline = data.splines.new("BEZIER")
    spline.bezier_points.add(len(points) // 3)
    before = np.concatenate([[2 * points[0] - points[1]], points[2::3]])
    behind = np.concatenate([points[1::3], [2 * points[-1] - points[-2]]])
    for point, place, left, right in zip(spline.bezier_points, points[::3], before, behind, strict=True):
        point.handle_left_type = point.handle_right_type = "FREE"
        point.co, point.handle_left, point.handle_right = place, left, right
        point.handle_left_type = point.handle_right_type = "ALIGNED"
    curve = bpy.data.objects.new(data.name, data)
    context.collection.objects.link(curve)
    return curve


def add_camera(context: bpy.types.Context, photo: bpy.types.Object | None, start: Camera) -> bpy.types.Object:
    """A camera with the photo's lens; its pose is the constraints' business."""
    data = bpy.data.cameras.new("Shot Camera")
    data.display_size = DISPLAY_M / metres_per_unit(context.scene)
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
