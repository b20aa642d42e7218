"""The frames of a shot, where the artist wants them: a strip, behind the camera, before it, the compositor."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import bpy

from .cameras_from_blender import camera_of, metres_per_unit
from .composite import set_up_composite
from .results import as_stored, stamp, stamped
from .stage import stage_of


def show_shot(
    scene: bpy.types.Scene,
    camera: bpy.types.Object | None,
    frames: Sequence[Path],
    first_frame: int,
    size: tuple[int, int],
    record: Mapping[str, object],
    places: Collection[str] = ("STRIP", "BACKGROUND"),
    there: Path | None = None,
) -> str:
    """Show the frames (files in order, the first for `first_frame`) in the places asked for; says where.

    STRIP is the sequencer of a scene of its own, because a strip in the artist's scene would take over its
    render; BACKGROUND is behind the camera, PLANE an image before it, COMPOSITE the compositor's input. The
    same frames again refresh what is there; other frames make a new strip above the former ones, which stay.
    While frames are still being made, `there` is one that is.
    """
    said = []
    if "STRIP" in places:
        editing = sequencer_scene(scene, size)
        strip = image_strip(editing, frames, first_frame)
        stamp(strip, record)
        stamp(editing, record)
        said.append(f"They play in the scene {editing.name}.")
    if camera is not None and {"BACKGROUND", "PLANE"} & set(places):
        image = frame_sequence(frames, there or frames[0])
        stamp(image, {"shot_frames": len(frames), **record})
        if "BACKGROUND" in places:
            show_behind(camera.data, image, len(frames), first_frame)
            hidden = stage_of(scene) is not None and stage_of(scene).visible_get()
            said.append(f"They play behind the camera{': hide the stage to see them' if hidden else ''}.")
        if "PLANE" in places:
            plane = show_before(scene, camera, image, size)
            set_frames(plane.image_user, len(frames), first_frame)
            said.append("They play on an image before the camera.")
    if "COMPOSITE" in places and there is None:
        said.append(set_up_composite(scene, frames[0].parent.parent, first_frame, len(frames)))
    return " ".join(said)


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


def frame_sequence(frames: Sequence[Path], there: Path) -> bpy.types.Image:
    """The frames as an image sequence; `there` is one that exists already. Read anew if it is known."""
    known = next((one for one in bpy.data.images if stamped(one, "frames_folder") == str(frames[0].parent)), None)
    if known is not None:
        known.reload()
        return known
    image = bpy.data.images.load(str(there), check_existing=False)
    image.source = "SEQUENCE"
    image.filepath = as_stored(frames[0])
    stamp(image, {"frames_folder": str(frames[0].parent)})
    return image


def show_behind(data: bpy.types.Camera, image: bpy.types.Image, frames: int, first_frame: int) -> None:
    """The sequence as the camera's background, so that frame n of the scene shows file n."""
    data.show_background_images = True
    ours = (one for one in data.background_images if one.image is not None and stamped(one.image, "shot_frames"))
    background = next(ours, None) or data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = "FIT"
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
