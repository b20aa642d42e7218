"""What units require of the models (`lookbeyond.pipelines.scene.ScenePipeline`, or a test double)."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.monitors.findings import WatchedFrame

Callback = Callable[[float, str, np.ndarray | None], None]
"""Called with the fraction done, a message and perhaps a picture, uint8 [h, w, 3]; may raise Cancelled."""

Room = Literal["auto", "on", "off"]
"""Whether a room's layout is fitted and drawn: where it is sure, always, or never."""
Unseen = Literal["plain", "dressed", "as-painted"]
"""How the unseen part is shown."""


class Pipeline(Protocol):
    """The models of a preset, loaded. A `steps` of 0 is the preset's own number."""

    @property
    def frames_per_clip(self) -> int: ...

    @property
    def memory_plan(self) -> object | None:
        """How the networks fit into the device's memory; its text is a sentence for the user."""
        ...

    def prepare_frames(self) -> None:
        """Prepare to draw frames, in a thread: once, and not needed before."""
        ...

    def build_world(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        camera_height: float,
        width: int,
        prompt: str = "",
        room: Room = "auto",
        unseen: Unseen | None = None,
        seed: int,
        callback: Callback | None,
    ) -> Panorama: ...

    def measure_world(
        self,
        colour: np.ndarray,
        *,
        camera_height: float,
        heading_rad: float,
        origin: tuple[float, float, float],
        room: Room = "auto",
        prompt: str = "",
        seed: int,
        callback: Callback | None,
    ) -> Panorama: ...

    def fill_anchor(
        self,
        panorama: Panorama,
        camera: Camera,
        before: Sequence[View],
        *,
        seed: int,
        callback: Callback | None,
        steps: int = 0,
    ) -> View: ...

    def shoot_clip(
        self,
        panorama: Panorama,
        source: View,
        target: View,
        cameras: Sequence[Camera],
        *,
        seed: int,
        tau_position: float,
        tau_rotation: float,
        callback: Callback | None,
        steps: int = 0,
    ) -> list[View]: ...

    def watch(self, panorama: Panorama, views: Sequence[View]) -> list[WatchedFrame]: ...


Pipelines = Callable[[str], Pipeline]
"""Preset name -> its loaded pipeline."""
