"""From requests to units: the one place where a request is checked and its cameras are parsed.

A world is one unit, and so is a camera move. A shot is a plan, then its anchors, then its clips, and last a summary
of them.
"""

import dataclasses
from typing import ClassVar, get_args

import msgspec

from inference_service.wire.requests import (
    HASH_PATTERN,
    MAX_CAMERAS,
    MAX_CUTS,
    EditRequest,
    LinkRequest,
    MoveRequest,
    Request,
    ShotRequest,
    WorldRequest,
)
from inference_service.work.parts import check_files, linked_world, parsed
from inference_service.work.pipeline import Room, Unseen
from inference_service.work.unit import LinkedWorld, Unit, job_id
from inference_service.work.units.anchor import FillAnchor
from inference_service.work.units.clip import ShootClip
from inference_service.work.units.edit import WAYS, EditWorld
from inference_service.work.units.link import LinkWorlds
from inference_service.work.units.move import PlanMove
from inference_service.work.units.plan import Plan, PlanShot
from inference_service.work.units.shot import ShotAnchor, ShotClip, SummariseShot
from inference_service.work.units.world import BesidePhoto, BuildWorld
from lookbeyond import presets
from lookbeyond.errors import InputError
from lookbeyond.geometry.cameras import Camera
from lookbeyond.geometry.keyframes import anchor_seed, clip_seed

MAX_STEPS = 1000
PANORAMA_WIDTHS = (512, 16384)
ROOMS: tuple[Room, ...] = get_args(Room)
UNSEEN: tuple[Unseen, ...] = get_args(Unseen)


class CheckedShot(msgspec.Struct, frozen=True):
    """A `ShotRequest` that can be shot: numbers rounded, cameras parsed."""

    kind: ClassVar[str] = "shot"

    world: dict[str, str]
    world_job: str
    cameras: list[Camera]
    first_frame: int
    seed: int
    preset: str
    tau_position: float
    tau_rotation: float
    steps: int = 0
    former: tuple[dict[str, str], ...] = ()
    beyond: LinkedWorld | None = None

    @property
    def input_files(self) -> set[str]:
        """The hashes of the files it reads."""
        beyond = self.beyond.files if self.beyond else set()
        return set(self.world.values()).union(beyond, *(files.values() for files in self.former))

    def job_id(self, revision: str) -> str:
        """The id of its job."""
        # a job's files are filled in once its world is there
        unhashed = "world" if self.world_job else "world_job"
        return job_id(self, revision, ("steps", "former", "beyond"), unhashed)

    def first_unit(self, revision: str) -> PlanShot:
        """The unit it begins with; `units` follow from what that makes."""
        return PlanShot(
            preset=self.preset,
            revision=revision,
            world=self.world,
            cameras=self.cameras,
            first_frame=self.first_frame,
            former=self.former,
            beyond=self.beyond,
        )

    def units(self, revision: str, plan: Plan) -> list[Unit]:
        """The units after the plan: anchors in their order, clips, and the summary.

        What shows the same in a former world is made in that one, so that it is the unit that was made there before.
        """
        models = {"preset": self.preset, "revision": revision, "steps": self.steps}
        worlds = [self.world, *self.former]

        def world(first: int, last: int) -> dict[str, str]:
            return worlds[min(plan.same_over(first, last), len(self.former))]

        def beyond(first: int, last: int) -> LinkedWorld | None:
            return self.beyond if plan.tells_second(first, last) else None

        taus = {"tau_position": self.tau_position, "tau_rotation": self.tau_rotation}
        # by anchor, the former worlds in which it is made as well: as itself, or because such a one follows from it
        ages: list[set[int]] = [set() for _ in plan.anchors]
        for number in plan.alone:
            frame = plan.anchors[number].frame
            ages[number].add(min(plan.same_over(frame, frame), len(self.former)))
        own = [max(each, default=0) for each in ages]
        for number in reversed(range(len(ages))):
            for earlier in plan.anchors[number].before:
                ages[earlier] |= ages[number] - {0}
        made: dict[tuple[int, int], FillAnchor] = {}
        anchors: list[FillAnchor] = []
        for number, anchor in enumerate(plan.anchors):
            camera = self.cameras[anchor.frame]
            own_part = {"camera": camera, "seed": anchor_seed(self.seed, camera)}
            second = beyond(anchor.frame, anchor.frame)
            for age in ages[number] | {own[number]}:
                before = tuple((made[i, age] if age else anchors[i]).identity for i in anchor.before)
                made_in = worlds[age] if age else world(anchor.frame, anchor.frame)
                made[number, age] = FillAnchor(**models, **own_part, world=made_in, beyond=second, before=before)
            anchors.append(made[number, own[number]])
        clips = []
        for clip in plan.clips:
            source, target = anchors[clip.source], anchors[clip.target]
            unit = ShootClip(
                **models,
                **taus,
                world=world(clip.first, clip.last),
                beyond=beyond(clip.first, clip.last),
                source=source.identity,
                target=target.identity,
                cameras=self.cameras[clip.first : clip.last + 1],
                seed=clip_seed(self.seed, source.camera, target.camera),
                first_numbers=(self.first_frame + clip.first,),
            )
            clips.append(unit)
        summary = SummariseShot(
            **models,
            **taus,
            world=self.world,
            beyond=self.beyond,
            cameras=self.cameras,
            first_frame=self.first_frame,
            seed=self.seed,
            anchors=tuple(ShotAnchor(unit.identity, a.frame) for unit, a in zip(anchors, plan.anchors)),
            clips=tuple(ShotClip(unit.identity, unit.needs, c.first, c.last) for unit, c in zip(clips, plan.clips)),
        )
        # those that a former world's own follow from are in the store if its shot was made there
        every = {unit.identity: unit for unit in made.values()}
        return [*every.values(), *_merged(clips), summary]


class UnknownRequest(msgspec.Struct, frozen=True):
    """What a job asked for that this version cannot read; the job has failed."""

    kind: str
    preset: ClassVar[str] = ""
    input_files: ClassVar[frozenset[str]] = frozenset()


Checked = BuildWorld | CheckedShot | PlanMove | EditWorld | LinkWorlds | UnknownRequest
"""What a job works on: all but a shot is one unit of work, whose revision is still open."""
CHECKED: dict[str, type[BuildWorld | CheckedShot | PlanMove | EditWorld | LinkWorlds]] = {
    "world": BuildWorld, "shot": CheckedShot, "move": PlanMove, "edit": EditWorld, "link": LinkWorlds,
}  # fmt: skip


def _merged(clips: list[ShootClip]) -> list[ShootClip]:
    """The clips without repetitions: a path that retraces itself is shot once and delivered twice."""
    merged: dict[str, ShootClip] = {}
    for clip in clips:
        earlier = merged[clip.identity].first_numbers if clip.identity in merged else ()
        merged[clip.identity] = msgspec.structs.replace(clip, first_numbers=earlier + clip.first_numbers)
    return list(merged.values())


# --- checking ---------------------------------------------------------------------------------------------


def check(request: Request) -> Checked:
    """The request as it will be worked on. Raises InputError for one that cannot be."""
    if isinstance(request, MoveRequest):
        return check_move(request)
    if isinstance(request, LinkRequest):
        return check_link(request)
    if not 0 <= request.seed < 2**63:
        raise InputError(f"The seed {request.seed} is out of range; give a whole number from 0 to 2^63 - 1.")
    if isinstance(request, EditRequest):
        return check_edit(request)
    return check_world(request) if isinstance(request, WorldRequest) else check_shot(request)


def check_world(request: WorldRequest) -> BuildWorld:
    if bool(request.photo) == bool(request.panorama):
        raise InputError("Give either a photo or a 360° panorama to build a world from.")
    low, high = PANORAMA_WIDTHS
    if not (low <= request.width <= high and request.width % 4 == 0):
        raise InputError(
            f"A panorama {request.width} wide cannot be made; choose a multiple of 4 from {low} to {high}."
        )
    if not 0.05 <= request.camera_height <= 100:
        raise InputError(f"A camera height of {request.camera_height:g} m is impossible; give 0.05 to 100 metres.")
    for name, value, known in (("room", request.room, ROOMS), ("unseen", request.unseen, ("", *UNSEEN))):
        if value not in known:
            raise InputError(f"The world's {name} cannot be {value!r}; choose {', '.join(filter(None, known))}.")
    if request.prompt and request.panorama:
        raise InputError("A 360° panorama is only measured, so a prompt has no effect on it; leave it out.")
    presets.check_prompt(request.preset, request.prompt)
    camera = None if request.camera is None else parsed(request.camera, "The photo's camera")
    height = round(request.camera_height, 6)
    beside = _beside(request)
    if request.cut and (request.beside or not request.photo):
        raise InputError("Things are cut out of one photo; leave further photos and 360° pictures out, or the masks.")
    if len(request.cut) > MAX_CUTS or not all(HASH_PATTERN.fullmatch(each) for each in request.cut):
        raise InputError(f"Up to {MAX_CUTS} masks are named by the hashes of uploaded files; upload them first.")
    return BuildWorld(
        **{
            **_fields(request), "camera": camera, "camera_height": height, "beside": beside, "cut": tuple(request.cut),
        }
    )  # fmt: skip


def _beside(request: WorldRequest) -> tuple[BesidePhoto, ...]:
    """The further photos of a world. InputError where they cannot be joined, whatever they show."""
    if not request.beside:
        return ()
    if not request.photo or request.camera is None:
        raise InputError("Further photos need a first one whose camera is known; give a photo and its camera.")
    if request.prompt:
        raise InputError("Several photos take no prompt; leave it out.")
    most = presets.get(request.preset).most_photos
    if len(request.beside) + 1 > most:
        raise InputError(
            f"The preset {request.preset} takes {most} photos of one place, not {len(request.beside) + 1}; "
            "leave some out, or choose another preset."
        )
    photos = []
    for number, each in enumerate(request.beside, 2):
        if not HASH_PATTERN.fullmatch(str(each.get("photo"))):
            raise InputError(
                f"Photo {number} of this place is named by the hash of the uploaded file; upload it first."
            )
        photos.append(
            BesidePhoto(each["photo"], parsed(each.get("camera"), f"Photo {number} of this place: its camera"))
        )
    return tuple(photos)


def check_shot(request: ShotRequest) -> CheckedShot:
    if request.world_job and not HASH_PATTERN.fullmatch(request.world_job):
        raise InputError("A shot waits for a world by the id of its job; submit the world first.")
    if request.world or not request.world_job:
        check_files(request.world, "A shot")
    if len(request.cameras) < 2:
        raise InputError(f"The camera path has {len(request.cameras)} camera(s); give a path of at least two frames.")
    if len(request.cameras) > MAX_CAMERAS:
        raise InputError(f"The camera path has {len(request.cameras)} frames; shoot at most {MAX_CAMERAS} at a time.")
    if not 0 <= request.first_frame <= 10**6:
        raise InputError(f"The first frame cannot be {request.first_frame}; start at 0 or later.")
    for name, tau in (("position", request.tau_position), ("rotation", request.tau_rotation)):
        if not 0.001 <= tau <= 100:
            raise InputError(f"A tau of {tau:g} for the {name} is out of range; give 0.001 to 100.")
    if not 0 <= request.steps <= MAX_STEPS:
        raise InputError(f"A view cannot take {request.steps} steps; give 1 to {MAX_STEPS}, or 0 for the preset's own.")
    first = request.first_frame
    for former in request.former:
        check_files(former, "A former world")
    cameras = [parsed(plain, f"Frame {first + i}: the camera") for i, plain in enumerate(request.cameras)]
    # Blender's numbers are single floats: its 0.2 has to equal the command line's
    taus = {name: round(getattr(request, name), 6) for name in ("tau_position", "tau_rotation")}
    beyond = linked_world(request) if request.beyond else None
    given = {"cameras": cameras, "former": tuple(request.former), "beyond": beyond}
    return CheckedShot(**{**_fields(request), **given, **taus})


def check_move(request: MoveRequest) -> PlanMove:
    check_files(request.world, "A camera move")
    places = {name: tuple(round(x, 6) + 0.0 for x in getattr(request, name)) for name in ("start", "target")}
    numbers = {
        name: round(getattr(request, name), 6) for name in ("clearance", "doubt", "speed", "turn", "jerk", "fps")
    }
    lens = parsed(request.lens, "The move's camera")
    checked = PlanMove(**{**_fields(request), **places, **numbers, "lens": lens})
    checked.check()
    return checked


def check_link(request: LinkRequest) -> LinkWorlds:
    check_files(request.world, "A link")
    check_files(request.second, "A link's second world")
    pose = tuple(tuple(round(float(x), 6) + 0.0 for x in row) for row in request.pose)
    opening = tuple(round(float(x), 6) + 0.0 for x in request.opening)
    checked = LinkWorlds(**{**_fields(request), "pose": pose, "opening": opening})
    checked.check()
    return checked


def check_edit(request: EditRequest) -> EditWorld:
    check_files(request.world, "A changed world")
    if request.way not in WAYS:
        raise InputError(f"A spot cannot be changed by {request.way!r}; choose {' or '.join(WAYS)}.")
    if not HASH_PATTERN.fullmatch(request.mask):
        raise InputError("A changed world needs a mask of what is to change; upload it first.")
    if request.prompt and request.way == "remove":
        raise InputError("Removing shows what is behind, so a prompt has no effect on it; leave it out, or repaint.")
    presets.check_prompt(request.preset, request.prompt)
    return EditWorld(**_fields(request))


def _fields(request: Request) -> dict[str, object]:
    # not `vars`: msgspec leaves fields that have their default value to the class
    return {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
