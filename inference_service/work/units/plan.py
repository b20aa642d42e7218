"""The plan of a shot: which frames are anchors, and which clips run between them."""

from pathlib import Path

import msgspec

from inference_service.store.record import Damaged
from inference_service.store.store import Store
from inference_service.work.inputs import read_former_world, read_shot_world
from inference_service.work.pipeline import Callback, Pipelines
from inference_service.work.unit import ShotUnit
from lookbeyond import presets
from lookbeyond.editing.unchanged import is_whole, latest_same
from lookbeyond.errors import InputError
from lookbeyond.files import read_json, write_json
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import Clip, plan_shot

MAX_PLAN_BYTES = 16 << 20
"""10 000 frames that are each an anchor take 1.5 MB."""


class PlannedAnchor(msgspec.Struct, frozen=True):
    frame: int
    """On the path, from 0."""
    before: tuple[int, ...]
    """The earlier anchors it is conditioned on."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What plan.json holds."""

    anchors: tuple[PlannedAnchor, ...]
    clips: tuple[Clip, ...]
    same: tuple[int, ...] = ()
    """By frame, in how many former worlds it shows the same; empty where there were none."""
    alone: tuple[int, ...] = ()
    """Anchors that show the same in former worlds and have no holes: they take nothing from those before them, so they
    are the former worlds' own even where one before them is made anew."""
    second: tuple[bool, ...] = ()
    """By frame, whether it shows something that the second of two worlds tells; empty where there is one world."""

    def tells_second(self, first: int, last: int) -> bool:
        """Whether one of these frames shows something that the second of two worlds tells."""
        return any(self.second[first : last + 1])

    def same_over(self, first: int, last: int) -> int:
        """In how many former worlds all these frames show the same."""
        return min(self.same[first : last + 1], default=0)


class PlanShot(ShotUnit, tag="plan", frozen=True, kw_only=True):
    """File: plan.json."""

    title = "Plan"

    cameras: list[Camera]
    first_frame: int
    former: tuple[dict[str, str], ...] = ()
    """The files, name -> SHA-256, of worlds that this one was changed from, the latest first."""

    @property
    def input_files(self) -> set[str]:
        return super().input_files.union(*(files.values() for files in self.former))

    @property
    def weight(self) -> float:
        return 0.2

    @property
    def frame(self) -> Camera:
        return self.cameras[0]

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        from lookbeyond.linking.seen import shows_second  # PyTorch, which the service does without

        callback(0.0, "Planning the shot", None)
        frames_per_clip = pipelines(self.preset).frames_per_clip
        world = read_shot_world(self, store)
        found = plan_shot(self.cameras, world, frames_per_clip=frames_per_clip, first_frame=self.first_frame)
        anchors = tuple(PlannedAnchor(anchor.frame, tuple(anchor.before)) for anchor in found.anchors)
        same: tuple[int, ...] = ()
        alone: tuple[int, ...] = ()
        if self.former:
            former = [read_former_world(files, store) for files in self.former]
            same = tuple(latest_same(world, former, self.cameras))
            if presets.get(self.preset).panorama_detail == 1:  # else a network makes whole frames, from those before
                plans = [
                    plan_shot(self.cameras, each, frames_per_clip=frames_per_clip, first_frame=self.first_frame)
                    for each in former[: max(same)]
                ]
                if all(plan == found for plan in plans):
                    alone = tuple(
                        number
                        for number, anchor in enumerate(anchors)
                        if same[anchor.frame] and is_whole(world, self.cameras[anchor.frame])
                    )
        second = tuple(shows_second(world, self.cameras)) if self.beyond else ()
        plan = Plan(anchors, tuple(found.clips), same, alone, second)
        write_json(output / "plan.json", msgspec.to_builtins(plan))


def read_plan(store: Store, identity: str, frames: int) -> Plan:
    """The plan that a finished `PlanShot` wrote, for a path of so many frames. Raises Damaged if it is damaged."""
    folder = store.read_unit(identity)
    try:
        plan = msgspec.convert(read_json(folder / "plan.json", MAX_PLAN_BYTES), Plan)
        fits = len(plan.same) in (0, frames) and min(plan.same, default=0) >= 0 and len(plan.second) in (0, frames)
        fits &= all(0 <= number < len(plan.anchors) for number in plan.alone)
        if (
            fits
            and all(_follows(plan, anchor, i, frames) for i, anchor in enumerate(plan.anchors))
            and all(
                0 <= clip.first < clip.last < frames
                and min(clip.source, clip.target) >= 0
                and max(clip.source, clip.target) < len(plan.anchors)
                for clip in plan.clips
            )
        ):
            return plan
    except (msgspec.ValidationError, InputError):
        pass
    store.discard(folder)
    raise Damaged("The plan of a shot does not fit its path and has been removed; it is made again.")


def _follows(plan: Plan, anchor: PlannedAnchor, number: int, frames: int) -> bool:
    return 0 <= anchor.frame < frames and all(0 <= earlier < number for earlier in anchor.before)
