"""The frames of a shot as an image strip in the sequencer of a separate scene."""

import time

import bpy

from ..marks import PREFIX, mark_of
from ..results import as_stored
from .frames import ShotFrames


def sequencer_scene_of(scene: bpy.types.Scene) -> bpy.types.Scene | None:
    """The scene that shows the shots of `scene`; None if there is none yet."""
    editing = scene.look_beyond.shot_scene
    # A copy of either scene is the artist's.
    return editing if editing is not None and mark_of(editing, "shots_of") == scene else None


def make_sequencer_scene(scene: bpy.types.Scene, size: tuple[int, int]) -> bpy.types.Scene:
    """Make or update the scene that shows the shots of `scene`, with its frame range and the shot's size."""
    editing = sequencer_scene_of(scene)
    if editing is None:
        editing = bpy.data.scenes.new(f"{scene.name} Shot")
        editing[PREFIX + "shots_of"] = scene
        scene.look_beyond.shot_scene = editing
    editing.frame_start, editing.frame_end = scene.frame_start, scene.frame_end
    editing.frame_set(scene.frame_current)
    render = editing.render
    render.fps, render.fps_base = scene.render.fps, scene.render.fps_base
    render.resolution_x, render.resolution_y = size
    render.resolution_percentage = 100
    render.pixel_aspect_x, render.pixel_aspect_y = scene.render.pixel_aspect_x, scene.render.pixel_aspect_y
    return editing


def strips_of(editing: bpy.types.Scene):
    """The strips of a scene, under the name that this Blender uses."""
    editor = editing.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def image_strip(editing: bpy.types.Scene, frames: ShotFrames):
    """The image strip of these frames; a new one has only the first of them."""
    strips = strips_of(editing)
    folder = str(frames.folder)
    for strip in strips:
        if is_own_strip(strip) and mark_of(strip, "frames_folder") == folder:
            count = len(strip.elements)  # frame numbers are consecutive: comparing the ends is enough
            if count <= len(frames.names) and all(
                strip.elements[at].filename == frames.names[at] for at in (0, count - 1)
            ):
                editing.sequence_editor_create()
                strip.directory = strip.directory  # drops cached images: the files may be new
                return strip
    top = max((strip.channel for strip in strips), default=0)
    for strip in strips:
        if is_own_strip(strip):
            strip.mute = True
    name = frames.folder.parent.name
    # A new strip loads its file at once, which blocks the window: it gets the real name afterwards.
    strip = strips.new_image(name, str(frames.folder / "unread"), min(top + 1, 128), frames.first_frame)
    strip.elements[0].filename = frames.names[0]
    strip.directory = as_stored(frames.folder)
    strip[PREFIX + "frames_folder"], strip[PREFIX + "name"] = folder, strip.name
    return strip


def is_own_strip(strip) -> bool:
    """Whether the add-on made a strip: a duplicate has the same marks, and another name."""
    return strip.type == "IMAGE" and mark_of(strip, "name") == strip.name


def extend_strip(strip, names: tuple[str, ...], limit_s: float) -> bool:
    """Append frames to the strip, at least one, until the time is up; returns whether it has all."""
    ends = time.perf_counter() + limit_s
    for name in names[len(strip.elements) :]:
        strip.elements.append(name)
        if time.perf_counter() > ends:
            break
    return len(strip.elements) == len(names)


def image_strips(scene: bpy.types.Scene) -> list:
    """The image strips of a scene; does not create a sequencer."""
    editor = scene.sequence_editor
    every = () if editor is None else getattr(editor, "strips", None) or getattr(editor, "sequences", ())
    return [strip for strip in every if strip.type == "IMAGE"]
