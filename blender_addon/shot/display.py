"""Shows the frames of a shot: as a strip, as the camera's background, on a plane, in the compositor."""

from collections.abc import Callable, Collection, Sequence
from functools import partial

import bpy

from ..marks import is_local, set_marks
from ..photo.plane import show_on_card, show_on_plane
from ..viewports import use_standard_view
from ..world.stage import find_stage, set_stage_visible
from .composite import is_composited, other_shot_note, set_up_composite
from .frames import ShotFrames
from .sequence import frame_sequence, set_frame_range, set_shot_background
from .strip import extend_strip, image_strip, make_sequencer_scene, sequencer_scene_of

STRIP_SLICE_S = 0.001
"""Time limit for extending a strip in one step: Blender copies all its names for each new one."""


class ShotDisplay:
    """Shows a shot in the requested places, step by step, so that the window stays responsive.

    STRIP is the sequencer of a separate scene, because a strip in the artist's scene would replace its render;
    BACKGROUND is the background of the `cameras` that render the frames (their names), CARD an image at each, which
    they do not see themselves, PLANE one in front of each, COMPOSITE the compositor's input. The
    same frames again refresh what shows them; other frames get a new strip above the previous ones, which stay. Between
    two steps the artist may undo or remove what the first one made, so each step looks up its datablocks again.
    """

    def __init__(self, frames: ShotFrames, cameras: Sequence[str], places: Collection[str]) -> None:
        self._frames, self._has_strip = frames, "STRIP" in places
        self._steps: list[Callable[[bpy.types.Scene], str | None]] = []
        self._messages: list[str] = []
        if "STRIP" in places:
            self._steps += [self._make_sequencer_scene, self._extend_strip]
        for place in ("BACKGROUND", "CARD", "PLANE"):
            self._steps += [partial(self._show_at_camera, place, camera) for camera in cameras if place in places]
        self._steps.append(self._composite if "COMPOSITE" in places else self._note_compositor)

    @property
    def message(self) -> str:
        """Sentences on where the shot can be seen."""
        return " ".join(dict.fromkeys(filter(None, self._messages)))

    def step(self, scene: bpy.types.Scene) -> bool:
        """Do the next step; returns whether it was the last."""
        if self._steps and (message := self._steps[0](scene)) is not None:
            self._messages.append(message)
            del self._steps[0]
        return not self._steps

    def _make_sequencer_scene(self, scene: bpy.types.Scene) -> str:
        make_sequencer_scene(scene, self._frames.size)
        return ""

    def _extend_strip(self, scene: bpy.types.Scene) -> str | None:
        frames = self._frames
        editing = sequencer_scene_of(scene) or make_sequencer_scene(scene, frames.size)
        strip = image_strip(editing, frames)
        if not extend_strip(strip, frames.names, STRIP_SLICE_S):
            return None
        set_marks(strip, frames.record)
        set_marks(editing, frames.record)
        return f"They play in the scene {editing.name}. {use_standard_view(editing.view_settings)}".strip()

    def _show_at_camera(self, place: str, name: str, scene: bpy.types.Scene) -> str:
        frames, camera = self._frames, scene.objects.get(name)
        if camera is None:
            return f"The camera {name} is no longer in the scene; the frames are in {frames.folder}."
        if scene.render.frame_map_old != scene.render.frame_map_new:
            # Image sequences live in stretched time, which skips frames or repeats them.
            where = "the strip shows them as they were shot" if self._has_strip else f"they are in {frames.folder}"
            return f"With Time Stretching, Blender would show the frames at other times at the camera; {where}."
        if not is_local(camera) or not is_local(camera.data):
            return f"The camera {camera.name} is linked and cannot show them; the frames are in {frames.folder}."
        image = frame_sequence(frames)
        set_marks(image, {"shot_frames": len(frames.names), **frames.record})
        if place in ("CARD", "PLANE"):
            is_card = place == "CARD"
            plane = show_on_card(scene, camera, image) if is_card else show_on_plane(scene, camera, image, frames.size)
            set_frame_range(plane.image_user, len(frames.names), frames.first_frame, scene.frame_current)
            return "" if is_card else "They play on a plane in front of the camera."
        set_shot_background(camera.data, image, len(frames.names), frames.first_frame, scene.frame_current)
        stage = find_stage(scene)
        if frames.first_available or stage is None or not set_stage_visible(scene, False):
            return "They play behind the camera."
        return "They play behind the camera; the stage is hidden."

    def _note_compositor(self, scene: bpy.types.Scene) -> str:
        return other_shot_note(scene, self._frames.folder.parent)

    def _composite(self, scene: bpy.types.Scene) -> str:
        folder = self._frames.folder.parent
        if self._frames.first_available and is_composited(scene, folder):
            return ""  # arriving frames are read automatically, and the artist may be editing the nodes
        return set_up_composite(scene, folder, self._frames.first_frame, len(self._frames.names))
