"""The frames of a shot as an image sequence and as the camera's background."""

import bpy
from bpy.app.handlers import persistent

from ..made import made_objects
from ..marks import find_marked, is_local, mark_of, set_marks
from ..results import as_stored
from .frames import ShotFrames


def frame_sequence(frames: ShotFrames) -> bpy.types.Image:
    """The image of these frames, reloaded if it exists."""
    known = find_marked(bpy.data.images, frames_folder=str(frames.folder))
    if known is not None:
        if not known.is_dirty:  # else the artist has painted on it
            known.reload()
        return known
    image = bpy.data.images.load(str(frames.folder / (frames.first_available or frames.names[0])), check_existing=False)
    image.source = "SEQUENCE"
    image.filepath = as_stored(frames.folder / frames.names[0])
    set_marks(image, {"frames_folder": str(frames.folder)})
    return image


def set_shot_background(
    data: bpy.types.Camera, image: bpy.types.Image, frames: int, first_frame: int, now: int
) -> None:
    """Show the sequence as the camera's background: frame n of the scene shows file n."""
    data.show_background_images = True
    ours = (one for one in data.background_images if one.image is not None and mark_of(one.image, "shot_frames"))
    background = next(ours, None) or data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = "STRETCH"  # the frames have the camera's frame, whose pixels need not be square
    set_frame_range(background.image_user, frames, first_frame, now)


def set_frame_range(user: bpy.types.ImageUser, frames: int, first_frame: int, now: int) -> None:
    """Let frame n of the scene, which is on frame `now`, show file n of a sequence."""
    user.frame_start = first_frame
    user.frame_duration = frames  # Blender sets 1 for a sequence
    user.frame_offset = first_frame - 1
    user.use_auto_refresh = True
    user.use_cyclic = False
    show_now(user, now)


def show_now(user: bpy.types.ImageUser, now: int) -> None:
    """Let a sequence show the file of the scene's frame at once: Blender does it when the frame changes."""
    first, frames = user.frame_start, user.frame_duration
    user.frame_current = min(max(now - first + 1, 0), frames) + user.frame_offset


@persistent
def file_loaded(*_: object) -> None:
    """Show the frames that have come since the file was saved: Blender keeps which ones it had found missing."""
    scene = bpy.context.scene
    cameras = [one for camera in filter(is_local, bpy.data.cameras) for one in camera.background_images]
    planes = [thing for thing in made_objects(scene) if thing.type == "EMPTY"]
    shown = [(one.image, one.image_user) for one in cameras] + [(plane.data, plane.image_user) for plane in planes]
    for image, user in shown:
        if image is not None and mark_of(image, "frames_folder") and image.source == "SEQUENCE":
            if not image.is_dirty:
                image.reload()
            show_now(user, scene.frame_current)


HANDLERS = {"load_post": file_loaded}
