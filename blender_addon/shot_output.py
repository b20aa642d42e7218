"""The frames of a shot: a strip in a sequencer scene of its own, and behind the camera that shot them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import bpy

from .results import as_stored, stamp, stamped


def show_shot(
    scene: bpy.types.Scene,
    camera: bpy.types.Object | None,
    frames: Sequence[Path],
    first_frame: int,
    size: tuple[int, int],
    record: Mapping[str, object],
) -> bpy.types.Scene:
    """Put the frames (files in order, the first for `first_frame`) on the timeline; the sequencer scene.

    The strip lies in a scene of its own, because a strip in the artist's scene would take over its render.
    The same frames again refresh what is there; other frames make a new strip above the former ones, which
    stay.
    """
    editing = sequencer_scene(scene, size)
    strip = image_strip(editing, frames, first_frame)
    stamp(strip, record)
    stamp(editing, record)
    if camera is not None:
        image = show_behind(camera.data, frames, first_frame)
        stamp(image, record)
    return editing


def sequencer_scene(scene: bpy.types.Scene, size: tuple[int, int]) -> bpy.types.Scene:
    """The scene that shows the shots of `scene`: its time, the shot's size, the files' own colours."""
    editing = next((one for one in bpy.data.scenes if stamped(one, "shots_of") == scene), None)
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
    editing.view_settings.view_transform = "Standard"
    return editing


def strips_of(editing: bpy.types.Scene):
    """The strips collection, under the name that this Blender has for it."""
    editor = editing.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def image_strip(editing: bpy.types.Scene, frames: Sequence[Path], first_frame: int):
    """The image strip of these frames."""
    strips = strips_of(editing)
    folder = str(frames[0].parent)
    for strip in strips:
        if strip.type == "IMAGE" and stamped(strip, "frames_folder") == folder:
            if [element.filename for element in strip.elements] == [path.name for path in frames]:
                editing.sequence_editor_create()
                strip.directory = strip.directory  # the files may be new: drop what was read of them
                return strip
    above = max((strip.channel for strip in strips), default=0)
    for strip in strips:
        if stamped(strip, "frames_folder"):
            strip.mute = True
    name = frames[0].parent.parent.name
    strip = strips.new_image(name, str(frames[0]), min(above + 1, 128), first_frame)
    for path in frames[1:]:
        strip.elements.append(path.name)
    strip["look_beyond_frames_folder"] = folder
    return strip


def show_behind(data: bpy.types.Camera, frames: Sequence[Path], first_frame: int) -> bpy.types.Image:
    """The frames as the camera's background sequence, so that frame n of the scene shows file n."""
    image = bpy.data.images.load(str(frames[0]), check_existing=True)
    if image.source == "SEQUENCE":
        image.reload()
    image.source = "SEQUENCE"
    image.filepath = as_stored(frames[0])
    data.show_background_images = True
    ours = (one for one in data.background_images if one.image is not None and stamped(one.image, "shot_frames"))
    background = next(ours, None) or data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = "FIT"
    user = background.image_user
    user.frame_start = first_frame
    user.frame_duration = len(frames)  # Blender says 1 for a sequence
    user.frame_offset = first_frame - 1
    user.use_auto_refresh = True
    user.use_cyclic = False
    stamp(image, {"shot_frames": len(frames)})
    return image
