"""An anchor: one frame of a path, whose holes are filled before the clips on either side are shot."""

from pathlib import Path

from inference_service.store.store import Store
from inference_service.work.inputs import read_anchor, read_shot_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from lookbeyond.files import save_view
from lookbeyond.geometry.cameras import Camera

ANCHOR_WEIGHT = 1.5
"""An anchor counts for this many frames of a clip."""


class FillAnchor(ShotUnit, tag="anchor", frozen=True, kw_only=True):
    """Files: colour.png, distance.exr, from_photo.png, view.json."""

    title = "Key view"

    before: tuple[str, ...]
    """The anchors it is conditioned on, nearest first."""
    camera: Camera
    seed: int
    steps: int = 0

    @property
    def weight(self) -> float:
        return ANCHOR_WEIGHT

    @property
    def frame(self) -> Camera:
        return self.camera

    @property
    def needs(self) -> tuple[str, ...]:
        return self.before

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        view = pipelines(self.preset).fill_anchor(
            read_shot_world(self, store),
            self.camera,
            [read_anchor(identity, store) for identity in self.before],
            seed=self.seed,
            callback=callback,
            steps=self.steps,
        )
        save_view(output, view)
