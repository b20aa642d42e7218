"""A clip: the frames between two anchors, both included."""

from pathlib import Path

from inference_service.store.store import Store
from inference_service.work.inputs import read_anchor, read_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from lookbeyond.files import save_frames
from lookbeyond.geometry.cameras import Camera


class ShootClip(ShotUnit, tag="clip", frozen=True, kw_only=True):
    """Files: frames/0001.png ..., depth/0001.exr and .png ..., numbered from its own first frame."""

    title = "Clip"
    not_hashed = ("first_numbers",)

    source: str
    target: str
    """The anchors at its ends."""
    cameras: list[Camera]
    seed: int
    tau_position: float
    tau_rotation: float
    steps: int = 0
    first_numbers: tuple[int, ...] = ()
    """What the job calls its first frame; more than one number where the path goes the same way again."""

    @property
    def weight(self) -> float:
        return 1.0 * len(self.cameras)

    @property
    def frame(self) -> Camera:
        return self.cameras[0]

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.source, self.target)

    @property
    def outputs(self) -> dict[str, str]:
        """The frame that two clips share is the same file in both."""
        names = {}
        for first in self.first_numbers:
            for i in range(len(self.cameras)):
                names[f"frames/{first + i:04d}.png"] = f"frames/{i + 1:04d}.png"
                for form in ("exr", "png"):
                    names[f"depth/{first + i:04d}.{form}"] = f"depth/{i + 1:04d}.{form}"
        return names

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        views = pipelines(self.preset).shoot_clip(
            read_world(self.world, store),
            read_anchor(self.source, store),
            read_anchor(self.target, store),
            self.cameras,
            seed=self.seed,
            tau_position=self.tau_position,
            tau_rotation=self.tau_rotation,
            callback=callback,
            steps=self.steps,
        )
        save_frames(output, views)
