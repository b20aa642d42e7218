"""The summary of a shot: its cameras for other programs, and how it was made."""

from pathlib import Path

import msgspec

from inference_service.store.store import Store
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from inference_service.work.units.clip import MONITORS, read_watched
from lookbeyond.files import DEPTH_PNG_UNIT_M, write_json
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.monitors.findings import WatchedFrame, monitors_json


class ShotAnchor(msgspec.Struct, frozen=True):
    anchor: str
    """Its unit."""
    frame: int
    """On the path, from 0."""


class ShotClip(msgspec.Struct, frozen=True):
    clip: str
    """Its unit."""
    anchors: tuple[str, str]
    first: int
    last: int
    """On the path, from 0."""


class SummariseShot(ShotUnit, tag="shot", frozen=True, kw_only=True):
    """Files: transforms.json, shot.json."""

    title = "Shot"
    reads = (MONITORS,)

    cameras: list[Camera]
    first_frame: int
    seed: int
    tau_position: float
    tau_rotation: float
    anchors: tuple[ShotAnchor, ...]
    clips: tuple[ShotClip, ...]
    steps: int = 0

    @property
    def weight(self) -> float:
        return 0.2

    @property
    def frame(self) -> Camera:
        return self.cameras[0]

    @property
    def input_files(self) -> set[str]:
        return set()

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(clip.clip for clip in self.clips)

    @property
    def input_units(self) -> set[str]:
        return {anchor.anchor for anchor in self.anchors} | set(self.needs)

    @property
    def outputs(self) -> dict[str, str]:
        return {name: name for name in ("transforms.json", "shot.json")}

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        numbers = [self.first_frame + i for i in range(len(self.cameras))]
        write_transforms(
            output / "transforms.json",
            self.cameras,
            [f"frames/{number:04d}.png" for number in numbers],
            [f"depth/{number:04d}.png" for number in numbers],
            {"depth_unit_scale_factor": DEPTH_PNG_UNIT_M},
        )
        write_json(output / "shot.json", self._summary(store))

    def _summary(self, store: Store) -> dict:
        frames = {anchor.anchor: anchor.frame + self.first_frame for anchor in self.anchors}
        units = (*frames, *(clip.clip for clip in self.clips))
        seconds = {identity: store.record(identity).seconds for identity in units}
        settings = ("preset", "revision", "seed", "tau_position", "tau_rotation", *(["steps"] if self.steps else []))
        return {
            "version": 1,
            "frames": len(self.cameras),
            "first_frame": self.first_frame,
            "settings": {name: getattr(self, name) for name in settings},
            "world": self.world,
            **({"beyond": msgspec.to_builtins(self.beyond)} if self.beyond else {}),
            "anchors": [
                {"frame": frame, "seconds": seconds[identity], "identity": identity}
                for identity, frame in frames.items()
            ],
            "clips": [
                {
                    "first": clip.first + self.first_frame,
                    "last": clip.last + self.first_frame,
                    "anchors": [frames[identity] for identity in clip.anchors],
                    "seconds": seconds[clip.clip],
                    "identity": clip.clip,
                }
                for clip in self.clips
            ],
            "timings": {"work_s": round(sum(seconds.values()), 3)},
            "monitors": self._monitors(store),
        }

    def _monitors(self, store: Store) -> dict:
        frames: dict[int, WatchedFrame] = {}
        seam_jump = 1.0
        for clip in self.clips:
            watched = read_watched(store, clip.clip, clip.last - clip.first + 1)
            seam_jump = watched.seam_jump
            for number, frame in enumerate(watched.frames, clip.first):
                frames.setdefault(number, frame)  # the frame that two clips share has one before it in the first
        return monitors_json([frames[number] for number in range(len(self.cameras))], self.first_frame, seam_jump)
