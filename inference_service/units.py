"""Units of work: what a worker does, whoever launches it.

A unit is described by plain JSON (poses rounded to 1e-6) that names its inputs by hash, its seed and the
revision of the models; its identity is the hash of that description. The same description gives the same
files, so a unit that is in the store is never made again. A world is one unit. A shot is a *plan*, then its
*anchors*, then its *clips*, and last the *shot* that says what they are; each names the units it needs.
"""

import contextlib
import dataclasses
import functools
import gc
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inference_service.protocol import HASH_PATTERN, MAX_CAMERAS, WORLD_FILES, ShotRequest, WorldRequest
from inference_service.store import Store
from lookbeyond import presets
from lookbeyond.errors import InputError, LookBeyondError, OutOfMemory, StorageError, sentence
from lookbeyond.files import (
    load_view,
    read_json,
    read_panorama,
    read_panorama_image,
    read_photo,
    save_frames,
    save_panorama,
    save_view,
    storage_errors,
    write_json,
)
from lookbeyond.geometry.cameras import Camera, CameraError, PathError, heading_pitch_roll
from lookbeyond.geometry.keyframes import anchor_seed, clip_seed, plan_shot
from lookbeyond.geometry.panorama import Panorama, View
from lookbeyond.geometry.transforms import write_transforms
from lookbeyond.layout.camera import camera_from_photo

MAX_STEPS = 1000
UNIT_VERSION = 3
"""Part of every identity: raise it when the same description gives other files."""
PANORAMA_WIDTHS = (512, 16384)

Callback = Callable[[float, str, np.ndarray | None], None]
"""Told the fraction done, a message and perhaps a picture; may raise Cancelled."""


class Pipeline(Protocol):
    """What a unit asks of `lookbeyond.pipelines.scene.ScenePipeline`."""

    @property
    def frames_per_clip(self) -> int: ...

    def build_world(
        self,
        photo: np.ndarray,
        camera: Camera,
        *,
        camera_height: float,
        width: int,
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


Pipelines = Callable[[str], Pipeline]
"""The loaded pipeline of a preset, by its name."""


@dataclass(frozen=True)
class Unit:
    """A description, the units whose files it reads, and what it gives to its job."""

    description: dict
    needs: tuple[str, ...] = ()
    delivers: dict[str, str] = field(default_factory=dict)
    """Name below the job's folder -> name in the unit's folder."""

    @property
    def kind(self) -> str:
        return self.description["kind"]

    @functools.cached_property
    def identity(self) -> str:
        return identity(self.description)

    @property
    def weight(self) -> float:
        """How much work it is, in frames or so: what progress is counted in."""
        frames = len(self.description.get("cameras", ()))
        return {"world": 10.0, "plan": 0.2, "anchor": 1.5, "clip": 1.0 * frames, "shot": 0.2}[self.kind]


def canonical(value: Any) -> bytes:
    """One byte string for equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def identity(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


# --- from requests to units ------------------------------------------------------------------------------


def check_world_request(request: WorldRequest) -> WorldRequest:
    """The request with its camera rounded. Raises InputError for one that cannot be built."""
    if bool(request.photo) == bool(request.panorama):
        raise InputError("Give either a photo or a 360° panorama to build a world from.")
    low, high = PANORAMA_WIDTHS
    if not (low <= request.width <= high and request.width % 4 == 0):
        raise InputError(
            f"A panorama {request.width} wide cannot be made; choose a multiple of 4 from {low} to {high}."
        )
    if not 0.05 <= request.camera_height <= 100:
        raise InputError(f"A camera height of {request.camera_height:g} m is impossible; give 0.05 to 100 metres.")
    _check_seed(request.seed)
    if request.prompt and request.panorama:
        raise InputError("A 360° panorama is only measured, so that a prompt says nothing to it; leave it out.")
    presets.check_prompt(request.preset, request.prompt)
    camera = None if request.camera is None else _rounded_camera(request.camera, "The photo's camera")
    height = round(request.camera_height, 6)
    return dataclasses.replace(request, camera=camera, camera_height=height)


def check_shot_request(request: ShotRequest) -> ShotRequest:
    """The request with its numbers rounded. Raises InputError for one that cannot be shot."""
    if request.world_job and not HASH_PATTERN.fullmatch(request.world_job):
        raise InputError("A shot waits for a world by the id of its job; submit the world first.")
    if sorted(request.world) != sorted(WORLD_FILES) and not (request.world_job and not request.world):
        raise InputError(f"A shot needs the files {', '.join(WORLD_FILES)}; build the world first.")
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
    _check_seed(request.seed)
    cameras = [
        _rounded_camera(camera, f"Frame {request.first_frame + i}: the camera")
        for i, camera in enumerate(request.cameras)
    ]
    # Blender's numbers are single floats: its 0.2 is to be the command line's
    taus = {name: round(getattr(request, name), 6) for name in ("tau_position", "tau_rotation")}
    return dataclasses.replace(request, cameras=cameras, **taus)


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise InputError(f"The seed {seed} is out of range; give a whole number from 0 to 2^63 - 1.")


def _rounded_camera(camera: dict, name: str) -> dict:
    try:
        plain = Camera.from_dict(camera).to_dict()
    except ValueError as error:
        raise InputError(sentence(f"{name} cannot be used: {error}")) from error
    return {
        key: [[round(x, 6) + 0.0 for x in row] for row in value] if isinstance(value, list) else value
        for key, value in plain.items()
    }


def job_identity(kind: str, request: WorldRequest | ShotRequest, revision: str) -> str:
    """The identity of a checked request."""
    plain = dict(vars(request))
    if plain.get("world_job"):
        del plain["world"]  # what it is filled with once the world is there
    else:
        plain.pop("world_job", None)  # so that a job's name is what it was before there was this field
    for name in ("steps", "prompt"):
        if not plain.get(name):
            plain.pop(name, None)
    return identity({"version": UNIT_VERSION, "job": kind, "revision": revision, **plain})


def first_unit(request: WorldRequest | ShotRequest, revision: str) -> Unit:
    """The unit a checked request begins with: a world, or the plan of a shot."""
    models = {"version": UNIT_VERSION, "preset": request.preset, "revision": revision}
    if isinstance(request, WorldRequest):
        inputs = {"photo": request.photo} if request.photo else {"panorama": request.panorama}
        settings = {
            "camera": request.camera,
            "camera_height": request.camera_height,
            "width": request.width if request.photo else 0,  # a given panorama has its own
            "seed": request.seed,
            **({"prompt": request.prompt} if request.prompt else {}),
        }
        description = {"kind": "world", **models, **inputs, **settings}
        return Unit(description, delivers={name: name for name in WORLD_FILES})
    path = {"cameras": request.cameras, "first_frame": request.first_frame}
    return Unit({"kind": "plan", **models, "world": request.world, **path})


def shot_units(request: ShotRequest, revision: str, plan: dict) -> list[Unit]:
    """The units after the plan (`plan.json`): anchors in their order, clips, and the shot itself."""
    models = {
        "version": UNIT_VERSION,
        "preset": request.preset,
        "revision": revision,
        "world": request.world,
        **({"steps": request.steps} if request.steps else {}),
    }
    cameras = [Camera.from_dict(camera) for camera in request.cameras]
    frames = [anchor["frame"] for anchor in plan["anchors"]]
    anchors: list[Unit] = []
    for anchor in plan["anchors"]:
        before = tuple(anchors[i].identity for i in anchor["before"])
        frame = anchor["frame"]
        settings = {"camera": request.cameras[frame], "seed": anchor_seed(request.seed, cameras[frame])}
        anchors.append(Unit({"kind": "anchor", **models, "before": list(before), **settings}, before))
    clips = []
    for clip in plan["clips"]:
        source, target = anchors[clip["source"]].identity, anchors[clip["target"]].identity
        settings = {
            "seed": clip_seed(request.seed, cameras[frames[clip["source"]]], cameras[frames[clip["target"]]]),
            "tau_position": request.tau_position,
            "tau_rotation": request.tau_rotation,
            "cameras": request.cameras[clip["first"] : clip["last"] + 1],
        }
        description = {"kind": "clip", **models, "source": source, "target": target, **settings}
        frames_of_clip = _clip_frames(request.first_frame + clip["first"], clip["last"] - clip["first"] + 1)
        clips.append(Unit(description, (source, target), frames_of_clip))
    spans = [
        {"clip": unit.identity, "anchors": list(unit.needs), "first": clip["first"], "last": clip["last"]}
        for unit, clip in zip(clips, plan["clips"])
    ]
    shot = {
        "kind": "shot",
        **models,
        "cameras": request.cameras,
        "first_frame": request.first_frame,
        "seed": request.seed,
        "tau_position": request.tau_position,
        "tau_rotation": request.tau_rotation,
        "anchors": [{"anchor": unit.identity, "frame": frame} for unit, frame in zip(anchors, frames)],
        "clips": spans,
    }
    files = {name: name for name in ("transforms.json", "shot.json")}
    return [*anchors, *_merged(clips), Unit(shot, tuple(unit.identity for unit in clips), files)]


def _merged(units: list[Unit]) -> list[Unit]:
    """The units without repetitions: a path that goes the same way twice is shot once and delivered twice."""
    merged: dict[str, Unit] = {}
    for unit in units:
        known = merged.get(unit.identity, unit)
        merged[unit.identity] = dataclasses.replace(unit, delivers=known.delivers | unit.delivers)
    return list(merged.values())


def _clip_frames(first_number: int, count: int) -> dict[str, str]:
    """What a clip delivers. The frame that two clips share is the same file in both."""
    names = {}
    for i in range(count):
        names[f"frames/{first_number + i:04d}.png"] = f"frames/{i + 1:04d}.png"
        names[f"depth/{first_number + i:04d}.exr"] = f"depth/{i + 1:04d}.exr"
    return names


def files_read(unit: Unit) -> set[str]:
    """The hashes of the files that running a unit reads."""
    description = unit.description
    if unit.kind == "world":
        return {description.get("photo") or description["panorama"]}
    return set() if unit.kind == "shot" else set(description["world"].values())


def units_read(unit: Unit) -> set[str]:
    """The units that running a unit reads: all their files, or only their records (of a shot)."""
    description = unit.description
    if unit.kind == "shot":
        return {anchor["anchor"] for anchor in description["anchors"]} | {c["clip"] for c in description["clips"]}
    return set(unit.needs)


# --- running a unit --------------------------------------------------------------------------------------


def perform_unit(unit: Unit, store: Store, pipelines: Pipelines, callback: Callback) -> None:
    """Run a unit and put its files into the store, unless they are there.

    Raises LookBeyondError only: whatever the user's input can cause is an InputError, too little memory
    (after the caches were freed and the same was tried once more) OutOfMemory, a full disk StorageError.
    """
    if store.has_unit(unit.identity):
        return
    begun = time.perf_counter()
    with store.temporary() as output, _typed_errors(unit):
        try:
            run_unit(unit.description, store, output, pipelines, callback)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            memory_was_short = True
        else:
            memory_was_short = False
        if memory_was_short:  # outside the handler, so that the failed attempt's tensors are gone
            free_memory()
            for path in sorted(output.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            run_unit(unit.description, store, output, pipelines, callback)
        store.commit(output, unit.identity, time.perf_counter() - begun, unit.kind)
    if unit.kind == "world":
        store.share_unit(unit.identity)


@contextlib.contextmanager
def _typed_errors(unit: Unit):
    try:
        yield
    except LookBeyondError:
        raise
    except (CameraError, PathError) as error:
        raise InputError(sentence(str(error))) from error
    except OSError as error:
        with storage_errors(Path(error.filename) if error.filename else Path("The store")):
            raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(
                f"There is too little memory for this {unit.kind}; close other programs, "
                "or choose a smaller size or preset."
            ) from error
        raise


_MEMORY_WORDS = re.compile("out of memory|can't allocate memory|not enough memory|ALLOC(ATION)?_FAILED", re.IGNORECASE)
"""CUDA's and MPS's own, the CPU allocator's on POSIX and on Windows, the status codes of cuBLAS, cuDNN and others."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says, in one of the ways of Python and torch, that the machine or its device has too little memory."""
    # torch.OutOfMemoryError, told by its name: torch is imported only where a pipeline needs it
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and bool(_MEMORY_WORDS.search(str(error)))


def free_memory() -> None:
    """Return what is cached and no longer used to the machine and the device."""
    _read_world.cache_clear()
    gc.collect()
    if torch := sys.modules.get("torch"):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()


def run_unit(description: dict, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
    """Write the files that `description` describes into the empty folder `output`.

    world: panorama.png, distance.exr, from_photo.png, world.json; plan: plan.json; anchor: colour.png,
    distance.exr, from_photo.png, view.json; clip: frames/0001.png ..., depth/0001.exr ... (its own numbers);
    shot: transforms.json and shot.json. `store` only resolves the names of inputs to paths.
    """
    {
        "world": _make_world,
        "plan": _make_plan,
        "anchor": _make_anchor,
        "clip": _make_clip,
        "shot": _make_shot,
    }[description["kind"]](description, store, output, pipelines, callback)


def _make_world(description: dict, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
    settings: dict[str, Any] = {
        "camera_height": description["camera_height"],
        "seed": description["seed"],
        "callback": callback,
    }
    camera = None if description["camera"] is None else Camera.from_dict(description["camera"])
    if sha256 := description.get("panorama"):
        colour = read_panorama_image(store.file(sha256), store.name(sha256))
        settings["heading_rad"] = heading_pitch_roll(camera)[0] if camera else 0.0
        settings["origin"] = tuple(camera.position.tolist()) if camera else (0.0, 0.0, 0.0)
        panorama = pipelines(description["preset"]).measure_world(colour, **settings)
    else:
        sha256 = description["photo"]
        settings |= {"prompt": description["prompt"]} if "prompt" in description else {}
        photo = read_photo(store.file(sha256), store.name(sha256))
        height, width = photo.pixels.shape[:2]
        camera = camera or camera_from_photo(photo.pixels, photo.fov_x_rad).camera()
        if abs(camera.width * height - camera.height * width) > max(width, height, camera.width):
            raise InputError(
                f"The photo's camera has {camera.width}x{camera.height} pixels but {store.name(sha256)} "
                f"{width}x{height}; give the camera the photo's shape."
            )
        panorama = pipelines(description["preset"]).build_world(
            photo.pixels, camera.resized(width, height), width=description["width"], **settings
        )
    save_panorama(output, panorama)


def _make_plan(description: dict, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
    callback(0.0, "Planning the shot", None)
    cameras = [Camera.from_dict(camera) for camera in description["cameras"]]
    frames_per_clip = pipelines(description["preset"]).frames_per_clip
    plan = plan_shot(
        cameras, _world(description, store), frames_per_clip=frames_per_clip, first_frame=description["first_frame"]
    )
    anchors = [{"frame": anchor.frame, "before": list(anchor.before)} for anchor in plan.anchors]
    clips = [{k: getattr(clip, k) for k in ("source", "target", "first", "last")} for clip in plan.clips]
    write_json(output / "plan.json", {"anchors": anchors, "clips": clips})


def _make_anchor(description: dict, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
    view = pipelines(description["preset"]).fill_anchor(
        _world(description, store),
        Camera.from_dict(description["camera"]),
        [load_view(store.unit(identity)) for identity in description["before"]],
        seed=description["seed"],
        callback=callback,
        **_asked_steps(description),
    )
    save_view(output, view)


def _asked_steps(description: dict) -> dict[str, int]:
    return {"steps": description["steps"]} if "steps" in description else {}


def _make_clip(description: dict, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
    views = pipelines(description["preset"]).shoot_clip(
        _world(description, store),
        load_view(store.unit(description["source"])),
        load_view(store.unit(description["target"])),
        [Camera.from_dict(camera) for camera in description["cameras"]],
        seed=description["seed"],
        tau_position=description["tau_position"],
        tau_rotation=description["tau_rotation"],
        callback=callback,
        **_asked_steps(description),
    )
    save_frames(output, views)


def _make_shot(description: dict, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
    first = description["first_frame"]
    numbers = [first + i for i in range(len(description["cameras"]))]
    write_transforms(
        output / "transforms.json",
        [Camera.from_dict(camera) for camera in description["cameras"]],
        [f"frames/{number:04d}.png" for number in numbers],
        [f"depth/{number:04d}.exr" for number in numbers],
    )
    anchors = {anchor["anchor"]: anchor["frame"] + first for anchor in description["anchors"]}
    seconds = {
        identity: store.record(identity).seconds
        for identity in (*anchors, *(clip["clip"] for clip in description["clips"]))
    }
    shot = {
        "version": 1,
        "frames": len(numbers),
        "first_frame": first,
        "settings": {
            **{key: description[key] for key in ("preset", "revision", "seed", "tau_position", "tau_rotation")},
            **_asked_steps(description),
        },
        "world": description["world"],
        "anchors": [
            {"frame": frame, "seconds": seconds[identity], "identity": identity} for identity, frame in anchors.items()
        ],
        "clips": [
            {
                "first": clip["first"] + first,
                "last": clip["last"] + first,
                "anchors": [anchors[identity] for identity in clip["anchors"]],
                "seconds": seconds[clip["clip"]],
                "identity": clip["clip"],
            }
            for clip in description["clips"]
        ],
        "timings": {"work_s": round(sum(seconds.values()), 3)},
    }
    write_json(output / "shot.json", shot)


def _world(description: dict, store: Store) -> Panorama:
    return _read_world(tuple(str(store.file(description["world"][name])) for name in WORLD_FILES))


@functools.lru_cache(maxsize=1)
def _read_world(paths: tuple[str, ...]) -> Panorama:
    # the units of one shot follow each other: the panorama is decoded once for all of them
    try:
        return read_panorama(dict(zip(WORLD_FILES, map(Path, paths))), "of this shot")
    except FileNotFoundError as error:
        raise StorageError("The world of this shot is no longer in the store; shoot again.") from error


def read_plan(store: Store, unit: Unit) -> dict:
    """The plan that a finished plan unit wrote."""
    return read_json(store.unit(unit.identity) / "plan.json")
