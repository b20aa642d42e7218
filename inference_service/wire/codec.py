"""Messages as bytes: `[MAGIC][JSON header][payload ...]`.

The header is `{"type": ..., "id": ..., fields}`. Whoever asks chooses `id`, and the answer repeats it; it is 0 in
hints, which nobody asked for. Headers are decoded into the frozen dataclasses of `messages` before anything looks at
them. Unknown fields are ignored, so that a newer peer may say more.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Sequence

from .errors import ProtocolError
from .messages import MESSAGES, TYPE_NAMES

VERSION = 1
MAGIC = b"LOOKBEYOND/%d" % VERSION
MAX_FRAME_BYTES = 16 << 20
"""Largest frame either side accepts (a shot of 10 000 cameras is about 6 MB of JSON)."""

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=vars)


def encode(message: object, id: int = 0, payload: bytes = b"") -> list[bytes]:
    """The frames of a message."""
    frames = [MAGIC, _ENCODER.encode({"type": TYPE_NAMES[type(message)], "id": id, **vars(message)}).encode()]
    return [*frames, payload] if payload else frames


def check_magic(frames: Sequence[bytes | memoryview]) -> None:
    """Raise ProtocolError unless the frames are of this version of the protocol."""
    if len(frames) < 2 or len(frames) > 3:
        raise ProtocolError("protocol", "A message has two or three frames.")
    if frames[0] != MAGIC:
        raise ProtocolError("version", version_sentence(bytes(frames[0])))


def version_sentence(magic: bytes) -> str:
    """Say which side to update, given the other side's first frame."""
    name, _, number = magic.partition(b"/")
    if name != MAGIC.partition(b"/")[0] or not number.isdigit() or len(number) > 6:
        return "The other side does not speak the Look Beyond protocol; check the address."
    if int(number) > VERSION:
        return f"The other side speaks protocol {int(number)} and this one only {VERSION}; update this side."
    return f"The other side speaks protocol {int(number)} and this one {VERSION}; update the other side."


def decode(frames: Sequence[bytes | memoryview]) -> tuple[object, int, bytes | memoryview]:
    """The message, its id and payload (as given). Raises ProtocolError for anything else, and nothing else."""
    check_magic(frames)
    if len(frames[1]) > MAX_FRAME_BYTES:
        raise ProtocolError("protocol", "A header is too large.")
    try:
        header = json.loads(bytes(frames[1]))
        if not isinstance(header, dict):
            raise TypeError("a header is a JSON object")
        cls = MESSAGES[header["type"]]
        id = header.get("id", 0)
        if type(id) is not int:
            raise TypeError("an id is an integer")
        message = from_plain(cls, header)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError("protocol", "A header could not be understood.") from error
    return message, id, frames[2] if len(frames) == 3 else b""


@functools.cache
def _hints(cls: type) -> dict[str, typing.Any]:
    return typing.get_type_hints(cls)


def from_plain(hint: typing.Any, value: typing.Any) -> typing.Any:
    """Plain JSON values as the type that `hint` names, strictly. Raises TypeError or KeyError."""
    if type(value) is hint:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise TypeError(f"{hint.__name__} is a JSON object")
        hints = _hints(hint)
        return hint(**{k: from_plain(hints[k], v) for k, v in value.items() if k in hints})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        return from_plain(next(a for a in arguments if a is not type(None)), value)
    if origin in (tuple, list) and isinstance(value, list):
        return origin(from_plain(arguments[0], v) for v in value)
    if origin is dict and isinstance(value, dict):
        return {k: from_plain(arguments[1], v) for k, v in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    raise TypeError(f"expected {hint}, not {type(value).__name__}")
