"""The frames of a shot as an image sequence, and behind the camera that shot them."""

import bpy

from ..marks import stamp, stamped
from ..results import as_stored
from .frames import Shot


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


def set_frames(user: bpy.types.ImageUser, frames: int, first_frame: int) -> None:
    user.frame_start = first_frame
    user.frame_duration = frames  # Blender says 1 for a sequence
    user.frame_offset = first_frame - 1
    user.use_auto_refresh = True
    user.use_cyclic = False
