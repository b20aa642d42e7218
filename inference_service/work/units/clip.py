"""A clip: the frames between two anchors, both included."""

from pathlib import Path

import msgspec

from inference_service.store.record import Damaged
from inference_service.store.store import Store
from inference_service.work.inputs import read_anchor, read_shot_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from lookbeyond.errors import InputError
from lookbeyond.files import read_json, save_frames, write_json
from lookbeyond.geometry.cameras import Camera
from lookbeyond.monitors.findings import WatchedFrame
from lookbeyond.monitors.seam import seam_jump

MONITORS = "monitors.json"


class WatchedClip(msgspec.Struct, frozen=True):
    """What monitors.json holds."""

    seam_jump: float
    """Of the panorama."""
    frames: tuple[WatchedFrame, ...]


class ShootClip(ShotUnit, tag="clip", frozen=True, kw_only=True):
    """Files: frames/0001.png ..., depth/0001.exr and .png ..., numbered from its own first frame; monitors.json."""

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
        pipeline, world = pipelines(self.preset), read_shot_world(self, store)
        views = pipeline.shoot_clip(
            world,
            read_anchor(self.source, store),
            read_anchor(self.target, store),
            self.cameras,
            seed=self.seed,
            tau_position=self.tau_position,
            tau_rotation=self.tau_rotation,
            callback=callback,
            steps=self.steps,
        )
        save_frames(output, views, lambda names: store.finish_files(output, names))
        watched = WatchedClip(seam_jump(world), tuple(pipeline.watch(world, views)))
        write_json(output / MONITORS, msgspec.to_builtins(watched))


def read_watched(store: Store, identity: str, frames: int) -> WatchedClip:
    """What the monitors found in a finished clip of so many frames. Raises Damaged if its file is damaged."""
    if not store.discard_if_damaged(identity, MONITORS, afresh=False):
        try:
            watched = msgspec.convert(read_json(store.unit(identity) / MONITORS), WatchedClip)
            if len(watched.frames) == frames:
                return watched
        except (msgspec.ValidationError, InputError):
            pass
        store.discard(store.unit(identity))
    raise Damaged("The notes on a clip were damaged and have been removed with it; the clip is made again.")
