"""The frames of a shot as a strip, in the sequencer of a scene of its own."""

import time

import bpy

from ..marks import stamped
from ..results import as_stored
from .frames import Shot


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


def strips(scene: bpy.types.Scene) -> list:
    """The image strips of a scene, without making it a sequencer."""
    editor = scene.sequence_editor
    every = () if editor is None else getattr(editor, "strips", None) or getattr(editor, "sequences", ())
    return [strip for strip in every if strip.type == "IMAGE"]
