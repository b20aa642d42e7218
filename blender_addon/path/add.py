"""Adds a camera path: a curve that starts at the photo's camera, and a camera that follows it."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..cameras import metres_per_unit
from ..kit import LEVEL, Camera, CameraError, heading_pitch_roll, placed_camera
from ..photo.camera import photo_camera
from ..photo.place import add_camera
from ..viewports import local_collection, select_only
from ..world.geometry import WorldGeometry
from ..world.nodes import world_rotation_rad
from .moves import Kind, Move, MoveFrame

Look = Literal["", "ALONG", "TARGET"]
DEFAULT_LENGTH_M = 1.5
"""Length of a path in an unknown world."""
MAX_LENGTH_M = 4.0
"""Longest path that is made without being asked for."""
NAMES: dict[Kind, str] = {
    "PUSH_IN": "Push In",
    "WALK": "Walk",
    "ORBIT": "Orbit",
    "LOOK_AROUND": "Look Around",
    "WALK_TO": "Walk To",
    "CRANE": "Crane",
}
"""A camera is named after its move."""
REACH_SHARE = 0.9
"""Share of the reachable length that such a path uses."""
LENS = ("sensor_fit", "sensor_width", "sensor_height", "lens", "shift_x", "shift_y", "clip_start", "clip_end")
"""What a shot's camera takes over from the photo's."""
MIN_WALK_M = 0.05
"""Least distance to the 3D cursor."""


def add_path(
    context: bpy.types.Context,
    *,
    kind: Kind = "WALK",
    length_m: float = 0.0,
    turn_rad: float = math.radians(65),
    look: Look = "",
    level: bool = True,
    ease: bool = False,
    frames: int = 0,
    world: WorldGeometry | None = None,
) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Add a Bezier curve and a camera that follows it; returns (camera, curve).

    WALK is an arc, PUSH_IN a straight line, ORBIT circles what is ahead, LOOK_AROUND turns on a small circle, WALK_TO
    goes to the 3D cursor at eye level, CRANE rises. `length_m` 0 goes as far as the `world` allows. `look` is along the
    curve or at a target (an empty); empty: the move's default. The shot starts with the photo's pitch and roll; `level`
    leaves out the roll. `ease` starts and stops smoothly. `frames` counts from the scene's first frame; 0: its whole
    range. The new camera becomes the scene's. Raises `CameraError` if there is nowhere to go.
    """
    scene = context.scene
    unit_m = metres_per_unit(scene)
    start = path_start(scene, context)
    heading, pitch, roll = heading_pitch_roll(start)
    heading = round(heading, 6) + 0.0  # else single precision's noise stands beside the curve: -0.000014°
    first_frame = scene.frame_start
    last_frame = first_frame + frames - 1 if frames > 0 else scene.frame_end
    move = choose_move(context, start, kind, length_m, turn_rad, world)
    look = look or move.look
    to_world = Matrix.Translation(Vector(start.position) / unit_m) @ Matrix.Rotation(heading, 4, "Z")
    curve = add_curve(context, move.points / unit_m, last_frame - first_frame + 1)
    curve.matrix_world = to_world
    camera = add_shot_camera(context, NAMES[kind], scene.look_beyond.photo_camera, start)
    follow_curve(camera, curve, look == "ALONG", (first_frame, last_frame), ease)
    if look == "ALONG":
        # The constraint supplies the heading; pitch and roll are the camera's own rotation under it.
        tilt = placed_camera(1, 1, 1.0, pitch_rad=pitch, roll_rad=0.0 if level else roll).rotation
        flip = np.diag([1.0, -1, -1])
        camera.matrix_basis = Matrix((flip @ LEVEL.T @ tilt @ flip).tolist()).to_4x4()
    if look == "TARGET":
        add_target(context, camera, to_world @ (Vector(move.target) / unit_m), 0.1 / unit_m)
    scene.camera = camera
    select_only(context, curve)
    return camera, curve


def choose_move(
    context: bpy.types.Context,
    start: Camera,
    kind: Kind,
    length_m: float,
    turn_rad: float,
    world: WorldGeometry | None,
) -> Move:
    """The move of the requested length, else the longest that the world allows."""
    scene = context.scene
    heading, pitch, _ = heading_pitch_roll(start)
    rotation = np.array(Matrix.Rotation(heading, 3, "Z"))
    aim = np.array(scene.cursor.location) * metres_per_unit(scene) - start.position
    aim[2] = 0.0  # stays at eye level
    if kind == "WALK_TO" and np.linalg.norm(aim) < MIN_WALK_M:
        raise CameraError("The 3D cursor is where the path starts: move it to where the camera should go.")
    x, y, z = (float(value) for value in aim @ rotation)
    ahead_m = 2 * max(length_m, 1.0)
    turned = np.eye(3)
    if world is not None:
        turn = world_rotation_rad(scene, world.panorama.heading_rad)
        turned = np.array(Matrix.Rotation(-turn, 3, "Z"))  # from the scene to the world as it was built
        ahead_m = float(world.panorama.distance_at(turned @ start.forward))
    flat_m = max(0.3, ahead_m * math.cos(pitch))
    fitting = MoveFrame(kind, turn_rad, flat_m, (x, y, z), flat_m * math.tan(pitch) if abs(pitch) < 1.2 else 0.0)
    if length_m and kind != "WALK_TO":
        return fitting.move(length_m)
    if world is None:
        return fitting.move(1.0 if kind == "WALK_TO" else DEFAULT_LENGTH_M)
    reach, pivot = world.coverage.reach, world.panorama.position

    def is_free(move: Move) -> bool:
        places = start.position + move.samples() @ rotation.T / REACH_SHARE
        return all(reach.too_far(pivot + turned @ (place - pivot)) <= 0 for place in places)

    return fitting.longest_move(1.0 if kind == "WALK_TO" else MAX_LENGTH_M, is_free)


def follow_curve(
    camera: bpy.types.Object, curve: bpy.types.Object, look_along: bool, ends: Sequence[int], ease: bool
) -> None:
    """Let the camera run along the curve between two frames."""
    follow = keyed_follow(camera, curve, dict(zip(ends, (0.0, 1.0), strict=True)))
    follow.forward_axis, follow.up_axis = "TRACK_NEGATIVE_Z", "UP_Y"
    follow.use_curve_follow = look_along
    for fcurve in fcurves_of(camera):
        for point in fcurve.keyframe_points:
            point.interpolation = "BEZIER" if ease else "LINEAR"


def keyed_follow(
    camera: bpy.types.Object, curve: bpy.types.Object, shares: Mapping[int, float]
) -> bpy.types.Constraint:
    """A constraint that puts the camera onto the curve; `shares` of its length by frame, which are keyed."""
    follow = camera.constraints.new("FOLLOW_PATH")
    follow.target = curve
    follow.use_fixed_location = True
    for frame, share in shares.items():
        follow.offset_factor = share
        follow.keyframe_insert("offset_factor", frame=frame)
    return follow


def add_target(
    context: bpy.types.Context, camera: bpy.types.Object, location: Sequence[float], size: float
) -> bpy.types.Object:
    """Let the camera look at a new empty; location and size in Blender units."""
    target = bpy.data.objects.new("Look Beyond Target", None)
    target.empty_display_size = size
    local_collection(context).objects.link(target)
    target.location = location
    track = camera.constraints.new("TRACK_TO")
    track.target = target
    track.track_axis, track.up_axis = "TRACK_NEGATIVE_Z", "UP_Y"
    return target


def path_start(scene: bpy.types.Scene, context: bpy.types.Context) -> Camera:
    """The photo's camera; without one, a level camera 1.6 m above the floor that looks along +X."""
    placed = photo_camera(scene, context.evaluated_depsgraph_get())
    return placed or placed_camera(1, 1, math.radians(65), position=(0, 0, 1.6))


def add_curve(context: bpy.types.Context, points: np.ndarray, frames: int) -> bpy.types.Object:
    """A Bezier curve object; `points` [3 n + 1, 3] in Blender units: end, handle, handle, end, ..."""
    data = bpy.data.curves.new("Look Beyond Path", "CURVE")
    data.dimensions = "3D"
    data.twist_mode = "Z_UP"  # keeps the camera level
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
    local_collection(context).objects.link(curve)
    return curve


def add_shot_camera(
    context: bpy.types.Context, name: str, photo: bpy.types.Object | None, start: Camera
) -> bpy.types.Object:
    """A camera with the photo's lens; constraints set its pose."""
    camera = add_camera(context, name)
    data = camera.data
    if photo is not None:
        for name in LENS:
            setattr(data, name, getattr(photo.data, name))
    else:
        data.sensor_fit = "HORIZONTAL"
        data.lens = data.sensor_width / 2 / math.tan(start.fov_x / 2)
    return camera


def fcurves_of(thing: bpy.types.ID) -> list[bpy.types.FCurve]:
    """The F-curves of a datablock's action, wherever this Blender stores them."""
    animation = thing.animation_data
    if animation is None or animation.action is None:
        return []
    if hasattr(animation.action, "fcurves"):
        return list(animation.action.fcurves)
    from bpy_extras import anim_utils

    channels = anim_utils.action_get_channelbag_for_slot(animation.action, animation.action_slot)
    return list(channels.fcurves) if channels is not None else []
