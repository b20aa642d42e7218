"""The frames of a shot, where the artist wants them: a strip, behind the camera, before it, the compositor."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bpy

from .cameras_from_blender import camera_of, metres_per_unit
from .composite import composites, set_up_composite
from .results import as_stored, stamp, stamped
from .stage import shows_stage, stage_of

SLICE_S = 0.001
"""How long a strip may be extended at a time: Blender copies all its names for each new one."""


@dataclass(frozen=True)
class Shot:
    """The frames of a shot as files."""

    folder: Path
    names: tuple[str, ...]
    """In order, the first for `first_frame`."""
    first_frame: int
    size: tuple[int, int]
    """Pixels, width and height."""
    record: Mapping[str, object]
    """What made it; written on whatever shows it."""
    there: str = ""
    """The name of a frame that exists already, while the others are being made."""


class Showing:
    """Puts a shot into the places asked for, piece by piece, so that the window goes on in between.

    STRIP is the sequencer of a scene of its own, because a strip in the artist's scene would take over its
    render; BACKGROUND is behind the camera, PLANE an image before it, COMPOSITE the compositor's input. The
    same frames again refresh what is there; other frames make a new strip above the former ones, which stay.
    Between two pieces the artist may undo or remove what the former one made: each looks for its things anew.
    """

    def __init__(self, shot: Shot, camera: str, places: Collection[str]) -> None:
        self._shot, self._camera = shot, camera
        self._left: list[Callable[[bpy.types.Scene], str | None]] = []
        self._words: list[str] = []
        if "STRIP" in places:
            self._left += [self._editing, self._strip]
        self._left += [partial(self._at_camera, place) for place in ("BACKGROUND", "PLANE") if place in places]
        if "COMPOSITE" in places:
            self._left.append(self._composite)

    @property
    def said(self) -> str:
        """Where the shot is to be seen."""
        return " ".join(dict.fromkeys(filter(None, self._words)))

    def step(self, scene: bpy.types.Scene) -> bool:
        """Do the next piece; whether it was the last."""
        if self._left and (words := self._left[0](scene)) is not None:
            self._words.append(words)
            del self._left[0]
        return not self._left

    def _editing(self, scene: bpy.types.Scene) -> str:
        sequencer_scene(scene, self._shot.size)
        return ""

    def _strip(self, scene: bpy.types.Scene) -> str | None:
        shot = self._shot
        editing = shots_of(scene) or sequencer_scene(scene, shot.size)
        strip = image_strip(editing, shot)
        if not extended(strip, shot.names, SLICE_S):
            return None
        stamp(strip, shot.record)
        stamp(editing, shot.record)
        return f"They play in the scene {editing.name}. {show_own_colours(editing.view_settings)}".strip()

    def _at_camera(self, place: str, scene: bpy.types.Scene) -> str:
        shot, camera = self._shot, scene.objects.get(self._camera)
        if camera is None:
            return f"The camera {self._camera} is not in the scene any more; the frames lie in {shot.folder}."
        image = frame_sequence(shot)
        stamp(image, {"shot_frames": len(shot.names), **shot.record})
        if place == "PLANE":
            plane = show_before(scene, camera, image, shot.size)
            set_frames(plane.image_user, len(shot.names), shot.first_frame)
            return "They play on an image before the camera."
        show_behind(camera.data, image, len(shot.names), shot.first_frame)
        stage = stage_of(scene)
        if shot.there or stage is None or not shows_stage(scene, False):
            return "They play behind the camera."
        return f"They play behind the camera; {stage.name}, which hid them, is hidden."

    def _composite(self, scene: bpy.types.Scene) -> str:
        folder = self._shot.folder.parent
        if self._shot.there and composites(scene, folder):
            return ""  # it reads what comes by itself, and the artist may be at work on it
        return set_up_composite(scene, folder, self._shot.first_frame, len(self._shot.names))


def shots_of(scene: bpy.types.Scene) -> bpy.types.Scene | None:
    return next((one for one in bpy.data.scenes if stamped(one, "shots_of") == scene), None)


def sequencer_scene(scene: bpy.types.Scene, size: tuple[int, int]) -> bpy.types.Scene:
    """The scene that shows the shots of `scene`: its time, the shot's size."""
    editing = shots_of(scene)
    if editing is None:
        editing = bpy.data.scenes.new(f"{scene.name} Shot")
        editing["look_beyond_shots_of"] = scene
    editing.frame_start, editing.frame_end = scene.frame_start, scene.frame_end
    editing.frame_set(scene.frame_current)
    render = editing.render
    render.fps, render.fps_base = scene.render.fps, scene.render.fps_base
    render.resolution_x, render.resolution_y = size
    render.resolution_percentage = 100
    render.pixel_aspect_x, render.pixel_aspect_y = scene.render.pixel_aspect_x, scene.render.pixel_aspect_y
    return editing


def show_own_colours(view: bpy.types.ColorManagedViewSettings) -> str:
    """Show the files' own colours, or say why not: a colour configuration of the artist's may know no such view."""
    try:
        view.view_transform = "Standard"
    except TypeError:
        return f'The colour configuration has no view "Standard": {view.view_transform} stays, and may change colours.'
    return ""


def strips_of(editing: bpy.types.Scene):
    """The strips collection, under the name that this Blender has for it."""
    editor = editing.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def image_strip(editing: bpy.types.Scene, shot: Shot):
    """The image strip of these frames; a new one has only the first of them."""
    strips = strips_of(editing)
    folder = str(shot.folder)
    for strip in strips:
        if strip.type == "IMAGE" and stamped(strip, "frames_folder") == folder:
            there = len(strip.elements)  # their numbers follow each other: the ends tell
            if there <= len(shot.names) and all(strip.elements[at].filename == shot.names[at] for at in (0, there - 1)):
                editing.sequence_editor_create()
                strip.directory = strip.directory  # the files may be new: drop what was read of them
                return strip
    above = max((strip.channel for strip in strips), default=0)
    for strip in strips:
        if stamped(strip, "frames_folder"):
            strip.mute = True
    name = shot.folder.parent.name
    # A new strip reads the file that it is given at once, and the window waits: it gets its name afterwards.
    strip = strips.new_image(name, str(shot.folder / "unread"), min(above + 1, 128), shot.first_frame)
    strip.elements[0].filename = shot.names[0]
    strip.directory = as_stored(shot.folder)
    strip["look_beyond_frames_folder"] = folder
    return strip


def extended(strip, names: tuple[str, ...], limit_s: float) -> bool:
    """Give the strip more of its frames, as many as the time allows, at least one; whether it has all."""
    ends = time.perf_counter() + limit_s
    for name in names[len(strip.elements) :]:
        strip.elements.append(name)
        if time.perf_counter() > ends:
            break
    return len(strip.elements) == len(names)


def frame_sequence(shot: Shot) -> bpy.types.Image:
    """The frames as an image sequence. Read anew if it is known."""
    known = next((one for one in bpy.data.images if stamped(one, "frames_folder") == str(shot.folder)), None)
    if known is not None:
        known.reload()
        return known
    image = bpy.data.images.load(str(shot.folder / (shot.there or shot.names[0])), check_existing=False)
    image.source = "SEQUENCE"
    image.filepath = as_stored(shot.folder / shot.names[0])
    stamp(image, {"frames_folder": str(shot.folder)})
    return image


def show_behind(data: bpy.types.Camera, image: bpy.types.Image, frames: int, first_frame: int) -> None:
    """The sequence as the camera's background, so that frame n of the scene shows file n."""
    data.show_background_images = True
    ours = (one for one in data.background_images if one.image is not None and stamped(one.image, "shot_frames"))
    background = next(ours, None) or data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = "STRETCH"  # it was made for this frame, whose pixels need not be square
    set_frames(background.image_user, frames, first_frame)


def show_before(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    image: bpy.types.Image,
    size: tuple[int, int],
    distance_m: float = 1.0,
) -> bpy.types.Object:
    """The image on an empty that fills the frame of a camera of so many pixels, so far before it."""
    name = f"{camera.name} Plane"
    plane = next((thing for thing in camera.children if stamped(thing, "maker") == "plane"), None)
    if plane is None:
        plane = bpy.data.objects.new(name, None)
        scene.collection.objects.link(plane)
        plane.parent = camera
        stamp(plane, {"maker": "plane"})
    unit_m = metres_per_unit(scene)
    photo = camera.data.look_beyond.photo_path
    aspect = (1.0, 1.0) if photo else (scene.render.pixel_aspect_x, scene.render.pixel_aspect_y)
    seen = camera_of(camera, *size, unit_m, aspect)
    (fx, _, cx), (_, fy, cy), _ = seen.intrinsics
    distance = distance_m / unit_m
    plane.empty_display_type = "IMAGE"
    plane.data = image
    # An empty's longer side is its display size; what pixels are not square, its scale is.
    width, height = size[0] / fx * distance, size[1] / fy * distance
    plane.empty_display_size = max(width, width * size[1] / size[0])
    plane.scale = (1, height / (width * size[1] / size[0]), 1)
    plane.location = ((size[0] / 2 - cx) / fx * distance, -(size[1] / 2 - cy) / fy * distance, -distance)
    plane.hide_render = True
    return plane


def set_frames(user: bpy.types.ImageUser, frames: int, first_frame: int) -> None:
    user.frame_start = first_frame
    user.frame_duration = frames  # Blender says 1 for a sequence
    user.frame_offset = first_frame - 1
    user.use_auto_refresh = True
    user.use_cyclic = False
