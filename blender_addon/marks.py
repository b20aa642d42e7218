"""Marks on the datablocks that the add-on made: custom properties that say so, and what made them."""

import json
from collections.abc import Iterable, Mapping
from typing import TypeVar

import bpy

from .kit import KIT_VERSION
from .session import session

PREFIX = "look_beyond_"
Marked = TypeVar("Marked", bound=bpy.types.ID)


def set_marks(datablock: bpy.types.ID, record: Mapping[str, object]) -> None:
    """Write `record` to a datablock as custom properties; lists and dictionaries as JSON text."""
    for name, value in record.items():
        plain = isinstance(value, (str, int, float))
        # Custom properties hold 32-bit integers; seeds may be larger.
        fits = not isinstance(value, int) or abs(value) < 2**31
        datablock[PREFIX + name] = value if plain and fits else str(value) if plain else json.dumps(value)


def is_local(datablock: bpy.types.ID | None) -> bool:
    """Whether a datablock is the open file's own: neither linked nor a library override. None is not."""
    return datablock is not None and datablock.library is None and datablock.override_library is None


def is_own(datablock: bpy.types.ID) -> bool:
    """Whether a datablock has a mark of the add-on, or was copied from one that has."""
    return any(name.startswith(PREFIX) for name in datablock.keys())


def has_other_users(datablock: bpy.types.ID, scene: bpy.types.Scene) -> bool:
    """Whether another scene, or one of its view layers, or a node tree uses a world or a node group."""
    users = bpy.data.user_map(subset={datablock})[datablock]
    return any(isinstance(user, (bpy.types.Scene, bpy.types.NodeTree)) and user != scene for user in users)


def find_marked(datablocks: Iterable[Marked], **marks: object) -> Marked | None:
    """The first local datablock that has all these marks."""
    for datablock in datablocks:
        if is_local(datablock) and all(mark_of(datablock, name) == value for name, value in marks.items()):
            return datablock
    return None


def mark_of(datablock: bpy.types.ID, name: str, default: object = None) -> object:
    """The value that `set_marks` wrote, or the default."""
    return datablock.get(PREFIX + name, default)


def versions() -> dict[str, str]:
    """Versions of the add-on and of the service, for `set_marks`."""
    return {"version": KIT_VERSION, "service_version": str(getattr(session.service, "service", ""))}
