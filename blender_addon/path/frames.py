"""Which frames of a scene are shot, at which size and quality."""

from dataclasses import dataclass

import bpy
import numpy as np

from ..cameras import metres_per_unit, render_size


@dataclass(frozen=True)
class Quality:
    """What a quality of the shot stands for (see `LookBeyondScene`)."""

    resolution_share: float
    """Share of the scene's resolution."""
    steps_percent: float
    tau_position: float
    tau_rotation: float


QUALITIES = {
    "DRAFT": Quality(0.5, 50.0, 0.4, 0.4),
    "NORMAL": Quality(1.0, 100.0, 0.2, 0.2),
    "FINAL": Quality(1.0, 200.0, 0.1, 0.1),
}


def shot_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Width and height of a shot's frames, pixels: those of the render, less for a draft."""
    share = QUALITIES.get(scene.look_beyond.quality, QUALITIES["NORMAL"]).resolution_share
    width, height = render_size(scene)
    return max(1, round(width * share)), max(1, round(height * share))


def scene_frames(scene: bpy.types.Scene) -> range:
    """Numbers of the frames to shoot: the scene's range, or the part of it between the markers around the current
    frame."""
    first, last = scene.frame_start, scene.frame_end
    if scene.look_beyond.frames_from == "MARKERS":
        marks = {marker.frame for marker in scene.timeline_markers}
        current = min(max(first, scene.frame_current), last)
        part = marks_before(scene, marks, current)
        while first < current and marks_before(scene, marks, first) != part:
            first += 1
        while last > current and marks_before(scene, marks, last) != part:
            last -= 1
    return range(first, last + 1)


def marks_before(scene: bpy.types.Scene, marks: set[int], number: int) -> int:
    """How many of the markers a frame has reached."""
    now = stretched_time(scene, number)
    return sum(mark <= now for mark in marks)


def stretched_time(scene: bpy.types.Scene, number: int) -> int:
    """The time that markers and image sequences see at a frame: Blender's Time Stretching scales it by old / new.

    Rounded down in single precision, as Blender does.
    """
    scale = np.float32(scene.render.frame_map_old) / np.float32(scene.render.frame_map_new)
    return int(np.float32(number) * scale)


def frame_format(scene: bpy.types.Scene) -> tuple[tuple[int, int], float, tuple[float, float]]:
    """What a scene gives all its cameras: size of the frame in pixels, metres per unit, pixel aspect."""
    return shot_size(scene), metres_per_unit(scene), (scene.render.pixel_aspect_x, scene.render.pixel_aspect_y)
