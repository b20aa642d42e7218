"""The base of all units of work, their identity and their JSON.

A unit names its inputs by hash, its seed and the revision of the models; its identity is the hash of that
description. The same description gives the same files, so a unit that is in the store is never made again.
"""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import msgspec
import numpy as np

from inference_service.store.store import Store
from inference_service.work.pipeline import Callback, Pipelines
from lookbeyond.geometry.cameras import Camera

UNIT_VERSION = 8
"""Part of every identity: raise it when the same description gives other files."""

_Decoded = TypeVar("_Decoded")


class Unit(msgspec.Struct, frozen=True, dict=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """One unit of work. Its fields, without those of `not_hashed`, are its description."""

    title: ClassVar[str]
    """What progress messages call it."""
    not_hashed: ClassVar[tuple[str, ...]] = ()
    """Fields that do not change the files that are made, only what becomes of them."""
    reads: ClassVar[tuple[str, ...] | None] = None
    """The names of the files it reads in other units' folders, beside their records. None: all of them."""
    is_shared: ClassVar[bool] = False
    """Whether its files can be named in requests by their hashes, as uploaded files are."""

    unasked: ClassVar[tuple[str, ...]] = ("revision",)
    """Fields that no request for it has."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Fields that the id of its own job leaves out where they have their default."""

    preset: str
    revision: str = ""
    """Of the preset's weights; empty in a request that is this unit alone."""

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 of the canonical description, in hex."""
        defaults = _defaults(type(self))  # msgspec leaves out only those that are the very same object
        plain = {key: value for key, value in described(self).items() if key not in defaults or value != defaults[key]}
        for key in self.not_hashed:
            plain.pop(key, None)
        return hash_of(plain | {"version": UNIT_VERSION, "kind": self.kind})

    def job_id(self, revision: str) -> str:
        """The id of the job that is this unit alone."""
        return job_id(self, revision, self.optional)

    def first_unit(self, revision: str) -> Self:
        """The unit itself, of a request for it alone."""
        return msgspec.structs.replace(self, revision=revision)

    @property
    def weight(self) -> float:
        """Its amount of work, roughly in frames: the unit of progress."""
        raise NotImplementedError

    @property
    def frame(self) -> Camera | None:
        """One of the cameras whose frames it makes, if any."""
        return None

    @property
    def stored_size(self) -> float:
        """What the bytes that it stores are measured in: its weight times the size of its frames, unless they grow
        differently."""
        return self.weight * pixels_of(self.frame)

    @property
    def needs(self) -> tuple[str, ...]:
        """The units that must be finished before it."""
        return ()

    @property
    def input_files(self) -> set[str]:
        """The hashes of the files it reads."""
        return set()

    @property
    def input_units(self) -> set[str]:
        """The units it reads: their records and those of their files that `reads` names."""
        return set(self.needs)

    @property
    def outputs(self) -> dict[str, str]:
        """What it delivers to its job: name below the job's folder -> name in the unit's folder."""
        return {}

    def run(self, store: Store, output: Path, pipelines: Pipelines, callback: Callback) -> None:
        """Write its files into the empty folder `output`; `store` only resolves its inputs to paths."""
        raise NotImplementedError


@functools.cache
def _defaults(cls: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(cls)}


def pixels_of(camera: Camera | None) -> float:
    """The size of a camera's frames in 100 000 pixels; 1 where there is none."""
    return camera.width * camera.height / 1e5 if camera else 1.0


class LinkedWorld(msgspec.Struct, frozen=True):
    """A second world, joined to a shot's own."""

    world: dict[str, str]
    """File name -> SHA-256."""
    link: dict[str, Any]
    """`Link.to_json_dict()`, its numbers rounded."""

    @property
    def files(self) -> set[str]:
        return set(self.world.values())


class ShotUnit(Unit, frozen=True, kw_only=True):
    """The base of the units that make a shot through a world."""

    world: dict[str, str]
    """File name -> SHA-256."""
    beyond: LinkedWorld | None = None
    """A second world that the shot goes on in."""

    @property
    def input_files(self) -> set[str]:
        return set(self.world.values()) | (self.beyond.files if self.beyond else set())


# --- JSON -------------------------------------------------------------------------------------------------


def _plain_array(value: Any) -> Any:
    return value.tolist()


def _read_array(hint: type, value: Any) -> np.ndarray:
    return np.asarray(value)  # `Camera` checks the rest


class Written(bytes):
    """A value that is canonical JSON already."""


class _Cameras:
    """The JSON of the path that was written last: its job's id, its units and the list of jobs all ask for it."""

    last: tuple[list[Camera] | None, Written] = None, Written()


def _written(cameras: list[Camera]) -> Written:
    known, text = _Cameras.last
    if known is not cameras:
        # one by one, for other threads wait while JSON is written
        text = Written(b"[" + b",".join(canonical(camera.to_dict()) for camera in cameras) + b"]")
        _Cameras.last = cameras, text
    return text


def described(value: Any) -> dict[str, Any]:
    """The fields of a unit or a request as JSON values, a list of cameras already written."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    paths = {k: v for k, v in fields.items() if isinstance(v, list) and v and isinstance(v[0], Camera)}
    plain = {name: _written(cameras) for name, cameras in paths.items()}
    return plain | {k: msgspec.to_builtins(v, enc_hook=_plain_array) for k, v in fields.items() if k not in paths}


def asked(request: Any) -> dict[str, Any]:
    """What of `described` is the request's own."""
    return {name: value for name, value in described(request).items() if name not in getattr(request, "unasked", ())}


def job_id(request: Any, revision: str, optional: tuple[str, ...], unhashed: str = "") -> str:
    """The id of a request's job; `optional` fields are left out where they have their default, `unhashed` always."""
    defaults, plain = _defaults(type(request)), asked(request)
    plain.pop(unhashed, None)
    for name in optional:
        if getattr(request, name) == defaults[name]:
            del plain[name]
    return hash_of({"version": UNIT_VERSION, "job": request.kind, "revision": revision, **plain})


def request_json(request: Any) -> str:
    """A request as `to_json` writes it."""
    raw = {k: msgspec.Raw(v) if isinstance(v, Written) else v for k, v in asked(request).items()}
    return msgspec.json.encode(raw).decode()


def to_json(value: Any) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(value, enc_hook=_plain_array)


def from_json(text: bytes | str, hint: type[_Decoded]) -> _Decoded:
    """The inverse of `to_json`, strictly. Raises ValueError for anything else."""
    return msgspec.json.decode(text, type=hint, dec_hook=_read_array)


def canonical(value: Any) -> bytes:
    """One byte string for equal JSON values."""
    if isinstance(value, Written):
        return value
    if isinstance(value, dict) and any(isinstance(part, Written) for part in value.values()):
        return b"{" + b",".join(b'"%s":%s' % (key.encode(), canonical(value[key])) for key in sorted(value)) + b"}"
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def hash_of(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
