"""The frames of a shot, where the artist wants them: a strip, behind the camera, before it, the compositor."""

from collections.abc import Callable, Collection
from functools import partial

import bpy

from ..marks import stamp
from ..photo.plane import show_before
from ..viewports import show_own_colours
from ..world.stage import shows_stage, stage_of
from .composite import composites, set_up_composite
from .frames import Shot
from .sequence import frame_sequence, set_frames, show_behind
from .strip import extended, image_strip, sequencer_scene, shots_of

STRIP_SLICE_S = 0.001
"""How long a strip may be extended at a time: Blender copies all its names for each new one."""


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
        if not extended(strip, shot.names, STRIP_SLICE_S):
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
